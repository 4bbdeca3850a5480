//! The parameter of a path.

use super::error::ApiError;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

/// The one parameter of a path, decoded.
pub struct Param(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Param {
    type Rejection = ApiError;

    /// # Errors
    /// [`ApiError::InvalidParameter`] for what is no UTF-8.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value))
            .map_err(|e| ApiError::InvalidParameter(format!("the path is malformed: {e}")))
    }
}
