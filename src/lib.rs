//! Mynah: a realtime streaming text-to-speech server.
//!
//! The way of the data, and of the arrows between modules (never back):
//!
//! ```text
//! server  (dialects: HTTP and WebSocket)   cli
//!    ├──► jobs  (what is spoken later)        │
//!    └──────────────┬─────────────────────────┘
//!                engine  (sessions, schedule, voices)
//!                   │
//!                 model  (cosyvoice2 · nn · weights)
//!
//! leaves, used from anywhere: audio · text · config · telemetry
//! ```
//!
//! `ARCHITECTURE.md` is the map in full.

pub mod audio;
pub mod cli;
pub mod config;
pub mod engine;
pub mod jobs;
pub mod model;
pub mod server;
pub mod telemetry;
pub mod text;
