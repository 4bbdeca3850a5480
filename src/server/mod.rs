//! HTTP and WebSocket dialects over one engine.
//!
//! [`run`] owns the sockets. A request passes [`request`] (its id, its errors, its count), then a
//! dialect, which translates what it asks into [`speech`], the way into the engine that all
//! dialects share. Nothing here knows a tensor.

mod account;
mod answer;
mod app;
mod client;
mod demo;
mod dialect;
mod error;
mod format;
mod health;
mod index;
mod index2;
mod lifecycle;
mod light;
mod openai;
mod prompt;
mod rate;
mod realtime;
mod request;
mod run;
mod settings;
mod socket;
mod speech;
mod tasks;
mod upload;
mod workflow;

pub use run::{check, run};
