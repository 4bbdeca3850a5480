//! CosyVoice2: text and a voice prompt in, 24 kHz speech out. One file per component.

pub mod config;
mod config_dir;
mod config_limits;
mod error;
mod yaml;

pub use error::ModelError;
