//! The job store that dialects hold.

use super::backend::{Backend, Filter};
use super::embedded::Embedded;
use super::files::Files;
use super::record::{FileInfo, JobId, JobRecord, JobSpec, JobState, JobVoice, Statistics, now};
use super::redis::RedisStore;
use super::shutdown::Shutdown;
use super::worker;
use super::{ConfineError, JobError, confine};
use crate::audio::PromptCare;
use crate::config::{Config, JobsConfig, StorageConfig};
use crate::engine::EngineHandle;
use crate::telemetry::metrics::jobs::{self as metrics, JobStore};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OnceCell, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often what is too old is looked for.
const UPKEEP: Duration = Duration::from_secs(60);

/// How often the record of a job that another server may speak is looked at.
const POLL: Duration = Duration::from_millis(200);

/// How long whoever watches the server waits for a count.
const GLANCE: Duration = Duration::from_secs(1);

/// Longest record, in bytes.
const LONGEST_RECORD: usize = 1 << 20;

/// What the store needs of the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobSettings {
    pub storage: StorageConfig,
    pub jobs: JobsConfig,
    /// What is done to recordings of clients.
    pub prompt_care: PromptCare,
}

impl From<&Config> for JobSettings {
    fn from(config: &Config) -> Self {
        Self {
            storage: config.storage.clone(),
            jobs: config.jobs.clone(),
            prompt_care: config.audio.prompt_care(),
        }
    }
}

/// The job store. Clones share it; its workers end with the last of them.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<Shared>,
    /// Dropping them ends them, and the sessions of the jobs they speak.
    tasks: Arc<Mutex<JoinSet<()>>>,
}

/// What the handles and the workers share.
pub(super) struct Shared {
    pub settings: JobSettings,
    pub engine: EngineHandle,
    pub files: Files,
    /// Empty until the store is first used.
    backend: OnceCell<Arc<Backend>>,
    /// Jobs that this server speaks.
    speaking: Mutex<HashMap<JobId, Speaking>>,
    /// Changes with every change of a record by this server.
    changed: watch::Sender<()>,
    pub shutdown: Shutdown,
}

/// A job under way.
#[derive(Clone)]
pub(super) struct Speaking {
    pub progress: f32,
    /// Unix time in seconds of the last progress.
    pub updated_at: f64,
    pub cancelled: Arc<Notify>,
}

impl Jobs {
    /// A store of these settings, and its workers.
    ///
    /// The embedded database is opened at once where there is one, so that the jobs in it go on;
    /// where there is none it is made when it is first needed: a server that is given no jobs
    /// needs no disk.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::StorageFull`].
    pub async fn open(settings: JobSettings, engine: EngineHandle) -> Result<Self, JobError> {
        let jobs = Self::lazy(settings, engine);
        let settings = &jobs.shared.settings;
        let at_once = match settings.jobs.backend.as_str() {
            "embedded" => Embedded::path(&settings.storage.dir).exists(),
            "redis" => true,
            _ => false,
        };
        if at_once {
            jobs.started().await?;
        }
        Ok(jobs)
    }

    /// A store that refuses everything.
    pub fn off(engine: EngineHandle) -> Self {
        let jobs = JobsConfig { backend: "off".into(), ..JobsConfig::default() };
        Self::lazy(JobSettings { jobs, ..JobSettings::default() }, engine)
    }

    fn lazy(settings: JobSettings, engine: EngineHandle) -> Self {
        let shared = Arc::new(Shared {
            files: Files::new(settings.storage.clone()),
            settings,
            engine,
            backend: OnceCell::new(),
            speaking: Mutex::default(),
            changed: watch::Sender::new(()),
            shutdown: Shutdown::default(),
        });
        Self { shared, tasks: Arc::default() }
    }

    /// The backend, with workers.
    async fn started(&self) -> Result<&Arc<Backend>, JobError> {
        self.shared.backend.get_or_try_init(|| self.start()).await
    }

    async fn start(&self) -> Result<Arc<Backend>, JobError> {
        let JobSettings { storage, jobs, .. } = &self.shared.settings;
        let backend = match jobs.backend.as_str() {
            "off" => return Err(JobError::Off),
            "redis" => {
                Backend::Redis(Box::new(RedisStore::open(jobs, storage.result_hours).await?))
            }
            _ => {
                let (dir, most_waiting) = (storage.dir.clone(), jobs.queue);
                let open = move || Embedded::open(&dir, most_waiting);
                Backend::Embedded(Arc::new(run(open).await?))
            }
        };
        self.with_files(Files::open).await?;
        let backend = Arc::new(backend);
        let mut tasks = lock(&self.tasks);
        for _ in 0..jobs.workers {
            tasks.spawn(worker::work(self.shared.clone(), backend.clone()));
        }
        tasks.spawn(upkeep(self.shared.clone(), backend.clone()));
        Ok(backend)
    }

