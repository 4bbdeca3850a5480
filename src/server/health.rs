//! Whether the server lives, and what it counts. None of this runs a synthesis.

use super::app::App;
use crate::telemetry::metrics;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;

pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(health))
        .route("/healthz", get(health))
        .route("/liveness", get(|| async { verdict(true) }))
        .route("/readiness", get(readiness))
        .route("/metrics", get(prometheus))
}

fn verdict(good: bool) -> (StatusCode, Json<Value>) {
    if good {
        (StatusCode::OK, Json(json!({ "message": "Ok" })))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "message": "Error" })))
    }
}

/// Whether the engine made progress or is idle.
async fn health(State(app): State<Arc<App>>) -> impl IntoResponse {
    verdict(app.healthy())
}

/// Whether a new request would be taken.
async fn readiness(State(app): State<Arc<App>>) -> impl IntoResponse {
    verdict(app.open().is_ok())
}

async fn prometheus(State(app): State<Arc<App>>) -> impl IntoResponse {
    let status = app.engine.status();
    metrics::observe(status.active, status.queued, app.websockets());
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, media_type)], metrics::render(&app.metrics))
}
