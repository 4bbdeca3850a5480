//! Registered voices on disk: a folder for each, named as the voice.
//!
//! `audio.wav` and `text.txt` are the voice; `voice.safetensors` is what a model's encoders made
//! of them, and can always be made again.

use super::{NameError, Prompt, VoiceName};
use crate::audio::{self, Clip};
use crate::model::cosyvoice2::VoiceTensors;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

const AUDIO: &str = "audio.wav";
const TEXT: &str = "text.txt";
const TENSORS: &str = "voice.safetensors";
/// Begins names of what is half written. No voice's name begins so.
const TEMPORARY: &str = ".tmp-";

/// Changes when the encoders or the layout of `voice.safetensors` do: what was made before is then
/// made again.
const FORMAT: &str = "1";

/// Entries of the folder that are looked at.
const MAX_VOICES: usize = 10_000;
/// Bytes that are read of each file. Thirty seconds are below a tenth of it.
const MAX_AUDIO: u64 = 64 << 20;
const MAX_TEXT: u64 = 64 << 10;
const MAX_TENSORS: u64 = 16 << 20;

/// Why a voice cannot be stored, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("a voice called `{0}` exists already")]
    Exists(VoiceName),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
}

impl StoreError {
    /// Whether it is that a file is not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path, source }
}

fn unusable(path: &Path, reason: impl ToString) -> StoreError {
    StoreError::Unusable { path: path.into(), reason: reason.to_string() }
}

/// A prompt as it will be stored: in 16 bits, so that what is read later is what was heard now.
#[derive(Debug, Clone)]
pub struct Recording {
    pub prompt: Prompt,
    wav: Vec<u8>,
}

impl Recording {
    /// # Errors
    /// A message: the recording is no prompt (see [`audio::check_prompt`]), or the transcript is
    /// empty.
    pub fn new(audio: &Clip, text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("the transcript is empty".into());
        }
        if text.len() as u64 > MAX_TEXT {
            return Err(format!("the transcript is longer than {MAX_TEXT} bytes"));
        }
        let wav = audio::wav::encode(&audio.samples, audio.rate);
        let audio = audio::decode_prompt(&wav).map_err(|e| e.to_string())?;
        Ok(Self { prompt: Prompt::new(Arc::new(audio), text), wav })
    }
}

/// Tells whether a stored prompt is still the one that was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stamp([FileStamp; 2]);

/// Length, time of change, and the file's number in its file system.
type FileStamp = (u64, SystemTime, u64);

