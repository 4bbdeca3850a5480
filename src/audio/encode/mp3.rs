//! MPEG audio layer III, at a constant bit rate.

use super::{EncodeError, Frames};
use rusty_mp3::header::FrameHeader;
use rusty_mp3::{Mp3Encode, encoder_header};

/// Samples by which a decoder's output lags behind the encoder's input: the two filter banks.
pub(super) const DELAY: usize = 1057;

/// A stream of MP3 frames, each of which can be decoded without those that follow. There is no
/// header before them, so that a player can begin anywhere.
pub struct Mp3 {
    encoder: Box<Mp3Encode>,
    header: FrameHeader,
    frames: Frames,
}

impl Mp3 {
    /// The rates that the format has, in Hz.
    pub const RATES: [u32; 9] =
        [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

    /// # Errors
    /// For a rate that is not one of [`Mp3::RATES`].
    pub fn new(rate: u32) -> Result<Self, EncodeError> {
        // Where the coding error of speech lies some 35 dB below it.
        let kbps = match rate {
            ..16_000 => 64,
            16_000..32_000 => 96,
            _ => 128,
        };
        let header = encoder_header(rate, 1, kbps).map_err(error)?;
        let frames = Frames::new(header.version.samples_per_frame());
        Ok(Self { encoder: Box::new(Mp3Encode::new()), header, frames })
    }

    /// Takes samples and appends the frames that are complete with them.
    ///
    /// # Errors
    /// A fault of the codec.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Self { encoder, header, frames } = self;
        frames.push(samples, |frame| {
            // Whole frames, of the header's own bit rate, with nothing borrowed from others.
            out.extend(encoder.encode_frame(header, &[frame], None).map_err(error)?);
            Ok(())
        })
    }

    /// Appends the rest, and the frames that bring a decoder to the last sample.
    ///
    /// # Errors
    /// A fault of the codec.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let length = self.frames.length;
        let frames = std::mem::replace(&mut self.frames, Frames::new(length));
        self.push(&frames.padded(DELAY), out)
    }
}

fn error(reason: impl ToString) -> EncodeError {
    EncodeError::new("mp3", reason)
}
