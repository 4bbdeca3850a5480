//! `POST /api/v1/tts` and `POST /api/v1/tts/sync`.

use super::request::TtsRequest;
use super::{KIND, files, reply};
use crate::jobs::{JobId, JobSpec, JobState, JobVoice};
use crate::server::app::App;
use crate::server::client::Peer;
use crate::server::error::{ApiError, Details};
use crate::server::json::Fields;
use crate::server::openapi::{Binary, Refusals};
use crate::server::outcome::{self, Leash};
use crate::server::warning;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::json;
use std::sync::Arc;

/// Makes a task and answers at once.
#[utoipa::path(
    post,
    path = "/api/v1/tts",
    tag = "index2",
    operation_id = "index2_tts",
    request_body = super::api::Index2Request,
    responses(
        (
            status = 200,
            description = "The task",
            body = super::api::Index2Created,
            headers(("X-Ignored-Parameters" = String, description = "What was not heeded")),
        ),
        (status = 404, description = "There is no such upload"),
        Refusals,
        (status = 501, description = "The loaded model has no control of emotion"),
    )
)]
pub async fn begin(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, ApiError> {
    let (id, ignored) = submit(&app, peer, request).await?;
    Ok(noting(&ignored, Json(reply::created(id.as_str()))))
}

/// Makes a task and answers its end: the speech, or, to clients that accept nothing but JSON, where
/// it is found. A client that leaves before it takes the task with it.
#[utoipa::path(
    post,
    path = "/api/v1/tts/sync",
    tag = "index2",
    operation_id = "index2_tts_sync",
    request_body = super::api::Index2Request,
    responses(
        (
            status = 200,
            description = "A WAV file, or where it is found",
            content(
                (inline(Binary) = "audio/wav"),
                (super::api::Index2Created = "application/json"),
            ),
            headers(
                ("X-Task-Id" = String, description = "The task, beside a WAV file"),
                ("Content-Disposition" = String),
                ("X-Ignored-Parameters" = String, description = "What was not heeded"),
            ),
        ),
        (status = 404, description = "There is no such upload, or the task was deleted"),
        Refusals,
        (status = 501, description = "The loaded model has no control of emotion"),
    )
)]
pub async fn wait(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, ApiError> {
    let json_only = accepts_json_only(request.headers());
    let (id, ignored) = submit(&app, peer, request).await?;
    let leash = Leash::new(app.clone(), id.clone());
    let record = outcome::end(&app, id.as_str()).await?;
    leash.release();
    if record.state != JobState::Completed {
        let error = outcome::failure(&record);
        let details = [("task_id".to_string(), json!(id.as_str()))].into_iter().collect();
        return Ok((Extension(Details(details)), error).into_response());
    }
    let mut response = if json_only {
        noting(&ignored, Json(reply::finished(&record)))
    } else {
        let audio = outcome::audio(&app, id.as_str(), &format!("tts_{id}.wav")).await?;
        noting(&ignored, ([("x-task-id", id.to_string())], audio))
    };
    warning::note_lines(&mut response, &record.warnings);
    Ok(response)
}

/// A new task, and what its request set in vain.
async fn submit(
    app: &App,
    peer: Peer,
    request: Request,
) -> Result<(JobId, Vec<&'static str>), ApiError> {
    app.charge(peer, request.headers())?;
    let fields = Fields::read(app, request, ApiError::InvalidParameter).await?;
    let asked = TtsRequest::parse(&fields, app.settings.max_text_length)?;
    let mut spec = JobSpec {
        kind: KIND.into(),
        text: asked.text,
        sampling: asked.sampling,
        max_text_tokens: Some(asked.max_text_tokens),
        ..JobSpec::default()
    };
    if let Some(file_id) = asked.prompt {
        files::find(app, &file_id).await?;
        // What is said in it nobody told.
        spec.voice = JobVoice::Upload { file_id, text: String::new() };
    }
    let id = app.jobs.submit(spec, None).await?;
    Ok((id, asked.ignored))
}

fn noting(ignored: &[&str], response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    if let Some(value) = outcome::ignored(ignored) {
        response.headers_mut().insert(outcome::IGNORED, value);
    }
    response
}

/// Whether a client asks for JSON and would not have audio. Most that name JSON take all else too,
/// by the habit of their libraries.
fn accepts_json_only(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let types: Vec<_> = lines
        .flat_map(|line| line.split(','))
        .map(|part| part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    let audio = |t: &String| t == "*/*" || t.starts_with("audio/");
    types.iter().any(|t| t == "application/json") && !types.iter().any(audio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_goes_to_all_that_would_have_it() {
        let json_only = |accept: &'static str| {
            let value = header::HeaderValue::from_static(accept);
            accepts_json_only(&HeaderMap::from_iter([(header::ACCEPT, value)]))
        };
        assert!(json_only("application/json"));
        assert!(json_only("Application/JSON; charset=utf-8, text/plain"));
        for audio in ["*/*", "application/json, text/plain, */*", "audio/wav, application/json", ""]
        {
            assert!(!json_only(audio), "{audio}");
        }
        assert!(!accepts_json_only(&HeaderMap::new()));
    }
}
