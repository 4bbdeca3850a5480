//! Registered voices by name: those that come with the model, and those of the store.

use super::store::Stamp;
use super::{Making, Prompt, Store, StoreError, VoiceKey, VoiceName};
use crate::engine::{EngineError, VoiceSource};
use crate::model::cosyvoice2::{CosyVoice2, VoiceWork};
use lru::LruCache;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// The name that requests without a voice of their own use.
pub const DEFAULT_VOICE: &str = "default";

/// How long a listing of the store serves.
const LISTING: Duration = Duration::from_secs(1);
/// Stored voices whose digest is remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Why a folder of prompts cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("voice prompt {}: {reason}", file.display())]
pub struct PromptError {
    file: PathBuf,
    reason: String,
}

/// Prompts by voice name. Cheap to clone; all clones see the same voices.
///
/// The store is looked at anew for every request, so that voices added or removed beside a
/// running server are found. Where a stored voice and one of the model have the same name, the
/// stored one is spoken with.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    bundled: Arc<BTreeMap<String, Prompt>>,
    stored: Option<Arc<Stored>>,
}

/// A store and what was read of it.
#[derive(Debug)]
struct Stored {
    store: Store,
    /// Prompts' digests, each good while its stamp is: a voice that is ready is found without
    /// reading its recording.
    digests: Mutex<LruCache<VoiceName, (Stamp, [u8; 32])>>,
    listing: Mutex<Option<Listing>>,
}

#[derive(Debug)]
struct Listing {
    at: Instant,
    /// When the folder was last changed.
    modified: Option<SystemTime>,
    names: Vec<String>,
}

/// A voice that was asked for and exists.
#[derive(Debug, Clone)]
pub struct Found {
    digest: [u8; 32],
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Origin {
    Prompt(Prompt),
    Stored(VoiceName),
}

impl Found {
    /// What its [`Voice`](crate::model::cosyvoice2::Voice) is known by in a model with this
    /// fingerprint.
    pub fn key(&self, model: &[u8; 32]) -> VoiceKey {
        VoiceKey::new(&self.digest, model)
    }
}

impl From<Prompt> for Found {
    fn from(prompt: Prompt) -> Self {
        Self { digest: *prompt.digest(), origin: Origin::Prompt(prompt) }
    }
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
            let prompt = Prompt::new(Arc::new(audio), text.trim());
            prompts.insert(name.to_string_lossy().into_owned(), prompt);
        }
        let named = std::fs::read_to_string(dir.join(DEFAULT_VOICE)).unwrap_or_default();
        let chosen = prompts.get(named.trim()).or_else(|| prompts.values().next()).cloned();
        if let Some(prompt) = chosen {
            prompts.entry(DEFAULT_VOICE.into()).or_insert(prompt);
        }
        Ok(prompts.into_iter().collect())
    }

    /// With the voices of a store too.
    pub fn with_store(self, store: Store) -> Self {
        let stored = Stored {
            store,
            digests: Mutex::new(LruCache::new(REMEMBERED)),
            listing: Mutex::new(None),
        };
        Self { stored: Some(Arc::new(stored)), ..self }
    }

    /// Where voices can be added and removed, if anywhere.
    pub fn store(&self) -> Option<&Store> {
        self.stored.as_ref().map(|stored| &stored.store)
    }

    /// The voices that come with the model.
    pub fn bundled(&self) -> impl Iterator<Item = (&str, &Prompt)> {
        self.bundled.iter().map(|(name, prompt)| (name.as_str(), prompt))
    }

    /// All names, in order. What the store has is at most a second old.
    pub fn names(&self) -> Vec<String> {
        let stored = self.stored.as_ref().map(|s| s.names()).unwrap_or_default();
        let names: BTreeSet<String> = self.bundled.keys().cloned().chain(stored).collect();
        names.into_iter().collect()
    }

    /// Whether a voice of this name exists now.
    pub fn contains(&self, name: &str) -> bool {
        let stored = |s: &Arc<Stored>| s.voice(name).is_some();
        self.stored.as_ref().is_some_and(stored) || self.bundled.contains_key(name)
    }

    /// The voice a request asks for. Reads the recording of a stored voice that is new or has
    /// changed.
    ///
    /// # Errors
    /// [`EngineError::UnknownVoice`], and [`EngineError::Failed`] for a stored voice whose
    /// recording or transcript cannot be used.
    pub fn resolve(&self, source: &VoiceSource) -> Result<Found, EngineError> {
        let name = match source {
            VoiceSource::Prompt { audio, text } => {
                return Ok(Prompt::new(audio.clone(), text.as_str()).into());
            }
            VoiceSource::Named(name) => name,
        };
        if let Some(stored) = &self.stored
            && let Some((name, stamp)) = stored.voice(name)
        {
            return stored.find(name, stamp);
        }
        let prompt = self.bundled.get(name).cloned();
        prompt.map(Found::from).ok_or_else(|| EngineError::UnknownVoice(name.clone()))
    }

    /// Begins to make a voice: from what the encoders made of it earlier, where that is stored and
    /// sound, else from its recording.
    ///
    /// # Errors
    /// [`EngineError::Failed`].
    pub fn begin(
        &self,
        found: &Found,
        model: &CosyVoice2,
        first_hop: usize,
    ) -> Result<Making, EngineError> {
        let failed = |e: &dyn std::fmt::Display| EngineError::Failed(e.to_string());
        let from_prompt = |prompt: &Prompt| {
            model.begin_voice(&prompt.audio, &prompt.text, first_hop).map_err(|e| failed(&e))
        };
        let name = match &found.origin {
            Origin::Prompt(prompt) => return Ok(Making::new(from_prompt(prompt)?, None)),
            Origin::Stored(name) => name,
        };
        let Some(Stored { store, .. }) = self.stored.as_deref() else {
            return Err(EngineError::UnknownVoice(name.to_string()));
        };
        let kept = store.tensors(name, &found.digest, model.fingerprint());
        let is_new = kept.as_ref().is_err_and(StoreError::is_missing);
        let work = kept.map_err(|e| e.to_string()).and_then(|tensors| {
            VoiceWork::from_tensors(model, tensors, first_hop).map_err(|e| e.to_string())
        });
        match work {
            Ok(work) => Ok(Making::new(work, None)),
            Err(reason) => {
                if is_new {
                    tracing::info!(voice = %name, "a stored voice is made for the first time");
                } else {
                    tracing::warn!(voice = %name, reason, "a stored voice is made anew");
                }
                let prompt = store.prompt(name).map_err(|e| failed(&e))?;
                if *prompt.digest() != found.digest {
                    return Err(failed(&format_args!("voice `{name}` was replaced just now")));
                }
                let work = from_prompt(&prompt)?;
                Ok(Making::new(work, Some((store.clone(), name.clone(), prompt))))
            }
        }
    }
}

