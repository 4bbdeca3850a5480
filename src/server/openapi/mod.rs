//! The description of the interfaces, at `/openapi.json` in OpenAPI 3.1 and at `/docs` for people.
//!
//! A listener describes what it serves: the parts of its dialects, and what all have in common. To
//! add a dialect's part:
//!
//! 1. Put `#[utoipa::path(...)]` on each handler: method, `path`, `tag` (the dialect's name),
//!    `operation_id` (unique; begin it with the dialect's name), `request_body`, `params`, and
//!    `responses(...)`, of which the last is [`Refusals`], or [`Problem`] with a body of
//!    the dialect's own.
//! 2. Derive `utoipa::ToSchema` on what requests and answers hold. Where a handler reads its fields
//!    by hand, write a type for the description beside it, as `light/api.rs` does. Names of schemas
//!    are shared by all dialects: begin them with the dialect's name.
//! 3. List the handlers under `#[derive(utoipa::OpenApi)] #[openapi(paths(...), tags(...))]`, and
//!    return that from `openapi()` of the dialect, for [`part`].
//!
//! WebSockets have no place in OpenAPI: they are GET operations that answer 101, and their frames
//! are schemas that the description of the operation links.

mod schemas;

pub use schemas::{Binary, Problem, Refusals};

use super::app::App;
use super::dialect::{Dialect, Dialects};
use super::{health, index, light, text};
use axum::Router;
use axum::http::header;
use axum::routing::get;
use serde_json::{Map, json};
use std::sync::Arc;
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

/// The routes of a listener that serves these dialects. `locked` says whether keys are needed.
pub fn router(dialects: Dialects, locked: bool) -> Router<Arc<App>> {
    let document: Arc<str> = json!(document(dialects, locked)).to_string().into();
    let describe = get(move || async move {
        let headers =
            [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
        (headers, document.to_string())
    });
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

/// The part of one dialect. None where it has no description yet.
fn part(dialect: Dialect) -> Option<OpenApi> {
    match dialect {
        Dialect::Common => {
            let mut common = health::openapi();
            common.merge(text::openapi());
            Some(common)
        }
        Dialect::Light => Some(light::openapi()),
        Dialect::Index => Some(index::openapi()),
        Dialect::Index2
        | Dialect::Workflow
        | Dialect::Tasks
        | Dialect::Openai
        | Dialect::Realtime => None,
    }
}

/// The whole description of a listener.
fn document(dialects: Dialects, locked: bool) -> OpenApi {
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
    for part in dialects.iter().chain([Dialect::Common]).filter_map(part) {
        document.merge(part);
    }
    document
}

/// What a listener answers, as `GET /path`, for `/`.
pub fn endpoints(dialects: Dialects) -> Vec<String> {
    let document = json!(document(dialects, false));
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
    endpoints.extend(["/demo", "/docs", "/openapi.json"].map(|path| format!("GET {path}")));
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
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
            let document = json!(document(dialects, true));
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
