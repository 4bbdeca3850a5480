//! Cost of the language model of the bundled voice: prefill, and a decode step with its logits for
//! one and for many sequences, with either precision of the weights.
//!
//! `cargo bench --bench llm`

use burn::tensor::Device;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mynah::model::cosyvoice2::config::LlmConfig;
use mynah::model::cosyvoice2::llm::{Llm, LlmInput};
use mynah::model::nn::{KvCache, Precision};
use mynah::model::weights::Weights;
use std::hint::black_box;
use std::path::Path;

const SPEECH_TOKENS: usize = 6561;
/// Positions before a step.
const PAST: usize = 300;

fn load(precision: Precision) -> Llm {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
    let config = std::fs::read(model.join("CosyVoice-BlankEN/config.json")).unwrap();
    let config: LlmConfig = serde_json::from_slice(&config).unwrap();
    let weights = Weights::open(model.join("llm.pt")).unwrap();
    Llm::load_as(&weights.scope(&Device::flex()), &config, SPEECH_TOKENS, precision).unwrap()
}

fn prompt(n: usize) -> Vec<LlmInput> {
    (0..n).map(|i| LlmInput::Speech((i * 37 % SPEECH_TOKENS) as u32)).collect()
}

fn filled(llm: &Llm) -> KvCache {
    let mut cache = llm.new_cache(PAST + 1);
    llm.forward(&prompt(PAST), &mut cache).unwrap();
    cache
}

fn benches(c: &mut Criterion) {
    for (name, precision) in [("f32", Precision::F32), ("f16", Precision::F16)] {
        let llm = load(precision);
        c.bench_function(&format!("{name}, prefill of 100"), |b| {
            b.iter_batched(
                || llm.new_cache(100),
                |mut cache| llm.forward(&prompt(100), &mut cache).unwrap(),
                BatchSize::LargeInput,
            );
        });
        for rows in [1, 4, 8, 16] {
            let mut caches: Vec<KvCache> = (0..rows).map(|_| filled(&llm)).collect();
            c.bench_function(&format!("{name}, step of {rows} with logits, past {PAST}"), |b| {
                b.iter(|| {
                    caches.iter_mut().for_each(|cache| cache.truncate(PAST));
                    let inputs = std::iter::repeat(LlmInput::Speech(7));
                    let mut batch: Vec<_> = inputs.zip(&mut caches).collect();
                    black_box(llm.logits(llm.step_batch(&mut batch).unwrap()).into_data())
                });
            });
        }
    }
}

criterion_group!(all, benches);
criterion_main!(all);