impl FromIterator<(String, Prompt)> for Registry {
    fn from_iter<I: IntoIterator<Item = (String, Prompt)>>(prompts: I) -> Self {
        Self { bundled: Arc::new(prompts.into_iter().collect()), stored: None }
    }
}

impl Stored {
    /// The name and stamp of a voice that exists.
    fn voice(&self, name: &str) -> Option<(VoiceName, Stamp)> {
        let name = VoiceName::new(name).ok()?;
        let stamp = self.store.stamp(&name)?;
        Some((name, stamp))
    }

    fn find(&self, name: VoiceName, stamp: Stamp) -> Result<Found, EngineError> {
        let known = lock(&self.digests).get(&name).filter(|(s, _)| *s == stamp).map(|(_, d)| *d);
        let digest = match known {
            Some(digest) => digest,
            None => {
                let prompt = self.store.prompt(&name);
                let prompt = prompt.map_err(|e| EngineError::Failed(e.to_string()))?;
                lock(&self.digests).put(name.clone(), (stamp, *prompt.digest()));
                *prompt.digest()
            }
        };
        Ok(Found { digest, origin: Origin::Stored(name) })
    }

    /// The store's names; read again when the folder has changed, or after a while, since what
    /// changes inside of a voice's folder does not show at the store's.
    fn names(&self) -> Vec<String> {
        let modified = std::fs::metadata(self.store.dir()).and_then(|m| m.modified()).ok();
        let mut listing = lock(&self.listing);
        if let Some(listing) = &*listing
            && listing.modified == modified
            && listing.at.elapsed() < LISTING
        {
            return listing.names.clone();
        }
        let names: Vec<String> = self.store.names().iter().map(ToString::to_string).collect();
        *listing = Some(Listing { at: Instant::now(), modified, names: names.clone() });
        names
    }
}

/// What was read stays true if a reader panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

#[cfg(test)]
mod tests;
