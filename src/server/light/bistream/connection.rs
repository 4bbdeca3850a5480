//! A socket around a conversation: frames out, the closing words, and both sides of the goodbye.

use super::actor::Actor;
use crate::server::account::Account;
use crate::server::app::App;
use crate::server::error::ApiError;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Frames that wait for the client.
const OUTBOX: usize = 6;

/// How long a closed client may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// How a conversation ends.
pub enum End {
    Done,
    /// The client went first.
    Gone,
    Failed(ApiError),
}

impl From<ApiError> for End {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// Speaks with one client until either has enough. A `refusal` is all that it hears.
pub async fn serve(socket: WebSocket, app: Arc<App>, account: Account, refusal: Option<ApiError>) {
    let (sink, mut stream) = socket.split();
    let (outbox, frames) = mpsc::channel(OUTBOX);
    let writing = write(sink, frames);
    tokio::pin!(writing);
    let id = account.id.clone();
    let talk = async {
        let mut actor = Actor::new(app, account);
        let end = match refusal {
            Some(error) => End::Failed(error),
            None => actor.converse(&mut stream, &outbox).await,
        };
        actor.settle(&end);
        // Ends the session in the engine before anything else is waited for.
        drop(actor);
        farewell(end, &id.0, &outbox).await;
        drop(outbox);
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
    mut frames: mpsc::Receiver<Message>,
) -> Result<(), axum::Error> {
    while let Some(frame) = frames.recv().await {
        sink.send(frame).await?;
    }
    Ok(())
}

/// The last frames. Nobody is left to care whether they arrive.
async fn farewell(end: End, id: &str, outbox: &mpsc::Sender<Message>) {
    let (code, reason) = match end {
        End::Gone => return,
        End::Done => (1000, ""),
        End::Failed(error) => {
            let _ = outbox.send(Message::text(error.body(id).to_string())).await;
            (error.close_code(), error.code())
        }
    };
    let _ = outbox.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
}

/// What broke the reading of a frame.
pub fn read_error(error: axum::Error, limit: usize) -> End {
    use tungstenite::Error as E;
    match error.into_inner().downcast_ref::<E>() {
        Some(E::Capacity(_)) => ApiError::PayloadTooLarge { limit }.into(),
        Some(E::Utf8(_)) => ApiError::InvalidParameter("the frame is not UTF-8".into()).into(),
        Some(E::Protocol(e))
            if *e != tungstenite::error::ProtocolError::ResetWithoutClosingHandshake =>
        {
            ApiError::InvalidParameter(format!("not the WebSocket protocol: {e}")).into()
        }
        _ => End::Gone,
    }
}
