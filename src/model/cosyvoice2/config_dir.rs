//! Which files of a model directory state its sizes, and reading them.

use super::ModelError;
use super::config::ModelConfig;
use super::yaml;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest configuration file; the official ones have a few KiB.
const MAX_FILE: u64 = 1 << 20;

/// Keys of [`ModelConfig`]. A `config.json` with none of them is another program's.
const KEYS: [&str; 10] = [
    "sample_rate",
    "token_frame_rate",
    "token_mel_ratio",
    "speech_token_size",
    "mix_ratio",
    "sampling",
    "flow",
    "hift",
    "speech_tokenizer",
    "campplus",
];

impl ModelConfig {
    /// Reads the sizes of a model directory: `config.json` or, where that is missing or holds none
    /// of our keys, the official `cosyvoice2.yaml`; and `CosyVoice-BlankEN/config.json` for the
    /// language model. What they leave out is as in the official 0.5B release.
    ///
    /// # Errors
    /// [`ModelError::Config`] if a file is missing or malformed, or if a value is not one that the
    /// components can work with: see [`validate`](Self::validate).
    pub fn from_dir(dir: &Path) -> Result<Self, ModelError> {
        let sizes = sizes(dir)?;
        let llm_file = dir.join("CosyVoice-BlankEN").join("config.json");
        let llm = read_json(&llm_file)?;
        Self::from_values(sizes, (llm_file, llm))
    }

    /// The same from texts in memory, for the fuzz targets: sizes as YAML or, where they begin
    /// with a brace, as JSON; and those of the language model.
    #[doc(hidden)]
    pub fn fuzz_texts(sizes: &str, llm: &str) -> Result<Self, ModelError> {
        let file = PathBuf::from("fuzz");
        let json = |text| serde_json::from_str(text).map_err(|e| refuse(&file, e.to_string()));
        let sizes = match sizes.starts_with('{') {
            true => json(sizes)?,
            false => yaml::sizes(sizes).map_err(|reason| refuse(&file, reason))?,
        };
        Self::from_values((file.clone(), sizes), (file.clone(), json(llm)?))
    }

    fn from_values(sizes: (PathBuf, Value), llm: (PathBuf, Value)) -> Result<Self, ModelError> {
        let mut config: Self = deserialize(sizes.1, &sizes.0)?;
        config.llm = deserialize(llm.1, &llm.0)?;
        config.llm.validate().map_err(|reason| ModelError::Config { file: llm.0, reason })?;
        config.validate().map_err(|reason| ModelError::Config { file: sizes.0, reason })?;
        Ok(config)
    }
}

/// The file that states the sizes, and what it states, in the layout of [`ModelConfig`].
fn sizes(dir: &Path) -> Result<(PathBuf, Value), ModelError> {
    let (json, yaml) = (dir.join("config.json"), dir.join("cosyvoice2.yaml"));
    if json.exists() {
        let sizes = read_json(&json)?;
        if !yaml.exists() || KEYS.iter().any(|key| sizes.get(key).is_some()) {
            return Ok((json, sizes));
        }
    }
    if !dir.is_dir() {
        return Err(refuse(dir, "is not a directory"));
    }
    if !yaml.exists() {
        return Err(refuse(dir, "holds neither `config.json` nor `cosyvoice2.yaml`"));
    }
    let sizes = yaml::sizes(&read_text(&yaml)?).map_err(|reason| refuse(&yaml, reason))?;
    Ok((yaml, sizes))
}

fn deserialize<T: DeserializeOwned>(value: Value, file: &Path) -> Result<T, ModelError> {
    // A sequence would be taken for the fields in their order.
    if !value.is_object() {
        return Err(refuse(file, "is not a JSON object"));
    }
    serde_path_to_error::deserialize(value)
        .map_err(|e| refuse(file, format!("`{}`: {}", e.path(), e.inner())))
}

fn read_json(file: &Path) -> Result<Value, ModelError> {
    serde_json::from_str(&read_text(file)?)
        .map_err(|e| refuse(file, format!("not valid JSON: {e}")))
}

fn read_text(file: &Path) -> Result<String, ModelError> {
    let unreadable = |e: std::io::Error| refuse(file, format!("cannot be read: {e}"));
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(refuse(file, "is not a regular file"));
    }
    let mut text = String::new();
    let mut limited = File::open(file).map_err(unreadable)?.take(MAX_FILE + 1);
    limited.read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(refuse(file, format!("is longer than {MAX_FILE} bytes")));
    }
    Ok(text)
}

fn refuse(file: &Path, reason: impl Into<String>) -> ModelError {
    ModelError::Config { file: file.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests;
