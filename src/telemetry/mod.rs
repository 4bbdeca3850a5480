//! Logs and metrics.

mod logs;
pub mod memory;
pub mod metrics;

pub use logs::{LogError, init};
