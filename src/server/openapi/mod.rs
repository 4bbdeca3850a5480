//! The description of the interfaces, at `/openapi.json` in OpenAPI 3.1 and at `/docs` for people.
//!
//! A listener describes what it serves: the parts of its dialects, and what all have in common. To
//! add a dialect's part:
//!
//! 1. Put `#[utoipa::path(...)]` on each handler: method, `path`, `tag` (the dialect's name),
//!    `operation_id` (unique; begin it with the dialect's name), `request_body`, `params`, and
//!    `responses(...)`: what it answers, then the statuses it may refuse with, without bodies, which
//!    [`complete`](complete::complete) adds as all that operations have in common. [`Refusals`] are
//!    those of requests that have a body and ask for work.
//! 2. Derive `utoipa::ToSchema` on what requests and answers hold. Where a handler reads its fields
//!    by hand, write a type for the description beside it, as `light/api.rs` does. Names of schemas
//!    are shared by all dialects: begin them with the dialect's name.
//! 3. List the handlers under `#[derive(utoipa::OpenApi)] #[openapi(paths(...), tags(...))]`, and
//!    return that from `openapi()` of the dialect, for [`part`].
//!
//! WebSockets have no place in OpenAPI: they are GET operations that answer 101, and their frames
//! are schemas that the description of the operation links.

mod complete;
mod schemas;

pub use schemas::{Binary, Problem, Refusals, Text, shares};

use super::app::App;
use super::dialect::{Dialect, Dialects};
use super::settings::Settings;
use super::{health, index, index2, light, openai, realtime, tasks, text, workflow};
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::OpenApi as _;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder};
use utoipa::openapi::security::{SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths};

/// The page's files: route, media type, content.
const FILES: [(&str, &str, &str); 3] = [
    ("/docs", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/docs/docs.css", "text/css; charset=utf-8", include_str!("page/docs.css")),
    ("/docs/docs.js", "text/javascript; charset=utf-8", include_str!("page/docs.js")),
];

/// Nothing on the page comes from elsewhere, and nothing may.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      media-src blob:; img-src data:; base-uri 'none'; form-action 'none'";

/// The routes of a listener that serves these dialects.
pub fn router(dialects: Dialects, settings: &Settings) -> Router<Arc<App>> {
    let (locked, text) = (settings.auth.is_locked(), settings.max_text_length);
    let document: Arc<str> = document(dialects, locked, text).to_string().into();
    let describe = get(move || async move { describe(&document) });
    FILES.iter().fold(
        Router::new().route("/openapi.json", describe),
        |router, &(path, media_type, content)| {
            let headers = [
                (header::CONTENT_TYPE, media_type),
                (header::CACHE_CONTROL, "no-cache"),
                (header::CONTENT_SECURITY_POLICY, POLICY),
            ];
            router.route(path, get(move || async move { (headers, content) }))
        },
    )
}

/// This description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "common",
    operation_id = "openapi",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
fn describe(document: &str) -> impl IntoResponse + use<> {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, document.to_string())
}

/// The pages that are served beside the interfaces: what they answer is in their files.
mod pages {
    #![expect(dead_code, reason = "only the descriptions of these are used")]

    /// This description, to read and to try.
    #[utoipa::path(
        get,
        path = "/docs",
        tag = "common",
        operation_id = "docs",
        security(()),
        responses((status = 200, description = "A page", content_type = "text/html", body = String))
    )]
    pub fn docs() {}

    /// A page to type into and to listen to.
    #[utoipa::path(
        get,
        path = "/demo",
        tag = "common",
        operation_id = "demo",
        security(()),
        responses((status = 200, description = "A page", content_type = "text/html", body = String))
    )]
    pub fn demo() {}
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(describe, pages::docs, pages::demo))]
struct Own;

/// The part of one dialect.
fn part(dialect: Dialect) -> OpenApi {
    match dialect {
        Dialect::Common => {
            let mut common = health::openapi();
            common.merge(text::openapi());
            common
        }
        Dialect::Light => light::openapi(),
        Dialect::Index => index::openapi(),
        Dialect::Index2 => index2::openapi(),
        Dialect::Workflow => workflow::openapi(),
        Dialect::Tasks => tasks::openapi(),
        Dialect::Openai => openai::openapi(),
        Dialect::Realtime => realtime::openapi(),
    }
}

