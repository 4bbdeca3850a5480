//! The harmonic source as the original computes it, on the host in its f32 arithmetic.
//!
//! Every call starts its phases at zero, which is right for a whole utterance; a stream continues
//! them, see [`super::excitation`].

use crate::model::cosyvoice2::config::HiftConfig;
use crate::model::weights::{Scope, WeightsError};
use std::f32::consts::PI;

/// Sines at the multiples of the fundamental, merged by a learned mix. Keys `l_linear`.
#[derive(Debug, Clone)]
pub struct HarmonicSource {
    /// Weight of each harmonic, the fundamental first.
    pub(super) mix: Vec<f32>,
    pub(super) bias: f32,
    /// Samples per mel frame.
    pub(super) frame: usize,
    pub(super) sample_rate: f32,
    pub(super) sine_amplitude: f32,
    pub(super) voiced_noise: f32,
    pub(super) voiced_threshold: f32,
}

impl HarmonicSource {
    pub fn load(scope: &Scope, config: &HiftConfig, frame: usize) -> Result<Self, WeightsError> {
        let scope = scope.sub("l_linear");
        Ok(Self {
            mix: scope.values("weight", &[1, config.nb_harmonics + 1])?,
            bias: scope.values("bias", &[1])?.iter().sum(),
            frame,
            sample_rate: config.sampling_rate as f32,
            sine_amplitude: config.nsf_alpha,
            voiced_noise: config.nsf_sigma,
            voiced_threshold: config.nsf_voiced_threshold,
        })
    }

    /// Harmonics, the fundamental included.
    pub fn harmonics(&self) -> usize {
        self.mix.len()
    }

    pub fn is_voiced(&self, f0: f32) -> bool {
        f0 > self.voiced_threshold
    }

    /// Standard deviation of the noise added to each harmonic.
    pub(super) fn noise_amplitude(&self, voiced: bool) -> f32 {
        if voiced { self.voiced_noise } else { self.sine_amplitude / 3.0 }
    }

    /// `sin(phase)` of every harmonic, `[samples, harmonics]`, from f0 in hertz per frame.
    ///
    /// The phase advances by `frac(h f0 / rate)` per sample; it is summed over frames, scaled by
    /// the samples of a frame and interpolated between the frames' centres, held at the ends.
    pub fn sines(&self, f0: &[f32]) -> Vec<f32> {
        let (harmonics, frame) = (self.harmonics(), self.frame);
        let mut phases = vec![0f32; f0.len() * harmonics];
        for h in 0..harmonics {
            let mut sum = 0f64;
            for (j, &f0) in f0.iter().enumerate() {
                sum += f64::from((f0 * (h + 1) as f32 / self.sample_rate).rem_euclid(1.0));
                phases[j * harmonics + h] = sum as f32 * 2.0 * PI * frame as f32;
            }
        }
        let scale = 1.0 / frame as f32;
        let row = |j: usize| &phases[j * harmonics..(j + 1) * harmonics];
        (0..f0.len() * frame)
            .flat_map(|n| {
                let position = (scale * (n as f32 + 0.5) - 0.5).max(0.0);
                let low = (position as usize).min(f0.len() - 1);
                let weight = position - low as f32;
                let (a, b) = (row(low), row((low + 1).min(f0.len() - 1)));
                a.iter().zip(b).map(move |(a, b)| ((1.0 - weight) * a + weight * b).sin())
            })
            .collect()
    }

    /// The source signal, `[samples]`, from f0 `[frames]` and standard normal noise
    /// `[samples, harmonics]`; noise that is missing counts as zero. Frames whose f0 is not finite
    /// are unvoiced.
    pub fn signal(&self, f0: &[f32], noise: &[f32]) -> Vec<f32> {
        let f0: Vec<f32> = f0.iter().map(|&f| finite(f)).collect();
        let noise = noise.iter().copied().chain(std::iter::repeat(0.0));
        let mut values = self.sines(&f0);
        for (i, (value, noise)) in values.iter_mut().zip(noise).enumerate() {
            let voiced = self.is_voiced(f0[i / (self.harmonics() * self.frame)]);
            let sine = if voiced { self.sine_amplitude * *value } else { 0.0 };
            *value = sine + self.noise_amplitude(voiced) * noise;
        }
        let mixed = values.chunks_exact(self.harmonics()).map(|harmonics| {
            harmonics.iter().zip(&self.mix).map(|(x, w)| x * w).sum::<f32>() + self.bias
        });
        mixed.map(f32::tanh).collect()
    }
}

/// `f0`, or 0 where it is not a number.
pub(super) fn finite(f0: f32) -> f32 {
    if f0.is_finite() { f0 } else { 0.0 }
}
