//! The language model: hidden states, distributions, greedy tokens, and both ways of decoding.

use crate::support::{Golden, assert_close, cases};
use burn::tensor::Tensor;
use mynah::model::cosyvoice2::config::LlmConfig;
use mynah::model::cosyvoice2::decode::{
    Action, BistreamDecoder, BistreamOptions, Decoder, LengthLimits, Masked, Rules, Sample,
    WholeDecoder,
};
use mynah::model::cosyvoice2::llm::{Llm, LlmInput};
use mynah::model::cosyvoice2::sampling::Sampler;
use mynah::model::nn::{KvCache, Precision};
use mynah::model::weights::Weights;
use serde_json::{Value, json};

const TOLERANCE: f32 = 1e-4;

struct Case {
    golden: Golden,
    llm: Llm,
    eos: u32,
    limits: LengthLimits,
}

fn open(dir: &std::path::Path) -> Case {
    open_as(dir, Precision::F32)
}

fn open_as(dir: &std::path::Path, precision: Precision) -> Case {
    let golden = Golden::open(dir);
    let config: LlmConfig = serde_json::from_value(golden.config.clone()).unwrap();
    let number = |name: &str| golden.config[name].as_u64().unwrap();
    let eos = number("speech_token_size") as u32;
    let weights = Weights::open(dir.join("weights.safetensors")).unwrap();
    let device = crate::support::device();
    let llm = Llm::load_as(&weights.scope(&device), &config, eos as usize, precision).unwrap();
    assert!(weights.unused().iter().all(|name| name.ends_with("lm_head.weight")));
    let limits = LengthLimits {
        min_ratio: number("min_token_text_ratio") as f64,
        max_ratio: number("max_token_text_ratio") as f64,
        most: usize::MAX,
    };
    Case { golden, llm, eos, limits }
}

fn last_row(hidden: Tensor<2>) -> Vec<f32> {
    let last = hidden.dims()[0] - 1;
    hidden.narrow(0, last, 1).into_data().iter::<f32>().collect()
}

/// Greedy decoding of `steps` tokens.
struct Greedy {
    /// Everything that was fed first.
    prompt: Vec<LlmInput>,
    prompt_hidden: Tensor<2>,
    hidden: Vec<f32>,
    logp: Vec<f32>,
    tokens: Vec<u32>,
}

