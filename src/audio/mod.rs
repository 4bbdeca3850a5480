//! Sound on the host: decoding prompts, resampling, spectral features, encoding speech.
//!
//! A leaf: plain `f32` slices in and out, no tensors, no model.

mod care;
pub mod decode;
pub mod encode;
pub mod fbank;
mod filterbank;
mod levels;
pub mod mel;
pub mod pcm;
pub mod prompt;
mod resample;
mod riff;
mod spectrum;
mod stream_resample;
mod warning;
pub mod wav;

pub use care::{Prepared, PromptCare, prepare};
pub use decode::{DecodeError, decode};
pub use filterbank::Filterbank;
pub use prompt::{PromptError, check_prompt, decode_prompt};
pub use resample::resample;
pub use spectrum::Frames;
pub use stream_resample::{RateError, StreamResampler};
pub use warning::PromptWarning;

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
