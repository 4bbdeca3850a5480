//! What the engine tells its registry of metrics: time by stage, rows per step, caches.

use super::spread::round;
use crate::telemetry::metrics::{self, Stage};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use std::collections::BTreeMap;

/// What one stage took of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StageFigures {
    /// Pieces of work.
    pub count: u64,
    pub seconds: f64,
    /// Of the run's wall time.
    pub share: f64,
    /// Of a piece of work; like what follows None where there was none.
    pub mean_ms: Option<f64>,
    /// Sessions that a piece of work served, on average.
    pub rows: Option<f64>,
    /// Seconds of audio of the run by second of this stage.
    pub audio_seconds_per_second: Option<f64>,
}

/// The sums of the registry at one moment.
pub struct Snapshot(String);

impl Snapshot {
    pub fn take(handle: &PrometheusHandle) -> Self {
        Self(metrics::render(handle))
    }

    /// A sample by its name and labels as they stand in the text; 0 where there is none.
    fn value(&self, sample: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
    }

    /// Bytes that the caches of one kind hold.
    pub fn cache_bytes(&self, kind: &str) -> f64 {
        self.value(&format!("mynah_cache_bytes{{cache=\"{kind}\"}}"))
    }

    /// What happened since `earlier`, which lies `wall` seconds back, in which `audio` seconds
    /// were made.
    pub fn since(
        &self,
        earlier: &Self,
        wall: f64,
        audio: f64,
    ) -> BTreeMap<&'static str, StageFigures> {
        let difference = |sample: &str| self.value(sample) - earlier.value(sample);
        let figures = |stage: Stage| {
            let of = |metric: &str, part: &str| {
                difference(&format!("{metric}_{part}{{stage=\"{}\"}}", stage.name()))
            };
            let seconds = of("mynah_stage_seconds", "sum");
            let count = of("mynah_stage_seconds", "count");
            let per = |value: f64, by: f64| (by > 0.0).then(|| round(value / by));
            StageFigures {
                count: count as u64,
                seconds: round(seconds),
                mean_ms: per(seconds * 1e3, count),
                share: per(seconds, wall).unwrap_or_default(),
                rows: per(of("mynah_rows_per_step", "sum"), count),
                audio_seconds_per_second: per(audio, seconds),
            }
        };
        Stage::ALL.into_iter().map(|stage| (stage.name(), figures(stage))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The names and the spelling of labels are the registry's.
    #[test]
    fn stages_are_read_from_the_registry() {
        let handle = metrics::install();
        let before = Snapshot::take(&handle);
        metrics::stage(Stage::Voice, Duration::from_millis(250), 3);
        metrics::stage(Stage::Voice, Duration::from_millis(750), 1);
        metrics::cache_bytes("bench-test", 77);
        let after = Snapshot::take(&handle);
        let voice = after.since(&before, 4.0, 2.0)["voice"];
        assert_eq!((voice.count, voice.seconds, voice.share), (2, 1.0, 0.25));
        assert_eq!((voice.mean_ms, voice.rows), (Some(500.0), Some(2.0)));
        assert_eq!(voice.audio_seconds_per_second, Some(2.0));
        assert_eq!(after.since(&after, 4.0, 2.0)["voice"].mean_ms, None);
        assert_eq!(after.cache_bytes("bench-test"), 77.0);
    }
}
