//! What is spoken later: jobs, the recordings they use, and their results.
//!
//! [`Jobs`] stores a job before it answers for it, hands it to one of its workers, which speaks it
//! through the engine, and keeps the result for a while. Nothing here knows HTTP. Records are in a
//! [`backend`]; uploads and results are [`files`].

mod backend;
pub mod confine;
mod embedded;
mod error;
mod files;
mod record;
mod redis;
mod service;
mod shutdown;
mod worker;

pub use backend::Filter;
pub use confine::ConfineError;
pub use error::JobError;
pub use files::is_file_id;
pub use record::{FileInfo, JobId, JobRecord, JobSpec, JobState, JobVoice, Statistics, now};
pub use service::{JobSettings, Jobs};
