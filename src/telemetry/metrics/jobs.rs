//! What the job store counts.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

pub(super) const QUEUED: &str = "mynah_jobs_queued";
pub(super) const RUNNING: &str = "mynah_jobs_running";
pub(super) const ENDED: &str = "mynah_jobs_ended_total";
pub(super) const SECONDS: &str = "mynah_job_seconds";
pub(super) const WAIT: &str = "mynah_job_wait_seconds";
pub(super) const STORED: &str = "mynah_job_storage_bytes";
pub(super) const LIMIT: &str = "mynah_job_storage_limit_bytes";
pub(super) const UP: &str = "mynah_job_store_up";

/// Ends of a job, all of which are shown from the start.
const STATES: [&str; 3] = ["completed", "failed", "cancelled"];

/// Jobs may be long, and may wait for as long as others take.
const BUCKETS: &[f64] =
    &[0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

pub(super) fn buckets(builder: PrometheusBuilder) -> Result<PrometheusBuilder, BuildError> {
    let full = |name: &str| Matcher::Full(name.into());
    builder
        .set_buckets_for_metric(full(SECONDS), BUCKETS)?
        .set_buckets_for_metric(full(WAIT), BUCKETS)
}

pub(super) fn describe() {
    describe_gauge!(QUEUED, "Jobs that wait for a worker, of all servers that share the store.");
    describe_gauge!(RUNNING, "Jobs that this server speaks.");
    describe_counter!(ENDED, "Jobs that this server ended, by the state they ended in.");
    describe_histogram!(SECONDS, "Seconds from the start of a job to its end.");
    describe_histogram!(WAIT, "Seconds from the submission of a job to its first start.");
    describe_gauge!(STORED, "Bytes of uploads, results and the database in storage.dir.");
    describe_gauge!(LIMIT, "Bytes that storage.dir may hold (storage.max_bytes).");
    describe_gauge!(UP, "Whether the job store answers: 1 or 0.");
    for state in STATES {
        counter!(ENDED, "state" => state).increment(0);
    }
}

/// What the store holds at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobStore {
    /// None where the store does not answer.
    pub queued: Option<usize>,
    pub running: usize,
    pub stored_bytes: u64,
    pub limit_bytes: u64,
}

/// Sets what is read at the moment it is asked for. What is not known keeps its last value.
pub fn observe(store: JobStore) {
    gauge!(UP).set(if store.queued.is_some() { 1.0 } else { 0.0 });
    if let Some(queued) = store.queued {
        gauge!(QUEUED).set(queued as f64);
    }
    gauge!(RUNNING).set(store.running as f64);
    gauge!(STORED).set(store.stored_bytes as f64);
    gauge!(LIMIT).set(store.limit_bytes as f64);
}

/// A job was begun for the first time, so many seconds after it came.
pub fn began(waited: f64) {
    histogram!(WAIT).record(waited.max(0.0));
}

/// A job ended in this state, so many seconds after it was begun, if it was.
pub fn ended(state: &'static str, seconds: Option<f64>) {
    counter!(ENDED, "state" => state).increment(1);
    if let Some(seconds) = seconds {
        histogram!(SECONDS).record(seconds);
    }
}
