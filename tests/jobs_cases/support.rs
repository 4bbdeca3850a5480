//! Stores to test.

use mynah::audio::wav;
use mynah::config::Config;
use mynah::engine::{EngineHandle, start_silent};
use mynah::jobs::{JobError, JobRecord, JobSettings, JobSpec, JobState, Jobs};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Nothing in these tests takes as long, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Setup {
    pub dir: TempDir,
    pub config: Config,
    pub engine: EngineHandle,
}

impl Setup {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = config(dir.path());
        change(&mut config);
        let engine = start_silent(&config.engine);
        Self { dir, config, engine }
    }

    pub async fn jobs(&self) -> Jobs {
        self.try_jobs().await.expect("a store")
    }

    /// As soon as the one before, whose workers are ending, is closed.
    pub async fn try_jobs(&self) -> Result<Jobs, JobError> {
        open(JobSettings::from(&self.config), &self.engine).await
    }

    /// Waits until no session generates or waits.
    pub async fn becomes_idle(&self) {
        let start = Instant::now();
        while self.engine.status().active + self.engine.status().queued > 0 {
            assert!(start.elapsed() < PATIENCE, "sessions remain");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub fn config(dir: &Path) -> Config {
    let mut config = Config::default();
    config.storage.dir = dir.join("data");
    config.storage.output_dir = dir.join("outputs");
    config.storage.shared_dir = dir.join("shared");
    config.storage.voices_dir = dir.join("voices");
    config
}

pub async fn open(settings: JobSettings, engine: &EngineHandle) -> Result<Jobs, JobError> {
    let start = Instant::now();
    loop {
        match Jobs::open(settings.clone(), engine.clone()).await {
            Err(JobError::Unavailable(reason))
                if reason.contains("in use") && start.elapsed() < PATIENCE =>
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => return other,
        }
    }
}

pub fn spec(text: &str) -> JobSpec {
    JobSpec { kind: "test".into(), text: text.into(), ..JobSpec::default() }
}

/// Waits for the end of a job and checks that it is this one.
#[track_caller]
pub fn is(record: &JobRecord, state: JobState) {
    assert_eq!(record.state, state, "{record:?}");
}

/// The samples of a WAV file.
pub fn samples(bytes: &[u8]) -> usize {
    hound::WavReader::new(bytes).expect("a WAV file").into_samples::<i16>().flatten().count()
}

/// A tone as a WAV file.
pub fn tone(seconds: f64) -> Vec<u8> {
    let samples: Vec<f32> =
        (0..(seconds * 16_000.0) as usize).map(|i| 0.3 * (i as f32 * 0.17).sin()).collect();
    wav::encode(&samples, 16_000)
}
