//! Everything a client can be refused for, and the one table of how it is told.

use super::dialect::Dialect;
use crate::engine::EngineError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::time::Duration;

/// Why a request failed. `Display` is the detail that the client reads.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApiError {
    #[error("{0}")]
    InvalidParameter(String),
    /// A well-formed number outside its range.
    #[error("{0}")]
    OutOfRange(String),
    /// A value of another type than its field has.
    #[error("{0}")]
    WrongType(String),
    /// WebSocket frames in an order that means nothing.
    #[error("{0}")]
    WrongOrder(String),
    #[error("{0}")]
    UnsupportedAudio(String),
    #[error("{0}")]
    PromptTooLong(String),
    #[error("an API key is needed; send it as `Authorization: Bearer KEY`")]
    Unauthorized,
    #[error("{0}")]
    NotFound(String),
    #[error("this path does not answer that method")]
    MethodNotAllowed,
    #[error("at most {limit} bytes are accepted")]
    PayloadTooLarge { limit: usize },
    #[error("Maximum text length is {limit} characters")]
    TextTooLong { limit: usize },
    #[error("too many requests; try again in {} s", whole_seconds(*retry_after))]
    RateLimited { retry_after: Duration },
    /// The client took too long to say, or to read, something.
    #[error("{0}")]
    Timeout(String),
    /// Our fault. The reason is for the log alone.
    #[error("{0}")]
    Processing(String),
    /// What the loaded model cannot do.
    #[error("{0}")]
    UnsupportedByModel(String),
    #[error("the server's storage is full; delete results or try again later")]
    StorageFull,
    #[error("TTS model is still loading")]
    NotReady,
    #[error("{reason}; try again in {} s", whole_seconds(*retry_after))]
    Overloaded { reason: &'static str, retry_after: Duration },
    #[error("the server is shutting down")]
    Draining,
}

/// How long a client should wait where nothing better is known.
pub const RETRY: Duration = Duration::from_secs(2);

/// A row of the table: what one kind of error is on the wire.
struct Row {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    /// Close code of a WebSocket.
    close: u16,
    retry_after: Option<Duration>,
}

