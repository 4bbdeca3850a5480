//! Speech as server-sent events: `speech.audio.delta` with audio in base64, then
//! `speech.audio.done`.

use crate::engine::Summary;
use crate::server::dialect::Dialect;
use crate::server::error::ApiError;
use crate::server::speech::{Packet, Speech};
use axum::body::{Body, Bytes};
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::convert::Infallible;

/// Waits for the first audio, then answers with the events as they come. A failure after that is
/// an event of its own, the last.
///
/// # Errors
/// What failed before the first audio.
pub async fn pour(mut speech: Speech) -> Result<impl IntoResponse, ApiError> {
    let mut first = Events { text: String::new(), more: true };
    while first.more && first.text.is_empty() {
        first = next(&mut speech).await?;
    }
    let state = first.more.then_some(speech);
    let rest = stream::unfold(state, |speech| async move {
        let mut speech = speech?;
        let Events { text, more } = match next(&mut speech).await {
            Ok(events) => events,
            Err(error) => Events { text: failure(&error, &speech.account.id.0), more: false },
        };
        Some((text, more.then_some(speech)))
    });
    let events = stream::once(async { first.text }).chain(rest);
    let headers = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        // Proxies would otherwise hold events back to fill a buffer.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let body = Body::from_stream(events.map(|text| Ok::<_, Infallible>(Bytes::from(text))));
    Ok((headers, body))
}

/// What a packet becomes.
struct Events {
    text: String,
    /// Whether others follow.
    more: bool,
}

async fn next(speech: &mut Speech) -> Result<Events, ApiError> {
    let (text, more) = match speech.next().await.transpose()? {
        Some(Packet::Started { .. }) => (String::new(), true),
        Some(Packet::Audio { bytes }) => (delta(&bytes), true),
        Some(Packet::Done { bytes, summary }) => (delta(&bytes) + &done(&summary), false),
        None => (String::new(), false),
    };
    Ok(Events { text, more })
}

fn event(json: &Value) -> String {
    format!("data: {json}\n\n")
}

/// Nothing for no bytes.
fn delta(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    event(&json!({ "type": "speech.audio.delta", "audio": STANDARD.encode(bytes) }))
}

fn done(summary: &Summary) -> String {
    let (input, output) = (summary.text_tokens, summary.speech_tokens);
    event(&json!({
        "type": "speech.audio.done",
        "usage": {
            "input_tokens": input,
            "output_tokens": output,
            "total_tokens": input.saturating_add(output),
        },
    }))
}

fn failure(error: &ApiError, request_id: &str) -> String {
    let mut json = Dialect::Openai.error(error.status().as_u16(), error.body(request_id));
    json["type"] = json!("error");
    event(&json)
}
