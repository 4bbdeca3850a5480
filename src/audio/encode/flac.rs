//! FLAC of 16 bits (RFC 9639).

use super::{EncodeError, Frames};
use crate::audio::pcm;
use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::config;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Fill, FrameBuf};

/// Samples of a frame: 43 ms of 24 kHz. Longer ones would be smaller, and later.
const BLOCK: u16 = 1024;
const BITS: u8 = 16;

/// A stream of FLAC frames after [`Flac::header`].
pub struct Flac {
    config: Verified<config::Encoder>,
    info: StreamInfo,
    buffer: FrameBuf,
    frames: Frames,
    /// Frames so far.
    number: usize,
}

impl Flac {
    /// # Errors
    /// For a rate that the format does not have.
    pub fn new(rate: u32) -> Result<Self, EncodeError> {
        let block = usize::from(BLOCK);
        let mut config = config::Encoder::default();
        config.block_size = block;
        let config = config.into_verified().map_err(|(_, e)| error(e))?;
        let mut info = StreamInfo::new(rate as usize, 1, BITS.into()).map_err(error)?;
        info.set_block_sizes(block, block).map_err(error)?;
        let buffer = FrameBuf::with_size(1, block).map_err(error)?;
        Ok(Self { config, info, buffer, frames: Frames::new(block), number: 0 })
    }

    /// The marker and the one metadata block, of a stream of `total` samples, or of one whose
    /// length is not known.
    pub fn header(rate: u32, total: Option<u64>) -> [u8; 42] {
        const BLOCK_LENGTH: u8 = 34;
        // Zero says that the length is not known; so it does for what has no room.
        let total = total.filter(|total| *total < 1 << 36).unwrap_or(0);
        let mut out = [0; 42];
        out[..4].copy_from_slice(b"fLaC");
        out[4] = 0x80; // the last metadata block, of type 0
        out[7] = BLOCK_LENGTH;
        out[8..10].copy_from_slice(&BLOCK.to_be_bytes());
        out[10..12].copy_from_slice(&BLOCK.to_be_bytes());
        // 20 bits of rate, 3 of channels less one, 5 of bits less one, 36 of length. The sizes of
        // frames before and the digest after may be left out as zeros.
        let fields = u64::from(rate) << 44 | u64::from(BITS - 1) << 36 | total;
        out[18..26].copy_from_slice(&fields.to_be_bytes());
        out
    }

    /// Takes samples and appends the frames that are complete with them.
    ///
    /// # Errors
    /// A fault of the codec.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Self { config, info, buffer, frames, number } = self;
        frames.push(samples, |block| encode(config, info, buffer, number, block, out))
    }

    /// Appends the last frame, which may be shorter.
    ///
    /// # Errors
    /// A fault of the codec.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.frames.held.is_empty() {
            return Ok(());
        }
        let Self { config, info, buffer, frames, number } = &mut self;
        encode(config, info, buffer, number, &frames.held, out)
    }
}

fn encode(
    config: &Verified<config::Encoder>,
    info: &StreamInfo,
    buffer: &mut FrameBuf,
    number: &mut usize,
    block: &[f32],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let samples: Vec<i32> = block.iter().map(|sample| pcm::to_i16(*sample).into()).collect();
    buffer.fill_interleaved(&samples).map_err(error)?;
    let frame = flacenc::encode_fixed_size_frame(config, buffer, *number, info).map_err(error)?;
    *number += 1;
    let mut sink = ByteSink::new();
    frame.write(&mut sink).map_err(error)?;
    out.extend_from_slice(sink.as_slice());
    Ok(())
}

fn error(reason: impl ToString) -> EncodeError {
    EncodeError::new("flac", reason)
}
