//! The dialect of voice agents: WebSocket `/v1/realtime/speech`, one socket for many utterances.
//!
//! `connection` holds the socket, `protocol` says what a client may send, `actor` obeys it, and
//! every utterance is a `context` of its own that writes to the socket's `outbox`.

mod actor;
mod connection;
mod context;
mod events;
mod outbox;
mod protocol;

use super::app::App;
use super::client::Peer;
use super::error::ApiError;
use super::request::{self, RequestId};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use std::sync::Arc;
use tracing::Instrument;

/// The subprotocol, and the version of what is said in it.
const PROTOCOL: &str = "mynah.realtime.v1";

/// Bytes of a frame beside a recording in it.
const SMALL_FRAME: usize = 64 * 1024;

pub fn router(app: Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/v1/realtime/speech", get(handle))
        .route_layer(from_fn_with_state(app, request::gate))
}

async fn handle(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(peer): Extension<Peer>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|rejection| {
        ApiError::InvalidParameter(format!("a WebSocket is expected here: {rejection}"))
    })?;
    let multiplex = protocol::multiplex(query.as_deref().unwrap_or_default())?;
    let place = app.websocket()?;
    // A recording in base64 is a third longer.
    let largest = app.settings.max_file_size.div_ceil(3).saturating_mul(4);
    let largest = largest.saturating_add(SMALL_FRAME);
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(largest).max_frame_size(largest);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let span = tracing::info_span!("realtime", id = &*id.0);
        let caller = actor::Caller { id, peer, headers, multiplex };
        connection::serve(socket, app, caller, largest).instrument(span).await;
        drop(place);
    }))
}
