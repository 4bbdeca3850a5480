//! `POST /v1/audio/speech`: text in, speech out while it is made.

use super::{models, sse};
use crate::engine::{DEFAULT_VOICE, SpeakRequest, TextInput, VoiceSource};
use crate::server::account::Account;
use crate::server::answer::pour;
use crate::server::app::App;
use crate::server::asked::{self, Asked};
use crate::server::error::ApiError;
use crate::server::format::{Container, Encoder, Format};
use crate::server::json::Fields;
use crate::server::openapi::{Binary, Refusals};
use crate::server::speech::Speech;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

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

/// Speaks a text. Sound is sent as it is made, unless `speed` is another than 1.
#[utoipa::path(
    post,
    path = "/v1/audio/speech",
    tag = "openai",
    operation_id = "openai_speech",
    request_body = super::api::OpenaiSpeech,
    responses(
        (
            status = 200,
            description = "The speech in the format asked for, or `OpenaiEvent`s",
            content(
                (inline(Binary) = "audio/mpeg"),
                (inline(Binary) = "audio/ogg"),
                (inline(Binary) = "audio/flac"),
                (inline(Binary) = "audio/wav"),
                (inline(Binary) = "audio/pcm"),
                (super::api::OpenaiSse = "text/event-stream"),
            ),
            headers(
                ("X-Sample-Rate" = u32, description = "Samples per second"),
                ("X-Voice" = String, description = "The voice that speaks"),
                ("X-Notice" = String, description = "What was not heeded"),
            ),
        ),
        (status = 404, description = "No voice of that name is registered"),
        Refusals,
    )
)]
pub async fn handle(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let read = |request| Wanted::read(&app, request);
    let answer = |wanted: Wanted, account| wanted.answer(&app, account);
    asked::answer(&app, "/v1/audio/speech", asked, read, answer).await
}

/// A request that is understood.
struct Wanted {
    input: String,
    voice: String,
    container: Container,
    speed: f32,
    normalize: Option<bool>,
    /// Whether audio leaves in events of JSON.
    events: bool,
    /// What is not heeded.
    notices: Vec<String>,
    since: Instant,
}

impl Wanted {
    async fn read(app: &App, request: Request) -> Result<Self, ApiError> {
        let fields = Fields::read(app, request, ApiError::InvalidParameter).await?;
        let since = Instant::now();
        let mut notices = Vec::new();
        if let Some(model) = fields.words("model")? {
            models::check(app, model)?;
        }
        let input = fields.words("input")?.ok_or_else(|| invalid("`input` is missing"))?;
        let limit = app.settings.max_text_length;
        if input.chars().count() > limit {
            return Err(ApiError::TextTooLong { limit });
        }
        let asked = voice(&fields)?.unwrap_or_else(|| DEFAULT_VOICE.into());
        let registry = app.engine.registry();
        let voice = if !registry.contains(&asked) && OPENAI_VOICES.contains(&asked.as_str()) {
            notices.push(format!("voice `{asked}` is not registered: `{DEFAULT_VOICE}` speaks"));
            DEFAULT_VOICE.into()
        } else {
            asked
        };
        if !registry.contains(&voice) {
            return Err(ApiError::NotFound("no voice of that name is registered".into()));
        }
        if fields.words("instructions")?.is_some() {
            notices.push("`instructions` are ignored".into());
        }
        let events = match fields.words("stream_format")? {
            None | Some("audio") => false,
            Some("sse") => true,
            Some(_) => return Err(invalid("`stream_format` must be audio or sse")),
        };
        let container = fields.words("response_format")?.map(Container::parse).transpose()?;
        Ok(Self {
            input: input.into(),
            voice,
            container: container.unwrap_or(Container::Mp3),
            speed: speed(&fields)?,
            normalize: fields.boolean("normalize")?,
            events,
            notices,
            since,
        })
    }

    /// Starts the synthesis and waits for its first audio, so that what fails before it is told
    /// with a status of its own.
    async fn answer(self, app: &Arc<App>, mut account: Account) -> Result<Response, ApiError> {
        account.characters(self.input.chars().count());
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
        let (speech, _) = Speech::begin(app, account, request, encoder, self.since)?;
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

/// A voice's name, or an object that has it as `id`.
fn voice(fields: &Fields) -> Result<Option<String>, ApiError> {
    if let Some(Value::Object(_)) = fields.get("voice") {
        let voice = fields.object("voice")?;
        let id = voice.as_ref().map(|voice| voice.words("id")).transpose()?.flatten();
        return id.ok_or_else(|| invalid("`voice.id` is missing")).map(|id| Some(id.into()));
    }
    let name = fields.words("voice");
    let name = name.map_err(|_| invalid("`voice` must be a name or {\"id\": name}"))?;
    Ok(name.map(str::to_string))
}

fn speed(fields: &Fields) -> Result<f32, ApiError> {
    let speed = fields.number("speed", f64::MIN..=f64::MAX)?.unwrap_or(1.0);
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

    fn object(json: &Value) -> Fields {
        let body = json.to_string();
        Fields::parse(body.as_bytes(), ApiError::InvalidParameter).expect("an object")
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
            let name = name.map(|name: Option<&str>| name.map(str::to_string));
            assert_eq!(voice(&object(&json)).map_err(|e| e.status().as_u16()), name, "{json}");
        }
    }

    #[test]
    fn speeds_at_their_limits() {
        let of = |json: Value| speed(&object(&json)).map_err(|e| e.status().as_u16());
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
