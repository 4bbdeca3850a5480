//! What the descriptions of all dialects share.

use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{Content, KnownFormat, Ref, RefOr, Response, ResponseBuilder};
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

/// The statuses with which any request for work may be refused.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            ("400", "A field is missing or malformed, or the recording cannot be used"),
            ("401", "Keys are configured, and none was sent"),
            ("404", "There is no such thing"),
            ("413", "The body is larger than allowed"),
            ("422", "A text is too long, or a number out of its range"),
            ("429", "Too many requests; `Retry-After` says when to come back"),
            ("500", "The server's fault; the log has the request's id"),
            ("503", "Busy, loading or shutting down; `Retry-After` says when to come back"),
        ]
        .map(|(status, description)| {
            let problem = Ref::from_schema_name(Problem::name());
            let content = Content::new(Some(problem));
            let response = ResponseBuilder::new().description(description);
            let response = response.content("application/json", content);
            (status.to_string(), RefOr::T(response.build()))
        })
        .into()
    }
}
