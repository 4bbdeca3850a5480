//! HTTP and WebSocket dialects over one engine.
//!
//! [`run`] owns the sockets. A request passes [`request`] (its id, its errors, its count), then a
//! dialect, which translates what it asks into [`speech`], the way into the engine that all
//! dialects share. Nothing here knows a tensor.

mod account;
mod answer;
mod app;
mod auth;
mod client;
mod cors;
mod demo;
mod dialect;
mod emotion;
mod error;
mod format;
mod health;
mod index;
mod index2;
mod job;
mod json;
mod lifecycle;
mod light;
mod listen;
mod openai;
mod openapi;
mod outcome;
mod prompt;
mod rate;
mod realtime;
mod request;
mod run;
mod settings;
mod socket;
mod speech;
mod tasks;
mod text;
mod tls;
mod upload;
mod workflow;

pub use dialect::{Dialect, Dialects};
#[doc(hidden)]
pub use light::hostile::{form as fuzz_form, frames as fuzz_frames};
pub use listen::{ListenError, Listener, bind};
pub use run::{check, run, run_all};