/// The whole description of a listener. `locked` says whether keys are needed, `text` how many
/// characters a text may have.
fn document(dialects: Dialects, locked: bool, text: usize) -> Value {
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0"));
    let info = InfoBuilder::new()
        .title("Mynah")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Realtime streaming text-to-speech."))
        .license(Some(license.build()));
    let mut components = Components::new();
    let key = |place: fn(ApiKeyValue) -> ApiKey, name| {
        SecurityScheme::ApiKey(place(ApiKeyValue::new(name)))
    };
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("header", key(ApiKey::Header, "X-API-Key"));
    components.add_security_scheme("query", key(ApiKey::Query, "api_key"));
    let needed = ["bearer", "header", "query"];
    let security = needed.map(|name| SecurityRequirement::new(name, Vec::<String>::new()));
    let mut document = OpenApiBuilder::new()
        .info(info.build())
        .paths(Paths::new())
        .components(Some(components))
        .security(locked.then_some(security))
        .build();
    for part in dialects.iter().chain([Dialect::Common]).map(part) {
        document.merge(part);
    }
    document.merge(Own::openapi());
    let mut document = json!(document);
    complete::complete(&mut document, locked, text);
    document
}

/// What a listener answers, as `GET /path`, for `/`.
pub fn endpoints(dialects: Dialects) -> Vec<String> {
    let document = document(dialects, false, 0);
    let none = Map::new();
    let paths = document["paths"].as_object().unwrap_or(&none);
    let mut endpoints = Vec::new();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap_or(&none) {
            let method = match operation["responses"].get("101") {
                Some(_) => "WebSocket".to_string(),
                None => method.to_ascii_uppercase(),
            };
            endpoints.push(format!("{method} {path}"));
        }
    }
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// All references in a value.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_string));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    /// Generators of clients stop at each of these.
    #[test]
    fn descriptions_are_consistent() {
        for dialects in
            Dialect::ALL.map(|one| Dialects::of(&[one])).into_iter().chain([Dialects::ALL])
        {
            let document = document(dialects, true, 1000);
            assert_eq!(document["openapi"], "3.1.0");
            let mut found = Vec::new();
            references(&document, &mut found);
            for reference in found {
                let pointer = reference.strip_prefix('#').expect("a reference within");
                assert!(document.pointer(pointer).is_some(), "{reference} is nowhere");
            }
            let tags = document["tags"].as_array().expect("tags");
            let mut ids = HashSet::new();
            for (path, operations) in document["paths"].as_object().expect("paths") {
                for (method, operation) in operations.as_object().expect("operations") {
                    let id = operation["operationId"].as_str().expect("an id").to_string();
                    assert!(ids.insert(id), "{method} {path} has the id of another");
                    let tag = &operation["tags"][0];
                    assert!(tags.iter().any(|t| t["name"] == *tag), "{path}: no tag {tag}");
                    let templates = path.matches('{').count();
                    let parameters =
                        operation["parameters"].as_array().cloned().unwrap_or_default();
                    let named = parameters.iter().filter(|p| p["in"] == "path").count();
                    assert_eq!(named, templates, "parameters of {path}");
                }
            }
        }
    }

    #[test]
    fn listeners_describe_what_they_serve() {
        let light = endpoints(Dialects::of(&[Dialect::Light]));
        let has = |words: &str| light.iter().any(|endpoint| endpoint == words);
        assert!(has("POST /inference_zero_shot") && has("WebSocket /inference_zero_shot_bistream"));
        assert!(has("GET /health") && has("GET /docs"));
        let tasks = endpoints(Dialects::of(&[Dialect::Tasks]));
        assert!(!tasks.iter().any(|endpoint| endpoint.contains("zero_shot")), "{tasks:?}");
    }

    /// The page has to work where there is no internet.
    #[test]
    fn the_page_asks_nobody_else() {
        for (path, _, content) in FILES {
            for place in ["http://", "https://", "src=\"//", "@import", "url("] {
                assert!(!content.contains(place), "{path} has {place}");
            }
        }
    }
}
