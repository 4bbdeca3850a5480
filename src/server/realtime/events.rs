//! The frames that the server sends beside audio.

use super::actor::{MAX_CONTEXTS, MAX_FLUSHES};
use super::protocol::MAX_ID;
use super::{PROTOCOL, context::Opening};
use crate::engine::{Summary, WordTime};
use crate::server::app::App;
use crate::server::error::ApiError;
use crate::server::settings::SAMPLE_RATES;
use crate::server::warning;
use axum::extract::ws::Message;
use serde_json::{Value, json};
use std::time::Duration;

fn frame(json: Value) -> Message {
    Message::text(json.to_string())
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

fn round(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

/// The first frame of all.
pub fn ready(app: &App, id: &str, multiplex: bool) -> Message {
    let (status, settings) = (app.engine.status(), &app.settings);
    frame(json!({
        "type": "ready",
        "protocol": PROTOCOL,
        "request_id": id,
        "model": status.model_name,
        "sample_rate": status.sample_rate,
        "sample_rates": [SAMPLE_RATES.start(), SAMPLE_RATES.end()],
        "multiplex": multiplex,
        "limits": {
            "contexts": MAX_CONTEXTS,
            "context_id_bytes": MAX_ID,
            "flushes": MAX_FLUSHES,
            "text_per_frame": settings.max_text_length,
            "text_per_context": settings.max_stream_text,
            "prompt_bytes": settings.max_file_size,
            "idle_timeout_s": settings.idle_timeout.as_secs_f64(),
        },
    }))
}

/// Before the first audio of a context.
pub fn audio_start(context: &str, opening: &Opening) -> Message {
    frame(json!({
        "type": "audio_start",
        "context_id": context,
        "request_id": &*opening.request_id,
        "format": opening.container.name(),
        "sample_rate": opening.sample_rate,
        "channels": 1,
        "queued_ms": ms(opening.queued),
        "first_packet_ms": ms(opening.first_packet),
        "voice_cached": opening.voice_cached,
        "warnings": warning::json(&opening.warnings),
    }))
}

pub fn words(context: &str, words: &[WordTime], settled: bool) -> Message {
    let word = |word: &WordTime| {
        json!({
            "text": word.text,
            "start": round(word.start),
            "end": round(word.end),
            "from": word.from,
            "to": word.to,
        })
    };
    let words: Vec<Value> = words.iter().map(word).collect();
    frame(json!({ "type": "words", "context_id": context, "final": settled, "words": words }))
}

/// After the last audio of what was there to speak at a flush.
pub fn flush_done(context: &str, audio_seconds: f64) -> Message {
    frame(json!({
        "type": "flush_done",
        "context_id": context,
        "audio_seconds": round(audio_seconds),
    }))
}

/// After the last audio of a context.
pub fn done(
    context: &str,
    summary: &Summary,
    first_packet: Option<Duration>,
    elapsed: Duration,
) -> Message {
    frame(json!({
        "type": "done",
        "context_id": context,
        "audio_seconds": round(summary.audio_seconds),
        "first_packet_ms": first_packet.map(ms),
        "elapsed_ms": ms(elapsed),
        "text_tokens": summary.text_tokens,
        "speech_tokens": summary.speech_tokens,
        "underruns": summary.underruns,
    }))
}

pub fn cancelled(context: &str) -> Message {
    frame(json!({ "type": "cancelled", "context_id": context }))
}

/// The last frame of a context, or of the socket.
pub fn error(error: &ApiError, request_id: &str, context: Option<&str>) -> Message {
    let mut body = error.body(request_id);
    body["type"] = json!("error");
    body["retryable"] = json!(error.is_rejection() || matches!(error, ApiError::Processing(_)));
    if let ApiError::RateLimited { retry_after } | ApiError::Overloaded { retry_after, .. } = error
    {
        body["retry_after_ms"] = json!(ms(*retry_after));
    }
    if let Some(context) = context {
        body["context_id"] = json!(context);
    }
    frame(body)
}
