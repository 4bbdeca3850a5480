//! Records in Redis, for several servers that share their jobs. Uploads and results are in
//! `storage.dir`, which the servers share too.
//!
//! Keys, all beginning with `mynah:`: `job:ID` is a hash of a record's JSON and its version;
//! `order` a sorted set of ids by time; `queue` a stream of ids, read by the consumer group
//! `workers`. An entry of the stream is acknowledged and deleted once its job has ended. One that
//! has not been touched for a while was a dead server's, and goes to whoever looks first.

use super::record::{JobId, JobRecord};
use super::{Filter, JobError};
use crate::config::JobsConfig;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::streams::{StreamAutoClaimReply, StreamPendingReply, StreamReadReply};
use redis::{AsyncCommands, Client, RedisError, Script, ScriptInvocation};
use std::time::Duration;
use tokio::sync::Mutex;

const QUEUE: &str = "mynah:queue";
const ORDER: &str = "mynah:order";
const GROUP: &str = "workers";

/// Longest wait for an answer, and for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a worker listens before it looks for jobs of dead servers.
const LISTEN: Duration = Duration::from_secs(1);

/// Records that are read at a time.
const BATCH: usize = 100;

/// Seconds that Redis keeps the record of an ended job beyond its time, in which the servers, if
/// there are any, remove it with its result.
const MARGIN: f64 = 3600.0;

/// Stores a new record and lets it wait. 0: there is one of this id; -1: too many wait.
const INSERT: &str = r"
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[5]) then return -1 end
redis.call('HSET', KEYS[1], 'json', ARGV[2], 'version', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
redis.call('XADD', KEYS[3], '*', 'id', ARGV[1])
return 1";

/// Replaces a record of a version by the next. Those that have ended may be forgotten.
const REPLACE: &str = r"
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'json', ARGV[2], 'version', ARGV[3])
if ARGV[4] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[4]) end
return 1";

/// Lets a job wait again, in place of the entry by which it was had.
const PUT_BACK: &str = r"
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('XADD', KEYS[1], '*', 'id', ARGV[3])";

/// Whether an entry is still this consumer's; if so, it was touched now.
const TOUCH: &str = r"
local mine = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1, ARGV[3])
if #mine == 0 then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, ARGV[2], 'JUSTID')
return 1";

pub struct RedisStore {
    client: Client,
    /// For all that is answered at once.
    commands: ConnectionManager,
    /// For listening, which holds a connection up; made when it is first needed.
    listener: Mutex<Option<MultiplexedConnection>>,
    /// This server's name among the consumers.
    consumer: String,
    lease: Duration,
    most_waiting: usize,
    /// Seconds that a record is kept after its job has ended.
    keep: u64,
}

impl RedisStore {
    pub async fn open(settings: &JobsConfig, result_hours: f64) -> Result<Self, JobError> {
        let client = Client::open(settings.redis_url.as_str()).map_err(told)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(2)
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let commands =
            ConnectionManager::new_with_config(client.clone(), config).await.map_err(told)?;
        make_group(commands.clone()).await?;
        Ok(Self {
            client,
            commands,
            listener: Mutex::new(None),
            consumer: uuid::Uuid::new_v4().simple().to_string(),
            lease: Duration::from_secs_f64(settings.lease),
            most_waiting: settings.queue,
            keep: (result_hours * 3600.0 + MARGIN) as u64,
        })
    }

    /// Entries that no consumer has.
    pub async fn queued(&self) -> Result<usize, JobError> {
        let mut pipe = redis::pipe();
        pipe.atomic().xlen(QUEUE).xpending(QUEUE, GROUP);
        let (all, taken): (usize, StreamPendingReply) =
            pipe.query_async(&mut self.commands.clone()).await.map_err(told)?;
        Ok(all.saturating_sub(taken.count()))
    }

    /// False where there is a job of this id.
    pub async fn insert(&self, record: &JobRecord) -> Result<bool, JobError> {
        let script = Script::new(INSERT);
        let mut call = script.key(key(&record.id));
        call.key(ORDER).key(QUEUE).arg(record.id.as_str()).arg(to_json(record)?);
        call.arg(record.version).arg(record.created_at).arg(self.most_waiting);
        match self.number(&call).await? {
            -1 => Err(JobError::QueueFull),
            inserted => Ok(inserted == 1),
        }
    }

    pub async fn get(&self, id: &JobId) -> Result<Option<JobRecord>, JobError> {
        let json: Option<Vec<u8>> =
            self.commands.clone().hget(key(id), "json").await.map_err(told)?;
        json.map(|json| from_json(&json)).transpose()
    }

    /// Stores `record`, if what is stored is the version it was made of.
    pub async fn replace(&self, record: &JobRecord) -> Result<bool, JobError> {
        let next = record.next_version();
        let script = Script::new(REPLACE);
        let mut call = script.key(key(&record.id));
        call.arg(record.version).arg(to_json(&next)?).arg(next.version);
        call.arg(if next.state.is_final() { self.keep } else { 0 });
        Ok(self.number(&call).await? == 1)
    }

    /// False where there is none.
    pub async fn remove(&self, id: &JobId) -> Result<bool, JobError> {
        let mut commands = self.commands.clone();
        let removed: usize = commands.del(key(id)).await.map_err(told)?;
        let _: usize = commands.zrem(ORDER, id.as_str()).await.map_err(told)?;
        Ok(removed > 0)
    }

