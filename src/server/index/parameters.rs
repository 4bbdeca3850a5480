//! The generation parameters of IndexTTS, and what they mean to the model that is loaded.

use crate::engine::SamplingOptions;
use crate::server::error::ApiError;
use crate::server::json::Fields;

/// Speech tokens for each mel token. IndexTTS 1.5 compresses 1024 samples at 24 kHz into one mel
/// token, 23.4375 a second; there are 25 speech tokens a second.
const SPEECH_PER_MEL: f64 = 25.0 * 1024.0 / 24_000.0;

/// What a request asks of the generation.
#[derive(Debug, Default, PartialEq)]
pub struct Parameters {
    pub sampling: SamplingOptions,
    /// Fixed where nothing is to be left to chance.
    pub seed: Option<u64>,
    /// Names of parameters that were given and have no counterpart here.
    pub ignored: Vec<&'static str>,
}

impl Parameters {
    /// Reads and checks all of them; those of the fast mode only where the endpoint has it.
    ///
    /// The documented defaults are those of another model. A parameter at its default is as good
    /// as not given, and left to the loaded model's own.
    ///
    /// # Errors
    /// [`ApiError::WrongType`], [`ApiError::OutOfRange`].
    pub fn read(fields: &Fields, fast_mode: bool) -> Result<Self, ApiError> {
        const MANY: i64 = i64::MAX;
        let unless = |value: Option<f64>, default: f64| value.filter(|v| *v != default);
        let top_p = unless(fields.number("top_p", 0.0..=1.0)?, 0.95);
        let top_k = fields.integer("top_k", 0..=MANY)?.filter(|k| *k != 30);
        let temperature = unless(fields.number("temperature", 0.01..=100.0)?, 1.2);
        let penalty = unless(fields.number("repetition_penalty", 0.01..=100.0)?, 10.0);
        let mel = fields.integer("max_mel_tokens", 1..=MANY)?.filter(|mel| *mel != 600);
        let do_sample = fields.boolean("do_sample")?.unwrap_or(true);

        fields.integer("max_text_tokens_per_sentence", 1..=MANY)?;
        fields.integer("num_beams", 1..=MANY)?;
        fields.number("length_penalty", f64::MIN..=f64::MAX)?;
        fields.boolean("verbose")?;
        let mut unused =
            vec!["max_text_tokens_per_sentence", "num_beams", "length_penalty", "verbose"];
        if fast_mode {
            fields.boolean("use_fast_inference")?;
            fields.integer("sentences_bucket_max_size", 1..=MANY)?;
            unused.extend(["use_fast_inference", "sentences_bucket_max_size"]);
        }
        unused.retain(|name| fields.get(name).is_some());

        let sampling = SamplingOptions {
            temperature: temperature.map(|t| t as f32),
            // Nothing is the smallest nucleus, of one token.
            top_p: top_p.map(|p| (p as f32).max(f32::MIN_POSITIVE)),
            // Zero stands for no limit.
            top_k: top_k.map(|k| usize::try_from(k).ok().filter(|k| *k > 0).unwrap_or(usize::MAX)),
            repetition_penalty: penalty.map(|p| p as f32),
            max_speech_tokens: mel.map(|mel| (mel as f64 * SPEECH_PER_MEL).ceil() as usize),
        };
        if do_sample {
            return Ok(Self { sampling, seed: None, ignored: unused });
        }
        let greedy = SamplingOptions { top_k: Some(1), top_p: None, temperature: None, ..sampling };
        Ok(Self { sampling: greedy, seed: Some(0), ignored: unused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(body: Value) -> Result<Parameters, ApiError> {
        let body = body.to_string();
        Parameters::read(&Fields::parse(body.as_bytes(), ApiError::WrongType)?, true)
    }

    /// Their defaults suit another model, and most clients send them all.
    #[test]
    fn the_documented_defaults_leave_the_model_its_own() {
        let documented = json!({
            "use_fast_inference": false, "verbose": false, "max_text_tokens_per_sentence": 120,
            "do_sample": true, "top_p": 0.95, "top_k": 30, "temperature": 1.2,
            "length_penalty": 0.0, "num_beams": 3, "repetition_penalty": 10.0,
            "max_mel_tokens": 600, "sentences_bucket_max_size": 2
        });
        let parameters = read(documented).expect("the documented request");
        assert_eq!(parameters.sampling, SamplingOptions::default());
        assert_eq!(parameters.seed, None);
        assert_eq!(parameters.ignored.len(), 6);
        assert_eq!(read(json!({})), Ok(Parameters::default()));
    }

    #[test]
    fn other_values_are_obeyed() {
        let asked = json!({
            "top_p": 0.5, "top_k": 7, "temperature": 0.8, "repetition_penalty": 1.1,
            "max_mel_tokens": 300
        });
        let SamplingOptions { temperature, top_p, top_k, repetition_penalty, max_speech_tokens } =
            read(asked).expect("parameters").sampling;
        assert_eq!((temperature, top_p, top_k), (Some(0.8), Some(0.5), Some(7)));
        assert_eq!(repetition_penalty, Some(1.1));
        // 300 mel tokens are 12.8 s.
        assert_eq!(max_speech_tokens, Some(320));

        let greedy = read(json!({ "do_sample": false, "temperature": 0.8 })).expect("greedy");
        assert_eq!((greedy.sampling.top_k, greedy.sampling.temperature), (Some(1), None));
        assert_eq!(greedy.seed, Some(0));
        let none = read(json!({ "top_k": 0, "top_p": 0 })).expect("limits").sampling;
        assert_eq!(none.top_k, Some(usize::MAX));
        assert!(none.top_p.is_some_and(|p| p > 0.0));
    }

    #[test]
    fn ranges_and_types_are_checked_of_ignored_ones_too() {
        for body in [
            json!({ "top_p": 1.5 }),
            json!({ "top_k": -1 }),
            json!({ "temperature": 0 }),
            json!({ "repetition_penalty": -1.0 }),
            json!({ "max_mel_tokens": 0 }),
            json!({ "num_beams": 0 }),
            json!({ "max_text_tokens_per_sentence": 0 }),
            json!({ "sentences_bucket_max_size": 0 }),
        ] {
            assert!(matches!(read(body.clone()), Err(ApiError::OutOfRange(_))), "{body}");
        }
        for body in [json!({ "verbose": "loud" }), json!({ "length_penalty": [] })] {
            assert!(matches!(read(body.clone()), Err(ApiError::WrongType(_))), "{body}");
        }
        let fields = Fields::parse(b"{\"sentences_bucket_max_size\":0}", ApiError::WrongType);
        let fields = fields.expect("an object");
        assert_eq!(Parameters::read(&fields, false), Ok(Parameters::default()));
    }
}
