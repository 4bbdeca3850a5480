//! Where records are kept and how jobs find their workers.

use super::JobError;
use super::embedded::Embedded;
use super::record::{JobId, JobRecord, JobState};
use super::redis::RedisStore;
use std::sync::Arc;

/// Which jobs a list has. What is not set admits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub state: Option<JobState>,
    pub kind: Option<String>,
}

impl Filter {
    pub(super) fn admits(&self, record: &JobRecord) -> bool {
        self.state.is_none_or(|state| state == record.state)
            && self.kind.as_ref().is_none_or(|kind| *kind == record.spec.kind)
    }
}

/// A job that a worker has, until it is given to [`Backend::done`].
#[derive(Debug)]
pub struct Claim {
    pub id: JobId,
    /// In Redis, of its queue.
    entry: Option<String>,
}

/// All changes of a record go through [`Self::replace`], which refuses those of an older version,
/// so that of two who change it at a time one has to look again.
pub enum Backend {
    Embedded(Arc<Embedded>),
    Redis(Box<RedisStore>),
}

impl Backend {
    /// Bytes that it takes of the store's room.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Embedded(store) => store.bytes(),
            // It has a limit of its own, `maxmemory`.
            Self::Redis(_) => 0,
        }
    }

    /// Jobs that wait for a worker, of whichever server.
    pub async fn queued(&self) -> Result<usize, JobError> {
        match self {
            Self::Embedded(store) => Ok(store.queued()),
            Self::Redis(store) => store.queued().await,
        }
    }

    /// False where there is a job of this id.
    pub async fn insert(&self, record: JobRecord) -> Result<bool, JobError> {
        match self {
            Self::Embedded(store) => blocking(store, move |store| store.insert(&record)).await,
            Self::Redis(store) => store.insert(&record).await,
        }
    }

    pub async fn get(&self, id: &JobId) -> Result<Option<JobRecord>, JobError> {
        let id = id.clone();
        match self {
            Self::Embedded(store) => blocking(store, move |store| store.get(&id)).await,
            Self::Redis(store) => store.get(&id).await,
        }
    }

    pub async fn replace(&self, record: &JobRecord) -> Result<bool, JobError> {
        let record = record.clone();
        match self {
            Self::Embedded(store) => blocking(store, move |store| store.replace(&record)).await,
            Self::Redis(store) => store.replace(&record).await,
        }
    }

    /// False where there is none.
    pub async fn remove(&self, id: &JobId) -> Result<bool, JobError> {
        let id = id.clone();
        match self {
            Self::Embedded(store) => blocking(store, move |store| store.remove(&id)).await,
            Self::Redis(store) => store.remove(&id).await,
        }
    }

    /// Newest first.
    pub async fn list(&self, limit: usize, filter: Filter) -> Result<Vec<JobRecord>, JobError> {
        match self {
            Self::Embedded(store) => blocking(store, move |store| store.list(limit, &filter)).await,
            Self::Redis(store) => store.list(limit, &filter).await,
        }
    }

    /// A job for a worker, as soon as there is one.
    pub async fn next(&self) -> Result<Claim, JobError> {
        match self {
            Self::Embedded(store) => Ok(Claim { id: store.next().await, entry: None }),
            Self::Redis(store) => {
                let (id, entry) = store.next().await?;
                Ok(Claim { id, entry: Some(entry) })
            }
        }
    }

    /// Keeps a claim of the job that is `ours` alive, and tells other servers of its progress.
    /// Resolves when another server has taken it over or ended it.
    pub async fn lose(&self, claim: &Claim, ours: &JobRecord, progress: impl Fn() -> f32) {
        let (Self::Redis(store), Some(entry)) = (self, &claim.entry) else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(store.beat()).await;
            let (touched, record) = (store.touch(entry).await, store.get(&claim.id).await);
            match (touched, record) {
                (Ok(false), _) | (_, Ok(None)) => return,
                (_, Ok(Some(record))) if !record.is_same_attempt(ours) => return,
                (_, Ok(Some(mut record))) => {
                    record.progress = record.progress.max(progress());
                    // Where it changed just now, the next beat will do.
                    let _ = store.replace(&record).await;
                }
                // What cannot be reached cannot give our job away either, for a lease.
                _ => {}
            }
        }
    }

    /// A worker has ended a job, whichever way.
    pub async fn done(&self, claim: Claim) -> Result<(), JobError> {
        match (self, claim.entry) {
            (Self::Redis(store), Some(entry)) => store.done(&entry).await,
            _ => Ok(()),
        }
    }

    /// A job waits for a worker again.
    pub async fn put_back(&self, claim: Claim) -> Result<(), JobError> {
        match (self, claim.entry) {
            (Self::Embedded(store), _) => {
                store.push(claim.id);
                Ok(())
            }
            (Self::Redis(store), Some(entry)) => store.put_back(&claim.id, &entry).await,
            (Self::Redis(_), None) => Ok(()),
        }
    }

    /// A job that waits is not for any worker. One that gets it all the same finds it ended.
    pub fn forget(&self, id: &JobId) {
        if let Self::Embedded(store) = self {
            store.forget(id);
        }
    }
}

/// The database waits for the disk, which the threads that serve must not.
async fn blocking<T: Send + 'static>(
    store: &Arc<Embedded>,
    work: impl FnOnce(&Embedded) -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    let store = store.clone();
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.unwrap_or_else(|e| Err(JobError::Unavailable(format!("the job store: {e}"))))
}
