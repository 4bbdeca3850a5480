//! What `POST /v1/workflows` asks for.

use crate::server::emotion;
use crate::server::error::ApiError;
use crate::server::json::Fields;
use serde_json::Value;

/// The tasks that a chain can name.
pub const TASKS: [&str; 4] =
    [SPEECH, "indextts.health_check", "indextts.get_model_info", "indextts.list_voice_presets"];

pub const SPEECH: &str = "indextts.generate_speech";

/// Strength of an emotion where the request names none.
const USUAL_ALPHA: f64 = 0.65;

/// Text tokens of a segment where the request names none.
const USUAL_SEGMENT: i64 = 120;

/// A workflow that is understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Workflow {
    Speech(Box<Speech>),
    Health,
    ModelInfo,
    Presets,
}

/// Speech to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Speech {
    pub text: String,
    /// As the client wrote it; not yet confined.
    pub output_path: String,
    /// As the client wrote it; not yet confined. None: the default voice.
    pub reference_audio: Option<String>,
    pub emotion_alpha: f64,
    pub emotion_vector: Option<Vec<f64>>,
    pub use_random: bool,
    pub max_text_tokens_per_segment: i64,
}

impl Workflow {
    /// # Errors
    /// The first field that is wrong, or asks for what the model cannot do.
    pub fn parse(fields: &Fields, max_text_length: usize) -> Result<Self, ApiError> {
        // Other services of a chain work on this video; speech needs none.
        fields.text("video_path")?;
        let config = fields.object("workflow_config")?.ok_or_else(|| missing("workflow_config"))?;
        match task(&config)? {
            SPEECH => {
                let settings =
                    config.object("indextts_config")?.ok_or_else(|| missing("indextts_config"))?;
                Ok(Self::Speech(Box::new(Speech::parse(&settings, max_text_length)?)))
            }
            "indextts.health_check" => Ok(Self::Health),
            "indextts.get_model_info" => Ok(Self::ModelInfo),
            _ => Ok(Self::Presets),
        }
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::InvalidParameter(format!("`{name}` is missing"))
}

/// The one task of a chain.
fn task(config: &Fields) -> Result<&'static str, ApiError> {
    let chain = config.get("workflow_chain").ok_or_else(|| missing("workflow_chain"))?;
    let names: Option<Vec<&str>> =
        chain.as_array().and_then(|chain| chain.iter().map(Value::as_str).collect());
    let known = match names.as_deref() {
        Some([name]) => TASKS.into_iter().find(|task| task == name),
        _ => None,
    };
    known.ok_or_else(|| {
        let tasks = TASKS.join(", ");
        ApiError::InvalidParameter(format!("`workflow_chain` must be a list of one of {tasks}"))
    })
}

impl Speech {
    fn parse(fields: &Fields, max_text_length: usize) -> Result<Self, ApiError> {
        let text = fields.words("text")?.ok_or_else(|| empty("输入文本不能为空"))?;
        if text.chars().count() > max_text_length {
            return Err(ApiError::TextTooLong { limit: max_text_length });
        }
        let output_path = fields.words("output_path")?.ok_or_else(|| empty("输出路径不能为空"))?;
        // The names that the service's own code looks at first.
        let mut reference_audio = None;
        for name in ["spk_audio_prompt", "reference_audio", "speaker_audio"] {
            reference_audio = reference_audio.or(fields.words(name)?);
        }
        let emotion_alpha = fields.number("emotion_alpha", 0.0..=1.0)?.unwrap_or(USUAL_ALPHA);
        let emotion_vector = fields.numbers("emotion_vector", emotion::DIMENSIONS, 0.0..=1.0)?;
        let emotional = emotion_vector.as_deref().is_some_and(|vector| !emotion::is_calm(vector));
        let wishes = [
            ("emotion_reference", fields.words("emotion_reference")?.is_some()),
            ("emo_audio_prompt", fields.words("emo_audio_prompt")?.is_some()),
            ("emotion_vector", emotional),
            ("emotion_text", fields.words("emotion_text")?.is_some()),
        ];
        let speech = Self {
            text: text.into(),
            output_path: output_path.into(),
            reference_audio: reference_audio.map(str::to_string),
            emotion_alpha,
            emotion_vector,
            use_random: fields.boolean("use_random")?.unwrap_or(false),
            max_text_tokens_per_segment: fields
                .integer("max_text_tokens_per_segment", 20..=500)?
                .unwrap_or(USUAL_SEGMENT),
        };
        match wishes.iter().find(|(_, wished)| *wished) {
            Some((name, _)) if emotion_alpha > 0.0 => Err(emotion::unsupported(name)),
            _ => Ok(speech),
        }
    }

