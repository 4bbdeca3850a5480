//! Keys of clients: who is asking, and what the key allows.
//!
//! Only hashes of keys are kept. A key is taken out of a request before anything else sees it and
//! put into `Authorization`, wherever it came from, so that it appears in no address and no log.

use super::app::App;
use super::error::{ApiError, RETRY};
use super::rate;
use crate::config::{AuthConfig, ConfigError, KeyConfig};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, RateLimiter};
use hyper::body::{Frame, SizeHint};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use subtle::{Choice, ConstantTimeEq};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a WebSocket's subprotocol that carries a key begins with. Scripts in browsers can set no
/// headers there.
const PROTOCOL: &str = "mynah.api_key.";

/// The subprotocol that is agreed on where a client offers it beside its key.
const PLAIN_PROTOCOL: &str = "mynah";

const API_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// Longest key that is looked at.
const MAX_KEY: usize = 512;

/// All keys. Without any, everybody is let in.
pub struct Keyring {
    keys: Vec<Arc<Key>>,
    /// Whether `/metrics` needs a key.
    metrics: bool,
}

struct Key {
    digest: [u8; 32],
    name: String,
    rate: Option<DefaultDirectRateLimiter>,
    /// Requests that ask for work, at a time.
    sessions: Option<Arc<Semaphore>>,
}

/// Who asks.
#[derive(Clone)]
pub struct Principal(Option<Arc<Key>>);

impl Principal {
    /// As the log calls it. None where there are no keys.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|key| key.name.as_str())
    }

    /// Whether its key has a rate of its own, which is checked at the door.
    pub fn is_limited(&self) -> bool {
        self.0.as_ref().is_some_and(|key| key.rate.is_some())
    }

    /// Takes one request that asks for work from what the key allows.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`].
    fn begin(&self) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        let Some(key) = &self.0 else { return Ok(None) };
        let permit = match &key.sessions {
            Some(sessions) => {
                let permit = sessions.clone().try_acquire_owned();
                Some(permit.map_err(|_| ApiError::RateLimited { retry_after: RETRY })?)
            }
            None => None,
        };
        if let Some(Err(refusal)) = key.rate.as_ref().map(DefaultDirectRateLimiter::check) {
            let retry_after = refusal.wait_time_from(DefaultClock::default().now());
            return Err(ApiError::RateLimited { retry_after });
        }
        Ok(permit)
    }
}

impl Keyring {
    /// # Errors
    /// [`ConfigError::Value`] for a key, a limit or a file that cannot be used. It repeats no key.
    pub fn new(config: &AuthConfig) -> Result<Self, ConfigError> {
        let mut keys = Vec::new();
        for key in &config.keys {
            keys.push(Key::new(key).map_err(|reason| bad("auth.keys", "…", reason))?);
        }
        if let Some(file) = &config.keys_file {
            let at = |reason| bad("auth.keys_file", file.display(), reason);
            let text = std::fs::read_to_string(file).map_err(|e| at(e.to_string()))?;
            for (number, line) in text.lines().enumerate() {
                let wrong = |reason| at(format!("line {}: {reason}", number + 1));
                if let Some(key) = parse_line(line).map_err(wrong)? {
                    keys.push(Key::new(&key).map_err(wrong)?);
                }
            }
            if keys.is_empty() {
                return Err(at("holds no key, which would leave the server open".into()));
            }
        }
        let mut known = HashSet::new();
        if !keys.iter().all(|key| known.insert(key.digest)) {
            return Err(bad("auth.keys", "…", "the same key is there twice".into()));
        }
        Ok(Self { keys: keys.into_iter().map(Arc::new).collect(), metrics: config.metrics })
    }

