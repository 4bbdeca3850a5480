use super::JobState;
use std::io;

/// Why the job store refused something.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JobError {
    /// `jobs.backend = "off"`.
    #[error("this server keeps no jobs")]
    Off,
    #[error("{0}")]
    Invalid(String),
    #[error("a job `{0}` exists already")]
    Duplicate(String),
    #[error("there is no {0}")]
    NotFound(&'static str),
    /// The job has no result, yet or ever.
    #[error("the job is {}", .0.name())]
    NotCompleted(JobState),
    #[error("too many jobs are waiting")]
    QueueFull,
    /// `storage.max_bytes` is reached, or the disk is full.
    #[error("the storage is full")]
    StorageFull,
    /// The store cannot be reached or read. The reason is for the log.
    #[error("{0}")]
    Unavailable(String),
}

impl JobError {
    /// Of what was being done when the file system failed.
    pub(super) fn io(what: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::StorageFull,
            _ => Self::Unavailable(format!("{what}: {error}")),
        }
    }
}
