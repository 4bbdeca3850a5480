//! Records in a database in `storage.dir`, for one server.

use super::record::{JobId, JobRecord, JobState};
use super::{Filter, JobError};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Id to the job's place in the order of submission, and its record as JSON.
const JOBS: TableDefinition<&str, (u64, &[u8])> = TableDefinition::new("jobs");
/// Ids in the order of submission.
const ORDER: TableDefinition<u64, &str> = TableDefinition::new("order");

/// Memory for pages of the database.
const CACHE_BYTES: usize = 16 << 20;

pub struct Embedded {
    path: PathBuf,
    /// None after an error of the file system, which a database has to be opened anew after.
    database: Mutex<Option<Database>>,
    /// Jobs that wait, the first first.
    waiting: Mutex<VecDeque<JobId>>,
    /// A permit for each push to `waiting`.
    pushed: Semaphore,
    most_waiting: usize,
}

impl Embedded {
    /// Where the database is in a `storage.dir`.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("jobs.redb")
    }

    /// Opens or makes the database. Jobs that were being spoken when it was last used wait again.
    pub fn open(dir: &Path, most_waiting: usize) -> Result<Self, JobError> {
        fs::create_dir_all(dir).map_err(|e| JobError::io(&dir.to_string_lossy(), &e))?;
        let path = Self::path(dir);
        let database = open(&path)?;
        let store = Self {
            path,
            database: Mutex::new(Some(database)),
            waiting: Mutex::default(),
            pushed: Semaphore::new(0),
            most_waiting,
        };
        store.resume()?;
        Ok(store)
    }

    fn resume(&self) -> Result<(), JobError> {
        let mut waiting = self.list(usize::MAX, &Filter::default())?;
        waiting.retain(|record| !record.state.is_final());
        // Listed newest first.
        for mut record in waiting.into_iter().rev() {
            if record.state == JobState::Processing {
                record.interrupt();
                self.replace(&record)?;
            }
            self.push(record.id);
        }
        Ok(())
    }

    /// Bytes of the database.
    pub fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |m| m.len())
    }

    /// Jobs that wait.
    pub fn queued(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// False where there is a job of this id.
    pub fn insert(&self, record: &JobRecord) -> Result<bool, JobError> {
        if self.queued() >= self.most_waiting {
            return Err(JobError::QueueFull);
        }
        let json = to_json(record)?;
        let inserted = self.with(|database| {
            let id = record.id.as_str();
            let write = database.begin_write()?;
            {
                let (mut jobs, mut order) = (write.open_table(JOBS)?, write.open_table(ORDER)?);
                if jobs.get(id)?.is_some() {
                    return Ok(false);
                }
                let place = order.last()?.map_or(0, |(last, _)| last.value() + 1);
                jobs.insert(id, (place, json.as_slice()))?;
                order.insert(place, id)?;
            }
            write.commit()?;
            Ok(true)
        })?;
        if inserted {
            self.push(record.id.clone());
        }
        Ok(inserted)
    }

    pub fn get(&self, id: &JobId) -> Result<Option<JobRecord>, JobError> {
        let json = self.with(|database| {
            let jobs = database.begin_read()?.open_table(JOBS)?;
            Ok(jobs.get(id.as_str())?.map(|found| found.value().1.to_vec()))
        })?;
        json.map(|json| from_json(&json)).transpose()
    }

    /// Stores `record`, if what is stored is the version it was made of.
    pub fn replace(&self, record: &JobRecord) -> Result<bool, JobError> {
        let next = to_json(&record.next_version())?;
        self.with(|database| {
            let id = record.id.as_str();
            let write = database.begin_write()?;
            {
                let mut jobs = write.open_table(JOBS)?;
                let found = jobs.get(id)?.map(|found| (found.value().0, found.value().1.to_vec()));
                let Some((place, json)) = found else { return Ok(false) };
                if from_json(&json).is_ok_and(|stored| stored.version != record.version) {
                    return Ok(false);
                }
                jobs.insert(id, (place, next.as_slice()))?;
            }
            write.commit()?;
            Ok(true)
        })
    }

    /// False where there is none.
    pub fn remove(&self, id: &JobId) -> Result<bool, JobError> {
        let removed = self.with(|database| {
            let write = database.begin_write()?;
            {
                let (mut jobs, mut order) = (write.open_table(JOBS)?, write.open_table(ORDER)?);
                let place = jobs.remove(id.as_str())?.map(|found| found.value().0);
                let Some(place) = place else { return Ok(false) };
                order.remove(place)?;
            }
            write.commit()?;
            Ok(true)
        })?;
        self.forget(id);
        Ok(removed)
    }

    /// Newest first.
    pub fn list(&self, limit: usize, filter: &Filter) -> Result<Vec<JobRecord>, JobError> {
        self.with(|database| {
            let read = database.begin_read()?;
            let (jobs, order) = (read.open_table(JOBS)?, read.open_table(ORDER)?);
            let mut records = Vec::new();
            for entry in order.iter()?.rev() {
                if records.len() >= limit {
                    break;
                }
                let (_, id) = entry?;
                let Some(found) = jobs.get(id.value())? else { continue };
                match from_json(found.value().1) {
                    Ok(record) if filter.admits(&record) => records.push(record),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(id = id.value(), %error, "a job is unreadable"),
                }
            }
            Ok(records)
        })
    }

    /// The job that has waited longest, as soon as there is one.
    pub async fn next(&self) -> JobId {
        loop {
            // The semaphore is never closed.
            if let Ok(permit) = self.pushed.acquire().await {
                permit.forget();
            }
            let next = lock(&self.waiting).pop_front();
            if let Some(id) = next {
                return id;
            }
        }
    }

    /// Lets a job wait.
    pub fn push(&self, id: JobId) {
        lock(&self.waiting).push_back(id);
        self.pushed.add_permits(1);
    }

    /// A job waits no longer.
    pub fn forget(&self, id: &JobId) {
        lock(&self.waiting).retain(|waiting| waiting != id);
    }

    /// Works with the database. After an error of the file system it is opened anew, which
    /// brings back the last state that was stored whole.
    fn with<T>(&self, work: impl Fn(&Database) -> Result<T, redb::Error>) -> Result<T, JobError> {
        let mut database = lock(&self.database);
        let open = match database.take() {
            Some(open) => open,
            None => open(&self.path)?,
        };
        let result = work(&open);
        match &result {
            Err(redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::Corrupted(_)) => {
                drop(open);
            }
            _ => *database = Some(open),
        }
        result.map_err(|e| told(&self.path, e))
    }
}

