//! HTTP and WebSocket dialects over one engine.
//!
//! [`run`] owns the sockets. A request passes [`request`] (its id, its errors, its count), then a
//! dialect, which translates what it asks into [`speech`], the way into the engine that all
//! dialects share. Nothing here knows a tensor.

mod account;
mod app;
mod client;
mod demo;
mod error;
mod format;
mod health;
mod lifecycle;
mod light;
mod prompt;
mod rate;
mod request;
mod run;
mod settings;
mod socket;
mod speech;
mod upload;

pub use run::{check, run};
