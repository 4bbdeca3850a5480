//! Logs and metrics.
pub mod memory;
