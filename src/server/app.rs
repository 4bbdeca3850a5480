//! What all requests share.

use super::auth::Principal;
use super::client::{self, Peer};
use super::error::{ApiError, RETRY};
use super::index::OpusQueue;
use super::lifecycle::Lifecycle;
use super::rate::Limiter;
use super::settings::Settings;
use super::upload::Budget;
use crate::engine::EngineHandle;
use crate::jobs::Jobs;
use axum::http::HeaderMap;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A step of the engine that takes longer than this is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// Uploads of the largest size that fit into memory at a time. Smaller ones share their room.
const UPLOADS: usize = 4;

pub struct App {
    pub engine: EngineHandle,
    /// What is spoken later.
    pub jobs: Jobs,
    pub settings: Settings,
    pub limiter: Limiter,
    pub lifecycle: Lifecycle,
    /// Room for what clients upload.
    pub uploads: Budget,
    /// Prompts that are decoded at a time, each on a thread.
    pub decoders: Arc<Semaphore>,
    pub metrics: PrometheusHandle,
    /// The line of `/synthesize_stream_opus`, which serves one request at a time.
    pub opus_queue: Arc<OpusQueue>,
    websockets: Arc<Semaphore>,
}

impl App {
    pub fn new(engine: EngineHandle, settings: Settings, metrics: PrometheusHandle) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            jobs: Jobs::off(engine.clone()),
            engine,
            limiter: Limiter::new(settings.rate, settings.rate_limit_loopback),
            lifecycle: Lifecycle::new(),
            uploads: Budget::new(settings.max_file_size.saturating_mul(UPLOADS)),
            decoders: Arc::new(Semaphore::new(cores)),
            metrics,
            opus_queue: Arc::new(OpusQueue::new(settings.queue, settings.stall_timeout)),
            websockets: Arc::new(Semaphore::new(
                settings.max_connections.min(Semaphore::MAX_PERMITS),
            )),
            settings,
        }
    }

    /// With a store of jobs, without which all of them are refused.
    pub fn with_jobs(self, jobs: Jobs) -> Self {
        Self { jobs, ..self }
    }

    /// Whether new work is taken at all.
    ///
    /// # Errors
    /// [`ApiError::Draining`], [`ApiError::NotReady`].
    pub fn open(&self) -> Result<(), ApiError> {
        let status = self.engine.status();
        if self.lifecycle.is_draining() || status.draining {
            return Err(ApiError::Draining);
        }
        if status.ready { Ok(()) } else { Err(ApiError::NotReady) }
    }

    /// Who asks. [`super::auth::guard`] has asked this of every request that reaches a dialect,
    /// and left the answer as an extension.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`].
    pub fn authorise(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Principal, ApiError> {
        self.settings.auth.authorise(headers, query)
    }

    /// Takes one synthesis from the client's allowance. A key with a rate of its own was charged
    /// at the door.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`].
    pub fn charge(&self, peer: Peer, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.authorise(headers, None).is_ok_and(|principal| principal.is_limited()) {
            return Ok(());
        }
        self.limiter.check(client::address(peer, headers, &self.settings.trusted_proxies))
    }

    /// A WebSocket's place, held until it is dropped.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] when all are taken.
    pub fn websocket(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.websockets.clone().try_acquire_owned().map_err(|_| ApiError::Overloaded {
            reason: "all connections are taken",
            retry_after: RETRY,
        })
    }

    /// WebSockets that are open.
    pub fn websockets(&self) -> usize {
        let most = self.settings.max_connections.min(Semaphore::MAX_PERMITS);
        most.saturating_sub(self.websockets.available_permits())
    }

    /// Whether the engine made progress or has nothing to do.
    pub fn healthy(&self) -> bool {
        let status = self.engine.status();
        status.ready && status.stalled_for < STUCK
    }
}
