//! The dialect of voice agents: WebSocket `/v1/realtime/speech`, one socket for many utterances.
//!
//! `connection` holds the socket, `protocol` says what a client may send, `actor` obeys it, and
//! every utterance is a `context` of its own that writes to the socket's `outbox`.

mod actor;
mod api;
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
use utoipa::OpenApi;

/// The subprotocol, and the version of what is said in it.
const PROTOCOL: &str = "mynah.realtime.v1";

/// Bytes of a frame beside a recording in it.
const SMALL_FRAME: usize = 64 * 1024;

/// The dialect's part of the description.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api::Api::openapi()
}

pub fn router(app: Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/v1/realtime/speech", get(handle))
        .route_layer(from_fn_with_state(app, request::gate))
}

/// Speaks many texts on one connection. A WebSocket.
///
/// The client sends `RealtimeCommand`s as JSON. The server sends `RealtimeEvent`s as JSON, and sound
/// in binary frames: those of one context after the other, or, with `multiplex`, of all at once, each
/// frame behind one byte with the length of its context's name, and the name.
///
/// A mistake of one context is told to that context. What breaks the protocol closes the socket:
/// 1003 for a recording that cannot be used, 1007 for what is malformed, 1008 for what is too long,
/// too often or too slow, 1009 for a frame that is too large, 1011 for the server's fault, 1013
/// where it is busy or shuts down.
#[utoipa::path(
    get,
    path = "/v1/realtime/speech",
    tag = "realtime",
    operation_id = "realtime_speech",
    params(
        ("multiplex" = Option<bool>, Query, description = "Whether contexts speak at the same time"),
        (
            "Sec-WebSocket-Protocol" = Option<String>, Header,
            description = "`mynah.realtime.v1`; a key as `mynah.api_key.KEY` beside it",
        ),
    ),
    responses(
        (status = 101, description = "The connection is a WebSocket now"),
        (status = 400, description = "The request asks for no WebSocket, or a parameter is malformed"),
        (status = 503, description = "All connections are taken, or the server loads or shuts down"),
    )
)]
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
