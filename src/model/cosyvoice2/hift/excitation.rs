//! The harmonic source of a stream: phases that run on from call to call, and noise that belongs
//! to a frame.
//!
//! It is [`HarmonicSource::signal`]'s formula with three differences. Phases are wrapped turns in
//! f64, where the original's f32 sums lose 1e-3 rad in ten seconds. They continue across calls.
//! And as the mix is linear and every harmonic's noise has one deviation, a sample draws one normal
//! number scaled by the norm of the mix, not one per harmonic: the distribution is the same.

use super::source::{HarmonicSource, finite};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use std::f32::consts::TAU;

/// Where a stretch of source begins.
#[derive(Debug, Clone)]
pub struct Excitation {
    seed: u64,
    /// The next frame, counted from the start of the utterance.
    frame: usize,
    /// Phase of every harmonic at the centre of the frame before, in turns, 0 to 1.
    turns: Vec<f64>,
    /// Norm of the mix.
    noise_gain: f32,
}

impl Excitation {
    /// At the start of an utterance. Equal seeds make equal noise.
    pub fn new(source: &HarmonicSource, seed: u64) -> Self {
        let noise_gain = source.mix.iter().map(|w| w * w).sum::<f32>().sqrt();
        Self { seed, frame: 0, turns: vec![0.0; source.harmonics()], noise_gain }
    }

    /// Moves on by the frames of `f0`, in hertz.
    pub fn advance(&mut self, source: &HarmonicSource, f0: &[f32]) {
        for &f0 in f0 {
            for (h, turns) in self.turns.iter_mut().enumerate() {
                let step = rate(source, f0, h) * source.frame as f64;
                *turns = (*turns + step).rem_euclid(1.0);
            }
        }
        self.frame += f0.len();
    }

    /// The source signal of the next frames, `[frame * f0.len()]`, from their f0 in hertz.
    ///
    /// Between the centres of two frames the phase runs at the rate of the later one. It stands
    /// still before the utterance's first centre and, where the utterance `ends`, after its last,
    /// as in the original; elsewhere it runs on at the last rate.
    pub fn signal(&self, source: &HarmonicSource, f0: &[f32], ends: bool) -> Vec<f32> {
        let (frame, mut at) = (source.frame, self.clone());
        let half = frame / 2;
        let mut signal = Vec::with_capacity(f0.len() * frame);
        let mut noise = vec![0f32; frame];
        for (j, &now) in f0.iter().enumerate() {
            let before = at.turns.clone();
            at.normals(&mut noise);
            let first = at.frame == 0;
            at.advance(source, &[now]);
            let voiced = source.is_voiced(finite(now));
            let noise_amplitude = source.noise_amplitude(voiced) * self.noise_gain;
            let next = f0.get(j + 1).copied().or((!ends).then_some(now));
            for (n, noise) in noise.iter().enumerate() {
                let mut value = source.bias + noise_amplitude * noise;
                if voiced {
                    // Samples from the centre of this frame, or of the one before.
                    let (turns, f0, offset) = if n >= half {
                        (&at.turns, next, n - half)
                    } else if first {
                        (&at.turns, None, 0)
                    } else {
                        (&before, Some(now), n + frame - half)
                    };
                    let offset = offset as f64 + center_offset(frame);
                    for (h, (turns, mix)) in turns.iter().zip(&source.mix).enumerate() {
                        let run = f0.map_or(0.0, |f0| rate(source, f0, h) * offset);
                        let turns = (turns + run).fract() as f32;
                        value += mix * source.sine_amplitude * (turns * TAU).sin();
                    }
                }
                signal.push(value.tanh());
            }
        }
        signal
    }

    /// Standard normal noise of the next frame: the same for every call that reaches that frame.
    fn normals(&self, noise: &mut [f32]) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed ^ scatter(self.frame as u64 + 1));
        // Box and Muller 1958; the first uniform number is never 0.
        let scale = 1.0 / (1u32 << 24) as f32;
        for pair in noise.chunks_mut(2) {
            let bits = rng.next_u64();
            let radius = ((bits >> 40) + 1) as f32 * scale;
            let (sin, cos) = ((bits & 0xff_ffff) as f32 * scale * TAU).sin_cos();
            let radius = (-2.0 * radius.ln()).sqrt();
            for (value, unit) in pair.iter_mut().zip([cos, sin]) {
                *value = radius * unit;
            }
        }
    }
}

/// Turns per sample of harmonic `h`, counted from 0.
fn rate(source: &HarmonicSource, f0: f32, h: usize) -> f64 {
    f64::from((finite(f0) * (h + 1) as f32 / source.sample_rate).rem_euclid(1.0))
}

/// Distance from a frame's centre to the first sample at or after it: half a sample where frames
/// have an even number of them.
fn center_offset(frame: usize) -> f64 {
    if frame.is_multiple_of(2) { 0.5 } else { 0.0 }
}

/// Neighbouring numbers to numbers without relation (the finaliser of MurmurHash3).
fn scatter(mut x: u64) -> u64 {
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}
