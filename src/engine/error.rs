use std::time::Duration;

/// Why the engine refused or ended a session.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    #[error("the model is still loading")]
    NotReady,
    #[error("all sessions are busy and the queue is full")]
    Overloaded { retry_after: Duration },
    #[error("the server is shutting down")]
    Draining,
    #[error("no voice is called `{0}`")]
    UnknownVoice(String),
    #[error("{0}")]
    InvalidParameter(String),
    /// Our fault. The message is for the log; clients get the request id.
    #[error("synthesis failed: {0}")]
    Failed(String),
}
