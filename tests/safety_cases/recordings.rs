//! Recordings made to hurt: each is refused in words, in bounded time and memory.

use crate::support::{Server, ZERO_SHOT, code, told};
use mynah::audio::wav;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use std::time::{Duration, Instant};

/// What decoding one recording may take at most, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all of them together may add to the peak of resident memory, in bytes.
const MEMORY: u64 = 256 << 20;

async fn upload(server: &Server, recording: Vec<u8>) -> (u16, String) {
    let form = Form::new()
        .text("tts_text", "hello")
        .text("prompt_text", "hello")
        .part("prompt_wav", Part::bytes(recording).file_name("prompt.wav"));
    told(server.request(Method::POST, ZERO_SHOT).multipart(form)).await
}

/// The peak of this process's resident memory, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("process status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("kB") * 1024
}

/// A WAV header whose fields say whatever they are told, and some samples.
fn wav(format: u16, channels: u16, rate: u32, align: u16, bits: u16, length: u32) -> Vec<u8> {
    let mut file = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0".to_vec();
    file.extend(format.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend(rate.wrapping_mul(align.into()).to_le_bytes());
    file.extend(align.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend([0x55; 4000]);
    file
}

/// A box of an MP4 file.
fn atom(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).expect("a short box");
    [&length.to_be_bytes()[..], name, content].concat()
}

/// An MP4 file with one audio track whose table `name` is `table`.
fn mp4(name: &[u8; 4], table: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 24];
    header[12..16].copy_from_slice(&1000_u32.to_be_bytes());
    let handler = [&[0; 8][..], b"soun", &[0; 13]].concat();
    let tables = [atom(name, table), atom(b"stsd", &[0; 8])].concat();
    let media =
        [atom(b"mdhd", &header), atom(b"hdlr", &handler), atom(b"minf", &atom(b"stbl", &tables))];
    let track = [atom(b"tkhd", &[0; 84]), atom(b"mdia", &media.concat())].concat();
    let movie = [atom(b"mvhd", &[0; 100]), atom(b"trak", &track)].concat();
    [atom(b"ftyp", b"M4A \0\0\0\0M4A "), atom(b"moov", &movie)].concat()
}

/// `depth` boxes, each in the one before.
fn nested(name: &[u8; 4], depth: usize) -> Vec<u8> {
    let mut file = atom(b"ftyp", b"M4A \0\0\0\0M4A ");
    for level in (1..=depth).rev() {
        file.extend(u32::try_from(level * 8).expect("a short file").to_be_bytes());
        file.extend(name);
    }
    file
}

/// The head of a FLAC file: this rate, and as many samples as can be said.
fn flac_head(rate: u32, last: bool) -> Vec<u8> {
    let kind = if last { 0x80 } else { 0 };
    let mut file = vec![b'f', b'L', b'a', b'C', kind, 0, 0, 34];
    file.extend(65535_u16.to_be_bytes());
    file.extend(65535_u16.to_be_bytes());
    file.extend([0; 6]);
    // 20 bits of rate, 3 of channels less one, 5 of bits less one, 36 of samples.
    let fields = u64::from(rate) << 44 | 7 << 41 | 15 << 36 | ((1 << 36) - 1);
    file.extend(fields.to_be_bytes());
    file.extend([0; 16]);
    file
}

fn crc(bytes: &[u8], width: u32, polynomial: u16) -> u16 {
    let top = 1_u16 << (width - 1);
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << (width - 8), |crc, _| {
            if crc & top == 0 { crc << 1 } else { crc << 1 ^ polynomial }
        })
    })
}

/// A FLAC file whose frames of 40 bytes stand for a megabyte each: eight channels that say that
/// 65535 samples are the same.
fn flac_bomb(rate: u32, frames: u8) -> Vec<u8> {
    let mut file = flac_head(rate, true);
    for number in 0..frames {
        let mut frame = vec![0xFF, 0xF8, 0x70, 0x70, number, 0xFF, 0xFE];
        frame.push(crc(&frame, 8, 0x07) as u8);
        for _ in 0..8 {
            frame.extend([0, 0x10, 0x00]);
        }
        let sum = crc(&frame, 16, 0x8005);
        frame.extend(sum.to_be_bytes());
        file.extend(frame);
    }
    file
}

fn id3(size: [u8; 4], frames: &[u8]) -> Vec<u8> {
    [b"ID3\x04\0\0", &size[..], frames].concat()
}

