//! Voices: registered prompts by name, and what the model made of prompts, ready to be used again.

use super::{EngineError, VoiceSource};
use crate::audio::Clip;
use crate::model::cosyvoice2::Voice;
use lru::LruCache;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name that requests without a voice of their own use.
pub const DEFAULT_VOICE: &str = "default";

/// A voice's recording and transcript.
#[derive(Debug, Clone)]
pub struct Prompt {
    pub audio: Arc<Clip>,
    pub text: String,
}

/// Why a folder of prompts cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("voice prompt {}: {reason}", file.display())]
pub struct PromptError {
    file: PathBuf,
    reason: String,
}

/// Prompts by voice name.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    prompts: BTreeMap<String, Prompt>,
}

impl Registry {
    /// Registers each `NAME.wav` that has a transcript `NAME.txt` beside it in `dir`. The voice
    /// [`DEFAULT_VOICE`] is the pair of that name, else the one named in the file `default`, else
    /// the first.
    pub fn from_dir(dir: &Path) -> Result<Self, PromptError> {
        let error = |file: &Path, reason: String| PromptError { file: file.into(), reason };
        let mut prompts = BTreeMap::new();
        let entries = std::fs::read_dir(dir).map_err(|e| error(dir, e.to_string()))?;
        for wav in entries.filter_map(|entry| entry.ok().map(|e| e.path())) {
            let transcript = wav.with_extension("txt");
            let is_wav = wav.extension().is_some_and(|e| e == "wav");
            let (true, true, Some(name)) = (is_wav, transcript.is_file(), wav.file_stem()) else {
                continue;
            };
            let bytes = std::fs::read(&wav).map_err(|e| error(&wav, e.to_string()))?;
            let audio =
                crate::audio::decode_prompt(&bytes).map_err(|e| error(&wav, e.to_string()))?;
            let text = std::fs::read_to_string(&transcript)
                .map_err(|e| error(&transcript, e.to_string()))?;
            let prompt = Prompt { audio: Arc::new(audio), text: text.trim().to_owned() };
            prompts.insert(name.to_string_lossy().into_owned(), prompt);
        }
        let named = std::fs::read_to_string(dir.join(DEFAULT_VOICE)).unwrap_or_default();
        let chosen = prompts.get(named.trim()).or_else(|| prompts.values().next()).cloned();
        if let Some(prompt) = chosen {
            prompts.entry(DEFAULT_VOICE.into()).or_insert(prompt);
        }
        Ok(Self { prompts })
    }

    pub fn names(&self) -> Vec<String> {
        self.prompts.keys().cloned().collect()
    }

    /// The prompt a request asks for.
    pub fn resolve(&self, source: &VoiceSource) -> Result<Prompt, EngineError> {
        match source {
            VoiceSource::Prompt { audio, text } => {
                Ok(Prompt { audio: audio.clone(), text: text.clone() })
            }
            VoiceSource::Named(name) => self
                .prompts
                .get(name)
                .cloned()
                .ok_or_else(|| EngineError::UnknownVoice(name.clone())),
        }
    }
}

/// Voices made ready, least recently used dropped first.
pub type VoiceKey = [u8; 32];
pub struct VoiceCache {
    voices: LruCache<[u8; 32], Arc<Voice>>,
}

impl VoiceCache {
    pub fn new(capacity: usize) -> Self {
        Self { voices: LruCache::new(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN)) }
    }

    /// SHA-256 of everything a voice is made of.
    pub fn key(&self, prompt: &Prompt) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(prompt.audio.rate.to_le_bytes());
        for sample in &prompt.audio.samples {
            hash.update(sample.to_le_bytes());
        }
        hash.update(prompt.text.as_bytes());
        hash.finalize().into()
    }

    pub fn get(&mut self, key: &[u8; 32]) -> Option<Arc<Voice>> {
        self.voices.get(key).cloned()
    }

    pub fn insert(&mut self, key: [u8; 32], voice: Arc<Voice>) {
        self.voices.put(key, voice);
    }
}
