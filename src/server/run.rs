//! The life of the server: accept, serve, drain.

use super::app::App;
use super::auth::{self, Hold};
use super::client::Peer;
use super::dialect::{Dialect, Dialects};
use super::listen::{self, Listener};
use super::settings::Settings;
use super::socket::Socket;
use super::{
    demo, health, index, index2, job, light, openai, openapi, realtime, request, tasks, text,
    workflow,
};
use crate::config::{Config, ConfigError};
use crate::engine::EngineHandle;
use crate::telemetry::metrics;
use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware::from_fn_with_state;
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

/// TCP connections at a time, of all kinds. Past it, clients wait in the kernel's queue.
const SOCKETS: u32 = 4096;

/// Bytes of a request's head.
const HEAD: usize = 64 * 1024;

/// How often memory that only grows is trimmed.
const UPKEEP: Duration = Duration::from_secs(5);

/// How long answers under way may take to reach their clients once all else has ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// Says what in a configuration the server could not honour, before a model is loaded for it.
///
/// # Errors
/// [`ConfigError::Value`].
pub fn check(config: &Config) -> Result<(), ConfigError> {
    Settings::new(config).map(drop)
}

/// Serves every interface on `listener`, in clear. See [`run_all`].
///
/// # Errors
/// A setting that cannot be used, among them a job store that cannot be opened.
pub async fn run(
    listener: TcpListener,
    engine: EngineHandle,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ConfigError> {
    run_all(vec![Listener::new(listener)], engine, config, shutdown).await
}

/// Serves on all `listeners` until `shutdown` resolves, then drains: takes no more connections, answers
/// new requests with 503, lets what plays finish within `server.drain_timeout`, and returns.
///
/// # Errors
/// A setting that cannot be used.
pub async fn run_all(
    listeners: Vec<Listener>,
    engine: EngineHandle,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ConfigError> {
    let settings = Settings::new(&config)?;
    let jobs = job::open(&config, &engine).await?;
    let app = Arc::new(App::new(engine, settings, metrics::install()).with_jobs(jobs));
    let routers: Vec<_> = listeners.iter().map(|l| router(app.clone(), l.dialects)).collect();
    let mut turn = 0;
    let sockets = Arc::new(Semaphore::new(SOCKETS as usize));
    let mut connections = JoinSet::new();
    let mut upkeep = tokio::time::interval(UPKEEP);
    tokio::pin!(shutdown);
    loop {
        let accept = async {
            // The semaphore is never closed, so this only waits.
            let slot = sockets.clone().acquire_owned().await.ok();
            (listen::accept(&listeners, &mut turn).await, slot)
        };
        tokio::select! {
            () = &mut shutdown => break,
            ((at, accepted), Some(slot)) = accept => match accepted {
                Ok((stream, peer)) => {
                    let (Some(listener), Some(router)) = (listeners.get(at), routers.get(at)) else {
                        continue;
                    };
                    let hold = Hold::default();
                    let socket = Socket::new(stream, app.settings.stall_timeout, slot, hold.clone());
                    let tls = listener.tls.clone();
                    let guest = Guest { peer, hold, router: router.clone(), app: app.clone() };
                    connections.spawn(guest.welcome(socket, tls));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Out of file descriptors, most likely: some have to close first.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = upkeep.tick() => {
                app.limiter.forget();
                app.metrics.run_upkeep();
                let readings = app.engine.readings().clone();
                tokio::task::spawn_blocking(move || match readings.refresh() {
                    Ok(None) => {}
                    Ok(Some(words)) => tracing::info!(words, "lexicon read again"),
                    Err(error) => tracing::warn!(%error, "the lexicon stays as it was"),
                });
            }
        }
    }
    drop(listeners);
    drain(&app, &sockets).await;
    Ok(())
}

/// From the wish to end to the end. Dropping the connections' tasks afterwards ends the rest.
async fn drain(app: &App, sockets: &Semaphore) {
    let deadline = Instant::now() + app.settings.drain_timeout;
    app.engine.drain();
    app.lifecycle.drain();
    let status = app.engine.status();
    tracing::info!(active = status.active, queued = status.queued, "draining");
    if timeout_at(deadline, app.lifecycle.silent()).await.is_err() {
        let status = app.engine.status();
        tracing::warn!(active = status.active, queued = status.queued, "ending what still plays");
    }
    app.lifecycle.stop();
    let _ = timeout(FAREWELL, sockets.acquire_many(SOCKETS)).await;
    tracing::info!("drained");
}

/// What one listener answers.
fn router(app: Arc<App>, dialects: Dialects) -> Router {
    let served: Vec<_> = dialects.iter().collect();
    let common = Router::new()
        .merge(health::router(&served))
        .merge(demo::router())
        .merge(text::router())
        .merge(openapi::router(dialects, app.settings.auth.is_locked()));
    let router = dialects.iter().fold(common, |router, dialect| {
        router.merge(match dialect {
            Dialect::Light => light::router(app.clone()),
            Dialect::Index => index::router(app.clone()),
            Dialect::Index2 => index2::router(app.clone()),
            Dialect::Workflow => workflow::router(app.clone()),
            Dialect::Tasks => tasks::router(app.clone()),
            Dialect::Openai => openai::router(app.clone()),
            Dialect::Realtime => realtime::router(app.clone()),
            Dialect::Common => Router::new(),
        })
    });
    let router = router
        .fallback(request::not_found)
        .method_not_allowed_fallback(request::wrong_method)
        .layer(from_fn_with_state(app.clone(), auth::guard))
        .layer(from_fn_with_state(app.clone(), request::track))
        .layer(Extension(dialects));
    // Outermost, so that pages can read errors too, and preflights need no key.
    let router = match &app.settings.cors {
        Some(cors) => router.layer(cors.clone()),
        None => router,
    };
    router.with_state(app)
}

/// What a connection needs beside its socket.
struct Guest {
    peer: SocketAddr,
    hold: Hold,
    router: Router,
    app: Arc<App>,
}

impl Guest {
    /// One connection, until either end closes it.
    async fn welcome(self, socket: Socket, tls: Option<TlsAcceptor>) {
        let Some(tls) = tls else { return self.serve(socket).await };
        match timeout(self.app.settings.request_idle, tls.accept(socket)).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "no agreement on TLS"),
            Err(_) => tracing::debug!("a client was too slow to agree on TLS"),
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { peer, hold, router, app } = self;
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(hold.clone());
            if let Some(uri) = without_trailing_slash(request.uri()) {
                *request.uri_mut() = uri;
            }
            router.call(request)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(app.settings.request_idle)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let result = tokio::select! {
            result = &mut connection => result,
            () = app.lifecycle.stopping() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

/// The same place without slashes at the end of its path, if it has any.
fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let shorter = path.trim_end_matches('/');
    if shorter.len() == path.len() || shorter.is_empty() {
        return None;
    }
    let text = match uri.query() {
        Some(query) => format!("{shorter}?{query}"),
        None => shorter.to_string(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_end_do_not_matter() {
        let shorter = |uri: &str| {
            let uri = without_trailing_slash(&uri.parse().expect("a place"));
            uri.map(|uri| uri.to_string())
        };
        assert_eq!(shorter("/health/").as_deref(), Some("/health"));
        assert_eq!(shorter("/health//?a=/").as_deref(), Some("/health?a=/"));
        for same in ["/", "/health", "/health?a=b/"] {
            assert_eq!(shorter(same), None, "{same}");
        }
    }
}
