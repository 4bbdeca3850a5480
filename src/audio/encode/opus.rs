//! Opus in Ogg (RFC 7845).

use super::{EncodeError, Frames};
use ogg::{PacketWriteEndInfo, PacketWriter};
use opus_pure::{Application, MAX_PACKET_BYTES, OpusEncoder};
use std::ops::RangeInclusive;

/// Rates that the codec takes samples at, in Hz.
const RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];
/// Of time stamps, whatever the samples' rate.
const GRANULES: u32 = 48_000;
/// Packets of 20 ms in a page: a page of its own costs every packet 28 bytes, and a full page
/// would hold seconds back.
const PACKETS_PER_PAGE: u64 = 2;

/// How Opus is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusOptions {
    /// Bits per second, within [`OpusOptions::BITRATES`].
    pub bitrate: u32,
    /// Effort, within [`OpusOptions::COMPLEXITIES`].
    pub complexity: u8,
}

impl OpusOptions {
    pub const BITRATES: RangeInclusive<u32> = 8_000..=512_000;
    pub const COMPLEXITIES: RangeInclusive<u8> = 0..=10;
}

impl Default for OpusOptions {
    /// Speech that is hardly told from the original, at a percent of a processor core.
    fn default() -> Self {
        Self { bitrate: 32_000, complexity: 10 }
    }
}

/// A stream of Ogg Opus, page by page.
pub struct Opus {
    encoder: OpusEncoder,
    frames: Frames,
    pages: PacketWriter<'static, Vec<u8>>,
    serial: u32,
    rate: u32,
    /// Audio packets so far.
    packets: u64,
    packet: Vec<u8>,
}

impl Opus {
    /// Samples per second of what a decoder makes of it.
    pub const DECODED_RATE: u32 = GRANULES;

    /// The rate to bring samples of `rate` to: the lowest the codec takes that loses nothing.
    pub fn coding_rate(rate: u32) -> u32 {
        RATES.into_iter().find(|r| *r >= rate).unwrap_or(GRANULES)
    }

    /// `rate` is one of [`Opus::coding_rate`]. `serial` tells streams apart that are put together
    /// into one file.
    ///
    /// # Errors
    /// For a rate or options that the codec does not have.
    pub fn new(rate: u32, options: OpusOptions, serial: u32) -> Result<Self, EncodeError> {
        let rate_in = i32::try_from(rate).map_err(error)?;
        // Not `Voip`, which filters what is below the voice, as there is noise in a telephone.
        let mut encoder = OpusEncoder::new(rate_in, 1, Application::Audio).map_err(error)?;
        if !OpusOptions::BITRATES.contains(&options.bitrate)
            || !OpusOptions::COMPLEXITIES.contains(&options.complexity)
        {
            return Err(error(format_args!("no such options: {options:?}")));
        }
        encoder.bitrate_bps = i32::try_from(options.bitrate).map_err(error)?;
        encoder.complexity = options.complexity.into();
        let mut this = Self {
            frames: Frames::new((rate / 50) as usize),
            pages: PacketWriter::new(Vec::new()),
            serial,
            rate,
            packets: 0,
            packet: vec![0; MAX_PACKET_BYTES],
            encoder,
        };
        for header in [this.head(), tags()] {
            let page = this.pages.write_packet(header, serial, PacketWriteEndInfo::EndPage, 0);
            page.map_err(error)?;
        }
        Ok(this)
    }

    /// Takes samples and appends the pages that are complete with them; first of all the two of
    /// the headers.
    ///
    /// # Errors
    /// A fault of the codec.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Self { encoder, frames, pages, packet, packets, serial, .. } = self;
        frames.push(samples, |frame| {
            let size = encoder.encode(frame, frame.len(), packet).map_err(error)?;
            *packets += 1;
            let end = match packets.is_multiple_of(PACKETS_PER_PAGE) {
                true => PacketWriteEndInfo::EndPage,
                false => PacketWriteEndInfo::NormalPacket,
            };
            let granule = *packets * u64::from(GRANULES / 50);
            let packet = packet.get(..size).unwrap_or_default().to_vec();
            pages.write_packet(packet, *serial, end, granule).map_err(error)
        })?;
        out.append(pages.inner_mut());
        Ok(())
    }

    /// Appends the rest. The last time stamp is where the samples end, so that a player leaves out
    /// what fills the last packet.
    ///
    /// # Errors
    /// A fault of the codec.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let frame = self.frames.length;
        let total = self.frames.total * u64::from(GRANULES / self.rate);
        let last_granule = u64::from(self.pre_skip()) + total;
        // The decoder lags behind by the encoder's delay, so there is always a packet left to end
        // the stream with.
        let frames = std::mem::replace(&mut self.frames, Frames::new(frame));
        let samples = frames.padded(self.encoder.lookahead().max(1));
        let (most, last) = samples.split_at(samples.len().saturating_sub(frame));
        self.push(most, out)?;
        let size = self.encoder.encode(last, frame, &mut self.packet).map_err(error)?;
        let packet = self.packet.get(..size).unwrap_or_default().to_vec();
        let end = PacketWriteEndInfo::EndStream;
        self.pages.write_packet(packet, self.serial, end, last_granule).map_err(error)?;
        out.append(self.pages.inner_mut());
        Ok(())
    }

    /// Granules at the start that are the encoder's delay.
    fn pre_skip(&self) -> u16 {
        let delay = self.encoder.lookahead() as u64 * u64::from(GRANULES / self.rate);
        u16::try_from(delay).unwrap_or(u16::MAX)
    }

    /// The identification header, RFC 7845 section 5.1.
    fn head(&self) -> Vec<u8> {
        let mut head = b"OpusHead".to_vec();
        head.extend([1, 1]); // version, channels
        head.extend(self.pre_skip().to_le_bytes());
        head.extend(self.rate.to_le_bytes());
        head.extend([0, 0, 0]); // gain, mapping of channels
        head
    }
}

/// The comment header, RFC 7845 section 5.2, with no comments.
fn tags() -> Vec<u8> {
    let vendor = concat!("mynah ", env!("CARGO_PKG_VERSION"));
    let mut tags = b"OpusTags".to_vec();
    tags.extend((vendor.len() as u32).to_le_bytes());
    tags.extend(vendor.as_bytes());
    tags.extend([0; 4]);
    tags
}

fn error(reason: impl ToString) -> EncodeError {
    EncodeError::new("opus", reason)
}
