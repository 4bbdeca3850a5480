//! The bundled voice against the original runtime on the same weights.

use crate::support::{Golden, assert_within, cases};
use burn::tensor::{Tensor, TensorData};
use mynah::audio::{Frames, decode_prompt, fbank, mel, resample};
use mynah::model::cosyvoice2::campplus::Campplus;
use mynah::model::cosyvoice2::config::{LlmConfig, ModelConfig};
use mynah::model::cosyvoice2::decode::{
    Action, BistreamDecoder, BistreamOptions, Decoder, LengthLimits, Rules, Sample, WholeDecoder,
};
use mynah::model::cosyvoice2::flow::{Flow, FlowPrompt};
use mynah::model::cosyvoice2::hift::Hift;
use mynah::model::cosyvoice2::llm::Llm;
use mynah::model::cosyvoice2::sampling::Sampler;
use mynah::model::cosyvoice2::speech_tokenizer::SpeechTokenizer;
use mynah::model::cosyvoice2::tokenizer::TextTokenizer;
use mynah::model::nn::Precision;
use mynah::model::weights::Weights;
use std::path::PathBuf;

pub fn model_dir() -> PathBuf {
    crate::support::root().join("model_weights/mynah-mini")
}

pub fn config() -> ModelConfig {
    let read = |name: &str| std::fs::read(model_dir().join(name)).unwrap();
    let llm: LlmConfig = serde_json::from_slice(&read("CosyVoice-BlankEN/config.json")).unwrap();
    ModelConfig { llm, ..serde_json::from_slice(&read("config.json")).unwrap() }
}

/// Decodes with argmax until the end or `limit` tokens; text is pushed token by token.
fn greedy(llm: &Llm, eos: u32, decoder: Decoder, text: &[u32], limit: usize) -> Vec<u32> {
    decode(llm, eos, decoder, text, limit, &mut Sampler::Greedy)
}

