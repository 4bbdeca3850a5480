//! What happens to every HTTP request, whatever it asks: an id, a span, a count, and an error body
//! where it fails.

use super::app::App;
use super::dialect::Dialect;
use super::error::{ApiError, Details};
use crate::telemetry::metrics;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

/// Header that carries a request's id both ways.
const HEADER: &str = "x-request-id";

/// Names a request in answers and in the log.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// The client's own, where it gave one that is fit for a log line, or else a new one.
    fn of(headers: &HeaderMap) -> Self {
        let fit = |id: &&str| {
            (1..=64).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        match headers.get(HEADER).and_then(|id| id.to_str().ok()).filter(fit) {
            Some(id) => Self(id.into()),
            None => Self(uuid::Uuid::new_v4().to_string().into()),
        }
    }
}

/// The middleware around all routes.
pub async fn track(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = RequestId::of(request.headers());
    let path = request.uri().path();
    let dialect = Dialect::of(path);
    let span = tracing::debug_span!("http", id = &*id.0, method = %request.method(), path);
    request.extensions_mut().insert(id.clone());

    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
    let mut response = answer.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<&str>().map(ToString::to_string);
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        let error = ApiError::Processing(format!("a handler panicked: {words}"));
        axum::response::IntoResponse::into_response(error)
    });
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        if let ApiError::Processing(reason) = &error {
            tracing::error!(parent: &span, id = &*id.0, reason, "request failed");
        }
        if error.is_rejection() {
            metrics::rejected(error.code());
        }
        let details = response.extensions_mut().remove::<Details>().unwrap_or_default();
        let allowed = response.headers_mut().remove(header::ALLOW);
        response = error.response(&id.0, dialect, details);
        if let Some(allowed) = allowed {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, value);
    }
    if app.lifecycle.is_draining() && response.status().as_u16() != 101 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    let status = response.status().as_u16();
    metrics::request(dialect.name(), status);
    let elapsed_ms = start.elapsed().as_millis() as u64;
    tracing::debug!(parent: &span, status, elapsed_ms, "answered");
    response
}

/// Turns requests away while the server drains or its model is not ready.
pub async fn gate(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    app.open()?;
    Ok(next.run(request).await)
}

pub async fn not_found() -> ApiError {
    ApiError::NotFound("there is nothing at this path".into())
}

pub async fn wrong_method() -> ApiError {
    ApiError::MethodNotAllowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_clients_are_kept_where_they_are_harmless() {
        let id = |value: &str| {
            let headers = HeaderMap::from_iter([(
                HEADER.parse().expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            )]);
            RequestId::of(&headers).0
        };
        assert_eq!(&*id("call-7.a_B"), "call-7.a_B");
        for odd in ["", "a b", "x\"}", &"9".repeat(65)] {
            assert_ne!(&*id(odd), odd);
        }
    }
}
