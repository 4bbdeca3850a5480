//! `POST /v1/text/normalize`: how a text is read, and the field by which requests decide whether
//! theirs is.

use super::app::App;
use super::client::Peer;
use super::error::ApiError;
use super::json::Fields;
use super::openapi::Refusals;
use crate::text::{Language, Piece};
use axum::extract::{Request, State};
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::{OpenApi, ToSchema};

#[derive(OpenApi)]
#[openapi(paths(normalize))]
struct Api;

/// The part of the description that all listeners have.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

pub fn router() -> Router<Arc<App>> {
    Router::new().route("/v1/text/normalize", post(normalize))
}

/// What `normalize` says in a request of JSON: none where it says nothing.
///
/// # Errors
/// [`ApiError::InvalidParameter`] for what is neither on nor off.
pub fn asked(json: &Map<String, Value>) -> Result<Option<bool>, ApiError> {
    json.get("normalize").map_or(Ok(None), switch)
}

/// Likewise, of the field's value.
///
/// # Errors
/// As [`asked`].
pub fn switch(value: &Value) -> Result<Option<bool>, ApiError> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(on) => Ok(Some(*on)),
        Value::String(text) if text.eq_ignore_ascii_case("on") => Ok(Some(true)),
        Value::String(text) if text.eq_ignore_ascii_case("off") => Ok(Some(false)),
        _ => Err(ApiError::InvalidParameter("`normalize` must be on or off".into())),
    }
}

/// A text to be read.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read field by field")]
struct NormalizeRequest {
    #[schema(example = "It costs $3.50, i.e. 5% less.", max_length = 1000)]
    text: String,
    /// The language of numbers and symbols: `en`, `zh`, or that of the words around them.
    #[schema(default = "auto", example = "auto")]
    language: Option<String>,
    /// Whether emoji are read by their names. Unset: as the settings say.
    emoji: Option<bool>,
}

/// How it is read.
#[derive(Serialize, ToSchema)]
struct Normalized {
    /// The text as it is spoken.
    #[schema(example = "It costs three dollars and fifty cents, that is, five percent less.")]
    spoken: String,
    /// The same in pieces, in order. Their sources cover the text.
    pieces: Vec<NormalizedPiece>,
}

#[derive(Serialize, ToSchema)]
struct NormalizedPiece {
    written: String,
    spoken: String,
    /// Its place in the text, in characters, the end exclusive.
    from: usize,
    to: usize,
    /// What read it; none where it is spoken as it is written.
    #[schema(example = "money")]
    rule: Option<&'static str>,
}

impl From<Piece> for NormalizedPiece {
    fn from(piece: Piece) -> Self {
        let Piece { spoken, written, source, rule } = piece;
        Self { written, spoken, from: source.start, to: source.end, rule }
    }
}

/// Tells how a text would be read aloud, and which rule read what.
#[utoipa::path(
    post,
    path = "/v1/text/normalize",
    tag = "common",
    operation_id = "common_normalize",
    request_body = NormalizeRequest,
    responses((status = 200, description = "How it is read", body = Normalized), Refusals)
)]
async fn normalize(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Json<Normalized>, ApiError> {
    app.charge(peer, request.headers())?;
    let fields = Fields::read(&app, request).await?;
    let missing = || ApiError::InvalidParameter("`text` is missing".into());
    let text = fields.text("text")?.ok_or_else(missing)?;
    let limit = app.settings.max_text_length;
    if text.chars().count() > limit {
        return Err(ApiError::TextTooLong { limit });
    }
    let mut normalizer = app.engine.readings().normalizer();
    match fields.text("language")? {
        None => {}
        Some("auto") => normalizer.language = None,
        Some(name) => {
            let wrong = || ApiError::InvalidParameter("`language` must be auto, en or zh".into());
            normalizer.language = Some(Language::by_name(name).ok_or_else(wrong)?);
        }
    }
    normalizer.emoji = fields.boolean("emoji")?.unwrap_or(normalizer.emoji);
    let pieces = normalizer.pieces(text);
    Ok(Json(Normalized {
        spoken: pieces.iter().map(|piece| piece.spoken.as_str()).collect(),
        pieces: pieces.into_iter().map(NormalizedPiece::from).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_say_on_or_off_or_nothing() {
        let asked = |json: Value| asked(json.as_object().expect("an object"));
        assert_eq!(asked(json!({})), Ok(None));
        assert_eq!(asked(json!({ "normalize": null })), Ok(None));
        assert_eq!(asked(json!({ "normalize": "off" })), Ok(Some(false)));
        assert_eq!(asked(json!({ "normalize": true })), Ok(Some(true)));
        assert!(asked(json!({ "normalize": "maybe" })).is_err());
        assert!(asked(json!({ "normalize": 1 })).is_err());
    }
}
