//! Speech as a file, or as raw samples while it is spoken.

use super::parameters::Parameters;
use super::utterance::Utterance;
use crate::server::account::Account;
use crate::server::answer::{fill, pour};
use crate::server::app::App;
use crate::server::asked::{self, Asked};
use crate::server::error::ApiError;
use crate::server::format::{Container, Encoder, Format};
use crate::server::json::Fields;
use crate::server::openapi::{Binary, Refusals};
use crate::server::speech::Speech;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Instant;

/// What `/test` says.
const TEST: &str = "欢迎使用TTS服务";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Endpoint {
    /// A WAV file, with all parameters.
    Whole,
    /// A WAV file, with none.
    Simple,
    /// Raw samples as they are made.
    Stream,
    /// A fixed text in the first voice, to try whether all works.
    Test,
}

/// `POST /synthesize`.
#[utoipa::path(
    post,
    path = "/synthesize",
    tag = "index",
    operation_id = "index_synthesize",
    summary = "Speech as a file",
    request_body = super::api::IndexRequest,
    responses(
        (
            status = 200,
            description = "A WAV file",
            content_type = "audio/wav",
            body = inline(Binary),
            headers(
                ("Content-Disposition" = String),
                ("X-Sample-Rate" = u32, description = "Samples per second"),
                ("X-Bit-Depth" = u32),
                ("X-Channels" = u32),
                ("X-Ignored-Parameters" = String, description = "What was not heeded"),
            ),
        ),
        Refusals,
    )
)]
pub async fn whole(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    Endpoint::Whole.answer(&app, asked).await
}

/// `POST /synthesize_simple`.
#[utoipa::path(
    post,
    path = "/synthesize_simple",
    tag = "index",
    operation_id = "index_synthesize_simple",
    summary = "Speech as a file, with no parameters",
    request_body = super::api::IndexSimpleRequest,
    responses(
        (
            status = 200,
            description = "A WAV file",
            content_type = "audio/wav",
            body = inline(Binary),
            headers(
                ("Content-Disposition" = String),
                ("X-Sample-Rate" = u32, description = "Samples per second"),
                ("X-Bit-Depth" = u32),
                ("X-Channels" = u32),
            ),
        ),
        Refusals,
    )
)]
pub async fn simple(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    Endpoint::Simple.answer(&app, asked).await
}

/// `POST /synthesize_stream`.
#[utoipa::path(
    post,
    path = "/synthesize_stream",
    tag = "index",
    operation_id = "index_synthesize_stream",
    summary = "Speech as it is made",
    request_body = super::api::IndexStreamRequest,
    responses(
        (
            status = 200,
            description = "Raw 16-bit samples, little-endian",
            content_type = "application/octet-stream",
            body = inline(Binary),
            headers(
                ("Content-Disposition" = String),
                ("X-Sample-Rate" = u32, description = "Samples per second"),
                ("X-Bit-Depth" = u32),
                ("X-Channels" = u32),
                ("X-Ignored-Parameters" = String, description = "What was not heeded"),
            ),
        ),
        Refusals,
    )
)]
pub async fn stream(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    Endpoint::Stream.answer(&app, asked).await
}

/// `GET /test`.
#[utoipa::path(
    get,
    path = "/test",
    tag = "index",
    operation_id = "index_test",
    summary = "A fixed text in the first voice",
    responses(
        (
            status = 200,
            description = "A WAV file",
            content_type = "audio/wav",
            body = inline(Binary),
            headers(
                ("Content-Disposition" = String),
                ("X-Sample-Rate" = u32, description = "Samples per second"),
                ("X-Bit-Depth" = u32),
                ("X-Channels" = u32),
            ),
        ),
        (status = 400, description = "No voice is registered"),
        (status = 429, description = "Too many requests; `Retry-After` says when to come back"),
        (status = 503, description = "Busy, loading or shutting down"),
    )
)]
pub async fn test(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    Endpoint::Test.answer(&app, asked).await
}

impl Endpoint {
    fn path(self) -> &'static str {
        match self {
            Self::Whole => "/synthesize",
            Self::Simple => "/synthesize_simple",
            Self::Stream => "/synthesize_stream",
            Self::Test => "/test",
        }
    }

    /// Reads a request, and speaks. What fails before the first audio has a status of its own.
    async fn answer(self, app: &Arc<App>, asked: Asked) -> Result<Response, ApiError> {
        let read = |request| self.read(app, request);
        let speak = |utterance, account| self.speak(app, account, utterance);
        asked::answer(app, self.path(), asked, read, speak).await
    }

    async fn read(self, app: &App, request: Request) -> Result<Utterance, ApiError> {
        if self == Self::Test {
            return Utterance::of(app, TEST.into(), 0, Parameters::default());
        }
        let fields = Fields::read(app, request, ApiError::WrongType).await?;
        let parameters = match self {
            Self::Simple => Parameters::default(),
            _ => Parameters::read(&fields, self == Self::Whole)?,
        };
        Utterance::new(app, &fields, parameters)
    }

    async fn speak(
        self,
        app: &Arc<App>,
        mut account: Account,
        utterance: Utterance,
    ) -> Result<Response, ApiError> {
        account.characters(utterance.characters());
        let since = Instant::now();
        let streaming = self == Self::Stream;
        let rate = app.engine.status().sample_rate;
        let (container, media_type, filename) = match streaming {
            true => (Container::Pcm, "application/octet-stream", "synthesized_audio.pcm"),
            false => (Container::Wav, "audio/wav", "synthesized_audio.wav"),
        };
        let encoder = account.note(Encoder::new(rate, Format::new(container, rate)))?;
        let headers = [
            (header::CONTENT_TYPE.as_str(), media_type.to_string()),
            (header::CONTENT_DISPOSITION.as_str(), format!("attachment; filename={filename}")),
            ("x-sample-rate", rate.to_string()),
            ("x-bit-depth", "16".into()),
            ("x-channels", "1".into()),
        ];
        let ignored = utterance.headers();
        let request = utterance.request(&account.id.0, streaming);
        let (speech, _) = Speech::begin(app, account, request, encoder, since)?;
        let body = if streaming { pour(speech).await? } else { fill(speech).await? };
        Ok((headers, ignored, body).into_response())
    }
}