/// A folder of voices. It need not exist before a voice is added.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of a voice, whether there is one or not.
    pub fn path(&self, name: &VoiceName) -> PathBuf {
        self.dir.join(name.as_str())
    }

    /// Whether the name is taken, be it by a voice that cannot be used.
    pub fn is_taken(&self, name: &VoiceName) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Names of the voices, in order; of the first 10,000 entries where there are more.
    pub fn names(&self) -> Vec<VoiceName> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        let mut names: Vec<VoiceName> = entries
            .take(MAX_VOICES)
            .filter_map(|entry| VoiceName::new(entry.ok()?.file_name().to_str()?).ok())
            .filter(|name| self.stamp(name).is_some())
            .collect();
        names.sort();
        names
    }

    /// None where there is no such voice.
    pub fn stamp(&self, name: &VoiceName) -> Option<Stamp> {
        let folder = self.path(name);
        let stamp = |file| {
            let metadata = fs::metadata(folder.join(file)).ok().filter(|m| m.is_file())?;
            Some((metadata.len(), metadata.modified().ok()?, metadata.ino()))
        };
        Some(Stamp([stamp(AUDIO)?, stamp(TEXT)?]))
    }

    /// A voice's recording and transcript.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Unusable`].
    pub fn prompt(&self, name: &VoiceName) -> Result<Prompt, StoreError> {
        let folder = self.path(name);
        let (audio, text) = (folder.join(AUDIO), folder.join(TEXT));
        let clip = audio::decode_prompt(&read(&audio, MAX_AUDIO)?);
        let clip = clip.map_err(|e| unusable(&audio, e))?;
        let words = String::from_utf8(read(&text, MAX_TEXT)?).map_err(|e| unusable(&text, e))?;
        match words.trim() {
            "" => Err(unusable(&text, "the transcript is empty")),
            words => Ok(Prompt::new(Arc::new(clip), words)),
        }
    }

    /// What the encoders of the model with this fingerprint made of the prompt with this digest.
    ///
    /// # Errors
    /// When there is no such file, or it is damaged, or of another format, model or prompt.
    pub fn tensors(
        &self,
        name: &VoiceName,
        prompt: &[u8; 32],
        model: &[u8; 32],
    ) -> Result<VoiceTensors, StoreError> {
        let path = self.path(name).join(TENSORS);
        let file = read(&path, MAX_TENSORS)?;
        let (tensors, metadata) =
            VoiceTensors::from_safetensors(&file).map_err(|e| unusable(&path, e))?;
        let is = |key: &str, expected: &str| metadata.get(key).is_some_and(|v| v == expected);
        if !is("format", FORMAT) {
            return Err(unusable(&path, "it has another format"));
        }
        if !is("model", &hex(model)) {
            return Err(unusable(&path, "it was made by another model"));
        }
        if !is("prompt", &hex(prompt)) {
            return Err(unusable(&path, "it was made of another recording or transcript"));
        }
        Ok(tensors)
    }

    /// Stores a voice. It is there in full, or not at all.
    ///
    /// # Errors
    /// [`StoreError::Exists`] unless `replace`; a folder that holds other files than a voice has is
    /// never replaced.
    pub fn add(
        &self,
        name: &VoiceName,
        recording: &Recording,
        tensors: &VoiceTensors,
        model: &[u8; 32],
        replace: bool,
    ) -> Result<(), StoreError> {
        self.put(name, recording, Some((tensors, model)), replace)
    }

    /// Stores a voice of which a model has yet to make its tensors, which it does when the voice
    /// is first spoken with.
    ///
    /// # Errors
    /// [`StoreError::Exists`].
    pub fn add_recording(&self, name: &VoiceName, recording: &Recording) -> Result<(), StoreError> {
        self.put(name, recording, None, false)
    }

    fn put(
        &self,
        name: &VoiceName,
        recording: &Recording,
        made: Option<(&VoiceTensors, &[u8; 32])>,
        replace: bool,
    ) -> Result<(), StoreError> {
        fs::create_dir_all(&self.dir).map_err(io_error(&self.dir))?;
        let temporary = self.temporary();
        let stored = fs::create_dir(&temporary).map_err(io_error(&temporary)).and_then(|()| {
            let Recording { prompt, wav } = recording;
            write(&temporary.join(AUDIO), wav)?;
            write(&temporary.join(TEXT), format!("{}\n", prompt.text).as_bytes())?;
            if let Some((tensors, model)) = made {
                let path = temporary.join(TENSORS);
                write(&path, &file(&path, prompt, tensors, model)?)?;
            }
            self.publish(&temporary, name, replace)
        });
        if stored.is_err() {
            // What it is about is the error before.
            let _ = fs::remove_dir_all(&temporary);
        }
        stored
    }

    /// Writes a voice's tensors anew.
    ///
    /// # Errors
    /// [`StoreError::Io`]; what was there before is then still there.
    pub fn renew(
        &self,
        name: &VoiceName,
        prompt: &Prompt,
        tensors: &VoiceTensors,
        model: &[u8; 32],
    ) -> Result<(), StoreError> {
        let path = self.path(name).join(TENSORS);
        let bytes = file(&path, prompt, tensors, model)?;
        let temporary = self.path(name).join(temporary_name());
        let renewed = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, &path));
        renewed.map_err(|source| {
            let _ = fs::remove_file(&temporary);
            StoreError::Io { path, source }
        })
    }

    /// Removes a voice. False where there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`], and [`StoreError::Unusable`] for a folder that holds other files than a
    /// voice has.
    pub fn remove(&self, name: &VoiceName) -> Result<bool, StoreError> {
        if !self.is_taken(name) {
            return Ok(false);
        }
        let removed = self.set_aside(name)?;
        fs::remove_dir_all(&removed).map_err(io_error(&removed))?;
        Ok(true)
    }

    /// Gives a complete folder its name.
    fn publish(&self, folder: &Path, name: &VoiceName, replace: bool) -> Result<(), StoreError> {
        let path = self.path(name);
        if !self.is_taken(name) {
            return fs::rename(folder, &path).map_err(io_error(&path));
        }
        if !replace {
            return Err(StoreError::Exists(name.clone()));
        }
        // No system call of the standard library exchanges two folders, so for a moment there is
        // no voice of the name.
        let old = self.set_aside(name)?;
        if let Err(error) = fs::rename(folder, &path) {
            let _ = fs::rename(&old, &path);
            return Err(io_error(&path)(error));
        }
        fs::remove_dir_all(&old).map_err(io_error(&old))
    }

    /// Takes a voice's name from its folder; gives the folder's new path.
    fn set_aside(&self, name: &VoiceName) -> Result<PathBuf, StoreError> {
        let path = self.path(name);
        // Somebody's own files may be here, where the setting names a folder with others in it.
        for entry in fs::read_dir(&path).map_err(io_error(&path))? {
            let entry = entry.map_err(io_error(&path))?.file_name();
            let known = [AUDIO, TEXT, TENSORS].iter().any(|name| entry == *name);
            if !known && !entry.to_string_lossy().starts_with(TEMPORARY) {
                let reason = format!("holds `{}`, which is no voice's", entry.display());
                return Err(unusable(&path, reason));
            }
        }
        let aside = self.temporary();
        fs::rename(&path, &aside).map_err(io_error(&path))?;
        Ok(aside)
    }

    fn temporary(&self) -> PathBuf {
        self.dir.join(temporary_name())
    }
}

fn temporary_name() -> String {
    format!("{TEMPORARY}{}", uuid::Uuid::new_v4().simple())
}

/// The bytes of `voice.safetensors`.
fn file(
    path: &Path,
    prompt: &Prompt,
    tensors: &VoiceTensors,
    model: &[u8; 32],
) -> Result<Vec<u8>, StoreError> {
    let metadata = [
        ("format", FORMAT.into()),
        ("model", hex(model)),
        ("prompt", hex(prompt.digest())),
        ("sample_rate", prompt.audio.rate.to_string()),
    ];
    let metadata: HashMap<_, _> = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    tensors.to_safetensors(metadata).map_err(|e| unusable(path, e))
}

/// A file of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, StoreError> {
    // Opening a pipe would wait for a writer.
    if !fs::metadata(path).map_err(io_error(path))?.is_file() {
        return Err(unusable(path, "is not a regular file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io_error(path))?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
    if bytes.len() as u64 > limit {
        return Err(unusable(path, format_args!("is longer than {limit} bytes")));
    }
    Ok(bytes)
}

/// Writes a file and waits until the disk has it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(io_error(path))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