    /// The backend, unless nothing has been stored yet.
    fn backend(&self) -> Result<Option<&Arc<Backend>>, JobError> {
        match self.shared.settings.jobs.backend.as_str() {
            "off" => Err(JobError::Off),
            _ => Ok(self.shared.backend.get()),
        }
    }

    async fn with_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, JobError> + Send + 'static,
    ) -> Result<T, JobError> {
        let shared = self.shared.clone();
        run(move || work(&shared.files)).await
    }

    /// Stores a job, which then waits for a worker. Without an `id` it gets one of 32 hexadecimal
    /// digits.
    ///
    /// # Errors
    /// [`JobError::Invalid`] for an id or a specification that cannot be stored,
    /// [`JobError::Duplicate`], [`JobError::NotFound`] for an upload that is not there,
    /// [`JobError::QueueFull`], [`JobError::StorageFull`], [`JobError::Unavailable`],
    /// [`JobError::Off`].
    pub async fn submit(&self, spec: JobSpec, id: Option<String>) -> Result<JobId, JobError> {
        let id = match id {
            Some(id) => JobId::new(&id)?,
            None => JobId::random(),
        };
        let backend = self.started().await?;
        if let JobVoice::Upload { file_id, .. } = &spec.voice {
            self.upload(file_id).await?;
        }
        let record = JobRecord::new(id.clone(), spec);
        let length = serde_json::to_vec(&record).map_or(usize::MAX, |json| json.len());
        if length > LONGEST_RECORD {
            return Err(JobError::Invalid("the job is too long to be stored".into()));
        }
        self.shared.files.room(length as u64, backend.bytes())?;
        if !backend.insert(record).await? {
            return Err(JobError::Duplicate(id.to_string()));
        }
        self.shared.changed.send_replace(());
        Ok(id)
    }

    /// A job and what became of it.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Unavailable`], [`JobError::Off`].
    pub async fn get(&self, id: &str) -> Result<JobRecord, JobError> {
        let missing = JobError::NotFound("job of this id");
        let (Some(backend), Ok(id)) = (self.backend()?, JobId::new(id)) else {
            return Err(missing);
        };
        let record = backend.get(&id).await?.ok_or(missing)?;
        Ok(self.shared.at_present(record))
    }

    /// At most `limit` jobs that `filter` admits, newest first.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Off`].
    pub async fn list(&self, limit: usize, filter: Filter) -> Result<Vec<JobRecord>, JobError> {
        let Some(backend) = self.backend()? else { return Ok(Vec::new()) };
        let records = backend.list(limit, filter).await?;
        Ok(records.into_iter().map(|record| self.shared.at_present(record)).collect())
    }

    /// Cancels a job that waits or is being spoken; its session ends within one step of the
    /// engine. One that has ended stays as it is. Returns the job after that.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Unavailable`], [`JobError::StorageFull`],
    /// [`JobError::Off`].
    pub async fn cancel(&self, id: &str) -> Result<JobRecord, JobError> {
        loop {
            let mut record = self.get(id).await?;
            if record.state.is_final() {
                return Ok(record);
            }
            let Some(backend) = self.backend()? else { continue };
            record.end(JobState::Cancelled);
            if backend.replace(&record).await? {
                backend.forget(&record.id);
                self.shared.interrupt(&record.id);
                self.shared.changed.send_replace(());
                metrics::ended(record.state.name(), record.process_seconds);
                return Ok(record);
            }
        }
    }

    /// Removes a job, cancelling it where it has not ended, and its result from the store. A
    /// file that was written where the client wanted it stays.
    ///
    /// # Errors
    /// As of [`Self::cancel`].
    pub async fn delete(&self, id: &str) -> Result<(), JobError> {
        let missing = JobError::NotFound("job of this id");
        let (Some(backend), Ok(id)) = (self.backend()?, JobId::new(id)) else {
            return Err(missing);
        };
        let mut record = backend.get(&id).await?.ok_or(missing)?;
        self.shared.interrupt(&id);
        self.shared.discard(backend, &id).await?;
        if !record.state.is_final() {
            record.end(JobState::Cancelled);
            metrics::ended(record.state.name(), record.process_seconds);
        }
        self.shared.changed.send_replace(());
        Ok(())
    }

    /// The WAV file of a completed job.
    ///
    /// # Errors
    /// [`JobError::NotFound`] also where the file is gone, [`JobError::NotCompleted`],
    /// [`JobError::Unavailable`], [`JobError::Off`].
    pub async fn result(&self, id: &str) -> Result<PathBuf, JobError> {
        let record = self.get(id).await?;
        if record.state != JobState::Completed {
            return Err(JobError::NotCompleted(record.state));
        }
        let path = match record.spec.output {
            Some(path) => path,
            None => self.shared.files.result_path(&record.id),
        };
        let found = path.clone();
        match run(move || Ok(found.is_file())).await? {
            true => Ok(path),
            false => Err(JobError::NotFound("result of this job any more")),
        }
    }

    /// The content of [`Self::result`].
    ///
    /// # Errors
    /// As of [`Self::result`].
    pub async fn result_bytes(&self, id: &str) -> Result<Vec<u8>, JobError> {
        let path = self.result(id).await?;
        let read = tokio::fs::read(&path).await;
        read.map_err(|_| JobError::NotFound("result of this job any more"))
    }

    /// Waits until a job has ended, or for `timeout`; then the job as it is.
    ///
    /// # Errors
    /// As of [`Self::get`].
    pub async fn wait(&self, id: &str, timeout: Duration) -> Result<JobRecord, JobError> {
        let deadline = Instant::now() + timeout;
        let mut changes = self.shared.changed.subscribe();
        loop {
            changes.mark_unchanged();
            let record = self.get(id).await?;
            if record.state.is_final() || Instant::now() >= deadline {
                return Ok(record);
            }
            let look = deadline.min(Instant::now() + POLL);
            let _ = tokio::time::timeout_at(look, changes.changed()).await;
        }
    }

    /// Counts of what is stored.
    ///
    /// # Errors
    /// As of [`Self::list`].
    pub async fn statistics(&self) -> Result<Statistics, JobError> {
        let records = self.list(usize::MAX, Filter::default()).await?;
        let database = self.backend()?.map_or(0, |backend| backend.bytes());
        let count = |state| records.iter().filter(|record| record.state == state).count();
        let completed = count(JobState::Completed);
        let seconds = |record: &JobRecord| match record.state {
            JobState::Completed => record.process_seconds,
            _ => None,
        };
        Ok(Statistics {
            pending: count(JobState::Pending),
            processing: count(JobState::Processing),
            completed,
            failed: count(JobState::Failed),
            cancelled: count(JobState::Cancelled),
            mean_process_seconds: records.iter().filter_map(seconds).sum::<f64>()
                / completed.max(1) as f64,
            workers: self.shared.settings.jobs.workers,
            storage_bytes: self.shared.files.used(database),
            storage_limit: self.shared.settings.storage.max_bytes,
        })
    }

    /// Counts that cost little, for whoever watches the server. None of a store that is off.
    pub async fn load(&self) -> Option<JobStore> {
        let backend = self.backend().ok()?;
        let (queued, database) = match backend {
            None => (Some(0), 0),
            Some(backend) => {
                let queued = tokio::time::timeout(GLANCE, backend.queued()).await;
                (queued.ok().and_then(Result::ok), backend.bytes())
            }
        };
        Some(JobStore {
            queued,
            running: self.shared.speaking().len(),
            stored_bytes: self.shared.files.used(database),
            limit_bytes: self.shared.settings.storage.max_bytes,
        })
    }

    /// Begins no more jobs. Resolves once those that are being spoken have ended.
    pub async fn drain(&self) {
        self.shared.shutdown.drain();
        self.shared.shutdown.idle().await;
    }

    /// Gives up what is being spoken; it waits again, as if it had not been begun. Resolves once
    /// that is stored.
    pub async fn stop(&self) {
        self.shared.shutdown.stop();
        self.shared.shutdown.idle().await;
    }

    /// Stores a recording for `storage.upload_hours`. It is not looked into.
    ///
    /// # Errors
    /// [`JobError::StorageFull`], [`JobError::Unavailable`], [`JobError::Off`].
    pub async fn put_upload(&self, name: &str, bytes: Vec<u8>) -> Result<FileInfo, JobError> {
        let database = self.started().await?.bytes();
        let name = name.to_owned();
        self.with_files(move |files| files.put(&name, &bytes, database)).await
    }

    /// What is known of an upload.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Off`].
    pub async fn upload(&self, file_id: &str) -> Result<FileInfo, JobError> {
        self.backend()?;
        let file_id = file_id.to_owned();
        self.with_files(move |files| files.upload(&file_id)).await
    }

    /// An upload's content.
    ///
    /// # Errors
    /// As of [`Self::upload`].
    pub async fn upload_bytes(&self, file_id: &str) -> Result<Vec<u8>, JobError> {
        self.backend()?;
        let file_id = file_id.to_owned();
        self.with_files(move |files| files.upload_bytes(&file_id)).await
    }

    /// All uploads, newest first.
    ///
    /// # Errors
    /// [`JobError::Off`].
    pub async fn uploads(&self) -> Result<Vec<FileInfo>, JobError> {
        self.backend()?;
        self.with_files(|files| Ok(files.list())).await
    }

    /// Removes an upload. Jobs that wait for it will fail.
    ///
    /// # Errors
    /// As of [`Self::upload`].
    pub async fn delete_upload(&self, file_id: &str) -> Result<(), JobError> {
        self.backend()?;
        let file_id = file_id.to_owned();
        let missing = JobError::NotFound("upload of this id");
        self.with_files(move |files| files.remove_upload(&file_id).then_some(()).ok_or(missing))
            .await
    }

    /// Where a client's `output_path` leads below `storage.output_dir`.
    ///
    /// # Errors
    /// [`ConfineError`].
    pub fn writable(&self, asked: &str) -> Result<PathBuf, ConfineError> {
        confine::below(&self.shared.settings.storage.output_dir, asked)
    }

    /// The file that a client names below `storage.voices_dir` or `storage.shared_dir`.
    ///
    /// # Errors
    /// [`ConfineError`].
    pub fn readable(&self, asked: &str) -> Result<PathBuf, ConfineError> {
        let StorageConfig { voices_dir, shared_dir, .. } = &self.shared.settings.storage;
        confine::file(&[voices_dir.as_path(), shared_dir.as_path()], asked)
    }

    /// Removes what is too old, which otherwise happens once a minute.
    ///
    /// # Errors
    /// [`JobError::Unavailable`], [`JobError::Off`].
    pub async fn expire(&self) -> Result<(), JobError> {
        match self.backend()? {
            Some(backend) => self.shared.expire(backend).await,
            None => Ok(()),
        }
    }
}

