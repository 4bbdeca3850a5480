//! `POST /v1/audio/speech`: text in, speech out while it is made.

use super::{models, sse};
use crate::engine::{DEFAULT_VOICE, SpeakRequest, TextInput, VoiceSource};
use crate::server::account::Account;
use crate::server::answer::pour;
use crate::server::app::App;
use crate::server::client::Peer;
use crate::server::error::ApiError;
use crate::server::format::{Container, Encoder, Format};
use crate::server::request::RequestId;
use crate::server::speech::Speech;
use crate::server::text as reading;
use crate::server::upload;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

/// Bytes of a body beside its text.
const OVERHEAD: usize = 64 * 1024;

/// Samples per second that the interface documents for `pcm`, which cannot say so itself.
const PCM_RATE: u32 = 24_000;

/// Voices that programs written for OpenAI ask for. Each stands for the default voice, unless one
/// of that name is registered.
const OPENAI_VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage",
    "shimmer", "verse",
];

/// Tells which voice speaks.
const VOICE: HeaderName = HeaderName::from_static("x-voice");
/// Tells what of the request was not heeded.
const NOTICE: HeaderName = HeaderName::from_static("x-notice");

pub async fn handle(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut account = Account::open(&app, id, "/v1/audio/speech");
    account.note(app.charge(peer, request.headers()))?;
    let span = account.span.clone();
    async {
        let body = read(&app, request).await;
        let body = account.note(body)?;
        let since = Instant::now();
        let asked = account.note(Asked::new(&app, &body))?;
        account.characters(asked.input.chars().count());
        asked.answer(&app, account, since).await
    }
    .instrument(span)
    .await
}

/// The body, within bounds.
async fn read(app: &App, request: Request) -> Result<Vec<u8>, ApiError> {
    let settings = &app.settings;
    let (parts, body) = request.into_parts();
    // Twelve bytes are the longest that JSON may write a character as.
    let bytes = settings.max_text_length.saturating_mul(12).saturating_add(OVERHEAD);
    let bounds = upload::Bounds { bytes, idle: settings.request_idle };
    let body = upload::bounded(body, &parts.headers, bounds, app.uploads.room())?;
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|e| upload::reason(&e))?;
    Ok(body.into())
}

/// A request that is understood.
struct Asked {
    input: String,
    voice: String,
    container: Container,
    speed: f32,
    normalize: Option<bool>,
    /// Whether audio leaves in events of JSON.
    events: bool,
    /// What is not heeded.
    notices: Vec<String>,
}

impl Asked {
    fn new(app: &App, body: &[u8]) -> Result<Self, ApiError> {
        let json = match serde_json::from_slice(body) {
            Ok(Value::Object(json)) => json,
            Ok(_) => return Err(invalid("the body is not a JSON object")),
            Err(e) => return Err(invalid(format!("the body is not JSON: {e}"))),
        };
        let mut notices = Vec::new();
        if let Some(model) = text(&json, "model")? {
            models::check(app, model)?;
        }
        let input = text(&json, "input")?.ok_or_else(|| invalid("`input` is missing"))?;
        let limit = app.settings.max_text_length;
        if input.chars().count() > limit {
            return Err(ApiError::TextTooLong { limit });
        }
        let asked = voice(&json)?.unwrap_or(DEFAULT_VOICE);
        let registry = app.engine.registry();
        let voice = if !registry.contains(asked) && OPENAI_VOICES.contains(&asked) {
            notices.push(format!("voice `{asked}` is not registered: `{DEFAULT_VOICE}` speaks"));
            DEFAULT_VOICE
        } else {
            asked
        };
        if !registry.contains(voice) {
            return Err(ApiError::NotFound("no voice of that name is registered".into()));
        }
        if text(&json, "instructions")?.is_some() {
            notices.push("`instructions` are ignored".into());
        }
        let events = match text(&json, "stream_format")? {
            None | Some("audio") => false,
            Some("sse") => true,
            Some(_) => return Err(invalid("`stream_format` must be audio or sse")),
        };
        let container = text(&json, "response_format")?.map(Container::parse).transpose()?;
        Ok(Self {
            input: input.into(),
            voice: voice.into(),
            container: container.unwrap_or(Container::Mp3),
            speed: speed(&json)?,
            normalize: reading::asked(&json)?,
            events,
            notices,
        })
    }

