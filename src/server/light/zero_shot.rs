//! `POST /inference_zero_shot`: text and a prompt in, a file or a stream of speech out.

use super::api::LightForm;
use super::form::{Bounds, Form, OVERHEAD};
use super::{check_model, check_voice};
use crate::engine::{SpeakRequest, TextInput, VoiceSource};
use crate::server::account::Account;
use crate::server::answer::{fill, pour};
use crate::server::app::App;
use crate::server::client::Peer;
use crate::server::error::ApiError;
use crate::server::format::{Container, Encoder, Format};
use crate::server::openapi::{Binary, Refusals};
use crate::server::request::RequestId;
use crate::server::speech::Speech;
use crate::server::{prompt, upload};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

/// Speaks a text in the voice of a recording.
#[utoipa::path(
    post,
    path = "/inference_zero_shot",
    tag = "light",
    operation_id = "light_inference_zero_shot",
    request_body(content = LightForm, content_type = "multipart/form-data"),
    responses(
        (
            status = 200,
            description = "The speech: a WAV file, or raw samples with `stream`",
            content_type = "application/octet-stream",
            body = inline(Binary),
            headers(
                ("X-Sample-Rate" = u32, description = "Samples per second"),
                ("X-Bit-Depth" = u32),
                ("X-Channels" = u32),
                ("X-Audio-Format" = String),
                ("X-Request-Id" = String, description = "Names the request in the log"),
            ),
        ),
        Refusals,
    )
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut account = Account::open(&app, id, "/inference_zero_shot");
    account.note(app.charge(peer, request.headers()))?;
    let span = account.span.clone();
    async {
        let asked = Asked::read(&app, request).await;
        let asked = account.note(asked)?;
        account.characters(asked.characters);
        asked.answer(&app, account).await
    }
    .instrument(span)
    .await
}

/// A request that is understood.
struct Asked {
    voice: VoiceSource,
    text: String,
    characters: usize,
    speed: f32,
    seed: Option<u64>,
    normalize: Option<bool>,
    stream: bool,
    /// Whether the client said which format it wants.
    chosen: bool,
    encoder: Encoder,
    since: Instant,
}

impl Asked {
    async fn read(app: &Arc<App>, request: Request) -> Result<Self, ApiError> {
        let settings = &app.settings;
        let room = app.uploads.room();
        let (parts, body) = request.into_parts();
        let limit = settings.max_file_size.saturating_add(OVERHEAD);
        let bounds = upload::Bounds { bytes: limit, idle: settings.request_idle };
        let body = upload::bounded(body, &parts.headers, bounds, room.clone())?;
        let bounds =
            Bounds { file_bytes: settings.max_file_size, text_chars: settings.max_text_length };
        let form = Form::read(Request::from_parts(parts, body), bounds).await?;
        let since = Instant::now();

        if let Some(name) = &form.tts_model_name {
            check_model(app, name)?;
        }
        let text = required("tts_text", form.tts_text)?;
        let stream = form.stream.unwrap_or(false);
        let speed = form.speed.unwrap_or(1.0);
        if stream && speed != 1.0 {
            let words = "`speed` can only be 1.0 with `stream`";
            return Err(ApiError::InvalidParameter(words.into()));
        }
        let model_rate = app.engine.status().sample_rate;
        let rate = form.sample_rate.or(settings.light_sample_rate).unwrap_or(model_rate);
        let default = if stream { Container::Pcm } else { Container::Wav };
        let format = Format::new(form.response_format.unwrap_or(default), rate);
        let encoder = Encoder::new(model_rate, format)?;
        let voice = match form.voice {
            Some(name) => {
                check_voice(app, &name)?;
                VoiceSource::Named(name)
            }
            None => {
                let text = required("prompt_text", form.prompt_text)?;
                let bytes = form.prompt_wav.ok_or_else(|| missing("prompt_wav"))?;
                VoiceSource::Prompt { audio: prompt::read(app.clone(), bytes, room).await?, text }
            }
        };
        Ok(Self {
            voice,
            characters: text.chars().count(),
            text,
            speed,
            seed: form.seed,
            normalize: form.normalize,
            stream,
            chosen: form.response_format.is_some(),
            encoder,
            since,
        })
    }

    /// Starts the synthesis and waits for its first audio, so that what fails before it is told
    /// with a status of its own.
    async fn answer(self, app: &Arc<App>, account: Account) -> Result<Response, ApiError> {
        let container = self.encoder.container();
        // What the interface documents, unless the client knows more than that.
        let media_type =
            if self.chosen { container.media_type() } else { "application/octet-stream" };
        let headers = [
            (header::CONTENT_TYPE.as_str(), media_type.to_string()),
            ("x-sample-rate", self.encoder.rate().to_string()),
            ("x-bit-depth", "16".into()),
            ("x-channels", "1".into()),
            ("x-audio-format", container.name().into()),
        ];
        let request = SpeakRequest {
            id: account.id.0.to_string(),
            voice: self.voice,
            text: TextInput::Whole(self.text),
            streaming: self.stream,
            speed: self.speed,
            seed: self.seed,
            sampling: Default::default(),
            timestamps: false,
            normalize: self.normalize,
        };
        let (speech, _) = Speech::begin(app, account, request, self.encoder, self.since)?;
        let body = if self.stream { pour(speech).await? } else { fill(speech).await? };
        Ok((headers, body).into_response())
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::InvalidParameter(format!("`{name}` is missing"))
}

fn required(name: &str, value: Option<String>) -> Result<String, ApiError> {
    value.filter(|text| !text.trim().is_empty()).ok_or_else(|| missing(name))
}
