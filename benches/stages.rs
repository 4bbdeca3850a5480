//! Cost of what surrounds the model: text in, samples out.
//!
//! `cargo bench --bench stages`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mynah::audio::{StreamResampler, pcm, resample, wav};
use mynah::model::cosyvoice2::tokenizer::TextTokenizer;
use mynah::text::{Normalizer, Reader, prepare};
use std::hint::black_box;
use std::path::Path;

const ENGLISH: &str = "Dr. Smith paid 3.5 dollars for 12 apples, and then he walked slowly across \
                       the bridge to look at the water. It was 1984! Nobody knew what to say.";
const CHINESE: &str = "今天的天气真不错，我们一起去公园散步吧。大约30分钟以后回来，你觉得怎么样？";
/// Samples per second of the model.
const RATE: u32 = 24_000;

fn texts(c: &mut Criterion) {
    let dir =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini/CosyVoice-BlankEN");
    let tokenizer = TextTokenizer::open(&dir).unwrap();
    for (language, text) in [("English", ENGLISH), ("Chinese", CHINESE)] {
        let mut group = c.benchmark_group(format!("text, {language}"));
        group.throughput(Throughput::Elements(text.chars().count() as u64));
        group.bench_function("tokenizer", |b| b.iter(|| tokenizer.encode(black_box(text))));
        group.bench_function("normaliser", |b| {
            b.iter(|| Normalizer::default().normalize(black_box(text)))
        });
        group.bench_function("normaliser and splitter", |b| {
            b.iter(|| prepare(black_box(text), |piece| tokenizer.encode(piece).len()));
        });
        group.bench_function("stream, character by character", |b| {
            b.iter(|| {
                let mut stream = Reader::new(Some(Normalizer::default()));
                let mut spoken = 0;
                for (at, c) in text.char_indices() {
                    spoken += stream.push(&text[at..at + c.len_utf8()]).spoken.len();
                }
                spoken + stream.flush().spoken.len()
            });
        });
        group.finish();
    }
}

/// One second of sound, as one hop brings it.
fn sounds(c: &mut Criterion) {
    let second: Vec<f32> =
        (0..RATE).map(|i| 0.3 * (i as f32 * 0.057).sin() + 0.1 * (i as f32 * 0.71).sin()).collect();
    let mut group = c.benchmark_group("one second");
    group.throughput(Throughput::Elements(u64::from(RATE)));
    for to in [8_000, 16_000, 44_100, 48_000] {
        group.bench_function(format!("resampler of a stream to {to} Hz"), |b| {
            // One that has been running: the first push also fills its filter.
            let mut resampler = StreamResampler::new(RATE, to).unwrap();
            b.iter(|| resampler.push(black_box(&second)));
        });
    }
    group.bench_function("resampler of a prompt to 16000 Hz", |b| {
        b.iter(|| resample(black_box(&second), RATE, 16_000));
    });
    group.bench_function("PCM", |b| {
        let mut bytes = Vec::new();
        b.iter(|| {
            bytes.clear();
            pcm::append_s16le(black_box(&second), &mut bytes);
            bytes.len()
        });
    });
    group.bench_function("WAV", |b| b.iter(|| wav::encode(black_box(&second), RATE)));
    group.finish();
}

criterion_group!(all, texts, sounds);
criterion_main!(all);
