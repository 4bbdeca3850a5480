//! The job store as dialects see it: opened with the server, its errors told as theirs.

use super::error::{ApiError, RETRY};
use crate::config::{Config, ConfigError};
use crate::engine::EngineHandle;
use crate::jobs::{ConfineError, JobError, JobSettings, Jobs};

/// # Errors
/// [`ConfigError::Value`] names the setting of a store that cannot be opened.
pub async fn open(config: &Config, engine: &EngineHandle) -> Result<Jobs, ConfigError> {
    let opened = Jobs::open(JobSettings::from(config), engine.clone()).await;
    opened.map_err(|error| {
        let (key, value) = match config.jobs.backend.as_str() {
            // The address may hold a password.
            "redis" => ("jobs.redis_url", "(set)".into()),
            _ => ("storage.dir", config.storage.dir.display().to_string()),
        };
        ConfigError::Value { key, value, reason: error.to_string() }
    })
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        let words = error.to_string();
        match error {
            JobError::Off => Self::NotFound(words),
            JobError::Invalid(_) | JobError::Duplicate(_) | JobError::NotCompleted(_) => {
                Self::InvalidParameter(words)
            }
            JobError::NotFound(_) => Self::NotFound(words),
            JobError::QueueFull => {
                Self::Overloaded { reason: "too many jobs are waiting", retry_after: RETRY }
            }
            JobError::StorageFull => Self::StorageFull,
            JobError::Unavailable(_) => Self::Processing(words),
        }
    }
}

impl From<ConfineError> for ApiError {
    fn from(error: ConfineError) -> Self {
        Self::InvalidParameter(error.to_string())
    }
}
