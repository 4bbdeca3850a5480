//! How the texts of all sessions are read, and the user's lexicon, which may change while they are.

use crate::config::TextConfig;
use crate::text::{Language, Lexicon, LexiconError, Normalizer};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

/// Why a lexicon could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingsError {
    #[error("the lexicon {}: {error}", .file.display())]
    File { file: PathBuf, error: std::io::Error },
    #[error("the lexicon {}: {error}", .file.display())]
    Lexicon { file: PathBuf, error: LexiconError },
}

/// What all texts are read by. Cheap to clone; all clones share the lexicon.
#[derive(Debug, Clone, Default)]
pub struct Readings(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    normalize: bool,
    emoji: bool,
    language: Option<Language>,
    file: Option<PathBuf>,
    lexicon: RwLock<Arc<Lexicon>>,
    /// When the file was written that was looked at last, good or bad.
    seen: Mutex<Option<Stamp>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
}

impl Readings {
    /// # Errors
    /// [`ReadingsError`] for a lexicon that cannot be read.
    pub fn open(config: &TextConfig) -> Result<Self, ReadingsError> {
        let lexicon = match &config.lexicon {
            Some(file) => read(file)?,
            None => Lexicon::default(),
        };
        Ok(Self(Arc::new(Shared {
            normalize: config.normalize,
            emoji: config.emoji,
            language: config.language(),
            file: config.lexicon.clone(),
            lexicon: RwLock::new(Arc::new(lexicon)),
            seen: Mutex::new(config.lexicon.as_deref().and_then(stamp)),
        })))
    }

    /// What reads a text now.
    pub fn normalizer(&self) -> Normalizer {
        let lexicon = self.0.lexicon.read().unwrap_or_else(PoisonError::into_inner).clone();
        Normalizer { lexicon, language: self.0.language, emoji: self.0.emoji }
    }

    /// What reads a request's text: none where it is to be spoken as it is written, which is what
    /// the request asks for, or else the settings.
    pub fn of_request(&self, asked: Option<bool>) -> Option<Normalizer> {
        asked.unwrap_or(self.0.normalize).then(|| self.normalizer())
    }

    /// Reads the lexicon again where its file has changed; texts that begin later are read by it.
    /// Gives how many words it has now, if so. Reads from disk.
    ///
    /// # Errors
    /// [`ReadingsError`], once for each state of the file; the lexicon stays what it was.
    pub fn refresh(&self) -> Result<Option<usize>, ReadingsError> {
        let Some(file) = &self.0.file else { return Ok(None) };
        let now = stamp(file);
        {
            let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            // A file that is gone for a moment is being written anew.
            if now.is_none() || *seen == now {
                return Ok(None);
            }
            *seen = now;
        }
        let lexicon = read(file)?;
        let words = lexicon.len();
        *self.0.lexicon.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(lexicon);
        Ok(Some(words))
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(file).ok()?;
    Some(Stamp { modified: metadata.modified().ok(), len: metadata.len() })
}

fn read(file: &Path) -> Result<Lexicon, ReadingsError> {
    let named = |error| ReadingsError::File { file: file.into(), error };
    let mut text = String::new();
    // One byte more than allowed, so that the lexicon itself says that it is too long.
    let most = Lexicon::MAX_BYTES as u64 + 1;
    File::open(file).and_then(|f| f.take(most).read_to_string(&mut text)).map_err(named)?;
    Lexicon::parse(&text).map_err(|error| ReadingsError::Lexicon { file: file.into(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lexicon_can_change() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("lexicon.toml");
        let write = |text: &str| std::fs::write(&file, text).expect("written");
        write("[en]\nsql = 'sequel'");
        let config = TextConfig { lexicon: Some(file.clone()), ..TextConfig::default() };
        let readings = Readings::open(&config).expect("readings");
        let spoken = || readings.normalizer().normalize("SQL");
        assert_eq!(spoken(), "sequel");
        assert_eq!(readings.refresh().expect("unchanged"), None);

        write("[en]\nsql = 'squeal'\ndb = 'data base'");
        assert_eq!(readings.refresh().expect("changed"), Some(2));
        assert_eq!(spoken(), "squeal");

        // What is wrong is told once, and changes nothing.
        write("[en");
        let error = readings.refresh().expect_err("broken").to_string();
        assert!(error.contains("lexicon.toml"), "{error}");
        assert_eq!(readings.refresh().expect("told already"), None);
        assert_eq!(spoken(), "squeal");
        std::fs::remove_file(&file).expect("removed");
        assert_eq!(readings.refresh().expect("gone"), None);
        assert!(Readings::open(&config).is_err());
    }

    #[test]
    fn requests_can_switch_it_off_and_on() {
        let off = TextConfig { normalize: false, ..TextConfig::default() };
        let readings = Readings::open(&off).expect("readings");
        assert!(readings.of_request(None).is_none());
        assert!(readings.of_request(Some(true)).is_some());
        let on = Readings::open(&TextConfig::default()).expect("readings");
        assert!(on.of_request(None).is_some());
        assert!(on.of_request(Some(false)).is_none());
    }
}
