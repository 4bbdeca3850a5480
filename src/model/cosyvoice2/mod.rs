//! CosyVoice2: text and a voice prompt in, 24 kHz speech out. One file or folder per component;
//! [`CosyVoice2`] holds them, [`Generation`] runs an utterance through them.

pub mod campplus;
mod check;
pub mod config;
mod config_dir;
mod config_limits;
pub mod decode;
mod error;
mod fingerprint;
pub mod flow;
mod footprint;
mod generation;
mod guard;
pub mod hift;
pub mod llm;
mod model;
mod random;
pub mod sampling;
pub mod speech_tokenizer;
pub mod tokenizer;
mod voice;
mod yaml;

pub use check::{FileReport, Report};
pub use config::ModelConfig;
pub use error::ModelError;
pub use fingerprint::fingerprint;
pub use footprint::Footprint;
pub use generation::{Generation, GenerationOptions, Next, WaveShape};
pub use guard::{Expectation, Fault, Remedy};
pub use llm::Slots;
pub use model::{CosyVoice2, LoadOptions};
pub use random::RandomSize;
pub use sampling::SamplingOptions;
pub use voice::{Voice, VoiceTensors, VoiceWork};
