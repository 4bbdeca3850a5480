//! What a client asks for with a new task.

use super::KIND;
use crate::engine::DEFAULT_VOICE;
use crate::jobs::{JobSpec, JobVoice};
use crate::server::app::App;
use crate::server::error::ApiError;
use crate::server::upload;
use axum::extract::Request;
use serde::Deserialize;
use serde_json::json;

/// Bytes of a body beside its text.
const OVERHEAD: usize = 64 * 1024;
/// Bytes that one character may take: an escaped pair of surrogates.
const ESCAPED: usize = 12;

/// Modes of the original, which infer one sentence after the other or several at a time. Here
/// they are the same.
const MODES: [&str; 2] = ["普通推理", "批次推理"];

/// A new task as it is sent.
#[derive(Debug, Deserialize)]
pub struct Asked {
    text: Option<String>,
    /// The folder of the file to be written.
    output_path: Option<String>,
    infer_mode: Option<String>,
    /// One of the listed prompts.
    prompt_path: Option<String>,
}

impl Asked {
    /// # Errors
    /// [`ApiError::InvalidParameter`] for what is missing, malformed or unknown,
    /// [`ApiError::TextTooLong`], and what breaks a body.
    pub async fn read(app: &App, request: Request) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let limit = app.settings.max_text_length;
        let bytes = limit.saturating_mul(ESCAPED).saturating_add(OVERHEAD);
        let bounds = upload::Bounds { bytes, idle: app.settings.request_idle };
        let body = upload::bounded(body, &parts.headers, bounds, app.uploads.room())?;
        let bytes = axum::body::to_bytes(body, bytes).await.map_err(|e| upload::reason(&e))?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let asked: Self = serde_path_to_error::deserialize(&mut json).map_err(|e| {
            ApiError::InvalidParameter(format!("the body is not as it must be: {e}"))
        })?;
        let text = required("text", &asked.text)?;
        if text.chars().count() > limit {
            return Err(ApiError::TextTooLong { limit });
        }
        required("output_path", &asked.output_path)?;
        if let Some(mode) = asked.infer_mode.as_deref()
            && !MODES.contains(&mode)
        {
            let words = format!("`infer_mode` must be `{}` or `{}`", MODES[0], MODES[1]);
            return Err(ApiError::InvalidParameter(words));
        }
        Ok(asked)
    }

    /// The job of this task.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] for a prompt that is not listed, and for a folder that is
    /// not below `storage.output_dir`.
    pub fn spec(&self, app: &App, id: &str) -> Result<JobSpec, ApiError> {
        let asked = required("output_path", &self.output_path)?;
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
            text: required("text", &self.text)?.into(),
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

fn required<'a>(name: &str, value: &'a Option<String>) -> Result<&'a str, ApiError> {
    let value = value.as_deref().filter(|text| !text.trim().is_empty());
    value.ok_or_else(|| ApiError::InvalidParameter(format!("`{name}` is missing")))
}
