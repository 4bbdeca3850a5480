//! The dialect of the IndexTTS workflow service.
//!
//! A workflow is one task, and its request is answered with what the task yields. Speech that is
//! not done within `workflow.wait` is answered with 202, and goes on.

mod api;
mod monitoring;
mod reply;
mod request;
mod time;
mod workflows;

use super::app::App;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use std::sync::Arc;
use utoipa::OpenApi;

/// What this dialect's jobs are known by.
const KIND: &str = "workflow";

/// The dialect's part of the description.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api::Api::openapi()
}

pub fn router(_app: Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/v1/workflows", post(workflows::run))
        .route("/v1/workflows/status/{workflow_id}", get(workflows::status))
        .route("/api/v1/monitoring/gpu-lock/health", get(monitoring::gpu_lock))
        .route("/api/v1/monitoring/heartbeat/all", get(monitoring::heartbeats))
        .route("/api/v1/monitoring/statistics", get(monitoring::statistics))
        // Bodies have bounds of their own.
        .layer(DefaultBodyLimit::disable())
}