fn greedy(case: &Case, decoder: WholeDecoder, steps: usize) -> Greedy {
    let mut decoder = Decoder::Whole(decoder);
    let mut cache = case.llm.new_cache(4096);
    let (mut hidden_rows, mut logps, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = None;
    for _ in 0..steps {
        let Action::Forward { inputs, then: Sample::Draw(masked) } = decoder.next_action() else {
            panic!("ended early")
        };
        let hidden = case.llm.forward(&inputs, &mut cache).unwrap();
        first.get_or_insert((inputs, hidden.clone()));
        hidden_rows.extend(last_row(hidden.clone()));
        let mut logp = case.llm.logp(hidden);
        masked.apply(case.eos, &mut logp);
        logps.extend(&logp);
        let token = Sampler::Greedy.sample(&mut logp, decoder.history()).unwrap();
        tokens.push(token);
        decoder.sampled(token).unwrap();
    }
    let (prompt, prompt_hidden) = first.unwrap();
    Greedy { prompt, prompt_hidden, hidden: hidden_rows, logp: logps, tokens }
}

#[test]
fn golden_llm_greedy() {
    for dir in cases("llm") {
        let case = open(&dir);
        let g = &case.golden;
        let decoder = WholeDecoder::new(
            case.eos,
            case.limits,
            &g.ids("prompt_text"),
            &g.ids("text"),
            &g.ids("prompt_speech_token"),
        );
        let run = greedy(&case, decoder, g.shape("greedy_tokens")[0]);
        let embedded = case.llm.embed(&run.prompt).unwrap();
        g.check("lm_input", embedded.unsqueeze::<3>(), TOLERANCE);
        g.check("prefill_hidden", run.prompt_hidden.clone().unsqueeze::<3>(), TOLERANCE);
        let n = run.prompt.len();
        let logits = case.llm.logits(run.prompt_hidden.narrow(0, n - 1, 1));
        g.check("prefill_logits", logits, TOLERANCE);
        g.check_values("step_hidden", &run.hidden, TOLERANCE);
        g.check_values("step_logp", &run.logp, TOLERANCE);
        assert_eq!(run.tokens, g.ids("greedy_tokens"));

        let decoder = WholeDecoder::new(case.eos, case.limits, &[], &g.ids("noprompt_text"), &[]);
        let run = greedy(&case, decoder, g.shape("noprompt_greedy_tokens")[0]);
        let embedded = case.llm.embed(&run.prompt).unwrap();
        g.check("noprompt_lm_input", embedded.unsqueeze::<3>(), TOLERANCE);
        g.check_values("noprompt_step_logp", &run.logp, TOLERANCE);
        assert_eq!(run.tokens, g.ids("noprompt_greedy_tokens"));
    }
}

/// The prompt's hidden states with half the bits of weights.
#[test]
fn golden_llm_f16() {
    for dir in cases("llm") {
        let case = open_as(&dir, Precision::F16);
        let g = &case.golden;
        let decoder = WholeDecoder::new(
            case.eos,
            case.limits,
            &g.ids("prompt_text"),
            &g.ids("text"),
            &g.ids("prompt_speech_token"),
        );
        let run = greedy(&case, decoder, 1);
        g.check("prefill_hidden", run.prompt_hidden.unsqueeze::<3>(), 1e-2);
    }
}

/// Positions fed one by one, or in two pieces, give what one call gives.
#[test]
fn golden_llm_cache_equals_full_pass() {
    for dir in cases("llm") {
        let case = open(&dir);
        let g = &case.golden;
        let mut inputs = vec![LlmInput::Sos];
        inputs.extend(g.ids("prompt_text").into_iter().map(LlmInput::Text));
        inputs.extend(g.ids("text").into_iter().map(LlmInput::Text));
        inputs.push(LlmInput::Task);
        inputs.extend(g.ids("prompt_speech_token").into_iter().map(LlmInput::Speech));
        let want = g.f32("prefill_hidden");
        for piece in [1, inputs.len() / 3, inputs.len() - 1] {
            let mut cache = case.llm.new_cache(inputs.len());
            let mut got = Vec::new();
            for part in inputs.chunks(piece) {
                let hidden = case.llm.forward(part, &mut cache).unwrap();
                got.extend(hidden.into_data().iter::<f32>());
            }
            assert_close(&format!("in pieces of {piece}"), &got, &want, TOLERANCE);
        }
    }
}

/// Rows of a batch, at different positions of different sequences, give what each gives alone.
#[test]
fn golden_llm_batch_rows_do_not_see_each_other() {
    for dir in cases("llm") {
        let case = open(&dir);
        let g = &case.golden;
        let text = g.ids("text");
        let start = |n: usize| {
            let mut cache = case.llm.new_cache(32);
            let inputs: Vec<_> =
                text.iter().cycle().take(n).map(|id| LlmInput::Text(*id)).collect();
            case.llm.forward(&inputs, &mut cache).unwrap();
            cache
        };
        let mut caches: Vec<KvCache> = [1, 5, 3, 4].map(start).into();
        let mut alone: Vec<KvCache> = caches.clone();
        for step in 0..3 {
            let inputs = [LlmInput::Task, LlmInput::Speech(step), LlmInput::Text(7), LlmInput::Sos];
            let mut rows: Vec<_> = inputs.into_iter().zip(&mut caches).collect();
            let batch = case.llm.step_batch(&mut rows).unwrap();
            for (i, (input, cache)) in inputs.iter().zip(&mut alone).enumerate() {
                let single = case.llm.forward(&[*input], cache).unwrap();
                let single: Vec<f32> = single.into_data().iter::<f32>().collect();
                let row = last_row(batch.clone().narrow(0, i, 1));
                assert_close(&format!("step {step}, row {i}"), &row, &single, 1e-5);
            }
        }
    }
}

/// The original's bistream loop, event by event, with its scripted tokens.
#[test]
fn golden_llm_bistream() {
    for dir in cases("llm") {
        let case = open(&dir);
        let log = std::fs::read(dir.join("bistream_log.json")).unwrap();
        let scenarios: Vec<Value> = serde_json::from_slice(&log).unwrap();
        for (k, scenario) in scenarios.iter().enumerate() {
            let (events, hidden) = replay(&case, scenario);
            let want = scenario["events"].as_array().unwrap();
            for (i, (got, want)) in events.iter().zip(want).enumerate() {
                assert_eq!(got, want, "{}: event {i}", scenario["name"]);
            }
            assert_eq!(events.len(), want.len(), "{}", scenario["name"]);
            case.golden.check_values(&format!("bistream_{k}_last_hidden"), &hidden, TOLERANCE);
        }
    }
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// Returns the events as the log has them, and the last hidden state of every forward.
fn replay(case: &Case, scenario: &Value) -> (Vec<Value>, Vec<f32>) {
    let options = BistreamOptions {
        eos: case.eos,
        mix_ratio: serde_json::from_value(case.golden.config["mix_ratio"].clone()).unwrap(),
        limits: case.limits,
        max_text: usize::MAX,
        rules: Rules::Original,
    };
    let prompts = (ids(&scenario["prompt_text"]), ids(&scenario["prompt_speech"]));
    let decoder = BistreamDecoder::new(options, &prompts.0, &prompts.1).unwrap();
    let mut decoder = Decoder::Bistream(decoder);
    let mut text = ids(&scenario["text"]).into_iter().enumerate();
    let events = scenario["events"].as_array().unwrap();
    let mut script = events
        .iter()
        .filter(|event| event["op"] == "sample")
        .map(|event| event["token"].as_u64().unwrap() as u32);

    let mut cache = case.llm.new_cache(4096);
    let (mut log, mut hidden_rows) = (Vec::new(), Vec::new());
    loop {
        match decoder.next_action() {
            Action::Done => break,
            Action::NeedText => match text.next() {
                Some((index, token)) => {
                    log.push(json!({"op": "text_token_arrives", "index": index, "token": token}));
                    decoder.push_text(&[token]).unwrap();
                }
                None => {
                    log.push(json!({"op": "text_end"}));
                    decoder.finish_text();
                }
            },
            Action::Forward { inputs, then } => {
                let named: Vec<Value> = inputs.iter().map(name).collect();
                log.push(json!({"op": "forward", "kv_before": cache.len(), "inputs": named}));
                hidden_rows.extend(last_row(case.llm.forward(&inputs, &mut cache).unwrap()));
                let Sample::Draw(masked) = then else {
                    decoder.forced().unwrap();
                    continue;
                };
                let token = script.next().unwrap();
                let eos_masked = masked == Masked::Eos;
                log.push(json!({"op": "sample", "eos_masked": eos_masked, "token": token}));
                if let Some(token) = decoder.sampled(token).unwrap() {
                    log.push(json!({"op": "yield", "token": token}));
                }
            }
        }
    }
    (log, hidden_rows)
}

fn name(input: &LlmInput) -> Value {
    match *input {
        LlmInput::Sos => json!(["special", 0]),
        LlmInput::Task => json!(["special", 1]),
        LlmInput::Text(id) => json!(["text", id]),
        LlmInput::Speech(id) => json!(["speech", id]),
    }
}

/// What a request or a driver can get wrong is an error, and the cache is as before.
#[test]
fn golden_llm_refuses_unknown_ids_and_full_caches() {
    for dir in cases("llm") {
        let case = open(&dir);
        let vocab = case.golden.config["vocab_size"].as_u64().unwrap() as u32;
        let mut cache = case.llm.new_cache(2);
        for inputs in [
            vec![],
            vec![LlmInput::Text(vocab)],
            vec![LlmInput::Text(u32::MAX)],
            vec![LlmInput::Sos, LlmInput::Speech(case.eos + 3)],
            vec![LlmInput::Sos; 3],
        ] {
            assert!(case.llm.forward(&inputs, &mut cache).is_err(), "{inputs:?}");
            assert_eq!(cache.len(), 0);
        }
        case.llm.forward(&[LlmInput::Text(vocab - 1); 2], &mut cache).unwrap();
        assert!(case.llm.forward(&[LlmInput::Task], &mut cache).is_err());
        let mut other = case.llm.new_cache(2);
        let mut rows = [(LlmInput::Sos, &mut other), (LlmInput::Sos, &mut cache)];
        assert!(case.llm.step_batch(&mut rows).is_err());
        assert_eq!((other.len(), cache.len()), (0, 2));
    }
}
