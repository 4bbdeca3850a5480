//! JSON frames that tell of the progress, for clients that asked with `events: true`.

use crate::audio::PromptWarning;
use crate::engine::Summary;
use crate::server::warning;
use serde_json::{Value, json};
use std::time::Duration;

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

fn round(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

/// Before the first audio.
pub fn audio_start(
    request_id: &str,
    sample_rate: u32,
    queued: Duration,
    first_packet: Duration,
    voice_cached: bool,
    warnings: &[PromptWarning],
) -> Value {
    json!({
        "event": "audio_start",
        "request_id": request_id,
        "sample_rate": sample_rate,
        "queued_ms": ms(queued),
        "first_packet_ms": ms(first_packet),
        "voice_cached": voice_cached,
        "warnings": warning::json(warnings),
    })
}

/// After each audio frame.
pub fn progress(audio_seconds: f64, elapsed: Duration) -> Value {
    json!({
        "event": "progress",
        "audio_seconds": round(audio_seconds),
        "elapsed_ms": ms(elapsed),
    })
}

/// After the last audio frame.
pub fn done(summary: &Summary, first_packet: Option<Duration>, elapsed: Duration) -> Value {
    json!({
        "event": "done",
        "audio_seconds": round(summary.audio_seconds),
        "elapsed_ms": ms(elapsed),
        "first_packet_ms": first_packet.map(ms),
        "text_tokens": summary.text_tokens,
        "speech_tokens": summary.speech_tokens,
    })
}
