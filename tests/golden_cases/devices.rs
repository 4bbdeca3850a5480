//! The bundled voice on the device `MYNAH_DEVICE` names against itself on the CPU, on sentences that
//! it was not compared on elsewhere. On the CPU two of them, which must then agree to the last bit.

use crate::mini::{config, decode, model_dir};
use crate::support::{Golden, assert_within, cases, device};
use burn::tensor::{Device, Tensor, TensorData};
use mynah::model::cosyvoice2::config::ModelConfig;
use mynah::model::cosyvoice2::decode::{Decoder, LengthLimits, WholeDecoder};
use mynah::model::cosyvoice2::flow::{Flow, FlowPrompt};
use mynah::model::cosyvoice2::hift::Hift;
use mynah::model::cosyvoice2::llm::Llm;
use mynah::model::cosyvoice2::sampling::{Ras, Sampler};
use mynah::model::cosyvoice2::tokenizer::TextTokenizer;
use mynah::model::weights::Weights;

/// Longest utterance in speech tokens.
const MOST: usize = 200;
/// Of the norms of a mel and of a wave.
const MEL: f64 = 1e-2;
/// The source's phases grow to 1e4 rad, where f32 is coarse.
const WAVE: f64 = 2e-2;
/// Harmonics of the vocoder's source.
const SINES: usize = 9;
const SAMPLES_PER_FRAME: usize = 480;

struct Parts {
    device: Device,
    llm: Llm,
    flow: Flow,
    hift: Hift,
}

impl Parts {
    fn load(config: &ModelConfig, device: &Device) -> Self {
        let open = |name: &str| Weights::open(model_dir().join(name)).unwrap();
        let (llm, flow, hift) = (open("llm.pt"), open("flow.pt"), open("hift.pt"));
        let (speech, speaker) = (config.speech_token_size, config.spk_embed_dim);
        Self {
            device: device.clone(),
            llm: Llm::load(&llm.scope(device), &config.llm, speech).unwrap(),
            flow: Flow::load(&flow.scope(device), &config.flow, speaker, 80).unwrap(),
            hift: Hift::load(&hift.scope(device), &config.hift).unwrap(),
        }
    }

    fn mel(&self, golden: &Golden, tokens: &[u32]) -> Vec<f32> {
        let prompt = FlowPrompt {
            tokens: golden.ids("prompt_token"),
            mel: golden.tensor("prompt_feat", &self.device),
            embedding: golden.tensor("embedding", &self.device),
        };
        let mel = self.flow.inference(&prompt, tokens, false, true).unwrap();
        mel.into_data().iter::<f32>().collect()
    }

    fn wave(&self, mel: &[f32], noise: &[f32]) -> Vec<f32> {
        let shape = [1, 80, mel.len() / 80];
        let mel = Tensor::from_data(TensorData::new(mel.to_vec(), shape), &self.device);
        let (wave, _) = self.hift.inference(mel, noise, None);
        wave.into_data().iter::<f32>().collect()
    }
}

#[test]
fn golden_device_agrees_with_the_cpu() {
    let (cpu, other) = (Device::flex(), device());
    let sentences = std::fs::read_to_string(model_dir().join("sentences.txt")).unwrap();
    let sentences: Vec<&str> = sentences.lines().filter(|line| !line.is_empty()).collect();
    let count = if other == cpu { 2 } else { sentences.len() };
    let config = config();
    let (here, there) = (Parts::load(&config, &cpu), Parts::load(&config, &other));
    let tokenizer = TextTokenizer::open(&model_dir().join("CosyVoice-BlankEN")).unwrap();
    let eos = config.speech_token_size as u32;
    for dir in cases("mini") {
        let golden = Golden::open(&dir);
        let (prompt_text, prompt) = (golden.ids("prompt_text_ids"), golden.ids("prompt_token"));
        let (mut compared, mut equal) = (0, 0);
        for (seed, sentence) in sentences[..count].iter().enumerate() {
            let text = tokenizer.encode(sentence);
            let tokens = |parts: &Parts, mut sampler: Sampler| {
                let limits = LengthLimits::default();
                let whole = WholeDecoder::new(eos, limits, &prompt_text, &text, &prompt);
                decode(&parts.llm, eos, Decoder::Whole(whole), &[], MOST, &mut sampler)
            };
            let drawn = || {
                let options = Default::default();
                Sampler::Ras(Ras::new(config.sampling, options, seed as u64))
            };
            let (greedy, sampled) = (tokens(&here, Sampler::Greedy), tokens(&here, drawn()));
            for (kind, want, got) in [
                ("greedy", &greedy, tokens(&there, Sampler::Greedy)),
                ("sampled", &sampled, tokens(&there, drawn())),
            ] {
                let same = want.iter().zip(&got).take_while(|(want, got)| want == got).count();
                println!("{sentence}: {kind}: {same} of {} tokens before one differs", want.len());
                compared += 1;
                equal += usize::from(*want == got);
            }
            let mel = here.mel(&golden, &sampled);
            assert_within(sentence, &there.mel(&golden, &sampled), &mel, 0.5, MEL);
            let noise = golden.f32("sine_noise");
            let frames = mel.len() / 80;
            let noise: Vec<f32> =
                noise.into_iter().cycle().take(frames * SAMPLES_PER_FRAME * SINES).collect();
            let wave = here.wave(&mel, &noise);
            assert_within(sentence, &there.wave(&mel, &noise), &wave, 0.1, WAVE);
        }
        println!("{equal} of {compared} utterances have equal tokens");
        // Rounding may turn a near tie; more than a few are an error.
        assert!(equal * 10 >= compared * 9, "{equal} of {compared}");
        assert!(other != cpu || equal == compared, "the CPU differs from itself");
    }
}
