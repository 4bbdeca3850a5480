//! The dialect of the IndexTTS2 REST API: speech made by tasks, with voices from uploads.
//!
//! Where two revisions of the service differ, both are answered: uploads carry the names of both,
//! audio is found with `.wav` and without, and `POST /api/v1/tts/sync` answers the audio itself,
//! or, to clients that accept nothing but JSON, where it is found.

mod api;
mod files;
mod reply;
mod request;
mod tasks;
mod tts;

use super::app::App;
use super::request::gate;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::OpenApi;

/// What this dialect's jobs are known by.
const KIND: &str = "index2";

/// The dialect's part of the description.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api::Api::openapi()
}

pub fn router(app: Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/tts", post(tts::begin))
        .route("/api/v1/tts/sync", post(tts::wait))
        .route_layer(from_fn_with_state(app, gate))
        // What answers also while the model loads or the server drains.
        .route("/api/v1/health", get(health))
        .route("/api/v1/task/{task_id}", get(tasks::one).delete(tasks::delete))
        .route("/api/v1/tasks", get(tasks::all))
        .route("/api/v1/audio/{task_id}", get(tasks::audio))
        .route("/api/v1/upload/audio", post(files::upload))
        .route("/api/v1/file/{file_id}", get(files::one))
        .route("/api/v1/files", get(files::all))
        // Bodies have bounds of their own.
        .layer(DefaultBodyLimit::disable())
}

/// Whether the engine made progress or is idle.
#[utoipa::path(
    get,
    path = "/api/v1/health",
    tag = "index2",
    operation_id = "index2_health",
    security(()),
    responses((status = 200, description = "How it is", body = api::Index2Health))
)]
async fn health(State(app): State<Arc<App>>) -> Json<Value> {
    let status = if app.healthy() { "healthy" } else { "unhealthy" };
    Json(json!({ "status": status, "model_loaded": app.engine.status().ready }))
}
