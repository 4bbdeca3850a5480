//! What is encoded is decoded again and compared with what was said.

use super::*;
use crate::audio::{StreamResampler, decode};
use ogg::PacketReader;
use opus_pure::{OggOpusReader, OpusDecoder, Trim};
use std::io::Cursor;

/// Tones that glide and swell like a voice, with pauses.
fn voice(rate: u32, n: usize) -> Vec<f32> {
    let mut phase = 0.0;
    let tone = |i: usize| {
        let t = i as f64 / f64::from(rate);
        phase += std::f64::consts::TAU * (140.0 + 40.0 * (3.0 * t).sin()) / f64::from(rate);
        let harmonics = (1..=12).map(|k| (phase * f64::from(k)).sin() / f64::from(k));
        (0.2 * harmonics.sum::<f64>() * (5.0 * t).sin().max(0.0)) as f32
    };
    (0..n).map(tone).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Codec {
    Opus(OpusOptions),
    Mp3,
    Flac,
}

/// A whole file, of samples that come in pieces.
fn file(codec: Codec, rate: u32, samples: &[f32], piece: usize) -> Vec<u8> {
    let mut out = Vec::new();
    match codec {
        Codec::Opus(options) => {
            let mut opus = Opus::new(rate, options, 7).expect("an encoder");
            for samples in samples.chunks(piece) {
                opus.push(samples, &mut out).expect("encoded");
            }
            opus.finish(&mut out).expect("encoded");
        }
        Codec::Mp3 => {
            let mut mp3 = Mp3::new(rate).expect("an encoder");
            for samples in samples.chunks(piece) {
                mp3.push(samples, &mut out).expect("encoded");
            }
            mp3.finish(&mut out).expect("encoded");
        }
        Codec::Flac => {
            out.extend(Flac::header(rate, None));
            let mut flac = Flac::new(rate).expect("an encoder");
            for samples in samples.chunks(piece) {
                flac.push(samples, &mut out).expect("encoded");
            }
            flac.finish(&mut out).expect("encoded");
        }
    }
    out
}

/// The samples that a player would play of a file of Ogg Opus.
fn decode_opus(file: &[u8], rate: u32) -> Vec<f32> {
    let mut reader = OggOpusReader::new(file).expect("headers");
    let mut decoder = OpusDecoder::new(rate as i32, 1).expect("a decoder");
    let mut trim = Trim::new(reader.head(), rate as i32, 1).expect("a trimmer");
    let mut block = vec![0.0; rate as usize];
    let mut samples = Vec::new();
    while let Some(packet) = reader.read_packet().expect("a packet") {
        let n = decoder.decode(&packet.data, rate as usize / 50, &mut block).expect("sound");
        samples.extend_from_slice(trim.keep(&packet, &block[..n]));
    }
    samples
}

/// Power of the signal over that of the error, in dB.
fn snr(heard: &[f32], said: &[f32]) -> f32 {
    let error: f32 = heard.iter().zip(said).map(|(a, b)| (a - b).powi(2)).sum();
    10.0 * (said.iter().map(|a| a * a).sum::<f32>() / error).log10()
}

#[test]
fn pieces_make_no_difference() {
    let samples = voice(24_000, 20_011);
    for codec in [Codec::Opus(OpusOptions::default()), Codec::Mp3, Codec::Flac] {
        let whole = file(codec, 24_000, &samples, usize::MAX);
        for piece in [1, 480, 7777] {
            assert!(file(codec, 24_000, &samples, piece) == whole, "{codec:?} by {piece}");
        }
    }
}

#[test]
fn opus_sounds_as_what_was_said_and_is_as_long() {
    for (rate, n) in [(8_000, 8_001), (16_000, 16_320), (24_000, 24_000), (48_000, 47_999)] {
        let said = voice(rate, n);
        for (bitrate, least) in [(32_000, 14.0), (128_000, 35.0)] {
            let options = OpusOptions { bitrate, complexity: 10 };
            let file = file(Codec::Opus(options), rate, &said, 1000);
            let heard = decode_opus(&file, rate);
            let snr = snr(&heard, &said);
            let kbps = file.len() as f64 * 8.0 / (n as f64 / f64::from(rate)) / 1e3;
            println!("{rate} Hz at {bitrate}: {snr:.1} dB, {kbps:.1} kbit/s");
            assert_eq!(heard.len(), n, "{rate} {bitrate}");
            assert!(snr > least, "{rate} {bitrate}: {snr} dB");
        }
    }
}

#[test]
fn opus_options_are_heeded_over_their_whole_range() {
    let said = voice(24_000, 24_000);
    let size = |bitrate, complexity| {
        file(Codec::Opus(OpusOptions { bitrate, complexity }), 24_000, &said, 480).len()
    };
    let sizes: Vec<usize> = [8_000, 32_000, 96_000, 512_000].map(|b| size(b, 5)).into();
    assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
    assert_ne!(
        file(Codec::Opus(OpusOptions { bitrate: 32_000, complexity: 0 }), 24_000, &said, 480),
        file(Codec::Opus(OpusOptions { bitrate: 32_000, complexity: 10 }), 24_000, &said, 480)
    );
    for (bitrate, complexity) in [(7_999, 5), (512_001, 5), (32_000, 11)] {
        assert!(Opus::new(24_000, OpusOptions { bitrate, complexity }, 7).is_err());
    }
    assert!(Opus::new(22_050, OpusOptions::default(), 7).is_err());
}

/// The container by another reader, which checks pages' sums.
#[test]
fn ogg_pages_are_sound_and_leave_early() {
    let said = voice(24_000, 10_100);
    let file = file(Codec::Opus(OpusOptions::default()), 24_000, &said, 480);
    let mut reader = PacketReader::new(Cursor::new(&file));
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet().expect("a sound page") {
        packets.push(packet);
    }
    assert!(packets[0].data.starts_with(b"OpusHead") && packets[0].first_in_stream());
    assert_eq!(packets[0].data.len(), 19);
    assert!(packets[0].last_in_page() && packets[1].last_in_page());
    assert!(packets[1].data.starts_with(b"OpusTags"));
    let pre_skip = u64::from(u16::from_le_bytes([packets[0].data[10], packets[0].data[11]]));
    let audio = &packets[2..];
    for (i, packet) in audio.iter().enumerate() {
        let last = i + 1 == audio.len();
        assert_eq!(packet.last_in_stream(), last);
        assert_eq!(packet.last_in_page(), i % 2 == 1 || last, "{i}");
        if packet.last_in_page() {
            let end = if last { pre_skip + 2 * 10_100 } else { 960 * (i as u64 + 1) };
            assert_eq!(packet.absgp_page(), end, "{i}");
        }
    }
    assert!(reader.into_inner().position() as usize == file.len());

    let mut opus = Opus::new(24_000, OpusOptions::default(), 7).expect("an encoder");
    let mut out = Vec::new();
    opus.push(&said[..960], &mut out).expect("encoded");
    assert_eq!(out.windows(4).filter(|bytes| bytes == b"OggS").count(), 3);
}

#[test]
fn mp3_sounds_as_what_was_said_at_every_rate() {
    for rate in Mp3::RATES {
        let said = voice(rate, rate as usize);
        let file = file(Codec::Mp3, rate, &said, 480);
        let clip = decode(&file, 10.0).expect("an MP3 file");
        assert_eq!(clip.rate, rate);
        // The filter banks' delay, which no tag tells the decoder of.
        let heard = &clip.samples[mp3::DELAY..];
        let snr = snr(heard, &said);
        let kbps = file.len() as f64 * 8.0 / 1e3;
        println!("{rate} Hz: {snr:.1} dB, {kbps:.1} kbit/s");
        assert!(heard.len() >= said.len(), "{rate}: the end is missing");
        assert!(snr > 50.0, "{rate}: {snr} dB");
    }
    assert!(Mp3::new(9_999).is_err());
}

#[test]
fn flac_is_what_was_said_to_the_last_bit() {
    for (rate, n) in [(8_000, 1), (9_999, 1024), (24_000, 24_031), (44_100, 2047), (48_000, 1025)] {
        let said = voice(rate, n);
        let mut file = file(Codec::Flac, rate, &said, 480);
        for total in [None, Some(n as u64)] {
            file[..42].copy_from_slice(&Flac::header(rate, total));
            let clip = decode(&file, 10.0).expect("a FLAC file");
            assert_eq!((clip.rate, clip.samples.len()), (rate, n));
            let same = clip.samples.iter().zip(&said);
            let pcm = crate::audio::pcm::to_i16;
            assert!(same.into_iter().all(|(a, b)| pcm(*a) == pcm(*b)), "{rate} {n}");
        }
        let raw = 2 * n;
        assert!(n < 2000 || file.len() < raw, "{rate}: {} of {raw} bytes", file.len());
    }
    let header = Flac::header(24_000, Some(1 << 36));
    assert_eq!(header, Flac::header(24_000, None));
}

/// A model's fault must not become the codec's, or a player's.
#[test]
fn samples_that_are_none_are_silence_or_clipped() {
    let odd = [f32::NAN, f32::INFINITY, -f32::INFINITY, 1e30, -2.0, 0.5].repeat(1000);
    for codec in [Codec::Opus(OpusOptions::default()), Codec::Mp3, Codec::Flac] {
        let tame: Vec<f32> = odd.iter().map(|s| clip(*s)).collect();
        assert!(file(codec, 24_000, &odd, 480) == file(codec, 24_000, &tame, 480), "{codec:?}");
    }
}

#[test]
fn nothing_is_an_empty_file_that_can_be_read() {
    let opus = file(Codec::Opus(OpusOptions::default()), 24_000, &[], 1);
    assert!(decode_opus(&opus, 24_000).is_empty());
    assert_eq!(file(Codec::Flac, 24_000, &[], 1), Flac::header(24_000, None));
    assert!(decode(&file(Codec::Mp3, 24_000, &[], 1), 1.0).is_ok());
}

#[test]
fn every_rate_has_one_that_opus_takes() {
    for rate in [8_000, 9_999, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000] {
        let coding = Opus::coding_rate(rate);
        assert!(coding >= rate && Opus::new(coding, OpusOptions::default(), 7).is_ok());
        assert!(StreamResampler::new(24_000, coding).is_ok());
    }
}
