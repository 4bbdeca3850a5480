//! CosyVoice2: text and a voice prompt in, 24 kHz speech out. One file per component.

pub mod campplus;
pub mod config;
pub mod decode;
pub mod flow;
pub mod llm;
pub mod sampling;
pub mod speech_tokenizer;
