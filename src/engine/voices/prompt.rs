//! A recording with its transcript, and what tells it from others.

use crate::audio::Clip;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A voice's recording and transcript.
#[derive(Debug, Clone)]
pub struct Prompt {
    pub audio: Arc<Clip>,
    pub text: String,
    digest: [u8; 32],
}

impl Prompt {
    pub fn new(audio: Arc<Clip>, text: impl Into<String>) -> Self {
        let text = text.into();
        let mut hash = Sha256::new();
        hash.update(audio.rate.to_le_bytes());
        // The text begins where the samples end.
        hash.update((audio.samples.len() as u64).to_le_bytes());
        let mut bytes = [0; 4096];
        for samples in audio.samples.chunks(bytes.len() / 4) {
            for (to, sample) in bytes.chunks_exact_mut(4).zip(samples) {
                to.copy_from_slice(&sample.to_le_bytes());
            }
            hash.update(&bytes[..4 * samples.len()]);
        }
        hash.update(text.as_bytes());
        Self { audio, text, digest: hash.finalize().into() }
    }

    /// SHA-256 of the recording's rate and samples, and the transcript.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// SHA-256 of everything a voice is made of: recording, transcript, model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VoiceKey([u8; 32]);

impl VoiceKey {
    /// Of a [`Prompt::digest`] and the model's fingerprint.
    pub fn new(prompt: &[u8; 32], model: &[u8; 32]) -> Self {
        Self(Sha256::new().chain_update(prompt).chain_update(model).finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(samples: &[f32], rate: u32, text: &str) -> [u8; 32] {
        *Prompt::new(Arc::new(Clip { samples: samples.into(), rate }), text).digest()
    }

    /// Two voices under one key would speak with each other's voice.
    #[test]
    fn every_part_of_a_prompt_tells() {
        let all = [
            digest(&[0.5, 0.25], 16_000, "a"),
            digest(&[0.5, 0.25], 16_000, "b"),
            digest(&[0.5, 0.25], 24_000, "a"),
            digest(&[0.25, 0.5], 16_000, "a"),
            digest(&[0.5], 16_000, "\0\0\u{1}>a"),
            digest(&[0.5; 3000], 16_000, "a"),
            digest(&[0.5; 3001], 16_000, "a"),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(!all[..i].contains(one), "{i}");
        }
        assert_eq!(digest(&[0.5, 0.25], 16_000, "a"), all[0]);
        assert_ne!(VoiceKey::new(&all[0], &all[1]), VoiceKey::new(&all[0], &all[2]));
        assert_ne!(VoiceKey::new(&all[0], &all[1]), VoiceKey::new(&all[1], &all[0]));
    }
}