/// Decodes until the end or `limit` tokens; text is pushed token by token.
pub fn decode(
    llm: &Llm,
    eos: u32,
    mut decoder: Decoder,
    text: &[u32],
    limit: usize,
    sampler: &mut Sampler,
) -> Vec<u32> {
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
                let token = sampler.sample(&mut logp, decoder.history()).unwrap();
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
        let device = crate::support::device();
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

/// Weights in f16 draw the same tokens at first; how long is printed.
#[test]
fn golden_mini_llm_f16() {
    for dir in cases("mini") {
        let golden = Golden::open(&dir);
        let config = config();
        let weights = Weights::open(model_dir().join("llm.pt")).unwrap();
        let device = crate::support::device();
        let scope = weights.scope(&device);
        let size = config.speech_token_size;
        let llm = Llm::load_as(&scope, &config.llm, size, Precision::F16).unwrap();
        let eos = size as u32;
        let (prompt_text, text) = (golden.ids("prompt_text_ids"), golden.ids("text_ids"));
        let limits = LengthLimits::default();
        let prompt_speech = golden.ids("prompt_token");
        let whole = WholeDecoder::new(eos, limits, &prompt_text, &text, &prompt_speech);
        let tokens = greedy(&llm, eos, Decoder::Whole(whole), &[], 60);
        let want = golden.ids("greedy_token");
        let equal = tokens.iter().zip(&want).take_while(|(got, want)| got == want).count();
        println!("f16: {equal} greedy tokens of {} before the first that differs", want.len());
        assert!(equal >= 5, "{equal}");
    }
}

/// Matrices in bf16, as on GPUs, or rounded to it on the CPU: how many tokens stay the same is
/// printed, and the mel of the same tokens stays near.
#[test]
fn golden_mini_bf16() {
    if std::env::var_os("MYNAH_DEVICE").is_some_and(|name| name == "vulkan") {
        println!("bf16: not on Vulkan, where few drivers have it");
        return;
    }
    for dir in cases("mini") {
        let golden = Golden::open(&dir);
        let (config, device) = (config(), crate::support::device());
        let weights = Weights::open(model_dir().join("llm.pt")).unwrap();
        let size = config.speech_token_size;
        let llm =
            Llm::load_as(&weights.scope(&device), &config.llm, size, Precision::Bf16).unwrap();
        let eos = size as u32;
        let whole = WholeDecoder::new(
            eos,
            LengthLimits::default(),
            &golden.ids("prompt_text_ids"),
            &golden.ids("text_ids"),
            &golden.ids("prompt_token"),
        );
        let tokens = greedy(&llm, eos, Decoder::Whole(whole), &[], 60);
        let want = golden.ids("greedy_token");
        let equal = tokens.iter().zip(&want).take_while(|(got, want)| got == want).count();
        println!("bf16: {equal} greedy tokens of {} before the first that differs", want.len());
        assert!(equal >= 5, "{equal}");

        let weights = Weights::open(model_dir().join("flow.pt")).unwrap();
        let scope = weights.scope(&device).in_precision(Precision::Bf16);
        let flow = Flow::load(&scope, &config.flow, config.spk_embed_dim, 80).unwrap();
        let prompt = FlowPrompt {
            tokens: golden.ids("prompt_token"),
            mel: golden.tensor("prompt_feat", &device),
            embedding: golden.tensor("embedding", &device),
        };
        let mel = flow.inference(&prompt, &want, false, true).unwrap();
        let mel: Vec<f32> = mel.into_data().iter::<f32>().collect();
        assert_within("bf16 mel", &mel, &golden.f32("mel"), 0.1, 1e-2);
    }
}

fn tensor(frames: Frames) -> Tensor<3> {
    let shape = [1, frames.frames, frames.bins];
    Tensor::from_data(TensorData::new(frames.data, shape), &crate::support::device())
}

/// From the prompt's samples to what the models are given of it.
#[test]
fn golden_mini_front_end() {
    for dir in cases("mini") {
        let golden = Golden::open(&dir);
        let (config, device) = (config(), crate::support::device());
        let wav = golden.f32("prompt_wav");
        let rate = golden.config["prompt_wav_rate"].as_u64().unwrap() as u32;
        let low = resample(&wav, rate, 16_000);

        let path = model_dir().join("speech_tokenizer_v2.onnx");
        let tokenizer = SpeechTokenizer::open(&path, &config.speech_tokenizer, &device).unwrap();
        let mels = tensor(mel::whisper_log_mel(&low, tokenizer.n_mels())).swap_dims(1, 2);
        let mut tokens = tokenizer.encode(mels);

        let mel = tensor(mel::vocoder_mel(&resample(&wav, rate, 24_000), 80));
        tokens.truncate(mel.dims()[1] / 2);
        assert_eq!(tokens, golden.ids("prompt_token"));
        golden.check("prompt_feat", mel.narrow(1, 0, 2 * tokens.len()), 1e-3);

        let path = model_dir().join("campplus.onnx");
        let campplus = Campplus::open(&path, &config.campplus, &device).unwrap();
        let mut features = fbank::fbank(&low, 80);
        features.subtract_mean();
        golden.check("embedding", campplus.embed(tensor(features)), 1e-3);

        let text = TextTokenizer::open(&model_dir().join("CosyVoice-BlankEN")).unwrap();
        for (key, ids) in [("prompt_text", "prompt_text_ids"), ("text", "text_ids")] {
            assert_eq!(text.encode(golden.config[key].as_str().unwrap()), golden.ids(ids));
        }
    }
}

#[test]
fn golden_mini_mel_and_wave() {
    for dir in cases("mini") {
        let golden = Golden::open(&dir);
        let (config, device) = (config(), crate::support::device());
        let weights = Weights::open(model_dir().join("flow.pt")).unwrap();
        let flow =
            Flow::load(&weights.scope(&device), &config.flow, config.spk_embed_dim, 80).unwrap();
        let prompt = FlowPrompt {
            tokens: golden.ids("prompt_token"),
            mel: golden.tensor("prompt_feat", &device),
            embedding: golden.tensor("embedding", &device),
        };
        let mel = flow.inference(&prompt, &golden.ids("greedy_token"), false, true).unwrap();
        golden.check("mel", mel, 1e-3);

        let weights = Weights::open(model_dir().join("hift.pt")).unwrap();
        let hift = Hift::load(&weights.scope(&device), &config.hift).unwrap();
        let mel = golden.tensor("mel", &device);
        let (wav, _) = hift.inference(mel, &golden.f32("sine_noise"), None);
        golden.check("wav", wav, 1e-2);
    }
}

/// The flow of the bundled voice, a prompt, and `count` speech tokens of real speech: the three
/// recorded prompts over and over.
fn speech(golden: &Golden, count: usize) -> (Flow, FlowPrompt, Vec<u32>) {
    let (config, device) = (config(), crate::support::device());
    let weights = Weights::open(model_dir().join("flow.pt")).unwrap();
    let flow = Flow::load(&weights.scope(&device), &config.flow, config.spk_embed_dim, 80).unwrap();
    let prompt = FlowPrompt {
        tokens: golden.ids("prompt_token"),
        mel: golden.tensor("prompt_feat", &device),
        embedding: golden.tensor("embedding", &device),
    };
    let path = model_dir().join("speech_tokenizer_v2.onnx");
    let tokenizer = SpeechTokenizer::open(&path, &config.speech_tokenizer, &device).unwrap();
    let mut tokens = Vec::new();
    for name in ["awb", "rms", "slt"] {
        let bytes = std::fs::read(model_dir().join(format!("prompts/{name}.wav"))).unwrap();
        let clip = decode_prompt(&bytes).unwrap();
        let low = resample(&clip.samples, clip.rate, 16_000);
        let mels = tensor(mel::whisper_log_mel(&low, tokenizer.n_mels())).swap_dims(1, 2);
        tokens.extend(tokenizer.encode(mels));
    }
    let tokens = tokens.into_iter().cycle().take(count).collect();
    (flow, prompt, tokens)
}

#[test]
fn golden_mini_flow_batch_and_window() {
    for dir in cases("mini") {
        let golden = Golden::open(&dir);
        let (mut flow, prompt, tokens) = speech(&golden, 18 * 25 + 7);
        let voice = crate::flow::voice(&flow, &prompt);
        crate::flow::compare_batch_with_alone(&flow, &voice, &tokens[..125]);
        // All of the past, then a window of it.
        for left_blocks in [0, 4] {
            crate::flow::compare_window_with_whole(&mut flow, &prompt, &tokens, left_blocks);
        }
    }
}

/// What a window of past blocks costs in exactness, over 60 hops.
#[test]
#[ignore = "prints a table; takes minutes"]
fn golden_mini_flow_window_errors() {
    for dir in cases("mini") {
        let golden = Golden::open(&dir);
        let (mut flow, prompt, tokens) = speech(&golden, 60 * 25);
        let mut mel = |left_blocks: usize| -> Tensor<3> {
            flow.set_left_blocks(left_blocks);
            let mut state = crate::flow::voice(&flow, &prompt);
            flow.push(&mut state, &tokens, true).unwrap();
            flow.run_ready(state).unwrap().1
        };
        let all = mel(0);
        let relative = |got: Tensor<3>, want: Tensor<3>| -> f32 {
            let difference: f32 = (got - want.clone()).square().sum().into_scalar();
            let size: f32 = want.square().sum().into_scalar();
            (difference / size).sqrt()
        };
        for left_blocks in [1, 2, 4, 8, 12, 16, 24, 32, 48] {
            let got = mel(left_blocks);
            let hops = (0..all.dims()[2] / 50).map(|i| {
                relative(got.clone().narrow(2, 50 * i, 50), all.clone().narrow(2, 50 * i, 50))
            });
            let worst = hops.fold(0f32, f32::max);
            let most: f32 = (got.clone() - all.clone()).abs().max().into_scalar();
            let mean: f32 = (got.clone() - all.clone()).abs().mean().into_scalar();
            println!(
                "{left_blocks} left blocks: relative error {:.2e}, of the worst hop {worst:.2e}, \
                 largest {most:.2e}, mean {mean:.2e}",
                relative(got, all.clone())
            );
        }
    }
}
