//! The fuzz targets without a fuzzer: their seeds, damaged at random. The damage is the same in
//! every run. `MYNAH_MUTATION_SECONDS` makes each target go on for longer.

use mynah::audio::{check_prompt, decode};
use mynah::model::cosyvoice2::config::ModelConfig;
use mynah::model::weights::{fuzz_archive, fuzz_onnx, fuzz_pickle};
use mynah::server::{fuzz_form, fuzz_frames};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest time for one input; none of them has more than some kilobytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Numbers that readers compute with.
const EDGES: [u32; 8] = [0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, u32::MAX];

/// Damages `bytes` in some places: bits, bytes, numbers, repetitions, cuts, or a piece of another.
fn damage(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Xoshiro256PlusPlus) {
    for _ in 0..rng.random_range(1..=8) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..=64)).min(bytes.len());
        match rng.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = rng.random(),
            2 if at + 4 <= bytes.len() => {
                let number = EDGES[rng.random_range(0..EDGES.len())];
                let big = rng.random::<bool>();
                let number = if big { number.to_be_bytes() } else { number.to_le_bytes() };
                bytes[at..at + 4].copy_from_slice(&number);
            }
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => drop(bytes.drain(at..end)),
            5 if rng.random_range(0..8) == 0 => bytes.truncate(at),
            6 if !other.is_empty() => {
                let from = rng.random_range(0..other.len());
                let to = (from + rng.random_range(0..=64)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => {}
        }
    }
    bytes.truncate(64 * 1024);
}

/// Feeds a target its seeds, then what becomes of them. A panic fails the test.
fn feed<T>(target: &str, read: impl Fn(&[u8]) -> T) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(dir).expect("seeds").map(|file| file.expect("a seed").path()).collect();
    files.sort();
    let seeds: Vec<_> = files.iter().map(|file| std::fs::read(file).expect("a seed")).collect();
    assert!(!seeds.is_empty());
    for seed in &seeds {
        read(seed);
    }
    let seconds = std::env::var("MYNAH_MUTATION_SECONDS").ok().and_then(|s| s.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut inputs = 0_u64;
    while inputs < 300 || Instant::now() < until {
        let mut input = seeds[rng.random_range(0..seeds.len())].clone();
        let other = &seeds[rng.random_range(0..seeds.len())];
        damage(&mut input, other, &mut rng);
        let start = Instant::now();
        read(&input);
        assert!(start.elapsed() < PATIENCE, "{target} took {:?}: {input:?}", start.elapsed());
        inputs += 1;
    }
    println!("{target}: {inputs} inputs");
}

#[test]
fn recordings() {
    feed("prompt", |bytes| {
        if let Ok(clip) = decode(bytes, 1.0) {
            assert!(clip.samples.len() <= clip.rate as usize);
            assert!(clip.samples.iter().all(|sample| (-1.0..=1.0).contains(sample)));
            let _ = check_prompt(&clip);
        }
    });
}

#[test]
fn forms_and_frames() {
    feed("form", fuzz_form);
    feed("frames", fuzz_frames);
}

#[test]
fn weights() {
    feed("pickle", fuzz_pickle);
    feed("archive", fuzz_archive);
    feed("onnx", fuzz_onnx);
}

#[test]
fn settings_of_models() {
    feed("config", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (sizes, llm) = text.split_once('\0').unwrap_or((&text, "{}"));
        let _ = ModelConfig::fuzz_texts(sizes, llm);
    });
}
