//! What the descriptions of all dialects share.

use crate::server::dialect::Dialect;
use crate::server::emotion;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::openapi::schema::{
    ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{KnownFormat, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

/// Bytes: sound, or an uploaded file.
pub struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .into()
    }
}

impl ToSchema for Binary {
    fn name() -> Cow<'static, str> {
        "Binary".into()
    }
}

/// What is to be said. How long it may be the settings tell, so that [`text`] is its schema in a
/// description.
pub struct Text;

impl PartialSchema for Text {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).into()
    }
}

impl ToSchema for Text {
    fn name() -> Cow<'static, str> {
        "Text".into()
    }
}

/// The schema of a [`Text`] of at most `limit` characters.
pub fn text(limit: usize) -> Value {
    json!({
        "type": "string",
        "description": "What is to be said: some words, in characters of Unicode.",
        "minLength": 1,
        "maxLength": limit,
        "pattern": "\\S",
        "example": "Good morning. 早上好。",
    })
}

/// Shares of the emotions that `emotion::DIMENSIONS` counts, or null.
pub fn shares() -> Schema {
    let share = ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Number))
        .minimum(Some(0))
        .maximum(Some(1));
    let dimensions = emotion::DIMENSIONS;
    let shares = ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(share)
        .min_items(Some(dimensions))
        .max_items(Some(dimensions));
    Schema::Array(shares.build())
}

/// Why a request failed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `ApiError::body` makes")]
pub struct Problem {
    /// The kind of failure.
    #[schema(example = "Invalid parameter")]
    message: String,
    /// What was wrong this time.
    #[schema(example = "`speed` must be a number")]
    detail: String,
    /// For programs.
    #[schema(example = "INVALID_PARAMETER")]
    error_code: String,
}

/// The schema of a dialect's errors, as [`Dialect::error`] makes them.
pub fn problem(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Index2 => "Index2Problem",
        Dialect::Workflow => "WorkflowProblem",
        Dialect::Openai => "OpenaiProblem",
        Dialect::Common | Dialect::Light | Dialect::Index | Dialect::Tasks | Dialect::Realtime => {
            "Problem"
        }
    }
}

/// The statuses with which any request that has a body and asks for work may be refused.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            ("400", "A field is missing or malformed, or the recording cannot be used"),
            ("408", "The body came too slowly"),
            ("413", "The body is larger than allowed"),
            ("422", "A text is too long, or a number out of its range"),
            ("429", "Too many requests; `Retry-After` says when to come back"),
            ("503", "Busy, loading or shutting down; `Retry-After` says when to come back"),
        ]
        .map(|(status, words)| {
            (status.to_string(), RefOr::T(ResponseBuilder::new().description(words).build()))
        })
        .into()
    }
}
