//! The harmonic source of a stream: phases that run on from call to call, and noise that belongs
//! to a frame.
//!
//! It is [`HarmonicSource::signal`]'s formula with three differences. Phases are wrapped turns in
//! f64, where the original's f32 sums lose 1e-3 rad in ten seconds. They continue across calls.
//! And as the mix is linear and every harmonic's noise has one deviation, a sample draws one normal
//! number scaled by the norm of the mix, not one per harmonic: the distribution is the same.

use super::source::{HarmonicSource, finite};
use crate::model::nn::add_tone;
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

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.turns.capacity() * size_of::<f64>()
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
            let start = signal.len();
            signal.extend(noise.iter().map(|noise| source.bias + noise_amplitude * noise));
            let (left, right) = signal[start..].split_at_mut(half);
            if voiced {
                // Samples from the centre of this frame, or of the one before.
                let center = center_offset(frame);
                if first {
                    add_harmonics(left, source, &at.turns, None, 0.0);
                } else {
                    add_harmonics(left, source, &before, Some(now), (frame - half) as f64 + center);
                }
                add_harmonics(right, source, &at.turns, next, center);
            }
            signal[start..].iter_mut().for_each(|value| *value = value.tanh());
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

/// Adds the harmonics of `f0`, from `offset` samples after the point where they are at `turns`;
/// without f0 their phases stand still.
fn add_harmonics(
    output: &mut [f32],
    source: &HarmonicSource,
    turns: &[f64],
    f0: Option<f32>,
    offset: f64,
) {
    for (h, (turns, mix)) in turns.iter().zip(&source.mix).enumerate() {
        let rate = f0.map_or(0.0, |f0| rate(source, f0, h));
        add_tone(output, mix * source.sine_amplitude, turns + rate * offset, rate);
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

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 480;

    fn source() -> HarmonicSource {
        HarmonicSource {
            mix: vec![0.9, -0.5, 0.3],
            bias: 0.01,
            frame: FRAME,
            sample_rate: 24_000.0,
            sine_amplitude: 0.1,
            voiced_noise: 0.003,
            voiced_threshold: 10.0,
        }
    }

    /// A voice that rises, stops and starts again.
    fn f0(frames: usize) -> Vec<f32> {
        let hertz = |j: usize| if j % 11 > 8 { 0.0 } else { 110.0 + 7.3 * (j % 23) as f32 };
        (0..frames).map(hertz).collect()
    }

    fn worst(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).fold(0.0, |worst, (a, b)| (a - b).abs().max(worst))
    }

    /// One call is the original's formula, with the sample's normal number spread over the
    /// harmonics so that their mix gives it back.
    #[test]
    fn one_call_is_the_original() {
        let (source, f0) = (source(), f0(40));
        let mut at = Excitation::new(&source, 3);
        let got = at.signal(&source, &f0, true);
        let mut noise = Vec::new();
        for f0 in f0.chunks(1) {
            let mut normals = vec![0.0; FRAME];
            at.normals(&mut normals);
            let spread = |x: &f32| source.mix.iter().map(|w| x * w / at.noise_gain).collect();
            noise.extend(normals.iter().flat_map::<Vec<f32>, _>(spread));
            at.advance(&source, f0);
        }
        let error = worst(&got, &source.signal(&f0, &noise));
        assert!(error < 1e-4, "{error}");
    }

    /// Calls that go back over known frames make the same samples; only the last half frame of a
    /// call, whose right neighbour it does not know, may differ.
    #[test]
    fn calls_continue() {
        let (source, f0) = (source(), f0(60));
        let whole = Excitation::new(&source, 3).signal(&source, &f0, true);
        let mut at = Excitation::new(&source, 3);
        for (start, end) in [(0, 1), (0, 13), (5, 30), (22, 60)] {
            at.advance(&source, &f0[at.frame..start]);
            let got = at.signal(&source, &f0[start..end], end == 60);
            let known = if end == 60 { got.len() } else { got.len() - FRAME / 2 };
            let error = worst(&got[..known], &whole[start * FRAME..][..known]);
            assert!(error < 1e-6, "{start}..{end}: {error}");
        }
    }

    /// The tone runs on through the last half frame of a call that is not the last one.
    #[test]
    fn an_open_end_runs_on() {
        let (source, f0) = (source(), vec![150.0; 20]);
        let at = Excitation::new(&source, 3);
        let (part, whole) = (at.signal(&source, &f0[..9], false), at.signal(&source, &f0, true));
        let error = worst(&part, &whole[..part.len()]);
        assert!(error < 1e-6, "{error}");
    }

    /// Normal numbers: mean 0, variance 1, a fourth moment of 3, and no relation between samples,
    /// frames or seeds.
    #[test]
    fn noise_is_white_and_normal() {
        let draw = |seed, frame| {
            let at = Excitation { frame, ..Excitation::new(&source(), seed) };
            let mut noise = vec![0.0; FRAME];
            at.normals(&mut noise);
            noise
        };
        let many = |seed, first| -> Vec<f32> {
            (first..first + 200).flat_map(|j| draw(seed, j)).collect()
        };
        let noise = many(5, 0);
        assert_eq!(noise, many(5, 0));
        let mean = |f: &dyn Fn(usize) -> f32| {
            (0..noise.len() - FRAME).map(|i| f64::from(f(i))).sum::<f64>()
                / (noise.len() - FRAME) as f64
        };
        let (seeds, frames) = (many(6, 0), many(5, 1));
        let moments = [
            (mean(&|i| noise[i]), 0.0),
            (mean(&|i| noise[i].powi(2)), 1.0),
            (mean(&|i| noise[i].powi(4)), 3.0),
            (mean(&|i| noise[i] * noise[i + 1]), 0.0),
            (mean(&|i| noise[i] * noise[i + FRAME]), 0.0),
            (mean(&|i| noise[i] * seeds[i]), 0.0),
            (mean(&|i| noise[i] * frames[i]), 0.0),
        ];
        for (i, (got, want)) in moments.iter().enumerate() {
            assert!((got - want).abs() < 0.1, "moment {i}: {got}, not {want}");
        }
        assert!(noise.iter().all(|x| x.is_finite()));
    }

    /// A predictor gone wrong makes noise, not NaN.
    #[test]
    fn f0_that_is_no_number_is_unvoiced() {
        let source = source();
        let f0 = [f32::NAN, f32::INFINITY, 120.0, f32::NEG_INFINITY];
        let signal = Excitation::new(&source, 1).signal(&source, &f0, false);
        assert!(signal.iter().all(|x| x.is_finite()));
    }
}
