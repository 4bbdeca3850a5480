//! Results and uploads: files in `storage.dir`, written whole or not at all, and counted.

use super::record::now;
use super::{ConfineError, FileInfo, JobError, JobId, confine};
use crate::config::StorageConfig;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Begins names of what is half written.
const TEMPORARY: &str = ".tmp-";

/// Half-written files that nobody writes to any more are this old.
const ABANDONED: Duration = Duration::from_secs(600);

/// Longest file name of a client that is remembered, in characters.
const LONGEST_NAME: usize = 200;

pub struct Files {
    settings: StorageConfig,
    /// Bytes in `uploads` and `results`.
    used: AtomicU64,
    /// Makes one of two equal uploads the second.
    uploading: Mutex<()>,
}

impl Files {
    pub fn new(settings: StorageConfig) -> Self {
        Self { settings, used: AtomicU64::new(0), uploading: Mutex::new(()) }
    }

    fn uploads(&self) -> PathBuf {
        self.settings.dir.join("uploads")
    }

    fn results(&self) -> PathBuf {
        self.settings.dir.join("results")
    }

    /// Bytes that the whole store takes.
    pub fn used(&self, database: u64) -> u64 {
        self.used.load(Ordering::Relaxed).saturating_add(database)
    }

    /// Makes the folders, and counts what is in them.
    pub fn open(&self) -> Result<(), JobError> {
        for dir in [self.uploads(), self.results()] {
            fs::create_dir_all(&dir).map_err(|e| JobError::io(&dir.to_string_lossy(), &e))?;
        }
        self.measure();
        Ok(())
    }

