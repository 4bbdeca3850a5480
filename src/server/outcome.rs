//! What becomes of jobs, as requests learn it.

use super::app::App;
use super::error::ApiError;
use crate::jobs::{JobError, JobId, JobRecord, JobState};
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use std::sync::Arc;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// Bytes of a file that are read at a time.
const PIECE: usize = 64 * 1024;

/// How often whoever waits for a job looks whether the server drains.
const LOOK: Duration = Duration::from_secs(1);

/// Header that names what a request set and nothing heeds.
pub const IGNORED: HeaderName = HeaderName::from_static("x-ignored-parameters");

/// The value of [`IGNORED`]; None where everything was heeded.
pub fn ignored(names: &[&str]) -> Option<HeaderValue> {
    let value = HeaderValue::from_str(&names.join(", ")).ok();
    value.filter(|_| !names.is_empty())
}

/// A job of one dialect: those of others are none of its clients' business.
///
/// # Errors
/// [`ApiError::NotFound`], in these words.
pub async fn find(app: &App, kind: &str, id: &str, none: &str) -> Result<JobRecord, ApiError> {
    let missing = || ApiError::NotFound(none.into());
    match app.jobs.get(id).await {
        Ok(record) if record.spec.kind == kind => Ok(record),
        Ok(_) | Err(JobError::NotFound(_)) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

/// Waits for a job's end, however long it takes.
///
/// # Errors
/// [`ApiError::Draining`] where the server is to end before the job has begun.
pub async fn end(app: &App, id: &str) -> Result<JobRecord, ApiError> {
    let _playing = app.lifecycle.play();
    loop {
        let record = app.jobs.wait(id, LOOK).await?;
        if record.state.is_final() {
            return Ok(record);
        }
        if app.lifecycle.is_draining() && record.state == JobState::Pending {
            return Err(ApiError::Draining);
        }
    }
}

/// The audio of a completed job as a file of this name, read as it is sent.
///
/// # Errors
/// [`ApiError::NotFound`] where it is there no more.
pub async fn audio(app: &App, id: &str, name: &str) -> Result<Response, ApiError> {
    let gone = |_| ApiError::NotFound("音频文件不存在".into());
    let path = app.jobs.result(id).await?;
    let file = File::open(path).await.map_err(gone)?;
    let length = file.metadata().await.map_err(gone)?.len();
    let body = stream::unfold(file, |mut file| async move {
        let mut piece = Vec::with_capacity(PIECE);
        match file.read_buf(&mut piece).await {
            Ok(0) => None,
            read => Some((read.map(|_| Bytes::from(piece)), file)),
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "audio/wav".to_string()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Why a job that has ended has no result.
pub fn failure(record: &JobRecord) -> ApiError {
    if record.state == JobState::Cancelled {
        return ApiError::NotFound("the task was cancelled".into());
    }
    let words = record.message.clone();
    match record.error_code.as_deref() {
        Some("TASK_TIMEOUT") => ApiError::Timeout(words),
        Some("NOT_FOUND") => ApiError::NotFound(words),
        Some("INVALID_PARAMETER") => ApiError::InvalidParameter(words),
        Some("UNSUPPORTED_AUDIO") => ApiError::UnsupportedAudio(words),
        Some("VALIDATION_FAILED") => ApiError::PromptTooLong(words),
        Some("MODEL_NOT_READY") => ApiError::NotReady,
        Some("DRAINING") => ApiError::Draining,
        Some("INSUFFICIENT_MEMORY") => ApiError::StorageFull,
        _ => ApiError::Processing(words),
    }
}

/// Cancels a job when it is dropped: whoever waited for it has gone.
pub struct Leash {
    app: Arc<App>,
    id: Option<JobId>,
}

impl Leash {
    pub fn new(app: Arc<App>, id: JobId) -> Self {
        Self { app, id: Some(id) }
    }

    /// Lets the job go its way.
    pub fn release(mut self) {
        self.id = None;
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let app = self.app.clone();
        // None while the process ends, and its jobs with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = app.jobs.cancel(id.as_str()).await {
                    tracing::debug!(%id, %error, "a job nobody waits for goes on");
                }
            });
        }
    }
}
