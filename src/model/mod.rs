//! Model families, the layers they share and the loaders of their weights.
//!
//! Knows tensors; knows nothing of sessions, HTTP or configuration files of the server.

pub mod cosyvoice2;
#[cfg(any(feature = "cuda", test))]
mod cuda;
pub mod device;
pub mod nn;
pub mod weights;
