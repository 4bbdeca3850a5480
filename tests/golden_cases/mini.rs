//! The bundled voice against the original runtime on the same weights.

use crate::support::{Golden, cases};
use burn::tensor::Device;
use mynah::model::cosyvoice2::config::{LlmConfig, ModelConfig};
use mynah::model::cosyvoice2::decode::{
    Action, BistreamDecoder, BistreamOptions, Decoder, LengthLimits, Rules, Sample, WholeDecoder,
};
use mynah::model::cosyvoice2::llm::Llm;
use mynah::model::cosyvoice2::sampling::Sampler;
use mynah::model::weights::Weights;
use std::path::{Path, PathBuf};

fn model_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini")
}

fn config() -> ModelConfig {
    let read = |name: &str| std::fs::read(model_dir().join(name)).unwrap();
    let llm: LlmConfig = serde_json::from_slice(&read("CosyVoice-BlankEN/config.json")).unwrap();
    ModelConfig { llm, ..serde_json::from_slice(&read("config.json")).unwrap() }
}

/// Decodes with argmax until the end or `limit` tokens; text is pushed token by token.
fn greedy(llm: &Llm, eos: u32, mut decoder: Decoder, text: &[u32], limit: usize) -> Vec<u32> {
    let mut text = text.iter();
    let mut cache = llm.new_cache(2048);
    let mut tokens = Vec::new();
    while tokens.len() < limit {
        match decoder.next_action() {
            Action::Done => break,
            Action::NeedText => match text.next() {
                Some(id) => decoder.push_text(&[*id]).unwrap(),
                None => decoder.finish_text(),
            },
            Action::Forward { inputs, then } => {
                let hidden = llm.forward(&inputs, &mut cache).unwrap();
                let Sample::Draw(masked) = then else {
                    decoder.forced().unwrap();
                    continue;
                };
                let mut logp = llm.logp(hidden);
                masked.apply(eos, &mut logp);
                let token = Sampler::Greedy.sample(&mut logp, decoder.history()).unwrap();
                tokens.extend(decoder.sampled(token).unwrap());
            }
        }
    }
    tokens
}

#[test]
fn golden_mini_llm() {
    for dir in cases("mini") {
        let golden = Golden::open(&dir);
        let config = config();
        let weights = Weights::open(model_dir().join("llm.pt")).unwrap();
        let device = Device::flex();
        let llm =
            Llm::load(&weights.scope(&device), &config.llm, config.speech_token_size).unwrap();
        let eos = config.speech_token_size as u32;
        let (prompt_text, text) = (golden.ids("prompt_text_ids"), golden.ids("text_ids"));
        let prompt_speech = golden.ids("prompt_token");
        let limits = LengthLimits::default();

        let whole = WholeDecoder::new(eos, limits, &prompt_text, &text, &prompt_speech);
        let tokens = greedy(&llm, eos, Decoder::Whole(whole), &[], 60);
        assert_eq!(tokens, golden.ids("greedy_token"));

        let limit = golden.config["max_bistream_tokens"].as_u64().unwrap() as usize;
        let want = golden.ids("greedy_token_bistream");
        let options = BistreamOptions {
            eos,
            mix_ratio: config.mix_ratio,
            limits,
            max_text: text.len(),
            rules: Rules::Original,
        };
        let bistream = BistreamDecoder::new(options, &prompt_text, &prompt_speech).unwrap();
        let tokens = greedy(&llm, eos, Decoder::Bistream(bistream), &text, limit);
        assert_eq!(tokens, want);
    }
}
