//! What audio looks like on the wire.

use super::error::ApiError;
use super::settings::SAMPLE_RATES;
use crate::audio::{StreamResampler, pcm, wav};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// A RIFF header, then what [`Container::Pcm`] is.
    Wav,
    /// Signed 16-bit little-endian samples, nothing else.
    Pcm,
}

impl Container {
    /// # Errors
    /// [`ApiError::InvalidParameter`], which names what there is.
    pub fn parse(name: &str) -> Result<Self, ApiError> {
        match name.to_ascii_lowercase().as_str() {
            "wav" => Ok(Self::Wav),
            "pcm" => Ok(Self::Pcm),
            _ => Err(ApiError::InvalidParameter("`response_format` must be wav or pcm".into())),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Pcm => "pcm",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Pcm => "audio/pcm",
        }
    }
}

/// # Errors
/// [`ApiError::OutOfRange`].
pub fn check_rate(rate: i128) -> Result<u32, ApiError> {
    u32::try_from(rate).ok().filter(|rate| SAMPLE_RATES.contains(rate)).ok_or_else(|| {
        let (low, high) = (SAMPLE_RATES.start(), SAMPLE_RATES.end());
        ApiError::OutOfRange(format!("`sample_rate` must be {low} to {high}, not {rate}"))
    })
}

/// The model's samples to bytes at the rate the client wants, piece by piece.
pub struct Encoder {
    rate: u32,
    /// None once the end is encoded.
    resampler: Option<StreamResampler>,
}

impl Encoder {
    /// # Errors
    /// [`ApiError::Processing`] where the model's rate cannot be brought to `rate`.
    pub fn new(model_rate: u32, rate: u32) -> Result<Self, ApiError> {
        let resampler = StreamResampler::new(model_rate, rate)
            .map_err(|e| ApiError::Processing(e.to_string()))?;
        Ok(Self { rate, resampler: Some(resampler) })
    }

    /// Samples per second of the output.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    pub fn push(&mut self, samples: &[f32]) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(resampler) = &mut self.resampler {
            pcm::append_s16le(&resampler.push(samples), &mut out);
        }
        out
    }

    /// What the resampler still holds.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(resampler) = self.resampler.take() {
            pcm::append_s16le(&resampler.finish(), &mut out);
        }
        out
    }

    /// The header of a WAV file of `data_len` bytes of samples, or of a stream.
    pub fn header(&self, data_len: Option<usize>) -> [u8; 44] {
        wav::header(self.rate, data_len)
    }
}