    /// Newest first.
    pub async fn list(&self, limit: usize, filter: &Filter) -> Result<Vec<JobRecord>, JobError> {
        let mut commands = self.commands.clone();
        let ids: Vec<String> = commands.zrevrange(ORDER, 0, -1).await.map_err(told)?;
        let mut records = Vec::new();
        for ids in ids.chunks(BATCH) {
            let mut pipe = redis::pipe();
            for id in ids {
                pipe.hget(format!("mynah:job:{id}"), "json");
            }
            let found: Vec<Option<Vec<u8>>> =
                pipe.query_async(&mut commands).await.map_err(told)?;
            for (id, json) in ids.iter().zip(found) {
                match json.as_deref().map(from_json) {
                    Some(Ok(record)) if filter.admits(&record) => records.push(record),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => tracing::warn!(id, %error, "a job is unreadable"),
                    // Redis forgot it.
                    None => {
                        let _: usize = commands.zrem(ORDER, id).await.map_err(told)?;
                    }
                }
                if records.len() >= limit {
                    return Ok(records);
                }
            }
        }
        Ok(records)
    }

    /// A job and its entry in the queue, as soon as there is one: a dead server's or a new one.
    pub async fn next(&self) -> Result<(JobId, String), JobError> {
        loop {
            let found = match self.abandoned().await? {
                Some(found) => Some(found),
                None => self.listen().await?,
            };
            let Some((entry, id)) = found else { continue };
            match id.as_deref().map(JobId::new) {
                Some(Ok(id)) => return Ok((id, entry)),
                // Written by nobody we know.
                _ => self.done(&entry).await?,
            }
        }
    }

    /// The first entry that was not touched within the lease.
    async fn abandoned(&self) -> Result<Option<(String, Option<String>)>, JobError> {
        let mut claim = redis::cmd("XAUTOCLAIM");
        claim.arg(QUEUE).arg(GROUP).arg(&self.consumer).arg(self.lease.as_millis() as u64);
        claim.arg("0").arg("COUNT").arg(1);
        let reply: StreamAutoClaimReply =
            claim.query_async(&mut self.commands.clone()).await.map_err(told)?;
        Ok(reply.claimed.into_iter().next().map(|entry| {
            let id = entry.get("id");
            (entry.id, id)
        }))
    }

    /// The next new entry, if one comes within a while. One worker listens at a time.
    async fn listen(&self) -> Result<Option<(String, Option<String>)>, JobError> {
        let mut listener = self.listener.lock().await;
        let mut connection = match listener.take() {
            Some(connection) => connection,
            // At first, or after an error: Redis may have lost all it had.
            None => {
                make_group(self.commands.clone()).await?;
                self.client.get_multiplexed_async_connection().await.map_err(told)?
            }
        };
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(&self.consumer).arg("COUNT").arg(1);
        let listen = LISTEN.min(self.lease);
        read.arg("BLOCK").arg(listen.as_millis().max(1) as u64);
        read.arg("STREAMS").arg(QUEUE).arg(">");
        connection.set_response_timeout(listen + PATIENCE);
        let reply: Option<StreamReadReply> =
            read.query_async(&mut connection).await.map_err(told)?;
        *listener = Some(connection);
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        Ok(entries.into_iter().next().map(|entry| {
            let id = entry.get("id");
            (entry.id, id)
        }))
    }

    /// Whether a claim is still ours; if so, it is for another lease.
    pub async fn touch(&self, entry: &str) -> Result<bool, JobError> {
        let script = Script::new(TOUCH);
        let mut call = script.key(QUEUE);
        call.arg(GROUP).arg(entry).arg(&self.consumer);
        Ok(self.number(&call).await? == 1)
    }

    /// How often a claim is touched.
    pub fn beat(&self) -> Duration {
        (self.lease / 4).min(LISTEN)
    }

    pub async fn done(&self, entry: &str) -> Result<(), JobError> {
        let mut pipe = redis::pipe();
        pipe.atomic().xack(QUEUE, GROUP, &[entry]).ignore().xdel(QUEUE, &[entry]).ignore();
        pipe.query_async(&mut self.commands.clone()).await.map_err(told)
    }

    pub async fn put_back(&self, id: &JobId, entry: &str) -> Result<(), JobError> {
        let script = Script::new(PUT_BACK);
        let mut call = script.key(QUEUE);
        call.arg(GROUP).arg(entry).arg(id.as_str());
        call.invoke_async(&mut self.commands.clone()).await.map_err(told)
    }

    async fn number(&self, call: &ScriptInvocation<'_>) -> Result<i64, JobError> {
        call.invoke_async(&mut self.commands.clone()).await.map_err(told)
    }
}

async fn make_group(mut commands: ConnectionManager) -> Result<(), JobError> {
    let made: Result<(), RedisError> = commands.xgroup_create_mkstream(QUEUE, GROUP, "0").await;
    match made {
        Err(error) if error.code() != Some("BUSYGROUP") => Err(told(error)),
        _ => Ok(()),
    }
}

fn key(id: &JobId) -> String {
    format!("mynah:job:{id}")
}

fn told(error: RedisError) -> JobError {
    // What Redis says when `maxmemory` is reached.
    match error.code() {
        Some("OOM") => JobError::StorageFull,
        _ => JobError::Unavailable(format!("Redis: {error}")),
    }
}

fn to_json(record: &JobRecord) -> Result<Vec<u8>, JobError> {
    serde_json::to_vec(record).map_err(|e| JobError::Unavailable(e.to_string()))
}

fn from_json(json: &[u8]) -> Result<JobRecord, JobError> {
    serde_json::from_slice(json).map_err(|e| JobError::Unavailable(format!("a job's record: {e}")))
}
