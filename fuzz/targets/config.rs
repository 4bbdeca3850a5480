//! The texts that state a model's sizes: `cosyvoice2.yaml` or `config.json`, then, after a zero
//! byte, the language model's `config.json`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mynah::model::cosyvoice2::config::ModelConfig;

fuzz_target!(|text: &str| {
    let (sizes, llm) = text.split_once('\0').unwrap_or((text, "{}"));
    let _ = ModelConfig::fuzz_texts(sizes, llm);
});
