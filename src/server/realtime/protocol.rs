//! What a client may say. Knows no socket and no engine.

use crate::server::error::ApiError;
use crate::server::format::{Container, check_rate};
use crate::server::text as reading;
use base64::Engine;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Bytes of the longest name of a context.
pub const MAX_ID: usize = 64;

/// Names a context on its socket.
pub type ContextId = Arc<str>;

/// How much a client may say.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub frame_chars: usize,
    pub prompt_bytes: usize,
}

/// A frame that names a context, which its mistakes are told to.
#[derive(Debug)]
pub struct Frame {
    pub context: ContextId,
    pub command: Result<Command, ApiError>,
}

#[derive(Debug, PartialEq)]
pub enum Command {
    Start(Box<Start>),
    Text(String),
    Flush,
    Cancel,
    Close,
}

/// How a context speaks.
#[derive(Debug, PartialEq)]
pub struct Start {
    pub voice: Voice,
    pub container: Container,
    /// None: the model's own.
    pub sample_rate: Option<u32>,
    pub seed: Option<u64>,
    pub speed: f32,
    pub timestamps: bool,
    pub normalize: Option<bool>,
    /// None: as the socket does.
    pub multiplex: Option<bool>,
}

#[derive(Debug, PartialEq)]
pub enum Voice {
    Named(String),
    /// A recording as it came, and what is said in it.
    Prompt {
        audio: Vec<u8>,
        text: String,
    },
}

/// Reads a frame.
///
/// # Errors
/// What breaks the protocol: no JSON, no `type` that there is, no `context_id`.
pub fn read(frame: &str, limits: Limits) -> Result<Frame, ApiError> {
    let mut json = match serde_json::from_str(frame) {
        Ok(Value::Object(json)) => json,
        Ok(_) => return Err(invalid("the frame is not a JSON object")),
        Err(e) => return Err(invalid(&format!("the frame is not JSON: {e}"))),
    };
    let Some(Value::String(kind)) = json.remove("type") else {
        return Err(invalid("the frame has no `type`, which must be a string"));
    };
    let context: ContextId = match json.remove("context_id") {
        Some(Value::String(id)) if (1..=MAX_ID).contains(&id.len()) => id.into(),
        _ => return Err(invalid(&format!("`context_id` must be a string of 1 to {MAX_ID} bytes"))),
    };
    let command = match kind.as_str() {
        "start" => start(json, limits).map(|start| Command::Start(Box::new(start))),
        "text" => text(json, limits),
        "flush" => Ok(Command::Flush),
        "cancel" => Ok(Command::Cancel),
        "close_context" => Ok(Command::Close),
        _ => {
            let kinds = "`type` must be start, text, flush, cancel or close_context";
            return Err(invalid(kinds));
        }
    };
    Ok(Frame { context, command })
}

/// Whether the address asks for `multiplex`.
///
/// # Errors
/// [`ApiError::InvalidParameter`] for what is neither true nor false.
pub fn multiplex(query: &str) -> Result<bool, ApiError> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    match pairs.find(|(name, _)| name == "multiplex").map(|(_, value)| value) {
        None => Ok(false),
        Some(value) => match &*value {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(invalid("`multiplex` must be true or false")),
        },
    }
}

#[derive(Deserialize)]
struct StartFields {
    voice: Option<String>,
    prompt: Option<PromptFields>,
    format: Option<String>,
    sample_rate: Option<i64>,
    seed: Option<u64>,
    speed: Option<f32>,
    timestamps: Option<bool>,
    #[serde(default)]
    normalize: Value,
    multiplex: Option<bool>,
}

#[derive(Deserialize)]
struct PromptFields {
    /// In base64.
    audio: String,
    text: String,
}

#[derive(Deserialize)]
struct TextFields {
    text: String,
}

fn start(json: Map<String, Value>, limits: Limits) -> Result<Start, ApiError> {
    let fields: StartFields = typed(json)?;
    let voice = match (fields.voice, fields.prompt) {
        (Some(name), None) => Voice::Named(name),
        (None, Some(prompt)) => {
            check_length(&prompt.text, limits)?;
            if prompt.text.trim().is_empty() {
                return Err(invalid("`prompt.text` must be what is said in the recording"));
            }
            let audio = base64::engine::general_purpose::STANDARD.decode(&prompt.audio);
            let audio = audio.map_err(|e| invalid(&format!("`prompt.audio` is no base64: {e}")))?;
            if audio.len() > limits.prompt_bytes {
                return Err(ApiError::PayloadTooLarge { limit: limits.prompt_bytes });
            }
            Voice::Prompt { audio, text: prompt.text }
        }
        _ => return Err(invalid("`start` must hold either `voice` or `prompt`")),
    };
    let container = match fields.format {
        None => Container::Pcm,
        Some(name) => Container::parse(&name)
            .map_err(|e| invalid(&e.to_string().replace("response_format", "format")))?,
    };
    let speed = fields.speed.unwrap_or(1.0);
    if !(0.5..=2.0).contains(&speed) {
        return Err(ApiError::OutOfRange("`speed` must be 0.5 to 2.0".into()));
    }
    Ok(Start {
        voice,
        container,
        sample_rate: fields.sample_rate.map(|rate| check_rate(rate.into())).transpose()?,
        seed: fields.seed,
        speed,
        timestamps: fields.timestamps.unwrap_or(false),
        normalize: reading::switch(&fields.normalize)?,
        multiplex: fields.multiplex,
    })
}

