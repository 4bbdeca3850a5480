//! A voice on its way from a request to the model's answer.

use super::{Prompt, Store, VoiceName};
use crate::model::cosyvoice2::{CosyVoice2, ModelError, Voice, VoiceWork};

/// Work on a voice. What was made of a stored voice's recording is stored with it at the end.
pub struct Making {
    work: VoiceWork,
    renew: Option<(Store, VoiceName, Prompt)>,
}

impl Making {
    pub(super) fn new(work: VoiceWork, renew: Option<(Store, VoiceName, Prompt)>) -> Self {
        Self { work, renew }
    }

    /// One bounded piece of work; the voice after the last. See [`VoiceWork::step`].
    ///
    /// # Errors
    /// Those of [`VoiceWork::step`].
    pub fn step(&mut self, model: &CosyVoice2) -> Result<Option<Voice>, ModelError> {
        let made = self.work.step(model)?;
        if let Some(voice) = &made
            && let Some((store, name, prompt)) = self.renew.take()
            && let Err(error) = store.renew(&name, &prompt, &voice.tensors(), model.fingerprint())
        {
            // The store may be read-only: the voice is then made again at the next start.
            tracing::warn!(voice = %name, %error, "what was made of a stored voice cannot be kept");
        }
        Ok(made)
    }
}