    /// Whether keys are needed at all.
    pub fn is_locked(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Who asks, by the keys in these headers and this query.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`] where there are keys and none was presented.
    pub fn authorise(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Principal, ApiError> {
        self.identify(headers, query).map(|(principal, _)| principal)
    }

    /// Likewise, and the key itself.
    fn identify<'a>(
        &self,
        headers: &'a HeaderMap,
        query: Option<&'a str>,
    ) -> Result<(Principal, Option<Cow<'a, str>>), ApiError> {
        if self.keys.is_empty() {
            return Ok((Principal(None), None));
        }
        for presented in presented(headers, query) {
            if let Some(key) = self.find(&presented) {
                return Ok((Principal(Some(key)), Some(presented)));
            }
        }
        Err(ApiError::Unauthorized)
    }

    /// Takes the same time whichever key it is, and whether it is one.
    fn find(&self, presented: &str) -> Option<Arc<Key>> {
        if presented.len() > MAX_KEY {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = None;
        for key in &self.keys {
            let same: Choice = key.digest.ct_eq(&digest);
            if bool::from(same) {
                found = Some(key.clone());
            }
        }
        found
    }

    /// Whether a path is for everybody: what says how the server is, and what explains it.
    fn is_open(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        match path {
            "" | "/health" | "/healthz" | "/liveness" | "/readiness" | "/api/v1/health" => true,
            "/openapi.json" | "/docs" | "/demo" => true,
            "/metrics" => !self.metrics,
            _ => path.starts_with("/docs/") || path.starts_with("/demo/"),
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.name)).finish()
    }
}

impl Key {
    fn new(config: &KeyConfig) -> Result<Self, String> {
        let key = config.key.0.trim();
        let digest = match key.strip_prefix("sha256:") {
            Some(hex) => digest(hex).ok_or("`sha256:` is followed by 64 hexadecimal digits")?,
            None => {
                if !(1..=MAX_KEY).contains(&key.len()) {
                    return Err(format!("a key has 1 to {MAX_KEY} characters"));
                }
                if !key.bytes().all(|b| b.is_ascii_graphic() && b != b',') {
                    return Err("a key is made of ASCII characters without spaces or commas".into());
                }
                Sha256::digest(key.as_bytes()).into()
            }
        };
        let short = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>();
        let rate = match &config.rate_limit {
            Some(rate) => rate::parse(rate).map_err(|reason| format!("`rate_limit` {reason}"))?,
            None => None,
        };
        let sessions = match config.sessions {
            Some(0) => return Err("`sessions` must be 1 or more".into()),
            Some(n) => Some(Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS)))),
            None => None,
        };
        Ok(Self {
            digest,
            name: config.name.clone().unwrap_or_else(|| format!("key {short}")),
            rate: rate.map(RateLimiter::direct),
            sessions,
        })
    }
}

fn bad(key: &'static str, value: impl ToString, reason: String) -> ConfigError {
    ConfigError::Value { key, value: value.to_string(), reason }
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let mut digest = [0; 32];
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(digest)
}

/// A line of a file of keys: the key, then what it allows. None for blank lines and comments.
fn parse_line(line: &str) -> Result<Option<KeyConfig>, String> {
    let mut words = line.split_whitespace();
    let Some(key) = words.next().filter(|key| !key.starts_with('#')) else { return Ok(None) };
    let mut config = KeyConfig::from(key);
    for word in words {
        // Not repeated in the message: it may be a key in the wrong place.
        let unknown = "after a key come name=, rate_limit= and sessions=";
        let (option, value) = word.split_once('=').ok_or(unknown)?;
        match option {
            "name" => config.name = Some(value.to_string()),
            "rate_limit" => config.rate_limit = Some(value.to_string()),
            "sessions" => {
                let number = value.parse().map_err(|_| "`sessions` must be a whole number")?;
                config.sessions = Some(number);
            }
            _ => return Err(unknown.into()),
        }
    }
    Ok(Some(config))
}

/// All that a request shows for a key.
fn presented<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Vec<Cow<'a, str>> {
    let text = |name: HeaderName| {
        headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
    };
    let bearer = text(header::AUTHORIZATION).filter_map(|value| {
        let (scheme, key) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let protocols = text(header::SEC_WEBSOCKET_PROTOCOL)
        .flat_map(|value| value.split(','))
        .filter_map(|protocol| protocol.trim().strip_prefix(PROTOCOL));
    let queries = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter_map(|(name, value)| (name == "api_key").then_some(value));
    let headers = bearer.chain(text(API_KEY_HEADER).map(str::trim)).chain(protocols);
    headers.map(Cow::Borrowed).chain(queries).collect()
}

/// A permit that a connection keeps once it is a WebSocket: dropped with the connection.
#[derive(Clone, Default)]
pub struct Hold(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Hold {
    fn put(&self, permit: Option<OwnedSemaphorePermit>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }

    pub fn release(&self) {
        self.put(None);
    }
}

/// The middleware that lets in who has a key, before anything of a body is read.
pub async fn guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let keyring = &app.settings.auth;
    let (principal, canonical) = if keyring.is_open(request.uri().path()) {
        (Principal(None), None)
    } else {
        let (principal, key) = keyring.identify(request.headers(), request.uri().query())?;
        let canonical = key.and_then(|key| HeaderValue::try_from(format!("Bearer {key}")).ok());
        (principal, canonical)
    };
    let protocol = take_protocols(request.headers_mut());
    if let Some(uri) = without_key(request.uri()) {
        *request.uri_mut() = uri;
    }
    request.headers_mut().remove(API_KEY_HEADER);
    if let Some(mut value) = canonical {
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    if let Some(name) = principal.name() {
        tracing::debug!(name, "authorised");
    }

    let upgrade = request.headers().contains_key(header::UPGRADE);
    let works = upgrade || request.method() == Method::POST;
    let permit = if works { principal.begin()? } else { None };
    let hold = request.extensions().get::<Hold>().cloned();
    request.extensions_mut().insert(principal);
    let mut response = next.run(request).await;
    if response.status().as_u16() == 101 {
        if let Some(hold) = hold {
            hold.put(permit);
        }
        if let Some(protocol) = protocol {
            response.headers_mut().entry(header::SEC_WEBSOCKET_PROTOCOL).or_insert(protocol);
        }
        return Ok(response);
    }
    Ok(match permit {
        Some(permit) => response.map(|body| Body::new(Held { body, _permit: permit })),
        None => response,
    })
}

/// Takes keys out of the subprotocols that a client offers, and says which one to agree on:
/// browsers give up a connection on which none of those they offered was.
fn take_protocols(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let name = header::SEC_WEBSOCKET_PROTOCOL;
    let lines = headers.get_all(&name).into_iter().filter_map(|value| value.to_str().ok());
    let offered = lines.flat_map(|line| line.split(',')).map(str::trim);
    let (keys, others): (Vec<_>, Vec<_>) =
        offered.map(str::to_string).partition(|protocol| protocol.starts_with(PROTOCOL));
    let plain = others.iter().any(|protocol| protocol == PLAIN_PROTOCOL);
    let agreed = if plain { Some(PLAIN_PROTOCOL) } else { keys.first().map(String::as_str) };
    let agreed = agreed.and_then(|protocol| HeaderValue::from_str(protocol).ok());
    if !keys.is_empty() {
        headers.remove(&name);
        if let Ok(rest) = HeaderValue::try_from(others.join(", "))
            && !others.is_empty()
        {
            headers.insert(name, rest);
        }
    }
    agreed
}

/// The same place without `api_key` in its query, if it is there.
fn without_key(uri: &Uri) -> Option<Uri> {
    let query = uri.query()?;
    let is_key = |pair: &&str| {
        form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| name == "api_key")
    };
    if !query.split('&').any(|pair| is_key(&pair)) {
        return None;
    }
    let rest: Vec<_> = query.split('&').filter(|pair| !is_key(pair)).collect();
    let text = match rest.as_slice() {
        [] => uri.path().to_string(),
        rest => format!("{}?{}", uri.path(), rest.join("&")),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

/// A body that keeps its request's permit until it has been sent.
struct Held {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