    /// Starts the synthesis and waits for its first audio, so that what fails before it is told
    /// with a status of its own.
    async fn answer(
        self,
        app: &Arc<App>,
        mut account: Account,
        since: Instant,
    ) -> Result<Response, ApiError> {
        let model_rate = app.engine.status().sample_rate;
        let rate = if self.container == Container::Pcm { PCM_RATE } else { model_rate };
        let format = Format::new(self.container, rate);
        let encoder = account.note(Encoder::new(model_rate, format))?;
        let request = SpeakRequest {
            id: account.id.0.to_string(),
            voice: VoiceSource::Named(self.voice.clone()),
            text: TextInput::Whole(self.input),
            // The tempo is changed of whole sentences only.
            streaming: self.speed == 1.0,
            speed: self.speed,
            seed: None,
            sampling: Default::default(),
            timestamps: false,
            normalize: self.normalize,
        };
        let rate = encoder.rate();
        let (speech, _) = Speech::begin(app, account, request, encoder, since)?;
        let mut response = if self.events {
            sse::pour(speech).await?.into_response()
        } else {
            let media_type = [(header::CONTENT_TYPE, self.container.media_type())];
            (media_type, pour(speech).await?).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("x-sample-rate"), rate.into());
        // Names may hold what a header cannot.
        for (name, value) in [(VOICE, self.voice), (NOTICE, self.notices.join("; "))] {
            if !value.is_empty()
                && let Ok(value) = HeaderValue::from_str(&value)
            {
                headers.insert(name, value);
            }
        }
        Ok(response)
    }
}

fn invalid(words: impl Into<String>) -> ApiError {
    ApiError::InvalidParameter(words.into())
}

/// A string that says something. What is missing, null or blank does not.
fn text<'a>(json: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ApiError> {
    match json.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|t| !t.trim().is_empty())),
        Some(_) => Err(invalid(format!("`{name}` must be a string"))),
    }
}

/// A voice's name, or an object that has it as `id`.
fn voice(json: &Map<String, Value>) -> Result<Option<&str>, ApiError> {
    match json.get("voice") {
        Some(Value::Object(voice)) => {
            text(voice, "id")?.ok_or_else(|| invalid("`voice.id` is missing")).map(Some)
        }
        _ => text(json, "voice").map_err(|_| invalid("`voice` must be a name or {\"id\": name}")),
    }
}

fn speed(json: &Map<String, Value>) -> Result<f32, ApiError> {
    let speed = match json.get("speed") {
        None | Some(Value::Null) => return Ok(1.0),
        Some(speed) => speed.as_f64().ok_or_else(|| invalid("`speed` must be a number"))?,
    };
    if (0.5..=2.0).contains(&speed) {
        return Ok(speed as f32);
    }
    let words = "`speed` must be 0.5 to 2.0: this model speaks no slower and no faster";
    Err(ApiError::OutOfRange(words.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(json: Value) -> Map<String, Value> {
        json.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn voices_are_names_or_objects() {
        for (json, name) in [
            (json!({}), Ok(None)),
            (json!({"voice": null}), Ok(None)),
            (json!({"voice": " "}), Ok(None)),
            (json!({"voice": "alloy"}), Ok(Some("alloy"))),
            (json!({"voice": {"id": "anna"}}), Ok(Some("anna"))),
            (json!({"voice": {"id": ""}}), Err(400)),
            (json!({"voice": {}}), Err(400)),
            (json!({"voice": 7}), Err(400)),
            (json!({"voice": ["alloy"]}), Err(400)),
        ] {
            let object = object(json.clone());
            assert_eq!(voice(&object).map_err(|e| e.status().as_u16()), name, "{json}");
        }
    }

    #[test]
    fn speeds_at_their_limits() {
        let of = |json: Value| speed(&object(json)).map_err(|e| e.status().as_u16());
        assert_eq!(of(json!({})), Ok(1.0));
        for ok in [0.5, 1.0, 1.25, 2.0] {
            assert_eq!(of(json!({ "speed": ok })), Ok(ok as f32));
        }
        for out in [0.25, 4.0, 0.0, -1.0, 1e300] {
            assert_eq!(of(json!({ "speed": out })), Err(422), "{out}");
        }
        for odd in [json!("fast"), json!([]), json!(true)] {
            assert_eq!(of(json!({ "speed": odd })), Err(400));
        }
    }
}
