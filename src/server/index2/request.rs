//! What `POST /api/v1/tts` asks for.

use crate::engine::SamplingOptions;
use crate::server::emotion;
use crate::server::error::ApiError;
use crate::server::json::Fields;

/// IndexTTS2's speech tokens per second: 1.72 mel frames each, of 256 samples at 22050 Hz.
const INDEX_TOKENS: f64 = 22_050.0 / 256.0 / 1.72;

/// Speech tokens per second of this model.
const TOKENS: f64 = 25.0;

/// A request that is understood.
#[derive(Debug, Clone, PartialEq)]
pub struct TtsRequest {
    pub text: String,
    /// An upload to take the voice from. None: the default voice.
    pub prompt: Option<String>,
    pub sampling: SamplingOptions,
    /// Of a segment, at most.
    pub max_text_tokens: usize,
    /// What the client set and this model has no use for.
    pub ignored: Vec<&'static str>,
}

impl TtsRequest {
    /// # Errors
    /// The first field that is wrong, or asks for what the model cannot do.
    pub fn parse(fields: &Fields, max_text_length: usize) -> Result<Self, ApiError> {
        let text = fields.words("text")?.ok_or_else(|| missing("text"))?;
        if text.chars().count() > max_text_length {
            return Err(ApiError::TextTooLong { limit: max_text_length });
        }
        let prompt = fields.text("prompt_audio_id")?.filter(|id| !id.is_empty());
        check_emotion(fields)?;
        let mut ignored = Vec::new();
        let sampling = sampling(fields, &mut ignored)?;
        let segment = fields.integer("max_text_tokens_per_segment", 20..=500)?;
        let segment = segment.unwrap_or(usual::MAX_TEXT_TOKENS);
        if segment != usual::MAX_TEXT_TOKENS {
            ignored.push("max_text_tokens_per_segment");
        }
        Ok(Self {
            text: text.into(),
            prompt: prompt.map(str::to_string),
            sampling,
            max_text_tokens: usize::try_from(segment).unwrap_or_default(),
            ignored,
        })
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::InvalidParameter(format!("`{name}` is missing"))
}

/// Reads the emotion's fields. What the chosen method does not look at is only checked for its
/// form.
fn check_emotion(fields: &Fields) -> Result<(), ApiError> {
    let method = fields.integer("emo_control_method", 0..=3)?.unwrap_or(0);
    let weight = fields.number("emo_weight", 0.0..=1.0)?;
    let vector = fields.numbers("emo_vector", emotion::DIMENSIONS, 0.0..=1.0)?;
    let recording = fields.words("emo_audio_id")?.or(fields.words("emo_audio_path")?);
    let description = fields.words("emo_text")?;
    let (what, neutral) = match method {
        1 => {
            recording.ok_or_else(|| missing("emo_audio_id"))?;
            ("emo_control_method = 1", false)
        }
        2 => {
            let vector = vector.ok_or_else(|| missing("emo_vector"))?;
            ("emo_vector", emotion::is_calm(&vector))
        }
        3 => {
            description.ok_or_else(|| missing("emo_text"))?;
            ("emo_text", false)
        }
        _ => ("emo_control_method", true),
    };
    if neutral || weight == Some(0.0) { Ok(()) } else { Err(emotion::unsupported(what)) }
}

/// What IndexTTS2 uses where the client sets nothing. Its model needs these; this one has better
/// values of its own, so a client that sends them gets those.
mod usual {
    pub const TOP_P: f64 = 0.8;
    pub const TOP_K: i64 = 30;
    pub const TEMPERATURE: f64 = 0.8;
    pub const REPETITION_PENALTY: f64 = 10.0;
    pub const MAX_MEL_TOKENS: i64 = 1500;
    pub const MAX_TEXT_TOKENS: i64 = 120;
    pub const LENGTH_PENALTY: f64 = 0.0;
    pub const NUM_BEAMS: i64 = 3;
}

fn sampling(fields: &Fields, ignored: &mut Vec<&'static str>) -> Result<SamplingOptions, ApiError> {
    let number = |name, usual: f64, range| -> Result<Option<f32>, ApiError> {
        let chosen = fields.number(name, range)?.filter(|value| *value != usual);
        Ok(chosen.map(|value| value as f32))
    };
    let integer = |name, usual: i64, range| -> Result<Option<i64>, ApiError> {
        Ok(fields.integer(name, range)?.filter(|value| *value != usual))
    };
    let options = SamplingOptions {
        temperature: number("temperature", usual::TEMPERATURE, 0.1..=2.0)?,
        // None at all would be no choice: the most probable one remains.
        top_p: number("top_p", usual::TOP_P, 0.0..=1.0)?.map(|p| p.max(f32::MIN_POSITIVE)),
        // 0 is no limit.
        top_k: integer("top_k", usual::TOP_K, 0..=100)?
            .map(|k| usize::try_from(k).ok().filter(|k| *k > 0).unwrap_or(usize::MAX)),
        repetition_penalty: number("repetition_penalty", usual::REPETITION_PENALTY, 0.1..=20.0)?,
        max_speech_tokens: integer("max_mel_tokens", usual::MAX_MEL_TOKENS, 50..=3000)?
            .map(|count| (count as f64 / INDEX_TOKENS * TOKENS).ceil() as usize),
    };
    let odd = [
        ("do_sample", fields.boolean("do_sample")? == Some(false)),
        ("emo_random", fields.boolean("emo_random")? == Some(true)),
        ("length_penalty", number("length_penalty", usual::LENGTH_PENALTY, -2.0..=2.0)?.is_some()),
        ("num_beams", integer("num_beams", usual::NUM_BEAMS, 1..=10)?.is_some()),
    ];
    ignored.extend(odd.iter().filter(|(_, set)| *set).map(|(name, _)| *name));
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(mut value: Value) -> Result<TtsRequest, ApiError> {
        if value.get("text").is_none() {
            value["text"] = json!("你好，这是一个测试语音。");
        }
        let body = value.to_string();
        let fields = Fields::parse(body.as_bytes(), ApiError::InvalidParameter)?;
        TtsRequest::parse(&fields, 1000)
    }

    fn status(value: Value) -> u16 {
        parse(value).map_or_else(|e| e.status().as_u16(), |_| 200)
    }

    #[test]
    fn the_documented_request() {
        let asked = parse(json!({
            "prompt_audio_id": "f00d",
            "emo_control_method": 0,
            "max_text_tokens_per_segment": 120,
            "somebody_else": [1],
        }));
        let expected = TtsRequest {
            text: "你好，这是一个测试语音。".into(),
            prompt: Some("f00d".into()),
            sampling: SamplingOptions::default(),
            max_text_tokens: 120,
            ignored: vec![],
        };
        assert_eq!(asked, Ok(expected));
    }

    #[test]
    fn texts() {
        for text in [json!(""), json!(" \n"), json!(null), json!(7)] {
            assert_eq!(status(json!({ "text": text })), 400, "{text}");
        }
        assert_eq!(status(json!({ "text": "长".repeat(1001) })), 422);
        assert_eq!(status(json!({ "text": "长".repeat(1000) })), 200);
    }

    /// IndexTTS2's own settings would harm another model's sampler.
    #[test]
    fn usual_values_leave_the_choice_to_the_model() {
        let usual = parse(json!({
            "top_p": 0.8, "top_k": 30, "temperature": 0.8, "repetition_penalty": 10,
            "max_mel_tokens": 1500, "do_sample": true, "length_penalty": 0, "num_beams": 3,
            "emo_random": false, "max_text_tokens_per_segment": 120,
        }));
        let usual = usual.expect("the documented defaults");
        assert_eq!((usual.sampling, usual.ignored.len()), (SamplingOptions::default(), 0));
        let chosen = parse(json!({
            "top_p": 0.5, "top_k": 5, "temperature": 1, "repetition_penalty": 1.5,
            "max_mel_tokens": 500, "do_sample": false, "length_penalty": 1, "num_beams": 1,
            "emo_random": true, "max_text_tokens_per_segment": 60,
        }));
        let chosen = chosen.expect("values within their ranges");
        let options = SamplingOptions {
            temperature: Some(1.0),
            top_p: Some(0.5),
            top_k: Some(5),
            repetition_penalty: Some(1.5),
            // Ten seconds, at 50.08 tokens each.
            max_speech_tokens: Some(250),
        };
        assert_eq!(chosen.sampling, options);
        let ignored = [
            "do_sample",
            "emo_random",
            "length_penalty",
            "num_beams",
            "max_text_tokens_per_segment",
        ];
        assert_eq!(chosen.ignored, ignored);
        let none = parse(json!({"top_k": 0, "top_p": 0})).expect("no limits");
        assert_eq!(none.sampling.top_k, Some(usize::MAX));
        assert!(none.sampling.top_p.is_some_and(|p| p > 0.0));
    }

    #[test]
    fn ranges_are_kept() {
        for (name, within, out) in [
            ("emo_control_method", json!(0), [json!(-1), json!(4)]),
            ("emo_weight", json!(1), [json!(-0.1), json!(1.1)]),
            ("max_text_tokens_per_segment", json!(20), [json!(19), json!(501)]),
            ("top_p", json!(1), [json!(-0.1), json!(1.01)]),
            ("top_k", json!(100), [json!(-1), json!(101)]),
            ("temperature", json!(0.1), [json!(0.09), json!(2.1)]),
            ("length_penalty", json!(-2), [json!(-2.1), json!(2.1)]),
            ("num_beams", json!(10), [json!(0), json!(11)]),
            ("repetition_penalty", json!(20), [json!(0), json!(21)]),
            ("max_mel_tokens", json!(50), [json!(49), json!(3001)]),
        ] {
            assert_eq!(status(json!({ name: within })), 200, "{name}");
            assert_eq!(status(json!({ name: null })), 200, "{name}");
            assert_eq!(status(json!({ name: "many" })), 400, "{name}");
            for out in out {
                assert_eq!(status(json!({ name: out })), 422, "{name} {out}");
            }
        }
    }

    #[test]
    fn emotions_other_than_none_are_not_for_this_model() {
        let calm = json!([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4]);
        let glad = json!([0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.3]);
        for (request, expected) in [
            (json!({"emo_control_method": 0, "emo_vector": glad, "emo_text": "x"}), 200),
            (json!({"emo_control_method": 1}), 400),
            (json!({"emo_control_method": 1, "emo_audio_path": "x"}), 501),
            (json!({"emo_control_method": 1, "emo_audio_id": "x"}), 501),
            (json!({"emo_control_method": 1, "emo_audio_id": "x", "emo_weight": 0}), 200),
            (json!({"emo_control_method": 2}), 400),
            (json!({"emo_control_method": 2, "emo_vector": [0.1, 0.2]}), 400),
            (json!({"emo_control_method": 2, "emo_vector": [0, 0, 0, 0, 0, 0, 0, 1.5]}), 422),
            (json!({"emo_control_method": 2, "emo_vector": glad}), 501),
            (json!({"emo_control_method": 2, "emo_vector": glad, "emo_weight": 0.0}), 200),
            (json!({"emo_control_method": 2, "emo_vector": calm}), 200),
            (json!({"emo_control_method": 2, "emo_vector": [0, 0, 0, 0, 0, 0, 0, 0]}), 200),
            (json!({"emo_control_method": 3, "emo_text": ""}), 400),
            (json!({"emo_control_method": 3, "emo_text": "高兴"}), 501),
        ] {
            assert_eq!(status(request.clone()), expected, "{request}");
        }
    }
}