/// What was changed under a lock is whole at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the database, or makes one. A new one gets its name when it is whole: what ended halfway
/// is no database.
fn open(path: &Path) -> Result<Database, JobError> {
    if !path.exists() {
        let new = path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
        let made = make(&new).map_err(|e| told(&new, e)).and_then(|()| publish(&new, path));
        let _ = fs::remove_file(&new);
        made?;
    }
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder.open(path).map_err(|e| told(path, e.into()))
}

fn make(path: &Path) -> Result<(), redb::Error> {
    let database = Database::create(path)?;
    let write = database.begin_write()?;
    // What is never made cannot be read.
    write.open_table(JOBS)?;
    write.open_table(ORDER)?;
    write.commit()?;
    Ok(())
}

/// Names a database, unless another server was faster.
fn publish(new: &Path, path: &Path) -> Result<(), JobError> {
    match fs::hard_link(new, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Not every file system has links.
        Err(_) => fs::rename(new, path).map_err(|e| JobError::io(&path.to_string_lossy(), &e)),
        Ok(()) => Ok(()),
    }
}

fn told(path: &Path, error: redb::Error) -> JobError {
    match error {
        redb::Error::Io(error) => JobError::io(&path.to_string_lossy(), &error),
        redb::Error::DatabaseAlreadyOpen => JobError::Unavailable(format!(
            "{} is in use by another server; give each its own `storage.dir`, or let them share \
             jobs with `jobs.backend = \"redis\"`",
            path.display()
        )),
        error => JobError::Unavailable(format!("{}: {error}", path.display())),
    }
}

fn to_json(record: &JobRecord) -> Result<Vec<u8>, JobError> {
    serde_json::to_vec(record).map_err(|e| JobError::Unavailable(e.to_string()))
}

fn from_json(json: &[u8]) -> Result<JobRecord, JobError> {
    serde_json::from_slice(json).map_err(|e| JobError::Unavailable(format!("a job's record: {e}")))
}
