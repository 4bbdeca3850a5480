//! Cost of the language model of the bundled voice: prefill, one decode step alone and in a batch.
//!
//! `cargo bench --bench llm`

use burn::tensor::Device;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mynah::model::cosyvoice2::config::LlmConfig;
use mynah::model::cosyvoice2::llm::{Llm, LlmInput};
use mynah::model::nn::KvCache;
use mynah::model::weights::Weights;
use std::hint::black_box;
use std::path::Path;

const SPEECH_TOKENS: usize = 6561;

fn load() -> Llm {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
    let config = std::fs::read(model.join("CosyVoice-BlankEN/config.json")).unwrap();
    let config: LlmConfig = serde_json::from_slice(&config).unwrap();
    let weights = Weights::open(model.join("llm.pt")).unwrap();
    Llm::load(&weights.scope(&Device::flex()), &config, SPEECH_TOKENS).unwrap()
}

fn prompt(n: usize) -> Vec<LlmInput> {
    (0..n).map(|i| LlmInput::Speech((i * 37 % SPEECH_TOKENS) as u32)).collect()
}

fn filled(llm: &Llm, n: usize) -> KvCache {
    let mut cache = llm.new_cache(n + 1);
    llm.forward(&prompt(n), &mut cache).unwrap();
    cache
}

fn benches(c: &mut Criterion) {
    let llm = load();
    c.bench_function("prefill 100", |b| {
        b.iter_batched(
            || llm.new_cache(100),
            |mut cache| llm.forward(&prompt(100), &mut cache).unwrap(),
            BatchSize::LargeInput,
        );
    });
    for past in [100, 300, 900] {
        let mut cache = filled(&llm, past);
        c.bench_function(&format!("hidden, past {past}"), |b| {
            b.iter(|| {
                cache.truncate(past);
                llm.forward(&[LlmInput::Speech(7)], &mut cache).unwrap()
            });
        });
    }
    let mut cache = filled(&llm, 300);
    c.bench_function("hidden and logp, past 300", |b| {
        b.iter(|| {
            cache.truncate(300);
            black_box(llm.logp(llm.forward(&[LlmInput::Speech(7)], &mut cache).unwrap()))
        });
    });
    for rows in [2, 4, 8, 16] {
        let mut caches: Vec<KvCache> = (0..rows).map(|_| filled(&llm, 300)).collect();
        c.bench_function(&format!("batch of {rows} with logits, past 300"), |b| {
            b.iter(|| {
                caches.iter_mut().for_each(|cache| cache.truncate(300));
                let inputs = std::iter::repeat(LlmInput::Speech(7));
                let mut batch: Vec<_> = inputs.zip(&mut caches).collect();
                black_box(llm.logits(llm.step_batch(&mut batch).unwrap()).into_data())
            });
        });
    }
}

criterion_group!(all, benches);
criterion_main!(all);
