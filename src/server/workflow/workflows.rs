//! `/v1/workflows`.

use super::KIND;
use super::reply::{self, WORKFLOW, task_id};
use super::request::{Speech, Workflow};
use crate::jobs::{ConfineError, JobId, JobRecord, JobSpec, JobState, JobVoice};
use crate::server::app::App;
use crate::server::client::Peer;
use crate::server::error::{ApiError, Details};
use crate::server::json::Fields;
use crate::server::openapi::Refusals;
use crate::server::outcome;
use crate::server::param::Param;
use crate::server::warning;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Runs a workflow and answers what it yields. An error names the workflow that it is about.
#[utoipa::path(
    post,
    path = "/v1/workflows",
    tag = "workflow",
    operation_id = "workflow_run",
    request_body = super::api::WorkflowRequest,
    responses(
        (
            status = 200,
            description = "What the task yields",
            body = super::api::WorkflowResult,
            headers(("X-Ignored-Parameters" = String, description = "What was not heeded")),
        ),
        (
            status = 202,
            description = "It goes on: ask `/v1/workflows/status/{workflow_id}`",
            body = super::api::WorkflowRunning,
            headers(("X-Ignored-Parameters" = String, description = "What was not heeded")),
        ),
        (status = 404, description = "This server takes no jobs, or the workflow was cancelled"),
        Refusals,
        (status = 501, description = "The loaded model has no control of emotion"),
    )
)]
pub async fn run(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let id = format!("{WORKFLOW}{}", JobId::random());
    match answer(&app, peer, request, &id).await {
        Ok(response) => response,
        Err(error) => {
            let ids = [("workflow_id", json!(id)), ("task_id", json!(task_id(&id)))];
            let details = ids.into_iter().map(|(name, id)| (name.to_string(), id)).collect();
            (Extension(Details(details)), error).into_response()
        }
    }
}

async fn answer(app: &App, peer: Peer, request: Request, id: &str) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let fields = Fields::read(app, request, ApiError::InvalidParameter).await?;
    let speech = match Workflow::parse(&fields, app.settings.max_text_length)? {
        Workflow::Health => return Ok(Json(reply::health(app)).into_response()),
        Workflow::ModelInfo => return Ok(Json(reply::model_info(app)).into_response()),
        Workflow::Presets => return Ok(Json(reply::presets(app)).into_response()),
        Workflow::Speech(speech) => speech,
    };
    app.open()?;
    app.charge(peer, &headers)?;
    let record = speak(app, &speech, id).await?;
    let mut response = match record.state {
        JobState::Completed => Json(reply::done(app, &record)).into_response(),
        JobState::Pending | JobState::Processing => {
            (StatusCode::ACCEPTED, Json(reply::running(&record))).into_response()
        }
        JobState::Failed | JobState::Cancelled => return Err(outcome::failure(&record)),
    };
    warning::note_lines(&mut response, &record.warnings);
    if let Some(value) = outcome::ignored(&speech.ignored()) {
        response.headers_mut().insert(outcome::IGNORED, value);
    }
    Ok(response)
}

/// Makes a job and waits for its end, or for as long as a request may, or until the server is to
/// end.
async fn speak(app: &App, speech: &Speech, id: &str) -> Result<JobRecord, ApiError> {
    let spec = JobSpec {
        kind: KIND.into(),
        text: speech.text.clone(),
        voice: voice(app, speech)?,
        max_text_tokens: usize::try_from(speech.max_text_tokens_per_segment).ok(),
        output: Some(output(app, speech)?),
        extra: reply::extra(speech),
        ..JobSpec::default()
    };
    app.jobs.submit(spec, Some(id.to_string())).await?;
    tokio::select! {
        record = app.jobs.wait(id, app.settings.workflow_wait) => Ok(record?),
        () = app.lifecycle.draining() => Ok(app.jobs.get(id).await?),
    }
}

fn voice(app: &App, speech: &Speech) -> Result<JobVoice, ApiError> {
    let Some(asked) = &speech.reference_audio else { return Ok(JobSpec::default().voice) };
    let path = app.jobs.readable(asked).map_err(|error| match error {
        ConfineError::Missing => {
            ApiError::InvalidParameter("`reference_audio`: there is no such file".into())
        }
        error => refused("reference_audio", "storage.shared_dir (or storage.voices_dir)", &error),
    })?;
    // What is said in it nobody told.
    Ok(JobVoice::File { path, text: String::new() })
}

fn output(app: &App, speech: &Speech) -> Result<PathBuf, ApiError> {
    let path = app.jobs.writable(&speech.output_path);
    let path = path.map_err(|error| refused("output_path", "storage.output_dir", &error))?;
    if path.is_dir() {
        let words = "`output_path` must be a file; there is a folder of this name";
        return Err(ApiError::InvalidParameter(words.into()));
    }
    Ok(path)
}

/// The answer to a path that leads elsewhere, with what would open the way to it.
fn refused(field: &str, setting: &str, error: &ConfineError) -> ApiError {
    ApiError::InvalidParameter(format!(
        "`{field}`: {error}; it must lie below the folder that the server's setting {setting} names"
    ))
}

/// How a workflow stands.
#[utoipa::path(
    get,
    path = "/v1/workflows/status/{workflow_id}",
    tag = "workflow",
    operation_id = "workflow_status",
    params(("workflow_id" = String, Path, description = "Of the answer to its request")),
    responses(
        (status = 200, description = "The workflow", body = super::api::WorkflowStatus),
        (status = 400, description = "The path is malformed"),
        (status = 404, description = "There is no such workflow"),
    )
)]
pub async fn status(State(app): State<Arc<App>>, Param(id): Param) -> Response {
    let words = "there is no workflow of this id";
    match outcome::find(&app, KIND, &id, words).await {
        Ok(record) => Json(reply::workflow(&app, &record)).into_response(),
        Err(error) => {
            let details = [("workflow_id".to_string(), Value::from(id))].into_iter().collect();
            (Extension(Details(details)), error).into_response()
        }
    }
}
