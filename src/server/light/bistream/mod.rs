//! WebSocket `/inference_zero_shot_bistream`: text in as it is written, speech out as it is made.

mod actor;
mod connection;
mod events;
mod protocol;

pub use protocol::{Limits, Protocol};

use crate::server::account::Account;
use crate::server::app::App;
use crate::server::client::Peer;
use crate::server::error::ApiError;
use crate::server::request::RequestId;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use std::sync::Arc;
use tracing::Instrument;

/// Frames that hold no prompt may be this large whatever the limit of a file is.
const SMALL_FRAME: usize = 64 * 1024;

/// Speaks a text while it is written. A WebSocket.
///
/// The client sends a `LightInit` as JSON, then, unless it names a voice, the recording in binary
/// frames, then any number of `LightText`. The server sends sound in binary frames as it is made
/// (raw 16-bit samples unless another format was asked for) and closes with 1000 after the last. An
/// error is a `Problem` as JSON, then a close: 1003 for a recording that cannot be used, 1007 for what
/// is malformed or out of order, 1008 for what is too long, too often or too slow, 1009 for a frame
/// that is too large, 1011 for the server's fault, 1013 where it is busy or shuts down.
#[utoipa::path(
    get,
    path = "/inference_zero_shot_bistream",
    tag = "light",
    operation_id = "light_bistream",
    responses(
        (status = 101, description = "The connection is a WebSocket now"),
        (status = 400, description = "The request asks for no WebSocket"),
        (status = 503, description = "All connections are taken, or the server loads or shuts down"),
    )
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|rejection| {
        ApiError::InvalidParameter(format!("a WebSocket is expected here: {rejection}"))
    })?;
    let place = app.websocket()?;
    let account = Account::open(&app, id, "/inference_zero_shot_bistream");
    // Told on the socket: scripts in browsers cannot read the answer to a failed upgrade.
    let refusal = app.charge(peer, &headers).err();
    let largest = app.settings.max_file_size.max(SMALL_FRAME);
    Ok(upgrade.max_message_size(largest).max_frame_size(largest).on_upgrade(
        move |socket| async move {
            let span = account.span.clone();
            connection::serve(socket, app, account, refusal).instrument(span).await;
            drop(place);
        },
    ))
}
