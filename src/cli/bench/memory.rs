//! Memory while a run goes on, watched from a thread of its own.

use super::machine::device_bytes;
use super::spread::round;
use super::stages::Snapshot;
use crate::telemetry::metrics::resident_bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(50);
/// The registry's text and the GPU's tool cost more than a look at `/proc`.
const LOOKS_BETWEEN: u32 = 10;

/// Memory in MiB over a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Memory {
    pub before: f64,
    pub after: f64,
    pub peak: f64,
    /// What the peak is above `before`, by session.
    pub per_session: f64,
}

/// Most that the engine's caches held, in MiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Caches {
    pub sessions: f64,
    pub voices: f64,
}

/// What was seen of all memories.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub resident: Memory,
    /// None without a GPU, or without the tool that tells.
    pub device: Option<Memory>,
    pub caches: Caches,
}

/// Looks until it is asked what it saw.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Watch {
    /// # Errors
    /// When the system refuses a thread.
    pub fn begin(registry: PrometheusHandle, gpu: bool) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let mut seen = Seen::default();
        // Before the thread runs, so that the work that follows is not in it.
        seen.resident.before = resident();
        seen.resident.peak = seen.resident.before;
        seen.device = if gpu {
            device().map(|before| Memory { before, peak: before, ..Memory::default() })
        } else {
            None
        };
        let thread = std::thread::Builder::new().name("watch".into()).spawn(move || {
            let mut looks = 0;
            while !told.load(Ordering::Acquire) {
                seen.resident.peak = seen.resident.peak.max(resident());
                if looks % LOOKS_BETWEEN == 0 {
                    seen.look_at_caches(&registry);
                    if let (Some(seen), Some(now)) = (&mut seen.device, gpu.then(device).flatten())
                    {
                        seen.peak = seen.peak.max(now);
                    }
                }
                looks += 1;
                std::thread::sleep(LOOK);
            }
            seen.look_at_caches(&registry);
            seen
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it. `sessions` shared what was taken.
    pub fn end(self, sessions: usize) -> Seen {
        self.stop.store(true, Ordering::Release);
        let mut seen = self.thread.join().unwrap_or_default();
        seen.resident.finish(resident(), sessions);
        if let Some(seen) = &mut seen.device {
            seen.finish(device().unwrap_or(seen.before), sessions);
        }
        seen
    }
}

impl Seen {
    fn look_at_caches(&mut self, registry: &PrometheusHandle) {
        let snapshot = Snapshot::take(registry);
        let of = |kind| round(snapshot.cache_bytes(kind) / MIB);
        self.caches.sessions = self.caches.sessions.max(of("sessions"));
        self.caches.voices = self.caches.voices.max(of("voices"));
    }
}

impl Memory {
    fn finish(&mut self, after: f64, sessions: usize) {
        self.after = after;
        self.peak = self.peak.max(after);
        self.per_session = round((self.peak - self.before) / sessions.max(1) as f64);
    }
}

const MIB: f64 = 1_048_576.0;

fn resident() -> f64 {
    round(resident_bytes().unwrap_or_default() as f64 / MIB)
}

fn device() -> Option<f64> {
    device_bytes().map(|bytes| round(bytes as f64 / MIB))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics;

    /// Memory taken and given back between two moments is seen in the peak.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_peak_is_seen() {
        let watch = Watch::begin(metrics::install(), false).expect("a thread");
        let block = std::hint::black_box(vec![7u8; 256 << 20]);
        std::thread::sleep(LOOK * 6);
        drop(block);
        let seen = watch.end(4).resident;
        assert!(seen.peak > seen.before + 200.0, "{seen:?}");
        assert!(seen.per_session > 50.0, "{seen:?}");
    }
}