impl Shared {
    pub fn speaking(&self) -> MutexGuard<'_, HashMap<JobId, Speaking>> {
        lock(&self.speaking)
    }

    /// Tells everybody who waits that a record has changed.
    pub fn announce(&self) {
        self.changed.send_replace(());
    }

    /// A record with the progress that this server knows of.
    fn at_present(&self, mut record: JobRecord) -> JobRecord {
        if record.state == JobState::Processing
            && let Some(speaking) = self.speaking().get(&record.id)
        {
            record.progress = record.progress.max(speaking.progress);
            record.updated_at = record.updated_at.max(speaking.updated_at);
        }
        record
    }

    /// Ends the session of a job, if this server speaks it.
    fn interrupt(&self, id: &JobId) {
        if let Some(speaking) = self.speaking().get(id) {
            speaking.cancelled.notify_one();
        }
    }

    /// Removes a job and its result, the result first: that is where the room is.
    pub async fn discard(self: &Arc<Self>, backend: &Backend, id: &JobId) -> Result<(), JobError> {
        let (shared, name) = (self.clone(), id.clone());
        run(move || Ok(shared.files.remove_result(&name))).await?;
        backend.remove(id).await.map(drop)
    }

    async fn expire(self: &Arc<Self>, backend: &Backend) -> Result<(), JobError> {
        let hours = self.settings.storage.result_hours;
        let mut needed = HashSet::new();
        for record in backend.list(usize::MAX, Filter::default()).await? {
            let over = record.completed_at.is_some_and(|end| end + hours * 3600.0 <= now());
            if over {
                self.discard(backend, &record.id).await?;
            } else if let JobVoice::Upload { file_id, .. } = record.spec.voice
                && !record.state.is_final()
            {
                needed.insert(file_id);
            }
        }
        let shared = self.clone();
        run(move || {
            shared.files.expire(&needed);
            Ok(())
        })
        .await
    }
}

async fn upkeep(shared: Arc<Shared>, backend: Arc<Backend>) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        if let Err(error) = shared.expire(&backend).await {
            tracing::warn!(%error, "old jobs could not be removed");
        }
    }
}

/// Work that waits for the disk, on a thread of its own.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(JobError::Unavailable(format!("the job store: {e}"))))
}

/// What was changed under a lock is whole at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
