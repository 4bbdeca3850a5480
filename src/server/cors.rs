//! Which web pages may use the server from a browser.
//!
//! Open to all by default, as the services are whose interfaces Mynah speaks; a page that may read
//! nothing can still send. Only GET and POST, though: what deletes must be allowed by name.
//! Credentials of browsers are never allowed: keys travel in headers that a page has to set.

use crate::config::{ConfigError, CorsConfig};
use axum::http::{HeaderValue, Method, Uri};
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

/// How long a browser may remember what is allowed.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// The middleware, which answers preflight requests itself. None where no page is allowed.
///
/// # Errors
/// [`ConfigError::Value`] for what is no origin or no method.
pub fn layer(config: &CorsConfig) -> Result<Option<CorsLayer>, ConfigError> {
    let bad = |key, value: &str, reason: &str| ConfigError::Value {
        key,
        value: value.to_string(),
        reason: reason.to_string(),
    };
    let mut methods = Vec::new();
    for method in &config.methods {
        let reason = "must be methods of HTTP, in capitals";
        let known = Method::from_bytes(method.as_bytes()).ok();
        let known = known.filter(|m| m.as_str().bytes().all(|b| b.is_ascii_uppercase()));
        methods.push(known.ok_or_else(|| bad("cors.methods", method, reason))?);
    }
    let origins = if config.origins.iter().any(|origin| origin == "*") {
        if config.origins.len() > 1 {
            let value = config.origins.join(", ");
            return Err(bad("cors.origins", &value, "`*` stands alone: it is all origins"));
        }
        AllowOrigin::any()
    } else {
        let mut origins = Vec::new();
        for origin in &config.origins {
            let reason = "must be `*` or like `https://example.org:8443`";
            origins.push(value(origin).ok_or_else(|| bad("cors.origins", origin, reason))?);
        }
        if origins.is_empty() {
            return Ok(None);
        }
        AllowOrigin::list(origins)
    };
    Ok(Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods(methods)
            // Wildcards do not cover `Authorization`.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(Any)
            .max_age(MAX_AGE),
    ))
}

/// An origin as browsers write it: scheme, host and port, nothing more.
fn value(origin: &str) -> Option<HeaderValue> {
    let uri: Uri = origin.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let same = origin == format!("{scheme}://{authority}") && !authority.as_str().contains('@');
    HeaderValue::from_str(origin).ok().filter(|_| same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(origins: &[&str], methods: &[&str]) -> Result<bool, &'static str> {
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        match layer(&CorsConfig { origins: own(origins), methods: own(methods) }) {
            Ok(layer) => Ok(layer.is_some()),
            Err(ConfigError::Value { key, .. }) => Err(key),
            Err(_) => Err("another error"),
        }
    }

    #[test]
    fn origins_are_written_as_browsers_do() {
        for good in ["*", "https://example.org", "http://localhost:3000", "http://[::1]:80"] {
            assert_eq!(key_of(&[good], &["GET"]), Ok(true), "{good}");
        }
        for bad in ["example.org", "https://example.org/", "https://a/b", "https://u@a", "", "**"] {
            assert_eq!(key_of(&[bad], &["GET"]), Err("cors.origins"), "{bad}");
        }
        assert_eq!(key_of(&["*", "https://a"], &[]), Err("cors.origins"));
        assert_eq!(key_of(&[], &["GET"]), Ok(false));
        assert_eq!(key_of(&["*"], &["get"]), Err("cors.methods"));
    }
}
