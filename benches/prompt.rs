//! Cost of a new voice's prompt by the bundled model, but for the flow: features, speech tokens and
//! speaker embedding of recordings of 4 and 30 s, and the longest step of both encoders.
//!
//! `cargo bench --bench prompt`

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mynah::audio::{fbank, mel, resample};
use mynah::model::cosyvoice2::campplus::Campplus;
use mynah::model::cosyvoice2::config::{CampplusConfig, SpeechTokenizerConfig};
use mynah::model::cosyvoice2::speech_tokenizer::SpeechTokenizer;
use std::path::Path;

fn benches(c: &mut Criterion) {
    let device = Device::flex();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
    let (file, sizes) = (model.join("campplus.onnx"), CampplusConfig::default());
    let campplus = Campplus::open(&file, &sizes, &device).unwrap();
    let (file, sizes) = (model.join("speech_tokenizer_v2.onnx"), SpeechTokenizerConfig::default());
    let tokenizer = SpeechTokenizer::open(&file, &sizes, &device).unwrap();

    for seconds in [4, 30] {
        let name = |what: &str| format!("{what}, {seconds} s");
        let recording: Vec<f32> = (0..seconds * 44_100).map(|i| (i as f32 * 0.05).sin()).collect();
        c.bench_function(&name("resampling 44.1 to 16 kHz"), |b| {
            b.iter(|| resample(&recording, 44_100, 16_000));
        });
        let (at_16, at_24) =
            (resample(&recording, 44_100, 16_000), resample(&recording, 44_100, 24_000));
        c.bench_function(&name("tokenizer's mel"), |b| {
            b.iter(|| mel::whisper_log_mel(&at_16, tokenizer.n_mels()));
        });
        c.bench_function(&name("filter banks"), |b| b.iter(|| fbank::fbank(&at_16, 80)));
        c.bench_function(&name("flow's mel"), |b| b.iter(|| mel::vocoder_mel(&at_24, 80)));

        let random =
            |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let features = random([1, tokenizer.n_mels(), 100 * seconds]);
        c.bench_function(&name("speech tokens"), |b| {
            b.iter(|| tokenizer.encode(features.clone()));
        });
        let started = || {
            let mut encoding = tokenizer.begin(features.clone());
            tokenizer.advance(&mut encoding);
            encoding
        };
        c.bench_function(&name("speech tokens, one block"), |b| {
            b.iter_batched_ref(started, |e| tokenizer.advance(e), BatchSize::LargeInput);
        });
        let fbank = random([1, 100 * seconds, 80]);
        c.bench_function(&name("embedding"), |b| {
            b.iter(|| campplus.embed(fbank.clone()).into_data());
        });
        c.bench_function(&name("embedding, 2-D network"), |b| {
            b.iter(|| campplus.head(fbank.clone()).into_data());
        });
        let started = || {
            let mut embedding = campplus.begin(fbank.clone());
            campplus.advance(&mut embedding);
            embedding
        };
        c.bench_function(&name("embedding, longest step"), |b| {
            b.iter_batched_ref(started, |e| campplus.advance(e), BatchSize::LargeInput);
        });
    }
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(10);
    targets = benches
}
criterion_main!(all);
