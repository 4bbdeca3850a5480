//! CosyVoice2: text and a voice prompt in, 24 kHz speech out. One file per component.

pub mod campplus;
pub mod config;
mod config_dir;
mod config_limits;
pub mod decode;
mod error;
pub mod flow;
pub mod llm;
pub mod sampling;
pub mod speech_tokenizer;
mod yaml;

pub use error::ModelError;
pub mod tokenizer;
