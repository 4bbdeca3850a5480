//! The life of the server: accept, serve, drain.

use super::app::App;
use super::client::Peer;
use super::settings::Settings;
use super::socket::Socket;
use super::{demo, health, index, index2, job, light, openai, realtime, request, tasks, workflow};
use crate::config::{Config, ConfigError};
use crate::engine::EngineHandle;
use crate::telemetry::metrics;
use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

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

/// Serves on `listener` until `shutdown` resolves, then drains: takes no more connections, answers
/// new requests with 503, lets what plays finish within `server.drain_timeout`, and returns.
///
/// # Errors
/// A setting that cannot be used, among them a job store that cannot be opened.
pub async fn run(
    listener: TcpListener,
    engine: EngineHandle,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ConfigError> {
    let settings = Settings::new(&config)?;
    let jobs = job::open(&config, &engine).await?;
    let app = Arc::new(App::new(engine, settings, metrics::install()).with_jobs(jobs));
    let router = router(app.clone());
    let sockets = Arc::new(Semaphore::new(SOCKETS as usize));
    let mut connections = JoinSet::new();
    let mut upkeep = tokio::time::interval(UPKEEP);
    tokio::pin!(shutdown);
    loop {
        let accept = async {
            // The semaphore is never closed, so this only waits.
            let slot = sockets.clone().acquire_owned().await.ok();
            (listener.accept().await, slot)
        };
        tokio::select! {
            () = &mut shutdown => break,
            (accepted, Some(slot)) = accept => match accepted {
                Ok((stream, peer)) => {
                    let socket = Socket::new(stream, app.settings.stall_timeout, slot);
                    connections.spawn(serve(socket, peer, router.clone(), app.clone()));
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
            }
        }
    }
    drop(listener);
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

fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(light::router(app.clone()))
        .merge(index::router(app.clone()))
        .merge(index2::router(app.clone()))
        .merge(workflow::router(app.clone()))
        .merge(tasks::router(app.clone()))
        .merge(openai::router(app.clone()))
        .merge(realtime::router(app.clone()))
        .merge(health::router())
        .merge(demo::router())
        .fallback(request::not_found)
        .method_not_allowed_fallback(request::wrong_method)
        .layer(axum::middleware::from_fn_with_state(app.clone(), request::track))
        .with_state(app)
}

/// One connection, until either end closes it.
async fn serve(socket: Socket, peer: SocketAddr, router: Router, app: Arc<App>) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        if let Some(uri) = without_trailing_slash(request.uri()) {
            *request.uri_mut() = uri;
        }
        router.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.settings.request_idle)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(socket), service)
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
