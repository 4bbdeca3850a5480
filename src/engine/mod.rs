//! Sessions over one model: admission, schedule, voices, cancellation.
//!
//! One thread owns the model. Callers talk to it through an [`EngineHandle`] and bounded channels;
//! nothing here knows HTTP.

mod error;
mod handle;
mod silent;

pub use error::EngineError;
pub use handle::{
    AudioEvent, EngineHandle, EngineStatus, Session, SpeakRequest, Summary, TextEvent, TextInput,
    VoiceSource,
};
pub use silent::start_silent;
