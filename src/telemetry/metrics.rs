//! What the process counts, in the text that Prometheus reads.
//!
//! The names starting `lightllm_` are those that dashboards of LightTTS know; all others start
//! `mynah_`.

pub mod jobs;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::fmt::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const REQUESTS: &str = "lightllm_request_count";
const SUCCESSES: &str = "lightllm_request_success";
const FAILURES: &str = "lightllm_request_failure";
const LATENCY: &str = "lightllm_request_latency";
const HTTP: &str = "mynah_requests_total";
const FIRST_PACKET: &str = "mynah_first_packet_seconds";
const CANCELLED: &str = "mynah_sessions_cancelled_total";
const REJECTED: &str = "mynah_rejected_total";
const ACTIVE: &str = "mynah_sessions_active";
const QUEUED: &str = "mynah_sessions_queued";
const WEBSOCKETS: &str = "mynah_websocket_connections";
const RESIDENT: &str = "mynah_process_resident_memory_bytes";
const AUDIO: &str = "mynah_audio_seconds_total";
const QUEUE_WAIT: &str = "mynah_queue_wait_seconds";
const STAGE: &str = "mynah_stage_seconds";
const ROWS: &str = "mynah_rows_per_step";
const UNDERRUNS: &str = "mynah_underruns_total";
const STALLED: &str = "mynah_sessions_stalled_total";
const CACHE: &str = "mynah_cache_bytes";
const VOICE_HITS: &str = "mynah_voice_cache_hits_total";
const VOICE_MISSES: &str = "mynah_voice_cache_misses_total";
const PROMPT_WARNINGS: &str = "mynah_prompt_warnings_total";
const LOAD: &str = "mynah_load_ratio";
const GUARD: &str = "mynah_guard_total";
const DEVICE_USED: &str = "mynah_device_memory_used_bytes";
const DEVICE_TOTAL: &str = "mynah_device_memory_total_bytes";

const FIRST_PACKET_BUCKETS: &[f64] =
    &[0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0];
const LATENCY_BUCKETS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0];

const QUEUE_WAIT_BUCKETS: &[f64] = &[0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const STAGE_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5];
const ROWS_BUCKETS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0];

/// Parts of the engine's work that are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// One language-model step of all live rows.
    LlmStep,
    /// Part of a sequence's prompt through the language model.
    Prefill,
    /// A hop of speech tokens to mel, from its first solver step to its last.
    FlowHop,
    /// A hop of mel to samples.
    VocoderHop,
    /// A prompt to a voice.
    Voice,
}

impl Stage {
    pub const ALL: [Self; 5] =
        [Self::LlmStep, Self::Prefill, Self::FlowHop, Self::VocoderHop, Self::Voice];

    pub fn name(self) -> &'static str {
        match self {
            Self::LlmStep => "llm_step",
            Self::Prefill => "prefill",
            Self::FlowHop => "flow_hop",
            Self::VocoderHop => "vocoder_hop",
            Self::Voice => "voice",
        }
    }
}

/// Reasons a request can be turned away for, all of which are shown from the start.
const REASONS: [&str; 4] = ["rate_limited", "overloaded", "draining", "model_not_ready"];

/// What can be wrong with a sentence, and what is done about it.
pub const GUARD_REASONS: [&str; 4] = ["too_long", "too_short", "loop", "silence"];
pub const GUARD_ACTIONS: [&str; 4] = ["resampled", "cut", "continued", "kept"];

/// Microseconds of audio made. Counters of the registry are whole numbers, and this one's unit is
/// the second.
static AUDIO_MICROS: AtomicU64 = AtomicU64::new(0);

/// Makes this process count, once. Every call returns the same registry.
pub fn install() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            let full = |name: &str| Matcher::Full(name.into());
            let recorder = builder
                .set_buckets_for_metric(full(FIRST_PACKET), FIRST_PACKET_BUCKETS)
                .and_then(|b| b.set_buckets_for_metric(full(LATENCY), LATENCY_BUCKETS))
                .and_then(|b| b.set_buckets_for_metric(full(QUEUE_WAIT), QUEUE_WAIT_BUCKETS))
                .and_then(|b| b.set_buckets_for_metric(full(STAGE), STAGE_BUCKETS))
                .and_then(|b| b.set_buckets_for_metric(full(ROWS), ROWS_BUCKETS))
                .and_then(jobs::buckets)
                // Only empty lists of buckets are refused.
                .unwrap_or_default()
                .build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another registry of metrics is installed; /metrics stays empty");
            }
            describe();
            handle
        })
        .clone()
}

