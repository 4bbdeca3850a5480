//! Sound on the host: decoding prompts, resampling, spectral features, writing WAV.
//!
//! A leaf: plain `f32` slices in and out, no tensors, no model.

/// Mono sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// Samples in `[-1, 1]`.
    pub samples: Vec<f32>,
    /// Samples per second.
    pub rate: u32,
}

impl Clip {
    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}
