//! With the bundled model and one of its prompts.

use super::*;
use crate::model::cosyvoice2::decode::{
    Action, BistreamDecoder, BistreamOptions, Decoder, LengthLimits, Rules, Sample, WholeDecoder,
};
use burn::tensor::Device;
use std::path::PathBuf;

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini")
}

fn model() -> CosyVoice2 {
    CosyVoice2::load(&dir(), &Device::flex(), crate::model::cosyvoice2::LoadOptions::default())
        .expect("the bundled model")
}

fn prompt() -> (Clip, String) {
    let file = |name: &str| std::fs::read(dir().join("prompts").join(name)).expect("a prompt");
    let audio = crate::audio::decode_prompt(&file("rms.wav")).expect("a recording");
    (audio, String::from_utf8(file("rms.txt")).expect("text"))
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Drives a decoder greedily for some tokens, from the voice's prefix or from nothing. Gives the
/// tokens, the hidden state before each, and how many positions came from the voice.
fn speak(
    model: &CosyVoice2,
    voice: Option<&Voice>,
    mut decoder: Decoder,
) -> (Vec<u32>, Vec<f32>, usize) {
    let eos = model.config.speech_token_size as u32;
    let mut cache = model.llm.new_cache(1000);
    let (mut tokens, mut states, mut shared) = (Vec::new(), Vec::new(), 0);
    while tokens.len() < 40
        && let Action::Forward { mut inputs, then } = decoder.next_action()
    {
        let prefix = voice.filter(|_| cache.is_empty()).and_then(|v| v.prefix_of(&inputs));
        if let Some((past, length)) = prefix {
            cache = past.fork(1000).expect("room");
            cache.truncate(length);
            inputs.drain(..length);
            shared = length;
        }
        let hidden = model.llm.forward(&inputs, &mut cache).expect("a forward");
        let Sample::Draw(masked) = then else {
            decoder.forced().expect("a fill");
            continue;
        };
        let last = hidden.narrow(0, inputs.len() - 1, 1);
        states.extend(host(last.clone()));
        let mut logp = model.llm.logp(last);
        masked.apply(eos, &mut logp);
        let best = (0..logp.len()).max_by(|a, b| logp[*a].total_cmp(&logp[*b])).expect("ids");
        decoder.sampled(best as u32).expect("a token");
        tokens.push(best as u32);
    }
    (tokens, states, shared)
}

/// The condition on which the prefixes may be used at all.
#[test]
fn speech_is_the_same_from_the_prefix_as_from_nothing() {
    let model = model();
    let (audio, transcript) = prompt();
    let voice = model.voice(&audio, &transcript, 10).unwrap();
    let text = model.tokenizer.encode("Good morning and welcome to the show.");
    let (eos, limits) = (model.config.speech_token_size as u32, LengthLimits::default());
    let whole = WholeDecoder::new(eos, limits, &voice.prompt_text, &text, &voice.prompt_speech);
    let options = BistreamOptions {
        eos,
        mix_ratio: model.config.mix_ratio,
        limits,
        max_text: text.len(),
        rules: Rules::Trained,
    };
    let mut streamed =
        BistreamDecoder::new(options, &voice.prompt_text, &voice.prompt_speech).unwrap();
    streamed.push_text(&text).unwrap();
    streamed.finish_text();
    for decoder in [Decoder::Whole(whole), Decoder::Bistream(streamed)] {
        let (expected, states, _) = speak(&model, None, decoder.clone());
        let (tokens, from_prefix, shared) = speak(&model, Some(&voice), decoder);
        assert!(shared > voice.prompt_text.len(), "{shared} positions shared");
        assert_eq!(tokens, expected);
        assert!(tokens.len() > 20 && states.len() == from_prefix.len());
        let pairs = states.iter().zip(&from_prefix);
        let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{shared} positions shared, hidden states differ by at most {error:e}");
        assert!(error < 1e-5, "{error}");
    }
}

/// What a sequence has in common with a prefix is used, and its last position never.
#[test]
fn the_longest_common_run_is_found() {
    let model = model();
    let voice = model.voice(&prompt().0, &prompt().1, 10).unwrap();
    let longest = voice.prefixes.iter().map(|p| p.inputs()).max_by_key(|i| i.len()).unwrap();
    let found = |inputs: &[LlmInput]| voice.prefix_of(inputs).map(|(_, length)| length);
    assert_eq!(found(longest), Some(longest.len() - 1));
    let mut more = longest.to_vec();
    more.push(LlmInput::Task);
    assert_eq!(found(&more), Some(longest.len()));
    more[3] = LlmInput::Speech(0);
    assert_eq!(found(&more), Some(3));
    assert_eq!(found(&[LlmInput::Task, LlmInput::Sos]), None);
    assert_eq!(found(&[LlmInput::Sos]), None);
    assert_eq!(found(&[]), None);
}

/// A stored voice is the voice that was stored, and none of its encoders runs again.
#[test]
fn a_voice_of_tensors_is_the_voice_they_came_from() {
    let model = model();
    let (audio, transcript) = prompt();
    let mut work = model.begin_voice(&audio, &transcript, 10).unwrap();
    let mut steps = 0;
    let voice = loop {
        steps += 1;
        if let Some(voice) = work.step(&model).unwrap() {
            break voice;
        }
    };
    assert!(work.step(&model).is_err(), "there is one voice in it");
    let tensors = voice.tensors();
    assert_eq!(model.encode_prompt(&audio, &transcript).unwrap(), tensors);

    let mut work = VoiceWork::from_tensors(&model, tensors, 10).unwrap();
    let mut fewer = 0;
    let again = loop {
        fewer += 1;
        if let Some(voice) = work.step(&model).unwrap() {
            break voice;
        }
    };
    assert!(fewer + 4 <= steps, "{fewer} steps instead of {steps}");
    assert_eq!(again.bytes(), voice.bytes());
    let prefixes: usize = voice.prefixes.iter().map(Prefix::bytes).sum();
    assert!(voice.bytes() > voice.flow.bytes() + prefixes);
    let mel = hop(&model, &voice);
    assert_eq!(mel.dims()[2], 20, "a first hop of ten tokens");
    assert_eq!(host(hop(&model, &again)), host(mel));
}

/// The first hop of a session, of ten tokens.
fn hop(model: &CosyVoice2, voice: &Voice) -> Tensor<3> {
    let mut state = voice.flow.for_session(10);
    model.flow.push(&mut state, &[7; 13], false).unwrap();
    model.flow.run_hop(state).unwrap().1
}

/// Files are damaged, and belong to other models.
#[test]
fn tensors_that_cannot_be_a_voice_are_refused() {
    let model = model();
    let (audio, transcript) = prompt();
    let sound = model.encode_prompt(&audio, &transcript).unwrap();
    let refused = |change: &dyn Fn(&mut VoiceTensors)| {
        let mut tensors = sound.clone();
        change(&mut tensors);
        VoiceWork::from_tensors(&model, tensors, 10).err().map(|e| e.to_string())
    };
    assert_eq!(refused(&|_| {}), None);
    type Change = fn(&mut VoiceTensors);
    let cases: [(Change, &str); 6] = [
        (|t| t.text[0] = 1 << 30, "text token"),
        (|t| t.speech[0] = 6561, "speech token"),
        (|t| t.speech.truncate(3), "values of mel"),
        (|t| t.mel.push(0.0), "values of mel"),
        (|t| t.embedding.clear(), "speaker embedding"),
        (|t| t.mel[5] = f32::NAN, "not a number"),
    ];
    for (change, words) in cases {
        let error = refused(&change).unwrap_or_default();
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// A language model that is given speech without its text goes on with that speech.
#[test]
fn without_a_transcript_only_the_flow_hears_the_prompt() {
    let model = model();
    let (audio, transcript) = prompt();
    let known = model.voice(&audio, &transcript, 10).unwrap();
    let unknown = model.voice(&audio, " ", 10).unwrap();
    assert!(unknown.prompt_text.is_empty() && unknown.prompt_speech.is_empty());
    assert_eq!(unknown.prompt.tokens, known.prompt.tokens);
    // What is stored of it makes the same voice again.
    assert_eq!(unknown.tensors().speech, known.tensors().speech);

    let text = model.tokenizer.encode("Good morning.");
    let eos = model.config.speech_token_size as u32;
    let decoder = || {
        let whole = WholeDecoder::new(eos, LengthLimits::default(), &[], &text, &[]);
        Decoder::Whole(whole)
    };
    let (from_nothing, _, _) = speak(&model, None, decoder());
    let (from_voice, _, _) = speak(&model, Some(&unknown), decoder());
    assert_eq!(from_voice, from_nothing);
    assert!(from_voice.len() > 5, "{from_voice:?}");
}
