//! A socket around a conversation: frames out, the closing words, and both sides of the goodbye.

use super::actor::{Actor, Caller, End};
use super::events;
use super::outbox::Outbox;
use crate::server::app::App;
use crate::telemetry::metrics;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a closed client may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// Speaks with one client until either has enough. No frame of it is larger than `limit`.
pub async fn serve(socket: WebSocket, app: Arc<App>, caller: Caller, limit: usize) {
    let (sink, mut stream) = socket.split();
    let outbox = Arc::new(Outbox::new());
    let writing = write(sink, &outbox);
    tokio::pin!(writing);
    let talk = async {
        let id = caller.id.clone();
        let mut actor = Actor::new(app, caller, outbox.clone(), limit);
        let end = actor.converse(&mut stream).await;
        // Ends the sessions in the engine before anything else is waited for.
        drop(actor);
        let (code, reason) = match end {
            End::Gone => {
                outbox.close();
                return;
            }
            End::Failed(error) => {
                if error.is_rejection() {
                    metrics::rejected(error.code());
                }
                outbox.push(events::error(&error, &id.0, None));
                (error.close_code(), error.code())
            }
        };
        outbox.push(Message::Close(Some(CloseFrame { code, reason: reason.into() })));
        outbox.close();
    };
    tokio::select! {
        () = talk => {}
        _ = &mut writing => return,
    }
    // Both sides of a closing handshake. Reading goes on so that the client can finish writing.
    let reading = async { while let Some(Ok(_)) = stream.next().await {} };
    tokio::pin!(reading);
    tokio::select! {
        _ = &mut writing => {
            let _ = timeout(GOODBYE, reading).await;
        }
        () = &mut reading => {
            let _ = writing.await;
        }
    }
}

async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    outbox: &Outbox,
) -> Result<(), axum::Error> {
    while let Some(frame) = outbox.next().await {
        sink.send(frame).await?;
    }
    Ok(())
}
