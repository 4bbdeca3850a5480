//! `POST /inference_zero_shot`: text and a prompt in, a file or a stream of speech out.

use super::api::{LightForm, LightFormat};
use super::form::{Bounds, Form, OVERHEAD};
use super::{check_model, check_voice};
use crate::audio::PromptWarning;
use crate::engine::{SpeakRequest, TextInput, VoiceSource, report_prompt};
use crate::server::account::Account;
use crate::server::answer::{fill, pour};
use crate::server::app::App;
use crate::server::asked::{self, Asked};
use crate::server::error::ApiError;
use crate::server::format::{Container, Encoder, Format};
use crate::server::openapi::{Binary, Refusals};
use crate::server::speech::Speech;
use crate::server::{prompt, upload, warning};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Instant;

/// Speaks a text in the voice of a recording.
#[utoipa::path(
    post,
    path = "/inference_zero_shot",
    tag = "light",
    operation_id = "light_inference_zero_shot",
    request_body(content(
        (LightForm = "multipart/form-data"),
        (LightForm = "application/x-www-form-urlencoded"),
    )),
    responses(
        (
            status = 200,
            description = "The speech: a WAV file, or raw samples with `stream`",
            content(
                (inline(Binary) = "application/octet-stream"),
                (inline(Binary) = "audio/wav"),
                (inline(Binary) = "audio/pcm"),
                (inline(Binary) = "audio/ogg"),
                (inline(Binary) = "audio/mpeg"),
                (inline(Binary) = "audio/flac"),
            ),
            headers(
                ("X-Sample-Rate" = u32, description = "Samples per second"),
                ("X-Bit-Depth" = u32),
                ("X-Channels" = u32),
                ("X-Audio-Format" = LightFormat),
                (
                    "X-Mynah-Warning" = String,
                    description = "What may spoil the voice: `CODE: words`, separated by `; `"
                ),
            ),
        ),
        (status = 404, description = "No voice of that name is registered"),
        Refusals,
    )
)]
pub async fn handle(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let read = |request| Wanted::read(&app, request);
    let answer = |wanted: Wanted, account| wanted.answer(&app, account);
    asked::answer(&app, "/inference_zero_shot", asked, read, answer).await
}

/// A request that is understood.
struct Wanted {
    voice: VoiceSource,
    /// What is wrong with its recording.
    warnings: Vec<PromptWarning>,
    text: String,
    speed: f32,
    seed: Option<u64>,
    normalize: Option<bool>,
    stream: bool,
    /// Whether the client said which format it wants.
    chosen: bool,
    encoder: Encoder,
    since: Instant,
}

impl Wanted {
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
        let mut warnings = Vec::new();
        let voice = match form.voice {
            Some(name) => {
                check_voice(app, &name)?;
                VoiceSource::Named(name)
            }
            None => {
                let text = required("prompt_text", form.prompt_text)?;
                let bytes = form.prompt_wav.ok_or_else(|| missing("prompt_wav"))?;
                let read = prompt::read(app.clone(), bytes, text.clone(), room).await?;
                report_prompt(&read.warnings);
                warnings = read.warnings;
                VoiceSource::Prompt { audio: read.clip, text }
            }
        };
        Ok(Self {
            voice,
            warnings,
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
        account.characters(self.text.chars().count());
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
        let mut response = (headers, body).into_response();
        warning::note(&mut response, &self.warnings);
        Ok(response)
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::InvalidParameter(format!("`{name}` is missing"))
}

fn required(name: &str, value: Option<String>) -> Result<String, ApiError> {
    value.filter(|text| !text.trim().is_empty()).ok_or_else(|| missing(name))
}