/// Says what each name means, and makes each appear before its first event.
fn describe() {
    describe_counter!(REQUESTS, "Synthesis requests received.");
    describe_counter!(SUCCESSES, "Synthesis requests answered in full.");
    describe_counter!(FAILURES, "Synthesis requests that failed or were given up by the client.");
    describe_histogram!(LATENCY, "Seconds from a synthesis request to its end.");
    describe_counter!(HTTP, "HTTP requests answered, by dialect and status.");
    describe_histogram!(FIRST_PACKET, "Seconds from a request's text to its first audio.");
    describe_counter!(CANCELLED, "Synthesis requests given up by the client.");
    describe_counter!(REJECTED, "Requests turned away, by reason.");
    describe_gauge!(ACTIVE, "Sessions that are generating.");
    describe_gauge!(QUEUED, "Requests that wait for a session.");
    describe_gauge!(WEBSOCKETS, "WebSocket connections that are open.");
    describe_gauge!(RESIDENT, "Resident memory of the process in bytes.");
    describe_histogram!(QUEUE_WAIT, "Seconds from a request to the start of its session.");
    describe_histogram!(STAGE, "Seconds of one piece of the engine's work, by stage.");
    describe_histogram!(ROWS, "Sessions that one batched step served, by stage.");
    describe_counter!(UNDERRUNS, "Packets made after the audio sent before them had played out.");
    describe_counter!(STALLED, "Sessions dropped because their client left its audio unread.");
    describe_gauge!(CACHE, "Memory held by caches in bytes, by what they hold.");
    describe_counter!(VOICE_HITS, "Sessions whose voice was ready.");
    describe_counter!(VOICE_MISSES, "Sessions whose voice had to be made.");
    describe_counter!(
        PROMPT_WARNINGS,
        "Recordings of clients that may make poor voices, by reason."
    );
    describe_gauge!(DEVICE_USED, "Memory of the GPU in use in bytes, by all processes.");
    describe_gauge!(DEVICE_TOTAL, "Memory of the GPU in bytes.");
    describe_gauge!(LOAD, "Share of the machine's speed that the running sessions need.");
    for name in
        [REQUESTS, SUCCESSES, FAILURES, CANCELLED, UNDERRUNS, STALLED, VOICE_HITS, VOICE_MISSES]
    {
        counter!(name).increment(0);
    }
    describe_counter!(GUARD, "Sentences that came out wrong, by reason and by what was done.");
    for reason in GUARD_REASONS {
        for action in GUARD_ACTIONS {
            counter!(GUARD, "reason" => reason, "action" => action).increment(0);
        }
    }
    for reason in REASONS {
        counter!(REJECTED, "reason" => reason).increment(0);
    }
    observe(0, 0, 0);
    jobs::describe();
}

/// An HTTP request was answered, or a WebSocket opened (status 101).
pub fn request(dialect: &'static str, status: u16) {
    counter!(HTTP, "dialect" => dialect, "status" => status.to_string()).increment(1);
}

/// A request was turned away with this error code.
pub fn rejected(code: &str) {
    counter!(REJECTED, "reason" => code.to_ascii_lowercase()).increment(1);
}

/// A client's recording has this against it.
pub fn prompt_warning(code: &str) {
    counter!(PROMPT_WARNINGS, "reason" => code.to_ascii_lowercase()).increment(1);
}

pub fn synthesis_began() {
    counter!(REQUESTS).increment(1);
}

/// `outcome` is `done`, `cancelled` or an error code.
pub fn synthesis_ended(outcome: &str, elapsed: Duration) {
    counter!(if outcome == "done" { SUCCESSES } else { FAILURES }).increment(1);
    if outcome == "cancelled" {
        counter!(CANCELLED).increment(1);
    }
    histogram!(LATENCY).record(elapsed);
}

pub fn first_packet(elapsed: Duration) {
    histogram!(FIRST_PACKET).record(elapsed);
}

/// A request left the queue.
pub fn queue_wait(elapsed: Duration) {
    histogram!(QUEUE_WAIT).record(elapsed);
}

/// A piece of work took this long and served so many sessions.
pub fn stage(stage: Stage, elapsed: Duration, rows: usize) {
    histogram!(STAGE, "stage" => stage.name()).record(elapsed);
    histogram!(ROWS, "stage" => stage.name()).record(rows as f64);
}

/// A packet was made later than the audio before it lasted.
pub fn underrun() {
    counter!(UNDERRUNS).increment(1);
}