impl ApiError {
    fn row(&self) -> Row {
        use StatusCode as S;
        let row =
            |status, code, message, close| Row { status, code, message, close, retry_after: None };
        let later = |row, after: Duration| Row { retry_after: Some(after), ..row };
        match self {
            Self::InvalidParameter(_) => {
                row(S::BAD_REQUEST, "INVALID_PARAMETER", "Invalid parameter", 1007)
            }
            Self::WrongOrder(_) => {
                row(S::BAD_REQUEST, "INVALID_PARAMETER", "Unexpected frame", 1007)
            }
            Self::OutOfRange(_) => {
                row(S::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", "Value out of range", 1007)
            }
            Self::WrongType(_) => {
                row(S::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", "Value of a wrong type", 1007)
            }
            Self::PromptTooLong(_) => {
                row(S::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", "Prompt audio too long", 1008)
            }
            Self::TextTooLong { .. } => {
                row(S::UNPROCESSABLE_ENTITY, "TEXT_TOO_LONG", "Text too long", 1008)
            }
            Self::UnsupportedAudio(_) => {
                row(S::BAD_REQUEST, "UNSUPPORTED_AUDIO", "Unsupported audio", 1003)
            }
            Self::Unauthorized => row(S::UNAUTHORIZED, "UNAUTHORIZED", "Unauthorized", 1008),
            Self::UnsupportedByModel(_) => {
                row(S::NOT_IMPLEMENTED, "UNSUPPORTED_BY_MODEL", "Unsupported by the model", 1008)
            }
            Self::StorageFull => later(
                row(S::SERVICE_UNAVAILABLE, "INSUFFICIENT_MEMORY", "Storage full", 1013),
                Duration::from_secs(60),
            ),
            Self::NotFound(_) => row(S::NOT_FOUND, "NOT_FOUND", "Not found", 1007),
            Self::MethodNotAllowed => {
                row(S::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "Method not allowed", 1007)
            }
            Self::PayloadTooLarge { .. } => {
                row(S::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "Payload too large", 1009)
            }
            Self::Timeout(_) => row(S::REQUEST_TIMEOUT, "TASK_TIMEOUT", "Timed out", 1008),
            Self::RateLimited { retry_after } => later(
                row(S::TOO_MANY_REQUESTS, "RATE_LIMITED", "Too many requests", 1008),
                *retry_after,
            ),
            Self::Processing(_) => {
                row(S::INTERNAL_SERVER_ERROR, "PROCESSING_ERROR", "Processing error", 1011)
            }
            Self::NotReady => later(
                row(S::SERVICE_UNAVAILABLE, "MODEL_NOT_READY", "Model not ready", 1013),
                RETRY,
            ),
            Self::Overloaded { retry_after, .. } => {
                later(row(S::SERVICE_UNAVAILABLE, "OVERLOADED", "Overloaded", 1013), *retry_after)
            }
            Self::Draining => {
                later(row(S::SERVICE_UNAVAILABLE, "DRAINING", "Shutting down", 1013), RETRY)
            }
        }
    }

    pub fn status(&self) -> StatusCode {
        self.row().status
    }

    pub fn code(&self) -> &'static str {
        self.row().code
    }

    /// The code a WebSocket closes with after this error.
    pub fn close_code(&self) -> u16 {
        self.row().close
    }

    /// Whether the request was turned away unheard, because of the state of the server or the
    /// number of requests rather than because of what it asks.
    pub fn is_rejection(&self) -> bool {
        self.row().retry_after.is_some()
    }

    /// What the client reads: the body of a response, or a text frame.
    pub fn body(&self, request_id: &str) -> Value {
        let Row { code, message, .. } = self.row();
        if let Self::Processing(_) = self {
            return json!({
                "message": format!("{message} (request {request_id})"),
                "detail": format!("the log has the cause under request {request_id}"),
                "error_code": code,
            });
        }
        json!({ "message": message, "detail": self.to_string(), "error_code": code })
    }

    /// The whole response. Handlers return the error itself: [`super::request::track`], which
    /// knows the id, makes the response.
    pub fn response(&self, request_id: &str, dialect: Dialect) -> Response {
        let row = self.row();
        let body = dialect.error(row.status.as_u16(), self.body(request_id));
        let mut response = (row.status, axum::Json(body)).into_response();
        if let Some(after) = row.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(after).into());
        }
        if *self == Self::Draining {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

/// Rounded up: a client that waits this long waits long enough.
fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

impl IntoResponse for ApiError {
    /// An empty response that carries the error to [`super::request::track`].
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let words = error.to_string();
        match error {
            EngineError::NotReady => Self::NotReady,
            EngineError::Overloaded { retry_after } => {
                Self::Overloaded { reason: "all sessions are busy", retry_after }
            }
            EngineError::Draining => Self::Draining,
            EngineError::UnknownVoice(_) => Self::NotFound(words),
            EngineError::InvalidParameter(_) => Self::InvalidParameter(words),
            EngineError::Failed(_) => Self::Processing(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the interface's description, row by row.
    #[test]
    fn statuses_codes_and_close_codes() {
        let text = || "why".to_string();
        let overloaded = ApiError::Overloaded { reason: "full", retry_after: RETRY };
        for (error, status, code, close) in [
            (ApiError::InvalidParameter(text()), 400, "INVALID_PARAMETER", 1007),
            (ApiError::WrongOrder(text()), 400, "INVALID_PARAMETER", 1007),
            (ApiError::UnsupportedAudio(text()), 400, "UNSUPPORTED_AUDIO", 1003),
            (ApiError::Unauthorized, 401, "UNAUTHORIZED", 1008),
            (ApiError::UnsupportedByModel(text()), 501, "UNSUPPORTED_BY_MODEL", 1008),
            (ApiError::StorageFull, 503, "INSUFFICIENT_MEMORY", 1013),
            (ApiError::NotFound(text()), 404, "NOT_FOUND", 1007),
            (ApiError::MethodNotAllowed, 405, "METHOD_NOT_ALLOWED", 1007),
            (ApiError::Timeout(text()), 408, "TASK_TIMEOUT", 1008),
            (ApiError::PayloadTooLarge { limit: 9 }, 413, "PAYLOAD_TOO_LARGE", 1009),
            (ApiError::TextTooLong { limit: 9 }, 422, "TEXT_TOO_LONG", 1008),
            (ApiError::OutOfRange(text()), 422, "VALIDATION_FAILED", 1007),
            (ApiError::WrongType(text()), 422, "VALIDATION_FAILED", 1007),
            (ApiError::PromptTooLong(text()), 422, "VALIDATION_FAILED", 1008),
            (ApiError::RateLimited { retry_after: RETRY }, 429, "RATE_LIMITED", 1008),
            (ApiError::Processing(text()), 500, "PROCESSING_ERROR", 1011),
            (ApiError::NotReady, 503, "MODEL_NOT_READY", 1013),
            (overloaded, 503, "OVERLOADED", 1013),
            (ApiError::Draining, 503, "DRAINING", 1013),
        ] {
            assert_eq!(error.status().as_u16(), status, "{error:?}");
            assert_eq!(error.code(), code, "{error:?}");
            assert_eq!(error.close_code(), close, "{error:?}");
            let retries = matches!(status, 429 | 503);
            let response = error.response("r1", Dialect::Light);
            assert_eq!(response.headers().contains_key("retry-after"), retries, "{error:?}");
            assert_eq!(error.is_rejection(), retries, "{error:?}");
        }
    }

    /// Reasons of our own failures may name files and shapes, which are nobody's business.
    #[test]
    fn internal_reasons_stay_in_the_log() {
        let body = ApiError::Processing("tensor llm.7 at /srv".into()).body("r1").to_string();
        assert!(!body.contains("tensor") && body.contains("r1"), "{body}");
    }

    #[test]
    fn waits_are_rounded_up() {
        let header = |ms| {
            let error = ApiError::RateLimited { retry_after: Duration::from_millis(ms) };
            error.response("r1", Dialect::Light).headers()["retry-after"].clone()
        };
        assert_eq!(header(0), "1");
        assert_eq!(header(1001), "2");
    }
}
