//! Tasks and their audio.

use super::{KIND, reply};
use crate::jobs::{Filter, JobState};
use crate::server::app::App;
use crate::server::error::ApiError;
use crate::server::openapi::Binary;
use crate::server::outcome;
use crate::server::param::Param;
use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

/// Tasks that a list has where the client names no number, and at most.
const USUAL: usize = 50;
const MOST: usize = 1000;

const NO_TASK: &str = "任务不存在";

/// How a task stands.
#[utoipa::path(
    get,
    path = "/api/v1/task/{task_id}",
    tag = "index2",
    operation_id = "index2_task",
    params(("task_id" = String, Path, description = "Of the answer to its request")),
    responses(
        (status = 200, description = "The task", body = super::api::Index2Task),
        (status = 400, description = "The path is malformed"),
        (status = 404, description = "There is no such task"),
    )
)]
pub async fn one(State(app): State<Arc<App>>, Param(id): Param) -> Result<Json<Value>, ApiError> {
    let record = outcome::find(&app, KIND, &id, NO_TASK).await?;
    Ok(Json(reply::task(&record)))
}

/// Deletes a task and its speech. What is still being made is cancelled.
#[utoipa::path(
    delete,
    path = "/api/v1/task/{task_id}",
    tag = "index2",
    operation_id = "index2_delete_task",
    params(("task_id" = String, Path, description = "Of the answer to its request")),
    responses(
        (status = 200, description = "It is gone", body = super::api::Index2Deleted),
        (status = 400, description = "The path is malformed"),
        (status = 404, description = "There is no such task"),
        (status = 503, description = "The storage is full"),
    )
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Param(id): Param,
) -> Result<Json<Value>, ApiError> {
    let record = outcome::find(&app, KIND, &id, NO_TASK).await?;
    app.jobs.delete(record.id.as_str()).await?;
    Ok(Json(json!({ "success": true, "message": "任务已删除" })))
}

/// Tasks, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/tasks",
    tag = "index2",
    operation_id = "index2_tasks",
    params(
        ("limit" = Option<u32>, Query, description = "How many", minimum = 1, maximum = 1000),
        ("status" = Option<super::api::Index2Status>, Query, description = "Only of this state"),
    ),
    responses(
        (status = 200, description = "Some tasks", body = super::api::Index2Tasks),
        (status = 400, description = "A parameter is malformed"),
        (status = 404, description = "This server takes no jobs"),
        (status = 422, description = "`limit` is out of its range"),
    )
)]
pub async fn all(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<Value>, ApiError> {
    let Query { limit, states } = Query::parse(uri.query().unwrap_or_default())?;
    let list = |state| {
        let filter = Filter { state, kind: Some(KIND.into()) };
        app.jobs.list(limit, filter)
    };
    let mut records = Vec::new();
    match states {
        None => records = list(None).await?,
        Some(states) => {
            for state in states {
                records.extend(list(Some(*state)).await?);
            }
            records.sort_by(|a, b| b.created_at.total_cmp(&a.created_at));
            records.truncate(limit);
        }
    }
    let tasks: Vec<_> = records.iter().map(reply::task).collect();
    Ok(Json(json!({ "tasks": tasks })))
}

/// A task's speech. Its id may have `.wav` after it.
#[utoipa::path(
    get,
    path = "/api/v1/audio/{task_id}",
    tag = "index2",
    operation_id = "index2_audio",
    params(("task_id" = String, Path, description = "Of the answer to its request")),
    responses(
        (
            status = 200,
            description = "A WAV file",
            content_type = "audio/wav",
            body = inline(Binary),
            headers(("Content-Disposition" = String)),
        ),
        (status = 400, description = "The task is not completed"),
        (status = 404, description = "There is no such task"),
    )
)]
pub async fn audio(State(app): State<Arc<App>>, Param(id): Param) -> Result<Response, ApiError> {
    let id = id.strip_suffix(".wav").unwrap_or(&id);
    let record = outcome::find(&app, KIND, id, NO_TASK).await?;
    if record.state != JobState::Completed {
        return Err(ApiError::InvalidParameter("音频尚未生成完成".into()));
    }
    outcome::audio(&app, id, &format!("tts_{id}.wav")).await
}

#[derive(Debug, PartialEq)]
struct Query {
    limit: usize,
    states: Option<&'static [JobState]>,
}

impl Query {
    fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parsed = Self { limit: USUAL, states: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit" => {
                    let number: i64 = value.trim().parse().map_err(|_| {
                        ApiError::InvalidParameter("`limit` must be a whole number".into())
                    })?;
                    let limit = usize::try_from(number).ok().filter(|n| (1..=MOST).contains(n));
                    parsed.limit = limit.ok_or_else(|| {
                        ApiError::OutOfRange(format!("`limit` must be 1 to {MOST}"))
                    })?;
                }
                "status" if !value.is_empty() => {
                    let states = reply::states(&value).ok_or_else(|| {
                        let words = "`status` must be pending, processing, completed or failed";
                        ApiError::InvalidParameter(words.into())
                    })?;
                    parsed.states = Some(states);
                }
                _ => {}
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let parse = |query| Query::parse(query).map_err(|e| e.status().as_u16());
        assert_eq!(parse(""), Ok(Query { limit: 50, states: None }));
        assert_eq!(parse("status=&x=1"), Ok(Query { limit: 50, states: None }));
        let done = Some([JobState::Completed].as_slice());
        assert_eq!(parse("limit=7&status=completed"), Ok(Query { limit: 7, states: done }));
        for (wrong, status) in [
            ("limit=many", 400),
            ("limit=", 400),
            ("limit=0", 422),
            ("limit=-1", 422),
            ("limit=1001", 422),
            ("status=cancelled", 400),
        ] {
            assert_eq!(parse(wrong), Err(status), "{wrong}");
        }
    }
}
