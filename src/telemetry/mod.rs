//! Logs and metrics.

mod logs;
pub mod metrics;

pub use logs::{LogError, init};