#[tokio::test]
async fn hostile_recordings_cost_little_and_are_told_apart() {
    let server = Server::with(|config| config.limits.max_file_size = 4 << 20).await;
    const BAD: &str = "UNSUPPORTED_AUDIO";
    const LONG: &str = "VALIDATION_FAILED";
    let max = u32::MAX;
    let comments = [&[4, 0, 0, 8][..], &[0xFF; 8]].concat();
    let pictures = [6, 0xFF, 0xFF, 0xFF].repeat(1000);
    let lists = [b"RIFF\xff\xff\xff\xffWAVE".to_vec(), b"LIST\xff\xff\xff\xffINFO".repeat(20_000)];
    let table = |count: u32| [&[0; 4][..], &[0; 4], &count.to_be_bytes()].concat();
    let entries = |count: u32| [&[0; 4][..], &count.to_be_bytes()].concat();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("no rate", wav(1, 1, 0, 2, 16, max), BAD),
        ("all the rate there is", wav(1, 1, max, 2, 16, max), BAD),
        ("no channels", wav(1, 0, 16_000, 2, 16, max), BAD),
        ("as many channels as can be", wav(1, u16::MAX, 16_000, u16::MAX, 16, max), BAD),
        ("blocks of nothing", wav(1, 1, 16_000, 0, 0, max), BAD),
        ("endless samples", wav(1, 1, 16_000, 2, u16::MAX, max), BAD),
        ("a format of nobody", wav(0x7777, 1, 16_000, 2, 16, max), BAD),
        ("no samples", wav::encode(&[], 16_000), BAD),
        ("an hour", wav::encode(&vec![0.1; 4000 * 250], 4000), LONG),
        ("lists in lists", lists.concat(), BAD),
        ("a chunk that never ends", b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff".to_vec(), BAD),
        ("flac of no rate", flac_bomb(0, 3), BAD),
        ("flac without frames", flac_head(44_100, true), BAD),
        ("a flac bomb", flac_bomb(4_000, 127), LONG),
        ("flac with endless comments", [flac_head(8_000, false), comments].concat(), BAD),
        ("flac of pictures", [flac_head(8_000, false), pictures].concat(), BAD),
        ("a tag of 256 MiB", id3([0x7F; 4], &[0; 100]), BAD),
        ("tags in tags", id3([0, 0, 0, 10], b"").repeat(10_000), BAD),
        ("mp3 of frames without end", [0xFF, 0xFB, 0x00, 0x00].repeat(20_000), BAD),
        ("mp4 with all the samples", mp4(b"stsz", &table(max)), BAD),
        ("mp4 with all the times", mp4(b"stts", &entries(max)), BAD),
        ("mp4 with all the chunks", mp4(b"stco", &entries(max)), BAD),
        ("mp4 with all the runs", mp4(b"stsc", &entries(max)), BAD),
        ("movies in movies", nested(b"moov", 50_000), BAD),
        ("tracks in tracks", nested(b"trak", 50_000), BAD),
        ("data in data", nested(b"udta", 50_000), BAD),
        ("ogg of no codec", [b"OggS\0\x02".to_vec(), vec![0xFF; 5000]].concat(), BAD),
        ("zeros", vec![0; 1 << 20], BAD),
        ("nothing", vec![], BAD),
    ];
    let before = peak();
    for (what, recording, expected) in cases {
        let start = Instant::now();
        let (status, body) = upload(&server, recording).await;
        assert_eq!(code(&body), expected, "{what}: {status} {body}");
        assert!(start.elapsed() < PATIENCE, "{what} took {:?}", start.elapsed());
    }
    let grown = peak() - before;
    assert!(grown < MEMORY, "memory grew by {} MiB", grown >> 20);
    // The decoders have survived.
    let tone: Vec<f32> = (0..16_000).map(|i| (i as f32 * 0.1).sin() * 0.3).collect();
    assert_eq!(upload(&server, wav::encode(&tone, 16_000)).await.0, 200);
}

/// Cut anywhere, a header is an error or what is left of the recording.
#[tokio::test]
async fn recordings_cut_short() {
    let server = Server::with(|_| {}).await;
    let whole = wav::encode(&[0.1; 100], 16_000);
    for len in 0..=64 {
        let (status, body) = upload(&server, whole[..len].to_vec()).await;
        assert_eq!((status, code(&body).as_str()), (400, "UNSUPPORTED_AUDIO"), "{len}");
    }
}

/// Bodies are taken as they are: what was packed is not unpacked.
#[tokio::test]
async fn packed_bodies_are_not_unpacked() {
    let server = Server::with(|_| {}).await;
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let post = server.request(Method::POST, ZERO_SHOT).header("content-encoding", coding);
        let post = post.header("content-type", "multipart/form-data; boundary=x");
        let (status, body) = told(post.body([0x1F, 0x8B, 8, 0].repeat(1000))).await;
        assert_eq!((status, code(&body).as_str()), (400, "INVALID_PARAMETER"), "{coding}");
    }
}