    /// Counts anew, since other servers may share the folder, and removes half-written files.
    fn measure(&self) {
        let mut used = 0u64;
        for dir in [self.uploads(), self.results()] {
            for (path, metadata) in entries(&dir) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with(TEMPORARY) && age(&metadata) > ABANDONED {
                    let _ = fs::remove_file(&path);
                } else {
                    used = used.saturating_add(metadata.len());
                }
            }
        }
        self.used.store(used, Ordering::Relaxed);
    }

    /// # Errors
    /// [`JobError::StorageFull`] where `more` bytes beside the `database`'s would be too many.
    pub fn room(&self, more: u64, database: u64) -> Result<(), JobError> {
        let after = self.used(database).saturating_add(more);
        if after > self.settings.max_bytes { Err(JobError::StorageFull) } else { Ok(()) }
    }

    pub fn result_path(&self, id: &JobId) -> PathBuf {
        self.results().join(format!("{id}.wav"))
    }

    pub fn write_result(&self, id: &JobId, bytes: &[u8], database: u64) -> Result<(), JobError> {
        self.write(&self.result_path(id), bytes, database)
    }

    /// False where there is none.
    pub fn remove_result(&self, id: &JobId) -> bool {
        self.remove(&self.result_path(id))
    }

    /// Writes a file that a client named. It was confined when the job came; links may have been
    /// laid since.
    pub fn write_output(&self, path: &Path, bytes: &[u8]) -> Result<(), JobError> {
        let error = |e: io::Error| JobError::io(&path.to_string_lossy(), &e);
        let inside = |path: &Path| {
            let path = path.to_str().ok_or(ConfineError::Malformed)?;
            confine::below(&self.settings.output_dir, path)
        };
        let refused = |e: ConfineError| JobError::Invalid(e.to_string());
        let parent = path.parent().ok_or_else(|| refused(ConfineError::Outside))?;
        inside(path).map_err(refused)?;
        fs::create_dir_all(parent).map_err(error)?;
        if inside(path).map_err(refused)? != path {
            return Err(refused(ConfineError::Outside));
        }
        write_whole(path, bytes).map_err(error)
    }

    /// Stores a recording, or keeps the equal one that is there for as long again.
    pub fn put(&self, name: &str, bytes: &[u8], database: u64) -> Result<FileInfo, JobError> {
        let _one = self.uploading.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = Sha256::digest(bytes);
        let file_id: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let known = self.upload(&file_id);
        let is_duplicate = known.is_ok();
        let created = now();
        let expires = created + self.settings.upload_hours * 3600.0;
        let info = match known {
            Ok(known) => FileInfo { expires, is_duplicate, ..known },
            Err(_) => FileInfo {
                file_id: file_id.clone(),
                filename: name.chars().take(LONGEST_NAME).collect(),
                size: bytes.len() as u64,
                created,
                expires,
                is_duplicate,
            },
        };
        let path = self.upload_path(&file_id);
        if !is_duplicate {
            self.write(&path, bytes, database)?;
        }
        // Last, so that whoever finds it finds the recording too.
        let note = serde_json::to_vec(&info).map_err(|e| JobError::Unavailable(e.to_string()))?;
        if let Err(error) = self.write(&self.note_path(&file_id), &note, database) {
            if !is_duplicate {
                self.remove(&path);
            }
            return Err(error);
        }
        Ok(info)
    }

    /// What is known of an upload.
    pub fn upload(&self, file_id: &str) -> Result<FileInfo, JobError> {
        let missing = JobError::NotFound("upload of this id");
        if !is_file_id(file_id) {
            return Err(missing);
        }
        let note = fs::read(self.note_path(file_id)).map_err(|_| missing.clone())?;
        let info: FileInfo = serde_json::from_slice(&note).map_err(|_| missing.clone())?;
        let there = fs::metadata(self.upload_path(file_id)).is_ok_and(|m| m.len() == info.size);
        if there && info.expires > now() { Ok(info) } else { Err(missing) }
    }

    /// An upload's content. Jobs that wait may use it past its time.
    pub fn upload_bytes(&self, file_id: &str) -> Result<Vec<u8>, JobError> {
        let missing = JobError::NotFound("upload of this id");
        if !is_file_id(file_id) {
            return Err(missing);
        }
        fs::read(self.upload_path(file_id)).map_err(|_| missing)
    }

    /// All uploads, newest first.
    pub fn list(&self) -> Vec<FileInfo> {
        let id = |(path, _): (PathBuf, _)| path.file_name()?.to_str().map(str::to_owned);
        let ids = entries(&self.uploads()).filter_map(id).filter(|id| is_file_id(id));
        let mut uploads: Vec<_> = ids.filter_map(|id| self.upload(&id).ok()).collect();
        uploads.sort_by(|a, b| b.created.total_cmp(&a.created));
        uploads
    }

    /// False where there is none.
    pub fn remove_upload(&self, file_id: &str) -> bool {
        is_file_id(file_id) && {
            self.remove(&self.note_path(file_id));
            self.remove(&self.upload_path(file_id))
        }
    }

    /// Removes uploads whose time is over, but for those in `needed`, and counts anew.
    pub fn expire(&self, needed: &HashSet<String>) {
        let _one = self.uploading.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, metadata) in entries(&self.uploads()) {
            let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
            let id = name.strip_suffix(".json").unwrap_or(name);
            // Without its note it was left half done; a moment ago it may be in the making
            // by another server.
            let over = self.upload(id).is_err() && age(&metadata) > Duration::from_secs(60);
            if is_file_id(id) && !needed.contains(id) && over {
                let _ = fs::remove_file(&path);
            }
        }
        self.measure();
    }

    fn upload_path(&self, file_id: &str) -> PathBuf {
        self.uploads().join(file_id)
    }

    fn note_path(&self, file_id: &str) -> PathBuf {
        self.uploads().join(format!("{file_id}.json"))
    }

    fn write(&self, path: &Path, bytes: &[u8], database: u64) -> Result<(), JobError> {
        let len = bytes.len() as u64;
        self.room(len, database)?;
        let before = fs::metadata(path).map_or(0, |m| m.len());
        write_whole(path, bytes).map_err(|e| JobError::io(&path.to_string_lossy(), &e))?;
        self.used.fetch_add(len, Ordering::Relaxed);
        self.give_back(before);
        Ok(())
    }

    fn remove(&self, path: &Path) -> bool {
        let size = fs::metadata(path).map_or(0, |m| m.len());
        let removed = fs::remove_file(path).is_ok();
        if removed {
            self.give_back(size);
        }
        removed
    }

    fn give_back(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// Whether this can be an upload's id: 64 hexadecimal digits, as [`Files::put`] writes them.
pub fn is_file_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn entries(dir: &Path) -> impl Iterator<Item = (PathBuf, fs::Metadata)> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
}

fn age(metadata: &fs::Metadata) -> Duration {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    SystemTime::now().duration_since(modified).unwrap_or_default()
}

/// Whoever looks at `path` sees what was there before or all of `bytes`, also after a crash.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = format!("{TEMPORARY}{}", uuid::Uuid::new_v4().simple());
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file = File::create_new(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}
