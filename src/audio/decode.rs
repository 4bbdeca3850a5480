//! Files of sound, of any common format, to mono samples.

use super::Clip;
use super::riff;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::FormatOptions;
use symphonia::core::formats::TrackType;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;

/// Rates a recording can have: from below telephony to the fastest converters. A file that names
/// another is corrupt, and resampling from it could cost without bound.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// More channels than any recording of a voice has.
const CHANNELS: u16 = 64;

/// Why bytes did not become a clip.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// No format that is known, or damaged beyond reading.
    #[error("the audio cannot be decoded: {0}")]
    Undecodable(String),
    #[error("the audio holds no samples")]
    NoSamples,
    #[error("the audio is longer than {limit} s")]
    TooLong { limit: f64 },
}

/// Decodes a WAV, MP3, FLAC, MP4/AAC or Ogg Vorbis file, averaging its channels.
///
/// What can be read of a damaged file is the clip. Memory stays bounded by the size of `bytes`
/// and by `max_seconds`, whatever the headers say; decoding stops where that length is passed.
///
/// # Errors
/// [`DecodeError`]. Hostile bytes are an error like any other.
pub fn decode(bytes: &[u8], max_seconds: f64) -> Result<Clip, DecodeError> {
    // The decoders are written not to panic, but they read what strangers send.
    catch_unwind(AssertUnwindSafe(|| decode_unguarded(bytes, max_seconds)))
        .unwrap_or_else(|_| Err(undecodable("the decoder failed on it")))
}

fn undecodable(reason: impl ToString) -> DecodeError {
    DecodeError::Undecodable(reason.to_string())
}

fn decode_unguarded(bytes: &[u8], max_seconds: f64) -> Result<Clip, DecodeError> {
    // The reader multiplies what a header says before it doubts it.
    if let Some(channels) = riff::channels(bytes).filter(|channels| *channels > CHANNELS) {
        return Err(undecodable(format_args!("its header names {channels} channels")));
    }
    let source: Box<dyn MediaSource + '_> = match riff::repair(bytes) {
        Some((_, [])) => return Err(DecodeError::NoSamples),
        Some((header, data)) => {
            Box::new(ReadOnlySource::new(Cursor::new(header).chain(Cursor::new(data))))
        }
        None => Box::new(Cursor::new(without_id3(bytes))),
    };
    let stream = MediaSourceStream::new(source, Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|_| undecodable("its format is not known; WAV, MP3, FLAC, M4A and OGG are"))?;
    let track =
        format.default_track(TrackType::Audio).ok_or_else(|| undecodable("no audio track"))?;
    let id = track.id;
    let parameters = track
        .codec_params
        .as_ref()
        .and_then(|parameters| parameters.audio())
        .ok_or_else(|| undecodable("unknown codec"))?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(undecodable)?;

    let mut clip = Clip { samples: Vec::new(), rate: 0 };
    let mut interleaved: Vec<f32> = Vec::new();
    let mut damage = None;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // The end of a truncated file, or of what can be read of a damaged one.
            Err(error) => {
                damage = Some(error);
                break;
            }
        };
        if packet.track_id != id {
            continue;
        }
        let buffer = match decoder.decode(&packet) {
            Ok(buffer) => buffer,
            // One bad packet: the next may be whole.
            Err(error @ (SymphoniaError::DecodeError(_) | SymphoniaError::IoError(_))) => {
                damage = Some(error);
                continue;
            }
            Err(error) => {
                damage = Some(error);
                break;
            }
        };
        let (rate, channels) = (buffer.spec().rate(), buffer.spec().channels().count());
        if channels == 0 || buffer.frames() == 0 {
            continue;
        }
        if !RATES.contains(&rate) {
            return Err(undecodable(format!("a sample rate of {rate} Hz")));
        }
        if clip.rate != 0 && clip.rate != rate {
            return Err(undecodable("its sample rate changes"));
        }
        clip.rate = rate;
        let limit = (max_seconds * f64::from(rate)) as usize;
        if clip.samples.len() + buffer.frames() > limit {
            return Err(DecodeError::TooLong { limit: max_seconds });
        }
        buffer.copy_to_vec_interleaved(&mut interleaved);
        clip.samples.extend(interleaved.chunks_exact(channels).map(mono));
    }
    match (clip.samples.is_empty(), damage) {
        (false, _) => Ok(clip),
        (true, Some(error)) => Err(undecodable(error)),
        (true, None) => Err(DecodeError::NoSamples),
    }
}

/// The mean of one frame's channels. Float files can hold anything: what is no number is silence,
/// what exceeds full scale is clipped.
fn mono(frame: &[f32]) -> f32 {
    let mean = frame.iter().sum::<f32>() / frame.len() as f32;
    if mean.is_finite() { mean.clamp(-1.0, 1.0) } else { 0.0 }
}

/// The bytes after a leading ID3v2 tag (<https://id3.org/id3v2.4.0-structure>), which may hold
/// pictures larger than a format search would look past.
fn without_id3(bytes: &[u8]) -> &[u8] {
    const HEADER: usize = 10;
    let [b'I', b'D', b'3', _, _, flags, a, b, c, d, ..] = bytes else { return bytes };
    let size = [a, b, c, d].into_iter().fold(0, |n, byte| n << 7 | usize::from(byte & 0x7F));
    let footer = if flags & 0x10 != 0 { HEADER } else { 0 };
    bytes.get(HEADER + size + footer..).unwrap_or(bytes)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
