//! Uploaded recordings to voice prompts.

use super::app::App;
use super::error::ApiError;
use super::upload::Room;
use crate::audio::prompt::MAX_SECONDS;
use crate::audio::{Clip, DecodeError, PromptCare, PromptError, PromptWarning};
use crate::audio::{check_prompt, decode};
use crate::engine::prepare_prompt;
use std::sync::Arc;

/// A recording that a voice can be taken from.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptAudio {
    /// As the encoders get it.
    pub clip: Arc<Clip>,
    /// Length of the recording as it came.
    pub seconds: f64,
    pub warnings: Vec<PromptWarning>,
}

/// Decodes a prompt on a thread of its own, checks that a voice can be taken from it, and prepares
/// it as the settings say. `transcript` is what is said in it, empty where nobody told; `room` is
/// the memory that `bytes` hold.
///
/// # Errors
/// [`ApiError::UnsupportedAudio`] or [`ApiError::PromptTooLong`].
pub async fn read(
    app: Arc<App>,
    bytes: Vec<u8>,
    transcript: String,
    room: Room,
) -> Result<PromptAudio, ApiError> {
    // The semaphore is never closed.
    let permit = app.decoders.clone().acquire_owned().await.ok();
    let care = app.settings.prompt_care;
    let work = tokio::task::spawn_blocking(move || {
        let result = audio(&bytes, &transcript, care);
        drop((permit, bytes, room));
        result
    });
    work.await.unwrap_or_else(|e| Err(ApiError::Processing(format!("decoding a prompt: {e}"))))
}

fn audio(bytes: &[u8], transcript: &str, care: PromptCare) -> Result<PromptAudio, ApiError> {
    let clip = decode(bytes, MAX_SECONDS)?;
    check_prompt(&clip)?;
    let seconds = clip.seconds();
    let prepared = prepare_prompt(clip, transcript, care);
    Ok(PromptAudio { clip: Arc::new(prepared.clip), seconds, warnings: prepared.warnings })
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooLong { .. } => Self::PromptTooLong(error.to_string()),
            _ => Self::UnsupportedAudio(error.to_string()),
        }
    }
}

impl From<PromptError> for ApiError {
    fn from(error: PromptError) -> Self {
        match error {
            PromptError::TooLong { .. } => Self::PromptTooLong(error.to_string()),
            _ => Self::UnsupportedAudio(error.to_string()),
        }
    }
}
