//! What a client asks for with a new task.

use super::KIND;
use crate::engine::DEFAULT_VOICE;
use crate::jobs::{JobSpec, JobVoice};
use crate::server::app::App;
use crate::server::error::ApiError;
use crate::server::json::Fields;
use axum::extract::Request;
use serde_json::json;

/// Modes of the original, which infer one sentence after the other or several at a time. Here
/// they are the same.
const MODES: [&str; 2] = ["普通推理", "批次推理"];

/// A new task that is understood.
pub struct Wanted {
    text: String,
    /// The folder of the file to be written.
    output_path: String,
    /// One of the listed prompts.
    prompt_path: Option<String>,
}

impl Wanted {
    /// # Errors
    /// [`ApiError::InvalidParameter`] for what is missing, malformed or unknown,
    /// [`ApiError::TextTooLong`], and what breaks a body.
    pub async fn read(app: &App, request: Request) -> Result<Self, ApiError> {
        let fields = Fields::read(app, request, ApiError::InvalidParameter).await?;
        let required = |name| {
            let missing = || ApiError::InvalidParameter(format!("`{name}` is missing"));
            fields.words(name)?.map(str::to_string).ok_or_else(missing)
        };
        let text = required("text")?;
        let limit = app.settings.max_text_length;
        if text.chars().count() > limit {
            return Err(ApiError::TextTooLong { limit });
        }
        let output_path = required("output_path")?;
        if let Some(mode) = fields.text("infer_mode")?
            && !MODES.contains(&mode)
        {
            let words = format!("`infer_mode` must be `{}` or `{}`", MODES[0], MODES[1]);
            return Err(ApiError::InvalidParameter(words));
        }
        let prompt_path = fields.text("prompt_path")?.map(str::to_string);
        Ok(Self { text, output_path, prompt_path })
    }

    /// The job of this task.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] for a prompt that is not listed, and for a folder that is
    /// not below `storage.output_dir`.
    pub fn spec(&self, app: &App, id: &str) -> Result<JobSpec, ApiError> {
        let asked = &self.output_path;
        let refused = |reason: &dyn std::fmt::Display| {
            ApiError::InvalidParameter(format!(
                "`output_path`: {reason}; it must be a folder in or below the server's \
                 `storage.output_dir`"
            ))
        };
        let folder = app.jobs.writable(asked).map_err(|e| refused(&e))?;
        if folder.exists() && !folder.is_dir() {
            return Err(refused(&"there is a file of this name"));
        }
        Ok(JobSpec {
            kind: KIND.into(),
            text: self.text.clone(),
            voice: JobVoice::Named(self.voice(app)?),
            output: Some(folder.join(format!("{id}.wav"))),
            extra: json!({ "output_path": asked }),
            ..JobSpec::default()
        })
    }

    fn voice(&self, app: &App) -> Result<String, ApiError> {
        let voices = app.engine.status().voices;
        let missing = |words: &str| ApiError::InvalidParameter(words.into());
        match self.prompt_path.as_deref().filter(|path| !path.is_empty()) {
            Some(path) => {
                let name = path.strip_suffix(".wav").unwrap_or(path);
                let voice = voices.into_iter().find(|voice| voice == name);
                voice.ok_or_else(|| missing("`prompt_path` is none of `/api/tts/prompts`"))
            }
            None if voices.iter().any(|voice| voice == DEFAULT_VOICE) => Ok(DEFAULT_VOICE.into()),
            None => voices.into_iter().next().ok_or_else(|| missing("no prompt is registered")),
        }
    }
}
