use std::path::PathBuf;

/// Why a weight file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("cannot read {}: {source}", file.display())]
    Io { file: PathBuf, source: std::io::Error },
    #[error("neither {} nor {} exists", first.display(), second.display())]
    NotFound { first: PathBuf, second: PathBuf },
    #[error("{}: unknown weight format (expected .pt, .safetensors or .onnx)", file.display())]
    UnknownFormat { file: PathBuf },
    #[error("{}: {reason}", file.display())]
    Malformed { file: PathBuf, reason: String },
    #[error("{}: tensor `{tensor}` is missing (expected shape {expected:?})", file.display())]
    Missing { file: PathBuf, tensor: String, expected: Vec<usize> },
    #[error("{}: tensor `{tensor}` has shape {found:?}, expected {expected:?}", file.display())]
    Shape { file: PathBuf, tensor: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("{}: tensor `{tensor}`: {reason}", file.display())]
    Data { file: PathBuf, tensor: String, reason: String },
}
