//! Cost of the vocoder of the bundled voice: one second of mel and one hop of a stream with the
//! frames that it decodes again, whole and in parts.
//!
//! `cargo bench --bench vocoder`

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mynah::model::cosyvoice2::config::ModelConfig;
use mynah::model::cosyvoice2::hift::{Hift, VocoderPush, VocoderStream};
use mynah::model::weights::Weights;
use std::hint::black_box;
use std::path::Path;

fn load() -> Hift {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
    let config = std::fs::read(model.join("config.json")).unwrap();
    let config: ModelConfig = serde_json::from_slice(&config).unwrap();
    let weights = Weights::open(model.join("hift.pt")).unwrap();
    Hift::load(&weights.scope(&Device::flex()), &config.hift).unwrap()
}

fn benches(c: &mut Criterion) {
    let hift = load();
    let random = |shape: [usize; 3]| {
        Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    };
    let mel = random([1, 80, 70]);
    let (first, later) = (mel.clone().narrow(2, 0, 20), mel.narrow(2, 20, 50));
    let start = VocoderStream::new(&hift, 1);
    c.bench_function("first hop, 20 frames", |b| {
        b.iter_batched_ref(
            || start.clone(),
            |s| s.push(first.clone(), false),
            BatchSize::SmallInput,
        );
    });
    let mut started = start.clone();
    started.push(first.clone(), false);
    for sessions in [1, 4] {
        let streams = || vec![started.clone(); sessions];
        let hop = |streams: &mut Vec<VocoderStream>| {
            let pushes = streams.iter_mut();
            let pushes =
                pushes.map(|stream| VocoderPush { stream, mel: later.clone(), last: false });
            VocoderStream::push_batch(pushes.collect())
        };
        c.bench_function(&format!("later hop, 50 frames, {sessions} sessions"), |b| {
            b.iter_batched_ref(streams, hop, BatchSize::SmallInput);
        });
    }

    for frames in [50, 58] {
        let mel = random([1, 80, frames]);
        let harmonics = hift.source().harmonics();
        let noise = vec![0.1; frames * hift.frame() * harmonics];
        c.bench_function(&format!("stream, {frames} frames"), |b| {
            b.iter(|| VocoderStream::new(&hift, 1).push(mel.clone(), true));
        });
        c.bench_function(&format!("inference, {frames} frames"), |b| {
            b.iter(|| hift.inference(mel.clone(), &noise, None).0.into_data());
        });
    }

    let (mel, frames) = (random([1, 80, 50]), 50);
    let samples = random([1, 1, frames * hift.frame()]);
    c.bench_function("f0", |b| b.iter(|| hift.f0(mel.clone()).into_data()));
    let f0 = vec![200.0; frames];
    c.bench_function("source", |b| b.iter(|| hift.source().signal(black_box(&f0), &[])));
    c.bench_function("transform", |b| b.iter(|| hift.stft().forward(samples.clone())));
    let spectrum = hift.stft().forward(samples.clone());
    c.bench_function("inverse transform", |b| b.iter(|| hift.stft().inverse(spectrum.clone())));
    c.bench_function("decode", |b| {
        b.iter(|| hift.decode(mel.clone(), samples.clone()).into_data());
    });
    let mut x = hift.decoder().pre(mel.clone());
    c.bench_function("first convolution", |b| b.iter(|| hift.decoder().pre(mel.clone())));
    for (i, stage) in hift.decoder().stages().iter().enumerate() {
        c.bench_function(&format!("stage {i}"), |b| {
            b.iter(|| stage.forward(x.clone(), spectrum.clone()));
        });
        c.bench_function(&format!("stage {i}, upsampling"), |b| {
            b.iter(|| stage.upsample(x.clone()));
        });
        c.bench_function(&format!("stage {i}, source"), |b| {
            b.iter(|| stage.source_down(spectrum.clone()));
        });
        x = stage.forward(x, spectrum.clone());
    }
    c.bench_function("last convolution", |b| b.iter(|| hift.decoder().post(x.clone())));
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(20);
    targets = benches
}
criterion_main!(all);
