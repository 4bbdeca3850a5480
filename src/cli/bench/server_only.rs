//! What the server alone adds: an engine that emits silence on a clock, and WebSockets that listen.
//!
//! Engine, server and clients each have a tokio runtime of their own in this process, so that none
//! runs on another's threads; they still share the machine's processors, and a client that is late
//! to read counts against the server.

use super::Failure;
use super::machine::processor_time;
use super::spread::{Spread, round};
use crate::config::Config;
use crate::engine::{Tick, start_silent_observed};
use crate::server;
use futures::{SinkExt, StreamExt};
use indicatif::ProgressBar;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// A word and a space. Each character is a packet of 20 ms.
const WORD: &str = "speak ";
/// A little less than the word lasts, so that the engine's clock never waits for text.
const WORD_EVERY: Duration = Duration::from_millis(100);

/// What it took to bring packets from the engine to the clients.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerOnly {
    pub sessions: usize,
    /// Wall time.
    pub seconds: f64,
    pub packets: usize,
    /// From the engine's sending to the client's having it.
    pub delivery_ms: Option<Spread>,
    /// The same from the moment the engine's clock had set for it, which adds how late the timer
    /// (a millisecond by its grain) and the engine's thread were.
    pub lateness_ms: Option<Spread>,
    /// Of engine, server and clients.
    pub processor_seconds: Option<f64>,
}

/// When a packet was due and when it was sent.
type Sent = (Instant, Instant);

/// `sessions` WebSockets start together and are sent words for `duration`.
///
/// # Errors
/// A server that does not start, or does not say what a server should.
pub fn run(
    config: &Config,
    sessions: usize,
    duration: Duration,
    progress: &ProgressBar,
) -> Result<ServerOnly, Failure> {
    let mut config = config.clone();
    config.engine.max_sessions = sessions;
    config.limits.max_connections = sessions;
    config.limits.rate_limit = "off".into();
    config.limits.max_stream_text = usize::MAX;
    config.light.sample_rate = None;

    let ticks: Arc<Vec<Mutex<Vec<Sent>>>> =
        Arc::new(std::iter::repeat_with(Mutex::default).take(sessions).collect());
    let noted = ticks.clone();
    let note = move |tick: Tick| {
        if let Some(stream) = tick.id.parse().ok().and_then(|index: usize| noted.get(index)) {
            stream.lock().unwrap_or_else(PoisonError::into_inner).push((tick.due, tick.sent));
        }
    };
    let engine_runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let server_runtime = Builder::new_multi_thread().enable_all().build()?;
    let client_runtime = Builder::new_current_thread().enable_all().build()?;
    let engine = {
        let _inside = engine_runtime.enter();
        start_silent_observed(&config.engine, Arc::new(note))
    };
    let listener = server_runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let (stop, wish) = oneshot::channel::<()>();
    let wish = async {
        let _ = wish.await;
    };
    let serving = server_runtime.spawn(server::run(listener, engine, config, wish));

    let before = processor_time();
    let start = Instant::now();
    let arrivals = client_runtime.block_on(async {
        let clients = (0..sessions).map(|index| client(address, index, duration, progress));
        futures::future::try_join_all(clients).await
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let processor = processor_time().zip(before).map(|(after, before)| after - before);
    // A server that ended early was told so by its clients.
    let _ = stop.send(());
    server_runtime.block_on(serving)??;

    let mut delivery = Vec::new();
    let mut lateness = Vec::new();
    for (stream, arrivals) in ticks.iter().zip(&arrivals) {
        let sent = stream.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.len() != arrivals.len() {
            let (sent, came) = (sent.len(), arrivals.len());
            return Err(format!("{sent} packets were sent and {came} came").into());
        }
        for ((due, sent), came) in sent.iter().zip(arrivals) {
            delivery.push(came.saturating_duration_since(*sent).as_secs_f64() * 1e3);
            lateness.push(came.saturating_duration_since(*due).as_secs_f64() * 1e3);
        }
    }
    Ok(ServerOnly {
        sessions,
        seconds: round(seconds),
        packets: delivery.len(),
        delivery_ms: Spread::of(delivery),
        lateness_ms: Spread::of(lateness),
        processor_seconds: processor.map(|time| round(time.as_secs_f64())),
    })
}

/// One WebSocket of the `light` dialect. Returns when each of its packets came.
async fn client(
    address: SocketAddr,
    index: usize,
    duration: Duration,
    progress: &ProgressBar,
) -> Result<Vec<Instant>, Failure> {
    let mut request =
        format!("ws://{address}/inference_zero_shot_bistream").into_client_request()?;
    // By it the engine's notes of this stream are found.
    request.headers_mut().insert("x-request-id", index.to_string().parse()?);
    let (socket, _) = connect_async_with_config(request, None, true).await?;
    let (mut writer, mut reader) = socket.split();
    let writing = async {
        writer.send(Message::text(r#"{"voice":"default"}"#)).await?;
        let mut words = tokio::time::interval(WORD_EVERY);
        let start = Instant::now();
        while start.elapsed() < duration {
            words.tick().await;
            writer.send(frame(WORD, false)).await?;
        }
        writer.send(frame(".", true)).await?;
        Ok::<_, Failure>(())
    };
    let reading = async {
        let mut arrivals = Vec::new();
        loop {
            match reader.next().await {
                Some(Ok(Message::Binary(_))) => {
                    arrivals.push(Instant::now());
                    progress.inc(1);
                }
                Some(Ok(Message::Close(Some(close)))) if u16::from(close.code) == 1000 => {
                    return Ok(arrivals);
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => return Err(Failure::from(format!("the server said {other:?}"))),
                Some(Err(error)) => return Err(error.into()),
                None => return Err("the server closed without a word".into()),
            }
        }
    };
    let ((), arrivals) = tokio::try_join!(writing, reading)?;
    Ok(arrivals)
}

fn frame(text: &str, finish: bool) -> Message {
    Message::text(serde_json::json!({ "tts_text": text, "finish": finish }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every packet that the engine sent is found again at its client, in its stream.
    #[test]
    fn packets_are_followed_through_the_server() {
        let duration = Duration::from_millis(300);
        let seen = run(&Config::default(), 3, duration, &ProgressBar::hidden()).expect("a server");
        // At least three words and the full stop, per session.
        assert!(seen.packets >= 3 * (3 * WORD.len() + 1), "{seen:?}");
        let (delivery, lateness) =
            (seen.delivery_ms.expect("packets"), seen.lateness_ms.expect("packets"));
        assert!(delivery.p50 > 0.0 && delivery.p50 <= lateness.p50, "{seen:?}");
        assert_eq!(delivery.count, seen.packets);
    }
}