fn text(json: Map<String, Value>, limits: Limits) -> Result<Command, ApiError> {
    let TextFields { text } = typed(json)?;
    check_length(&text, limits)?;
    Ok(Command::Text(text))
}

fn check_length(text: &str, limits: Limits) -> Result<(), ApiError> {
    let limit = limits.frame_chars;
    if text.chars().count() > limit { Err(ApiError::TextTooLong { limit }) } else { Ok(()) }
}

/// The fields of a frame. Those that nobody knows are left alone.
fn typed<T: DeserializeOwned>(json: Map<String, Value>) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(Value::Object(json)).map_err(|e| {
        let path = e.path().to_string();
        let words = e.into_inner();
        if path == "." {
            invalid(&words.to_string())
        } else {
            invalid(&format!("`{path}`: {words}"))
        }
    })
}

fn invalid(words: &str) -> ApiError {
    ApiError::InvalidParameter(words.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { frame_chars: 10, prompt_bytes: 4 };

    fn command(frame: &str) -> Result<Command, ApiError> {
        read(frame, LIMITS).expect("a frame of the protocol").command
    }

    #[test]
    fn what_breaks_the_protocol() {
        for frame in [
            "",
            "[]",
            "{}",
            r#"{"type":"text"}"#,
            r#"{"type":"flush","context_id":""}"#,
            r#"{"type":"flush","context_id":7}"#,
            r#"{"type":"speak","context_id":"a"}"#,
            &format!(r#"{{"type":"flush","context_id":"{}"}}"#, "x".repeat(65)),
        ] {
            assert!(read(frame, LIMITS).is_err(), "{frame}");
        }
    }

    #[test]
    fn commands() {
        let read = |frame: &str| read(frame, LIMITS).expect("a frame");
        let frame = read(r#"{"type":"text","context_id":"a","text":"Hi"}"#);
        assert_eq!((&*frame.context, frame.command), ("a", Ok(Command::Text("Hi".into()))));
        for (kind, expected) in [
            ("flush", Command::Flush),
            ("cancel", Command::Cancel),
            ("close_context", Command::Close),
        ] {
            let frame = format!(r#"{{"type":"{kind}","context_id":"a","more":1}}"#);
            assert_eq!(read(&frame).command, Ok(expected));
        }
    }

    #[test]
    fn a_start_with_everything() {
        let frame = r#"{"type":"start","context_id":"a","prompt":{"audio":"AAEC","text":"so"},
            "format":"wav","sample_rate":16000,"seed":5,"speed":1.5,"timestamps":true,"normalize":"off",
            "multiplex":true}"#;
        let Ok(Command::Start(start)) = command(frame) else { panic!("no start") };
        let voice = Voice::Prompt { audio: vec![0, 1, 2], text: "so".into() };
        let expected = Start {
            voice,
            container: Container::Wav,
            sample_rate: Some(16_000),
            seed: Some(5),
            speed: 1.5,
            timestamps: true,
            normalize: Some(false),
            multiplex: Some(true),
        };
        assert_eq!(*start, expected);
    }

    /// Mistakes of a context are its own.
    #[test]
    fn fields_that_are_wrong() {
        let start = |fields: &str| {
            let error = command(&format!(r#"{{"type":"start","context_id":"a"{fields}}}"#));
            error.expect_err("an error").code()
        };
        for (fields, code) in [
            ("", "INVALID_PARAMETER"),
            (r#","voice":"a","prompt":{"audio":"","text":"b"}"#, "INVALID_PARAMETER"),
            (r#","voice":7"#, "INVALID_PARAMETER"),
            (r#","prompt":{"audio":"%","text":"b"}"#, "INVALID_PARAMETER"),
            (r#","prompt":{"audio":"AAEC","text":" "}"#, "INVALID_PARAMETER"),
            (r#","prompt":{"audio":"AAECAwQF","text":"b"}"#, "PAYLOAD_TOO_LARGE"),
            (r#","prompt":{"audio":"","text":"long long text"}"#, "TEXT_TOO_LONG"),
            (r#","voice":"a","format":"tape""#, "INVALID_PARAMETER"),
            (r#","voice":"a","sample_rate":1"#, "VALIDATION_FAILED"),
            (r#","voice":"a","speed":9"#, "VALIDATION_FAILED"),
            (r#","voice":"a","seed":-1"#, "INVALID_PARAMETER"),
        ] {
            assert_eq!(start(fields), code, "{fields}");
        }
        for frame in
            [r#"{"type":"text","context_id":"a"}"#, r#"{"type":"text","context_id":"a","text":1}"#]
        {
            assert_eq!(command(frame).expect_err("an error").code(), "INVALID_PARAMETER");
        }
        let long = r#"{"type":"text","context_id":"a","text":"long long text"}"#;
        assert_eq!(command(long), Err(ApiError::TextTooLong { limit: 10 }));
    }

    #[test]
    fn multiplex_in_the_address() {
        assert_eq!(multiplex("api_key=x&multiplex=1"), Ok(true));
        assert_eq!(multiplex(""), Ok(false));
        assert!(multiplex("multiplex=maybe").is_err());
    }
}
