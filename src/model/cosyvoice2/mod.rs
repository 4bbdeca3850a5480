//! CosyVoice2: text and a voice prompt in, 24 kHz speech out. One file per component.

pub mod config;
pub mod decode;
pub mod llm;
pub mod sampling;
pub mod tokenizer;
