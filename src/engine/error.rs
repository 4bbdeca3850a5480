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
    /// Not decodable, silent, too short.
    #[error("{0}")]
    UnsupportedAudio(String),
    #[error("the prompt audio is {seconds:.1} s long; at most {limit} s can be used")]
    PromptTooLong { seconds: f64, limit: f64 },
    #[error("{0}")]
    InvalidParameter(String),
    /// The client left its audio unread for too long.
    #[error("the client did not read its audio for {0:?}")]
    Stalled(Duration),
    /// Our fault. The message is for the log; clients get the request id.
    #[error("synthesis failed: {0}")]
    Failed(String),
}
