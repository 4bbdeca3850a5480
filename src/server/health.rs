//! Whether the server lives, and what it counts. None of this runs a synthesis.

use super::app::App;
use super::dialect::Dialect;
use super::openapi::Problem;
use crate::telemetry::metrics;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use utoipa::{OpenApi, ToSchema};

/// The routes of a listener that serves these dialects.
pub fn router(dialects: &[Dialect]) -> Router<Arc<App>> {
    let dialects: Arc<[Dialect]> = dialects.into();
    let health = move |State(app): State<Arc<App>>| {
        let facts = Facts { good: app.healthy(), loaded: app.engine.status().ready };
        let body = body(&dialects, facts, unix_seconds());
        async move { (status(facts.good), Json(body)) }
    };
    Router::new()
        .route("/health", get(health))
        .route("/healthz", get(healthz))
        .route("/liveness", get(liveness))
        .route("/readiness", get(readiness))
        .route("/metrics", get(prometheus))
}

#[derive(Debug, Clone, Copy)]
struct Facts {
    /// The engine made progress or is idle.
    good: bool,
    /// The model is there.
    loaded: bool,
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// What the server says of itself.
#[derive(OpenApi)]
#[openapi(
    paths(body, healthz, liveness, readiness, prometheus, super::demo::root),
    components(schemas(Problem)),
    tags((name = "common", description = "How the server is"))
)]
struct Api;

/// The part of the description that all listeners have.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// Of these, what the dialects of the listener document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `body` makes")]
struct Health {
    #[schema(example = "Ok")]
    message: Option<String>,
    #[schema(example = "healthy")]
    status: Option<String>,
    model_loaded: Option<bool>,
    /// Seconds since 1970.
    timestamp: Option<f64>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `verdict` makes")]
struct Verdict {
    /// `Ok` or `Error`.
    #[schema(example = "Ok")]
    message: String,
}

/// What `/health` says: the keys that each dialect documents, all of them where one listener
/// serves several.
#[utoipa::path(
    get,
    path = "/health",
    tag = "common",
    operation_id = "health",
    security(()),
    responses(
        (status = 200, description = "The engine made progress or is idle", body = Health),
        (status = 503, description = "It did not, or there is no model yet", body = Health),
    )
)]
fn body(dialects: &[Dialect], facts: Facts, now: f64) -> Value {
    let Facts { good, loaded } = facts;
    let mut body = Map::new();
    for dialect in dialects {
        let keys = match dialect {
            Dialect::Light => json!({ "message": word(good) }),
            Dialect::Index => json!({
                "status": if good { "healthy" } else { "unhealthy" },
                "model_loaded": loaded,
                "timestamp": now,
            }),
            // Only its own clients read `ok`; others look for `healthy`.
            Dialect::Tasks if !dialects.contains(&Dialect::Index) => {
                json!({ "status": if good { "ok" } else { "error" } })
            }
            _ => continue,
        };
        if let Value::Object(keys) = keys {
            body.extend(keys);
        }
    }
    if body.is_empty() {
        body.insert("message".into(), json!(word(good)));
    }
    Value::Object(body)
}

fn word(good: bool) -> &'static str {
    if good { "Ok" } else { "Error" }
}

fn verdict(good: bool) -> (StatusCode, Json<Value>) {
    (status(good), Json(json!({ "message": word(good) })))
}

/// Seconds since 1970.
pub fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/liveness",
    tag = "common",
    operation_id = "liveness",
    security(()),
    responses((status = 200, description = "It does", body = Verdict))
)]
async fn liveness() -> impl IntoResponse {
    verdict(true)
}

/// Whether the engine made progress or is idle.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "common",
    operation_id = "healthz",
    security(()),
    responses(
        (status = 200, description = "It is well", body = Verdict),
        (status = 503, description = "It is not", body = Verdict),
    )
)]
async fn healthz(State(app): State<Arc<App>>) -> impl IntoResponse {
    verdict(app.healthy())
}

/// Whether a new request would be taken.
#[utoipa::path(
    get,
    path = "/readiness",
    tag = "common",
    operation_id = "readiness",
    security(()),
    responses(
        (status = 200, description = "It would", body = Verdict),
        (status = 503, description = "The model is loading, or the server drains", body = Verdict),
    )
)]
async fn readiness(State(app): State<Arc<App>>) -> impl IntoResponse {
    verdict(app.open().is_ok())
}

/// What the process counts.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "common",
    operation_id = "metrics",
    security((), ("bearer" = [])),
    responses((status = 200, description = "Prometheus text", content_type = "text/plain", body = String))
)]
async fn prometheus(State(app): State<Arc<App>>) -> impl IntoResponse {
    let status = app.engine.status();
    metrics::observe(status.active, status.queued, app.websockets());
    if let Some(memory) = app.engine.device_memory() {
        metrics::device_memory(memory.total - memory.free.min(memory.total), memory.total);
    }
    if let Some(store) = app.jobs.load().await {
        metrics::jobs::observe(store);
    }
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, media_type)], metrics::render(&app.metrics))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_reads_its_own_and_all_together_theirs() {
        let good = Facts { good: true, loaded: true };
        let say = |dialects: &[Dialect], facts| body(dialects, facts, 7.5);
        assert_eq!(say(&[Dialect::Light], good), json!({ "message": "Ok" }));
        assert_eq!(say(&[Dialect::Tasks], good), json!({ "status": "ok" }));
        let index = json!({ "status": "healthy", "model_loaded": true, "timestamp": 7.5 });
        assert_eq!(say(&[Dialect::Index], good), index);
        assert_eq!(say(&[Dialect::Openai], good), json!({ "message": "Ok" }));
        let all = json!({
            "message": "Ok", "status": "healthy", "model_loaded": true, "timestamp": 7.5
        });
        assert_eq!(say(&Dialect::ALL, good), all);
        let loading = Facts { good: false, loaded: false };
        let all = json!({
            "message": "Error", "status": "unhealthy", "model_loaded": false, "timestamp": 7.5
        });
        assert_eq!(say(&Dialect::ALL, loading), all);
    }
}
