//! The record of one synthesis: its span in the log, and its place in the metrics.

use super::app::App;
use super::error::ApiError;
use super::lifecycle::Playing;
use super::request::RequestId;
use crate::engine::Summary;
use crate::telemetry::metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tracing::{Span, field};

static SESSIONS: AtomicU64 = AtomicU64::new(1);

/// Follows a synthesis from its request to its end, whichever that is. Dropping it writes the line
/// of the log; without a word of how it ended, the client went away.
pub struct Account {
    pub id: RequestId,
    pub span: Span,
    started: Instant,
    first_packet: Option<Duration>,
    audio_seconds: f64,
    /// None while it goes on.
    outcome: Option<&'static str>,
    /// Keeps the server from ending before this has.
    _playing: Playing,
}

impl Account {
    pub fn open(app: &Arc<App>, id: RequestId, path: &'static str) -> Self {
        metrics::synthesis_began();
        let span = tracing::info_span!(
            "speak",
            id = &*id.0,
            path,
            session = field::Empty,
            voice = field::Empty,
            characters = field::Empty,
        );
        Self {
            id,
            span,
            started: Instant::now(),
            first_packet: None,
            audio_seconds: 0.0,
            outcome: None,
            _playing: app.lifecycle.play(),
        }
    }

    /// Notes that the engine has it.
    pub fn submitted(&self, voice: &str) {
        self.span.record("session", SESSIONS.fetch_add(1, Ordering::Relaxed));
        self.span.record("voice", voice);
    }

    /// Notes how much text came in all.
    pub fn characters(&self, count: usize) {
        self.span.record("characters", count);
    }

    /// Notes audio of this length, `since` the text was there.
    pub fn audio(&mut self, seconds: f64, since: Instant) {
        metrics::audio(seconds);
        self.audio_seconds += seconds;
        if self.first_packet.is_none() {
            let first = since.elapsed();
            metrics::first_packet(first);
            self.first_packet = Some(first);
        }
    }

    pub fn audio_seconds(&self) -> f64 {
        self.audio_seconds
    }

    pub fn first_packet(&self) -> Option<Duration> {
        self.first_packet
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.outcome.is_some()
    }

    pub fn done(&mut self, summary: &Summary) {
        self.outcome = Some("done");
        tracing::debug!(parent: &self.span, ?summary, "engine finished");
    }

    pub fn failed(&mut self, error: &ApiError) {
        // The first failure is the cause of those after it.
        if self.outcome.is_none() {
            self.outcome = Some(error.code());
            if let ApiError::Processing(reason) = error {
                tracing::error!(parent: &self.span, reason, "synthesis failed");
            }
        }
    }

    /// Passes a result on, noting its error.
    pub fn note<T>(&mut self, result: Result<T, ApiError>) -> Result<T, ApiError> {
        if let Err(error) = &result {
            self.failed(error);
        }
        result
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let outcome = self.outcome.unwrap_or("cancelled");
        metrics::synthesis_ended(outcome, elapsed);
        tracing::info!(
            parent: &self.span,
            outcome,
            first_packet_ms = self.first_packet.map(|first| first.as_millis() as u64),
            audio_seconds = (self.audio_seconds * 1e3).round() / 1e3,
            elapsed_ms = elapsed.as_millis() as u64,
            "synthesis ended"
        );
    }
}
