//! The dialect of the IndexTTS task API: a client asks for a file in a folder, and comes back for
//! it later.

mod api;
mod request;

use super::app::App;
use super::client::Peer;
use super::error::ApiError;
use super::openapi::Refusals;
use super::param::Param;
use super::request::gate;
use crate::jobs::{JobError, JobRecord, JobState, now};
use axum::extract::{DefaultBodyLimit, Extension, Request, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Json, Router};
use request::Wanted;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use utoipa::OpenApi;

/// What marks jobs as this dialect's.
const KIND: &str = "tasks";

/// Ids that are tried for a task where others have taken them, as servers do that share a store.
const MOST_IDS: usize = 100;

/// Tasks that this process was given.
static TASKS: AtomicU64 = AtomicU64::new(0);

/// The dialect's part of the description.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api::Api::openapi()
}

pub fn router(app: Arc<App>) -> Router<Arc<App>> {
    let create = post(create).layer(from_fn_with_state(app, gate));
    Router::new()
        .route("/api/tts/prompts", get(prompts))
        .route("/api/tts/tasks", create)
        .route("/api/tts/tasks/{task_id}", get(status))
        .route("/api/tts/health", get(health))
        // Bodies have bounds of their own.
        .layer(DefaultBodyLimit::disable())
}

/// Whether the engine made progress or is idle.
#[utoipa::path(
    get,
    path = "/api/tts/health",
    tag = "tasks",
    operation_id = "tasks_health",
    responses(
        (status = 200, description = "It did", body = api::TasksHealth),
        (status = 503, description = "It did not", body = api::TasksHealth),
    )
)]
async fn health(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    if app.healthy() {
        (StatusCode::OK, Json(json!({ "status": "ok" })))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "error" })))
    }
}

/// The registered voices, as this interface knows recordings: by the names of their files.
#[utoipa::path(
    get,
    path = "/api/tts/prompts",
    tag = "tasks",
    operation_id = "tasks_prompts",
    responses((status = 200, description = "All of them", body = api::TasksPrompts))
)]
async fn prompts(State(app): State<Arc<App>>) -> Json<Value> {
    let files = app.engine.status().voices.into_iter().map(|name| format!("{name}.wav"));
    Json(json!({ "prompts": files.collect::<Vec<_>>() }))
}

/// Makes a task, which writes a file into a folder of the server.
#[utoipa::path(
    post,
    path = "/api/tts/tasks",
    tag = "tasks",
    operation_id = "tasks_create",
    request_body = api::TasksRequest,
    responses(
        (status = 200, description = "The task", body = api::TasksCreated),
        (status = 404, description = "This server takes no jobs"),
        Refusals,
    )
)]
async fn create(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    app.charge(peer, request.headers())?;
    let wanted = Wanted::read(&app, request).await?;
    for _ in 0..MOST_IDS {
        let number = TASKS.fetch_add(1, Ordering::Relaxed);
        let id = format!("task_{}_{number}", now() as u64);
        let spec = wanted.spec(&app, &id)?;
        match app.jobs.submit(spec, Some(id)).await {
            Ok(id) => return Ok(Json(json!({ "task_id": id, "status": "pending" }))),
            Err(JobError::Duplicate(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::Processing("no id is free for a task".into()))
}

/// How a task stands.
#[utoipa::path(
    get,
    path = "/api/tts/tasks/{task_id}",
    tag = "tasks",
    operation_id = "tasks_status",
    params(("task_id" = String, Path, description = "Of the answer to its request")),
    responses(
        (status = 200, description = "The task", body = api::TasksTask),
        (status = 400, description = "The path is malformed"),
        (status = 404, description = "There is no such task"),
    )
)]
async fn status(State(app): State<Arc<App>>, Param(id): Param) -> Result<Json<Value>, ApiError> {
    let unknown = || {
        let shown: String = id.escape_debug().take(100).collect();
        ApiError::NotFound(format!("Task with ID '{shown}' not found"))
    };
    match app.jobs.get(&id).await {
        Ok(record) if record.spec.kind == KIND => Ok(Json(reply(&record))),
        Ok(_) | Err(JobError::NotFound(_)) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

/// A task as its client sees it. It has a time once it has ended, and an error if it has failed.
fn reply(record: &JobRecord) -> Value {
    let mut reply = json!({
        "task_id": record.id,
        "status": record.state.name(),
        "output_path": record.spec.extra["output_path"],
    });
    if record.state.is_final() {
        let seconds = record.process_seconds.unwrap_or(0.0);
        reply["process_time"] = json!((seconds * 100.0).round() / 100.0);
    }
    match record.state {
        JobState::Completed => reply["output_file"] = json!(record.spec.output),
        JobState::Failed => reply["error"] = json!(record.message),
        // This interface has no such state.
        JobState::Cancelled => {
            reply["status"] = json!(JobState::Failed.name());
            reply["error"] = json!("the task was cancelled");
        }
        JobState::Pending | JobState::Processing => {}
    }
    reply
}
