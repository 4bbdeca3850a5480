//! `/api/v1/monitoring/…`: what the engine and the job store say of themselves. What is not
//! measured is null.

use super::reply::{self, task_id};
use super::request::SPEECH;
use super::time::iso;
use crate::jobs::{Filter, JobRecord, JobState, Statistics};
use crate::server::app::App;
use crate::server::error::ApiError;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

/// Past these shares of the jobs that have ended, something is wrong.
const MIN_SUCCESS_RATE: f64 = 0.8;
const MAX_TIMEOUT_RATE: f64 = 0.2;

/// Most jobs that one answer lists.
const MOST: usize = 1000;

/// Name under which this server's workers work.
const WORKER: &str = "mynah@localhost";

/// The one lock is the engine, which is held while a session generates; many
/// sessions share it, so that it never expires.
#[utoipa::path(
    get,
    path = "/api/v1/monitoring/gpu-lock/health",
    tag = "workflow",
    operation_id = "workflow_gpu_lock",
    responses(
        (status = 200, description = "The lock", body = super::api::WorkflowLocks),
        (status = 404, description = "This server takes no jobs"),
    )
)]
pub async fn gpu_lock(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let statistics = app.jobs.statistics().await?;
    let running = running(&app).await?;
    let acquired = running.iter().filter_map(|job| job.started_at).reduce(f64::max);
    let busy = reply::is_busy(&app);
    Ok(Json(json!({
        "status": if app.healthy() && is_well(&statistics) { "healthy" } else { "degraded" },
        "device": reply::device(&app),
        "total_locks": 1,
        "active_locks": u8::from(busy),
        "locks": [{
            "lock_key": "gpu_lock:0",
            "locked": busy,
            "last_acquired": acquired.map(iso),
            "expires_at": null,
        }],
        "health_thresholds": {
            "min_success_rate": MIN_SUCCESS_RATE,
            "max_timeout_rate": MAX_TIMEOUT_RATE,
        },
    })))
}

/// The jobs of all dialects that are being spoken.
async fn running(app: &App) -> Result<Vec<JobRecord>, ApiError> {
    let filter = Filter { state: Some(JobState::Processing), kind: None };
    Ok(app.jobs.list(MOST, filter).await?)
}

fn is_well(statistics: &Statistics) -> bool {
    success_rate(statistics).is_none_or(|rate| rate >= MIN_SUCCESS_RATE)
}

/// The share of jobs that succeeded among those that came to an end of their own.
fn success_rate(statistics: &Statistics) -> Option<f64> {
    let ended = statistics.completed + statistics.failed;
    (ended > 0).then(|| statistics.completed as f64 / ended as f64)
}

/// The jobs that have not ended, of which `active_tasks` run. A job's heartbeat
/// is its last progress.
#[utoipa::path(
    get,
    path = "/api/v1/monitoring/heartbeat/all",
    tag = "workflow",
    operation_id = "workflow_heartbeats",
    responses(
        (status = 200, description = "The jobs", body = super::api::WorkflowHeartbeats),
        (status = 404, description = "This server takes no jobs"),
    )
)]
pub async fn heartbeats(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let statistics = app.jobs.statistics().await?;
    let running = running(&app).await?;
    Ok(Json(json!({
        "total_tasks": statistics.pending + statistics.processing,
        "active_tasks": statistics.processing,
        "tasks": running.iter().map(heartbeat).collect::<Vec<_>>(),
    })))
}

fn heartbeat(job: &JobRecord) -> Value {
    let is_workflow = job.spec.kind == super::KIND;
    let id = job.id.as_str();
    json!({
        "task_id": if is_workflow { task_id(id) } else { id.to_string() },
        "task_name": if is_workflow { SPEECH } else { &job.spec.kind },
        "worker_id": WORKER,
        "last_heartbeat": iso(job.updated_at),
        "status": "running",
    })
}

/// Figures of the jobs that the store remembers.
#[utoipa::path(
    get,
    path = "/api/v1/monitoring/statistics",
    tag = "workflow",
    operation_id = "workflow_statistics",
    responses(
        (status = 200, description = "The figures", body = super::api::WorkflowStatistics),
        (status = 404, description = "This server takes no jobs"),
    )
)]
pub async fn statistics(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let statistics = app.jobs.statistics().await?;
    let Statistics { pending, processing, completed, failed, cancelled, .. } = statistics;
    let active = processing.min(statistics.workers);
    Ok(Json(json!({
        "system": {
            "total_tasks": pending + processing + completed + failed + cancelled,
            "successful_tasks": completed,
            "failed_tasks": failed,
            "cancelled_tasks": cancelled,
            "pending_tasks": pending,
            "success_rate": success_rate(&statistics),
            "avg_processing_time": (completed > 0).then_some(statistics.mean_process_seconds),
        },
        "gpu": {
            "device": reply::device(&app),
            "utilization": null,
            "memory_used": null,
            "memory_total": null,
        },
        "workers": {
            "total": statistics.workers,
            "active": active,
            "idle": statistics.workers - active,
        },
    })))
}