    /// What the client set and this model has no use for.
    pub fn ignored(&self) -> Vec<&'static str> {
        let odd = [
            ("use_random", self.use_random),
            ("max_text_tokens_per_segment", self.max_text_tokens_per_segment != USUAL_SEGMENT),
        ];
        odd.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect()
    }
}

/// A field without which nothing can be said, in the words that the service's clients know.
fn empty(words: &str) -> ApiError {
    ApiError::InvalidParameter(words.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<Workflow, ApiError> {
        let body = value.to_string();
        let fields = Fields::parse(body.as_bytes(), ApiError::InvalidParameter)?;
        Workflow::parse(&fields, 1000)
    }

    /// The documented request, with these settings over its own.
    fn speech(settings: Value) -> Result<Speech, ApiError> {
        let mut all = json!({"text": "你好", "output_path": "/share/workflows/output/hello.wav"});
        for (name, value) in settings.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        let workflow = parse(json!({
            "video_path": "/app/videos/example.mp4",
            "workflow_config": {"workflow_chain": [SPEECH], "indextts_config": all},
        }));
        workflow.map(|workflow| match workflow {
            Workflow::Speech(speech) => *speech,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn chains_hold_one_known_task() {
        let chain = |chain: Value| parse(json!({"workflow_config": {"workflow_chain": chain}}));
        assert_eq!(chain(json!(["indextts.health_check"])), Ok(Workflow::Health));
        assert_eq!(chain(json!(["indextts.get_model_info"])), Ok(Workflow::ModelInfo));
        assert_eq!(chain(json!(["indextts.list_voice_presets"])), Ok(Workflow::Presets));
        for wrong in [
            json!(null),
            json!([]),
            json!("indextts.health_check"),
            json!([7]),
            json!(["ffmpeg.extract_audio"]),
            json!(["indextts.health_check", "indextts.get_model_info"]),
            json!([SPEECH]),
        ] {
            let error = chain(wrong.clone()).map_err(|e| e.status().as_u16());
            assert_eq!(error, Err(400), "{wrong}");
        }
        for wrong in [json!({}), json!({"workflow_config": []}), json!({"video_path": 7})] {
            assert_eq!(parse(wrong).map_err(|e| e.status().as_u16()), Err(400));
        }
    }

    #[test]
    fn what_is_not_said_is_the_documented_default() {
        let asked = speech(json!({})).expect("the shortest request");
        assert_eq!(asked.reference_audio, None);
        assert_eq!((asked.emotion_alpha, asked.emotion_vector.as_ref()), (0.65, None));
        assert_eq!((asked.use_random, asked.max_text_tokens_per_segment), (false, 120));
        assert!(asked.ignored().is_empty());
        let asked = speech(json!({"use_random": true, "max_text_tokens_per_segment": 60}));
        let ignored = asked.map(|asked| asked.ignored());
        assert_eq!(ignored, Ok(vec!["use_random", "max_text_tokens_per_segment"]));
    }

    #[test]
    fn what_is_wrong_has_its_status() {
        let status =
            |settings: Value| speech(settings).map_or_else(|e| e.status().as_u16(), |_| 200);
        for (settings, expected) in [
            (json!({"text": " "}), 400),
            (json!({"text": 7}), 400),
            (json!({"text": "长".repeat(1001)}), 422),
            (json!({"output_path": ""}), 400),
            (json!({"reference_audio": 7}), 400),
            (json!({"emotion_alpha": 1.5}), 422),
            (json!({"emotion_vector": [1, 2]}), 400),
            (json!({"emotion_vector": [0, 0, 0, 0, 0, 0, 0, 2]}), 422),
            (json!({"max_text_tokens_per_segment": 5}), 422),
            (json!({"emotion_vector": [0.1, 0, 0, 0, 0, 0, 0, 0.9]}), 501),
            (json!({"emotion_vector": [0, 0, 0, 0, 0, 0, 0, 0.9]}), 200),
            (json!({"emotion_reference": "/path/to/emotion.wav"}), 501),
            (json!({"emotion_text": "请用开心的语气说这句话"}), 501),
            (json!({"emotion_text": "请用开心的语气说这句话", "emotion_alpha": 0}), 200),
        ] {
            assert_eq!(status(settings.clone()), expected, "{settings}");
        }
        let words = speech(json!({"text": ""})).map_err(|e| e.to_string());
        assert_eq!(words, Err("输入文本不能为空".into()));
    }
}
