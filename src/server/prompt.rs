//! Uploaded recordings to voice prompts.

use super::app::App;
use super::error::ApiError;
use super::upload::Room;
use crate::audio::prompt::MAX_SECONDS;
use crate::audio::{Clip, DecodeError, PromptError, check_prompt, decode};
use std::sync::Arc;

/// Decodes a prompt on a thread of its own and checks that a voice can be taken from it. `room` is
/// the memory that `bytes` hold.
///
/// # Errors
/// [`ApiError::UnsupportedAudio`] or [`ApiError::PromptTooLong`].
pub async fn read(app: Arc<App>, bytes: Vec<u8>, room: Room) -> Result<Arc<Clip>, ApiError> {
    // The semaphore is never closed.
    let permit = app.decoders.clone().acquire_owned().await.ok();
    let work = tokio::task::spawn_blocking(move || {
        let result = clip(&bytes);
        drop((permit, bytes, room));
        result
    });
    work.await.unwrap_or_else(|e| Err(ApiError::Processing(format!("decoding a prompt: {e}"))))
}

fn clip(bytes: &[u8]) -> Result<Arc<Clip>, ApiError> {
    let clip = decode(bytes, MAX_SECONDS)?;
    check_prompt(&clip)?;
    Ok(Arc::new(clip))
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
