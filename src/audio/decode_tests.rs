//! Prompts as clients send them, and bytes as attackers do.

use super::*;
use crate::audio::{check_prompt, wav};

fn tone(rate: u32, seconds: f64) -> Vec<f32> {
    let n = (seconds * f64::from(rate)) as usize;
    (0..n).map(|i| 0.5 * (i as f32 * 300.0 * std::f32::consts::TAU / rate as f32).sin()).collect()
}

/// A WAV file of integer or float samples with any header.
fn wav_file(format: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let mut out = b"RIFF".to_vec();
    out.extend((36 + data.len() as u32).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16u32.to_le_bytes());
    out.extend(format.to_le_bytes());
    out.extend(channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    let block = channels.wrapping_mul(bits / 8);
    out.extend(rate.wrapping_mul(u32::from(block)).to_le_bytes());
    out.extend(block.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out.extend(b"data");
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out
}

#[test]
fn wav_of_a_telephone_and_of_a_studio() {
    let samples = tone(8000, 1.0);
    let clip = decode(&wav::encode(&samples, 8000), 30.0).expect("8 kHz mono");
    assert_eq!((clip.rate, clip.samples.len()), (8000, 8000));
    assert!(clip.samples.iter().zip(&samples).all(|(a, b)| (a - b).abs() < 1e-4));

    // 48 kHz stereo, right channel at half the level of the left: the mean is at 0.75.
    let left = tone(48_000, 0.6);
    let frames: Vec<u8> = left
        .iter()
        .flat_map(|x| [*x, 0.5 * x])
        .flat_map(|x| crate::audio::pcm::to_i16(x).to_le_bytes())
        .collect();
    let clip = decode(&wav_file(1, 2, 48_000, 16, &frames), 30.0).expect("48 kHz stereo");
    assert_eq!((clip.rate, clip.samples.len()), (48_000, left.len()));
    assert!(clip.samples.iter().zip(&left).all(|(a, b)| (a - 0.75 * b).abs() < 1e-4));
}

#[test]
fn float_samples_out_of_range_are_tamed() {
    let data: Vec<u8> =
        [0.25, f32::NAN, f32::INFINITY, 3.0, -3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let clip = decode(&wav_file(3, 1, 16_000, 32, &data), 30.0).expect("float WAV");
    assert_eq!(clip.samples, [0.25, 0.0, 0.0, 1.0, -1.0]);
}

/// Compressed formats: the same speech comes out, whatever it went through.
#[test]
fn compressed_formats() {
    let decode_file = |extension: &str| {
        let path = format!("{}/tests/data/prompt.{extension}", env!("CARGO_MANIFEST_DIR"));
        let clip = decode(&std::fs::read(path).expect("test data"), 30.0).expect(extension);
        assert_eq!(clip.rate, 16_000, "{extension}");
        assert!((1.5..1.8).contains(&clip.seconds()), "{extension}: {} s", clip.seconds());
        assert_eq!(check_prompt(&clip), Ok(()));
        clip
    };
    let exact = decode_file("flac").samples;
    for extension in ["mp3", "ogg", "m4a"] {
        let lossy = decode_file(extension).samples;
        // Coders add a delay of their own.
        let best = (0..3000)
            .map(|delay| {
                let energy = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>();
                let n = exact.len().min(lossy.len().saturating_sub(delay));
                let (a, b) = (&exact[..n], &lossy[delay..delay + n]);
                let product: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum();
                product / (energy(a) * energy(b)).sqrt().max(1e-9)
            })
            .fold(0.0, f64::max);
        println!("{extension}: correlation {best:.4}");
        assert!(best > 0.97, "{extension}: correlation {best}");
    }
}

/// An MP3 with a picture in front is still an MP3.
#[test]
fn tags_of_any_size_are_skipped() {
    let path = format!("{}/tests/data/prompt.mp3", env!("CARGO_MANIFEST_DIR"));
    let music = std::fs::read(path).expect("test data");
    let plain = decode(&music, 30.0).expect("mp3");
    let picture = 3 << 20;
    let mut tagged = b"ID3\x04\x00\x00".to_vec();
    tagged.extend([21, 14, 7, 0].map(|shift| (picture >> shift & 0x7F) as u8));
    tagged.extend(std::iter::repeat_n(0xFF, picture));
    tagged.extend(&music);
    assert_eq!(decode(&tagged, 30.0), Ok(plain));
}

/// Sizes of a file that was written to a pipe, or cut off.
#[test]
fn wrong_sizes_in_wav_headers() {
    let samples = tone(24_000, 1.0);
    let whole = wav::encode(&samples, 24_000);
    let expected = decode(&whole, 30.0).expect("whole");
    for size in [0u32, 1, 0x7FFF_FFFF, u32::MAX - 8, u32::MAX] {
        let mut file = whole.clone();
        file[4..8].copy_from_slice(&size.to_le_bytes());
        assert_eq!(decode(&file, 30.0).as_ref(), Ok(&expected), "RIFF size {size}");
        if size != 1 {
            file[40..44].copy_from_slice(&size.to_le_bytes());
            assert_eq!(decode(&file, 30.0).as_ref(), Ok(&expected), "both sizes {size}");
        }
    }
    // Cut in the middle of a sample: all whole samples are there.
    let clip = decode(&whole[..44 + 2 * 5000 + 1], 30.0).expect("cut");
    assert_eq!(clip.samples, expected.samples[..5000]);
    // A chunk between format and data, of an odd length, and a padded format chunk.
    let mut file = whole[..36].to_vec();
    file[16] = 20;
    file.extend([0; 4]);
    file.extend(b"LIST\x03\x00\x00\x00abc\x00");
    file.extend(&whole[36..]);
    assert_eq!(decode(&file, 30.0).as_ref(), Ok(&expected));
}

#[test]
fn length_is_capped_whatever_the_header_says() {
    let file = wav::encode(&tone(8000, 3.0), 8000);
    assert!(decode(&file, 3.0).is_ok());
    assert_eq!(decode(&file, 2.9), Err(DecodeError::TooLong { limit: 2.9 }));
}

#[test]
fn files_without_samples() {
    assert_eq!(decode(&wav::encode(&[], 24_000), 30.0), Err(DecodeError::NoSamples));
    for bytes in [&b""[..], b"R", b"RIFF", b"not a sound at all", &[0; 4096]] {
        assert!(matches!(decode(bytes, 30.0), Err(DecodeError::Undecodable(_))), "{bytes:?}");
    }
}

#[test]
fn impossible_formats_are_refused() {
    let data = [0x11; 4000];
    for (channels, rate, bits) in [
        (0, 16_000, 16),
        (1, 0, 16),
        (1, u32::MAX, 16),
        (1, 16_000, 0),
        (u16::MAX, 16_000, 16),
        (1, 16_000, u16::MAX),
        (u16::MAX, u32::MAX, u16::MAX),
    ] {
        let result = decode(&wav_file(1, channels, rate, bits, &data), 30.0);
        assert!(result.is_err(), "{channels} channels, {rate} Hz, {bits} bits: {result:?}");
    }
}

/// Every format cut at many places, and with bytes overwritten at random: an answer each time,
/// never a panic, and never more samples than the limit.
#[test]
fn damaged_files_are_answered() {
    let mut files = vec![wav::encode(&tone(16_000, 1.0), 16_000)];
    for extension in ["mp3", "flac", "ogg", "m4a"] {
        let path = format!("{}/tests/data/prompt.{extension}", env!("CARGO_MANIFEST_DIR"));
        files.push(std::fs::read(path).expect("test data"));
    }
    // A linear congruential generator: the same damage in every run.
    let mut state = 1u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    for file in &files {
        for cut in (0..64).chain((0..40).map(|i| i * file.len() / 40)) {
            check(decode(&file[..cut.min(file.len())], 3.0));
        }
        for _ in 0..60 {
            let mut damaged = file.clone();
            for _ in 0..1 + random(20) {
                // Headers are where damage does most.
                let within = if random(2) == 0 { damaged.len() } else { damaged.len().min(200) };
                let at = random(within);
                damaged[at] = random(256) as u8;
            }
            check(decode(&damaged, 3.0));
        }
    }
    for n in [1, 1000, 100_000] {
        let noise: Vec<u8> = (0..n).map(|_| random(256) as u8).collect();
        check(decode(&noise, 3.0));
    }

    fn check(result: Result<Clip, DecodeError>) {
        if let Ok(clip) = result {
            assert!(clip.seconds() <= 3.0 && clip.samples.iter().all(|x| x.abs() <= 1.0));
        }
    }
}

/// Their product with the size of a sample overflows, found by the fuzz target: a header without a
/// data chunk that can be read, and one with.
#[test]
fn more_channels_than_there_are_are_refused() {
    let damaged =
        b"RIFF\xb4\x01\0\0WAVEfmt \x10\0\0\0\x01\0>\x80\0\x01\0\0}\x20\0\0\x02\0\x10\0daT\
        \xf34B\xfe\\\xb7\x04\x17\x91\x1e\\t\xea\x1bG\x11";
    let whole = wav_file(1, 40_000, 16_000, 16, &[0; 64]);
    for (bytes, channels) in [(&damaged[..], "32830"), (&whole[..], "40000")] {
        let error = decode(bytes, 30.0).err().map(|e| e.to_string());
        assert!(error.as_ref().is_some_and(|e| e.contains(channels)), "{error:?}");
    }
}
