//! Speech tokens to audio in the original's glue: flow, cached mel, vocoder, cross-fade.

use crate::support::{Golden, assert_within, cases};
use burn::tensor::Device;
use mynah::model::cosyvoice2::config::{FlowConfig, HiftConfig};
use mynah::model::cosyvoice2::flow::{Flow, FlowPrompt, UPSAMPLING};
use mynah::model::cosyvoice2::hift::{Hift, OriginalStream, speed_mel};
use mynah::model::weights::Weights;
use std::path::Path;

const MEL: f32 = 1e-4;
const WAV: f32 = 3e-3;

fn load_flow(dir: &Path, device: &Device) -> (Flow, usize) {
    let golden = Golden::open(dir);
    let config: FlowConfig = serde_json::from_value(golden.config.clone()).expect("config");
    let size = |name: &str| golden.config[name].as_u64().expect(name) as usize;
    let weights = Weights::open(dir.join("weights.safetensors")).expect("weights");
    let scope = weights.scope(device);
    let flow = Flow::load(&scope, &config, size("spk_embed_dim"), size("mel")).expect("flow");
    (flow, config.pre_lookahead_len)
}

fn load_hift(dir: &Path, device: &Device) -> Hift {
    let config: HiftConfig = serde_json::from_value(Golden::open(dir).config).expect("config");
    let weights = Weights::open(dir.join("weights.safetensors")).expect("weights");
    Hift::load(&weights.scope(device), &config).expect("hift")
}

#[test]
fn golden_e2e() {
    let device = crate::support::device();
    for dir in cases("e2e") {
        let golden = Golden::open(&dir);
        let (flow, look_ahead) = load_flow(&dir.with_file_name("flow"), &device);
        let hift = load_hift(&dir.with_file_name("hift"), &device);
        let prompt = FlowPrompt {
            tokens: golden.ids("prompt_token"),
            mel: golden.tensor("prompt_feat", &device),
            embedding: golden.tensor("embedding", &device),
        };
        let tokens = golden.ids("token");
        let runs = golden.config.as_object().expect("config").iter();
        for (name, run) in runs.filter(|(_, run)| run["calls"].is_array()) {
            let mut stream = OriginalStream::new(&hift);
            let speed = run["speed"].as_f64().expect("speed") as f32;
            let (mut offset, mut heard) = (0, 0);
            for (k, call) in run["calls"].as_array().into_iter().flatten().enumerate() {
                let given = call["n_tokens_in"].as_u64().expect("n_tokens_in") as usize;
                let (streaming, last) = (call["streaming"] == true, call["finalize"] == true);
                let mel = flow.inference(&prompt, &tokens[..given], streaming, last).expect("mel");
                let skip = offset * UPSAMPLING;
                let new = mel.dims()[2] - skip;
                let mel = speed_mel(mel.narrow(2, skip, new), speed);
                let key = |what: &str| format!("{name}_chunk{k}_{what}");
                golden.check(&key("hift_mel_in"), stream.input(mel.clone()), MEL);
                let wav = stream.push(mel, &golden.f32(&key("sine_noise")), last);
                assert_eq!(run["chunk_samples"][k].as_u64(), Some(wav.len() as u64));
                // Not a stage of its own: it inherits the rounding of phases that run up to 1e4 rad.
                let name = format!("{}: {}", golden.dir.display(), key("wav"));
                assert_within(&name, &wav, &golden.f32(&key("wav")), WAV, 3e-3);
                offset = given - if last { 0 } else { look_ahead };
                heard += wav.len();
            }
            assert_eq!(run["total"].as_u64(), Some(heard as u64));
        }
    }
}
