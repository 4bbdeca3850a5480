//! Sessions over one model: admission, schedule, voices, cancellation.
//!
//! One thread owns the model. Callers talk to it through an [`EngineHandle`] and bounded channels;
//! nothing here knows HTTP.

mod batch;
mod budget;
mod error;
mod expected;
mod feed;
mod handle;
mod meter;
mod playback;
mod readings;
mod schedule;
mod session;
mod silent;
mod thread;
mod voices;
mod words;

pub use crate::model::cosyvoice2::SamplingOptions;
pub use budget::{Budget, TooLarge};
pub use error::EngineError;
pub use handle::{
    AudioEvent, EngineHandle, EngineStatus, Session, SpeakRequest, Summary, TextEvent, TextInput,
    VoiceSource, WordTime,
};
pub use readings::{Readings, ReadingsError};
pub use silent::{OnTick, Tick, start_silent, start_silent_observed, start_silent_with_store};
pub use thread::{EngineSettings, start};
pub use voices::{
    DEFAULT_VOICE, NameError, Prompt, PromptError, Recording, Registry, Store, StoreError,
    VoiceName, prepare_prompt, report_prompt,
};
