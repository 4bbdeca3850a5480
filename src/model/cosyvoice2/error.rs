use super::decode::DecodeError;
use super::flow::FlowError;
use super::llm::LlmError;
use super::sampling::SamplingError;
use super::tokenizer::TokenizerError;
use crate::model::weights::WeightsError;
use std::path::PathBuf;

/// Why a model directory cannot be used, or an utterance not be made.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The reason names the key and says what was expected of it.
    #[error("{}: {reason}", file.display())]
    Config { file: PathBuf, reason: String },
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Llm(#[from] LlmError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    #[error(transparent)]
    Flow(#[from] FlowError),
    #[error("{0}")]
    Failed(String),
}
