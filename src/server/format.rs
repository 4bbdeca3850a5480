//! What audio looks like on the wire.

use super::error::ApiError;
use super::settings::SAMPLE_RATES;
pub use crate::audio::encode::OpusOptions;
use crate::audio::encode::{EncodeError, Flac, Mp3, Opus};
use crate::audio::{StreamResampler, pcm, wav};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// A RIFF header, then what [`Container::Pcm`] is.
    Wav,
    /// Signed 16-bit little-endian samples, nothing else.
    Pcm,
    /// Opus in Ogg.
    Opus,
    Mp3,
    Flac,
}

impl Container {
    /// # Errors
    /// [`ApiError::InvalidParameter`], which names what there is.
    pub fn parse(name: &str) -> Result<Self, ApiError> {
        match name.to_ascii_lowercase().as_str() {
            "wav" => Ok(Self::Wav),
            "pcm" => Ok(Self::Pcm),
            "opus" => Ok(Self::Opus),
            "mp3" => Ok(Self::Mp3),
            "flac" => Ok(Self::Flac),
            _ => {
                let words = "`response_format` must be wav, pcm, opus, mp3 or flac";
                Err(ApiError::InvalidParameter(words.into()))
            }
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Pcm => "pcm",
            Self::Opus => "opus",
            Self::Mp3 => "mp3",
            Self::Flac => "flac",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Pcm => "audio/pcm",
            Self::Opus => "audio/ogg",
            Self::Mp3 => "audio/mpeg",
            Self::Flac => "audio/flac",
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

/// What a client wants to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub container: Container,
    /// Samples per second.
    pub rate: u32,
    /// Heeded by [`Container::Opus`] alone.
    pub opus: OpusOptions,
}

impl Format {
    /// With the usual options.
    pub fn new(container: Container, rate: u32) -> Self {
        Self { container, rate, opus: OpusOptions::default() }
    }

    /// # Errors
    /// [`ApiError::OutOfRange`] for a rate that the container does not have.
    pub fn check(&self) -> Result<(), ApiError> {
        if self.container == Container::Mp3 && !Mp3::RATES.contains(&self.rate) {
            let rates = Mp3::RATES.map(|rate| rate.to_string()).join(", ");
            let words = format!("`sample_rate` of mp3 must be one of {rates}, not {}", self.rate);
            return Err(ApiError::OutOfRange(words));
        }
        Ok(())
    }
}

/// The model's samples to bytes as the client wants them, piece by piece. What comes first begins
/// with the format's header.
pub struct Encoder {
    container: Container,
    rate: u32,
    /// None once the end is encoded.
    resampler: Option<StreamResampler>,
    codec: Codec,
    /// Whether the header was given.
    begun: bool,
    /// Samples after resampling.
    samples: u64,
}

enum Codec {
    Samples,
    Opus(Box<Opus>),
    Mp3(Mp3),
    Flac(Box<Flac>),
}

impl Encoder {
    /// # Errors
    /// Those of [`Format::check`]; [`ApiError::Processing`] where the model's rate cannot be brought to it.
    pub fn new(model_rate: u32, format: Format) -> Result<Self, ApiError> {
        format.check()?;
        let Format { container, rate, opus } = format;
        let (rate, codec) = match container {
            Container::Wav | Container::Pcm => (rate, Codec::Samples),
            Container::Opus => {
                let rate = Opus::coding_rate(rate);
                (rate, Codec::Opus(Box::new(Opus::new(rate, opus, rand::random())?)))
            }
            Container::Mp3 => (rate, Codec::Mp3(Mp3::new(rate)?)),
            Container::Flac => (rate, Codec::Flac(Box::new(Flac::new(rate)?))),
        };
        let resampler = StreamResampler::new(model_rate, rate)
            .map_err(|e| ApiError::Processing(e.to_string()))?;
        Ok(Self { container, rate, resampler: Some(resampler), codec, begun: false, samples: 0 })
    }

    /// Samples per second that a decoder of the output makes.
    pub fn rate(&self) -> u32 {
        match self.container {
            Container::Opus => Opus::DECODED_RATE,
            _ => self.rate,
        }
    }

    pub fn container(&self) -> Container {
        self.container
    }

    /// # Errors
    /// [`ApiError::Processing`].
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<u8>, ApiError> {
        match self.resampler.as_mut().map(|resampler| resampler.push(samples)) {
            Some(samples) => self.encode(&samples),
            None => Ok(Vec::new()),
        }
    }

    /// What the resampler and the codec still hold. Of nothing at all it is an empty file.
    ///
    /// # Errors
    /// [`ApiError::Processing`].
    pub fn finish(&mut self) -> Result<Vec<u8>, ApiError> {
        let Some(resampler) = self.resampler.take() else { return Ok(Vec::new()) };
        let mut out = self.encode(&resampler.finish())?;
        match std::mem::replace(&mut self.codec, Codec::Samples) {
            Codec::Samples => {}
            Codec::Opus(opus) => opus.finish(&mut out)?,
            Codec::Mp3(mp3) => mp3.finish(&mut out)?,
            Codec::Flac(flac) => flac.finish(&mut out)?,
        }
        Ok(out)
    }

    /// Writes into a finished file how long it is. A stream's header cannot know it.
    pub fn complete(&self, file: &mut [u8]) {
        let put = |file: &mut [u8], header: &[u8]| {
            if let Some(place) = file.get_mut(..header.len()) {
                place.copy_from_slice(header);
            }
        };
        match self.container {
            Container::Wav => {
                let samples = file.len().saturating_sub(wav::HEADER);
                put(file, &wav::header(self.rate, Some(samples)));
            }
            Container::Flac => put(file, &Flac::header(self.rate, Some(self.samples))),
            Container::Pcm | Container::Opus | Container::Mp3 => {}
        }
    }

    fn encode(&mut self, samples: &[f32]) -> Result<Vec<u8>, ApiError> {
        let mut out = Vec::new();
        if !self.begun {
            self.begun = true;
            match self.container {
                Container::Wav => out.extend(wav::header(self.rate, None)),
                Container::Flac => out.extend(Flac::header(self.rate, None)),
                Container::Pcm | Container::Opus | Container::Mp3 => {}
            }
        }
        self.samples += samples.len() as u64;
        match &mut self.codec {
            Codec::Samples => pcm::append_s16le(samples, &mut out),
            Codec::Opus(opus) => opus.push(samples, &mut out)?,
            Codec::Mp3(mp3) => mp3.push(samples, &mut out)?,
            Codec::Flac(flac) => flac.push(samples, &mut out)?,
        }
        Ok(out)
    }
}

impl From<EncodeError> for ApiError {
    fn from(error: EncodeError) -> Self {
        Self::Processing(error.to_string())
    }
}
