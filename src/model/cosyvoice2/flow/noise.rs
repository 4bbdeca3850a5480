//! The fixed initial noise of the flow.
//!
//! Every call, hop and session integrates from the same buffer, indexed by absolute frame. It is
//! not part of a checkpoint: the original draws it as PyTorch's CPU normal stream right after
//! `manual_seed(0)`, which is reproduced here: MT19937 (Matsumoto & Nishimura 1998) mapped to
//! normal deviates by the Box-Muller transform in groups of sixteen.

use burn::tensor::{Device, Tensor, TensorData};
use std::f32::consts::PI;

/// Frames in the buffer, 300 s: the longest prompt and speech that one call can hold.
pub const MAX_FRAMES: usize = 15_000;
const SEED: u32 = 0;
/// Deviates per Box-Muller group: the first half are cosines, the second sines.
const GROUP: usize = 16;

/// The buffer `[1, MAX_FRAMES, mel_bins]` (BTC).
pub fn initial_noise(mel_bins: usize, device: &Device) -> Tensor<3> {
    let values = normal_stream(SEED, mel_bins * MAX_FRAMES);
    // The stream fills [mel_bins, MAX_FRAMES] row by row. Copied once into frame order, so that a
    // hop's frames lie together.
    let mut frames = vec![0.0; values.len()];
    for (bin, row) in values.chunks_exact(MAX_FRAMES).enumerate() {
        for (frame, value) in row.iter().enumerate() {
            frames[frame * mel_bins + bin] = *value;
        }
    }
    Tensor::from_data(TensorData::new(frames, [1, MAX_FRAMES, mel_bins]), device)
}

/// `count` standard normal deviates, a multiple of sixteen, in the order PyTorch draws them.
fn normal_stream(seed: u32, count: usize) -> Vec<f32> {
    let mut twister = MersenneTwister::new(seed);
    let mut values: Vec<f32> =
        (0..count.next_multiple_of(GROUP)).map(|_| twister.next_uniform()).collect();
    for group in values.as_chunks_mut::<GROUP>().0 {
        for i in 0..GROUP / 2 {
            let radius = (-2.0 * (1.0 - group[i]).ln()).sqrt();
            let angle = 2.0 * PI * group[i + GROUP / 2];
            group[i] = radius * angle.cos();
            group[i + GROUP / 2] = radius * angle.sin();
        }
    }
    values.truncate(count);
    values
}

const STATE: usize = 624;
const MIDDLE: usize = 397;

struct MersenneTwister {
    state: [u32; STATE],
    next: usize,
}

impl MersenneTwister {
    fn new(seed: u32) -> Self {
        let mut state = [seed; STATE];
        for i in 1..STATE {
            let last = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: STATE }
    }

    fn refill(&mut self) {
        for i in 0..STATE {
            let joined =
                (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % STATE] & 0x7fff_ffff);
            let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + MIDDLE) % STATE] ^ (joined >> 1) ^ twist;
        }
        self.next = 0;
    }

    fn next_u32(&mut self) -> u32 {
        if self.next == STATE {
            self.refill();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// In `[0, 1)`, from the low 24 bits.
    fn next_uniform(&mut self) -> f32 {
        (self.next_u32() & 0x00ff_ffff) as f32 / 16_777_216.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the generator itself: outputs of the published reference code for its default
    /// seed, the first and the ten-thousandth (the one the C++ standard fixes).
    #[test]
    fn twister_gives_the_reference_stream() {
        let mut twister = MersenneTwister::new(5489);
        assert_eq!(twister.next_u32(), 3_499_211_612);
        let last = (1..10_000).map(|_| twister.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    /// Protects the mapping to normal deviates and its order over the whole buffer, by values
    /// that PyTorch gives.
    #[test]
    fn stream_is_that_of_pytorch() {
        let values = normal_stream(SEED, 80 * MAX_FRAMES);
        let near = |got: f32, want: f32| assert!((got - want).abs() < 1e-6, "{got} {want}");
        for (got, want) in values.iter().zip([-1.125_839_8, -1.152_360_2, -0.250_578_6]) {
            near(*got, want);
        }
        near(values[MAX_FRAMES], 0.869_179_4);
        for (got, want) in values.iter().rev().zip([-0.083_294_4, -0.982_601, -0.032_156_9]) {
            near(*got, want);
        }
        let sum: f64 = values.iter().map(|v| f64::from(*v)).sum();
        assert!((sum + 1291.2014).abs() < 1e-2, "{sum}");
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        near(largest, 4.761_164_7);
    }
}