/// A sentence came out wrong, one of [`GUARD_REASONS`], and one of [`GUARD_ACTIONS`] was taken.
pub fn guard(reason: &'static str, action: &'static str) {
    counter!(GUARD, "reason" => reason, "action" => action).increment(1);
}

/// A session was dropped because its client did not read.
pub fn stalled() {
    counter!(STALLED).increment(1);
}

/// A session asked for a voice that was ready, or was not.
pub fn voice_cache(hit: bool) {
    counter!(if hit { VOICE_HITS } else { VOICE_MISSES }).increment(1);
}

/// Memory of one kind of cache: `sessions` or `voices`.
pub fn cache_bytes(kind: &'static str, bytes: usize) {
    gauge!(CACHE, "cache" => kind).set(bytes as f64);
}

/// Share of the machine's speed that the running sessions need.
pub fn load(ratio: f64) {
    gauge!(LOAD).set(ratio);
}

/// Memory of the model's device in bytes. Never said of the CPU.
pub fn device_memory(used: u64, total: u64) {
    gauge!(DEVICE_USED).set(used as f64);
    gauge!(DEVICE_TOTAL).set(total as f64);
}

/// So much audio was made.
pub fn audio(seconds: f64) {
    AUDIO_MICROS.fetch_add((seconds * 1e6).round() as u64, Ordering::Relaxed);
}

/// Sets what is read at the moment it is asked for.
pub fn observe(active: usize, queued: usize, websockets: usize) {
    gauge!(ACTIVE).set(active as f64);
    gauge!(QUEUED).set(queued as f64);
    gauge!(WEBSOCKETS).set(websockets as f64);
    gauge!(RESIDENT).set(resident_bytes().unwrap_or(0) as f64);
}

/// All of it, in Prometheus' text format.
pub fn render(handle: &PrometheusHandle) -> String {
    let mut text = handle.render();
    let seconds = AUDIO_MICROS.load(Ordering::Relaxed) as f64 / 1e6;
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "# HELP {AUDIO} Seconds of audio made.\n# TYPE {AUDIO} counter\n{AUDIO} {seconds}"
    );
    text
}

/// Memory of this process that is in RAM, where the system tells.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules `promtool check metrics` applies: each name has HELP and TYPE, counters of ours
    /// end in `_total` and nothing else does, histograms have buckets.
    #[test]
    fn names_follow_the_rules() {
        let handle = install();
        synthesis_began();
        first_packet(Duration::from_millis(120));
        synthesis_ended("done", Duration::from_secs(1));
        request("light", 200);
        audio(0.25);
        queue_wait(Duration::from_millis(2));
        stage(Stage::LlmStep, Duration::from_millis(1), 4);
        cache_bytes("voices", 1);
        load(0.5);
        device_memory(1, 2);
        jobs::began(0.1);
        jobs::ended("completed", Some(2.0));
        jobs::observe(jobs::JobStore {
            queued: Some(1),
            running: 1,
            stored_bytes: 1,
            limit_bytes: 2,
        });
        let text = render(&handle);
        for name in [
            REQUESTS,
            SUCCESSES,
            FAILURES,
            LATENCY,
            HTTP,
            FIRST_PACKET,
            CANCELLED,
            REJECTED,
            ACTIVE,
            QUEUED,
            WEBSOCKETS,
            RESIDENT,
            AUDIO,
            QUEUE_WAIT,
            STAGE,
            ROWS,
            UNDERRUNS,
            STALLED,
            CACHE,
            VOICE_HITS,
            VOICE_MISSES,
            LOAD,
            DEVICE_USED,
            DEVICE_TOTAL,
            jobs::QUEUED,
            jobs::RUNNING,
            jobs::ENDED,
            jobs::SECONDS,
            jobs::WAIT,
            jobs::STORED,
            jobs::LIMIT,
            jobs::UP,
            GUARD,
        ] {
            let type_line = text.lines().find_map(|l| l.strip_prefix(&format!("# TYPE {name} ")));
            let kind = type_line.unwrap_or_else(|| panic!("no TYPE of {name} in {text}"));
            assert!(text.contains(&format!("# HELP {name} ")), "no HELP of {name}");
            if name.starts_with("mynah_") {
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name} {kind}");
            }
            if kind == "histogram" {
                let buckets = text.lines().filter(|l| l.starts_with(&format!("{name}_bucket{{")));
                assert!(buckets.count() > 5, "{name}: {text}");
            }
        }
    }

    #[test]
    fn memory_is_read() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
