use crate::model::weights::WeightsError;
use std::path::PathBuf;

/// Why a model directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The reason names the key and says what was expected of it.
    #[error("{}: {reason}", file.display())]
    Config { file: PathBuf, reason: String },
}
