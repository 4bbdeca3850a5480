//! The life of a socket: subprotocols, keep-alive, idleness, clients that do not read, the end.

use crate::support::{CHAR, Heard, PATH, Server, audio_bytes};
use futures::SinkExt;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{client_async, connect_async};

#[tokio::test]
async fn the_subprotocol_is_agreed_on_and_no_key_echoed() {
    let server = Server::start().await;
    let url = format!("ws://{}{PATH}", server.addr);
    let mut request = url.into_client_request().expect("a request");
    let offer = "mynah.api_key.secret, mynah.realtime.v1".parse().expect("a header");
    request.headers_mut().insert("sec-websocket-protocol", offer);
    let (_, answer) = connect_async(request).await.expect("an upgrade");
    let agreed = answer.headers().get("sec-websocket-protocol").expect("a subprotocol");
    assert_eq!(agreed, "mynah.realtime.v1");
}

#[tokio::test]
async fn silent_sockets_are_kept_alive() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let start = Instant::now();
    assert_eq!(client.hear_any().await, Heard::Ping);
    let waited = start.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(12)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn idle_sockets_are_closed() {
    let server = Server::with(|c| c.limits.idle_timeout = 0.4).await;
    let mut client = server.connect().await;
    client.is_refused("TASK_TIMEOUT", 1008).await;
    // Also with a context that was forgotten.
    let mut client = server.connect().await;
    client.start("a").await;
    client.say("a", "Hi").await;
    let start = Instant::now();
    client.is_refused("TASK_TIMEOUT", 1008).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    server.becomes_idle().await;
}

/// Sound that plays is reason enough to be silent.
#[tokio::test]
async fn listening_is_not_idle() {
    let server = Server::with(|c| c.limits.idle_timeout = 0.3).await;
    let mut client = server.connect().await;
    client.start("a").await;
    client.say("a", &"x".repeat(60)).await;
    client.order("flush", "a").await;
    let (heard, _) = client.hear_until("flush_done", "a").await;
    assert_eq!(audio_bytes(&heard), 60 * CHAR);
    client.order("close_context", "a").await;
    client.hear_until("done", "a").await;
}

#[tokio::test]
async fn clients_that_do_not_read_are_dropped() {
    let server = Server::with(|c| c.limits.stall_timeout = 0.5).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small window");
    let connection = socket.connect(server.addr).await.expect("a connection");
    let url = format!("ws://{}{PATH}", server.addr);
    let (mut idler, _) = client_async(url, connection).await.expect("an upgrade");
    for frame in [
        json!({"type":"start","context_id":"a","voice":"default","sample_rate":48_000}),
        json!({"type":"text","context_id":"a","text":"x".repeat(1000)}),
        json!({"type":"close_context","context_id":"a"}),
    ] {
        idler.send(Message::text(frame.to_string())).await.expect("sent");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.engine.status().active, 1);
    // 20 s of speech were asked for.
    assert!(server.becomes_idle().await < Duration::from_secs(10));
}

#[tokio::test]
async fn clients_that_leave_end_their_contexts() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.start("a").await;
    client.say("a", &"x".repeat(900)).await;
    client.hear_until("audio_start", "a").await;
    drop(client);
    assert!(server.becomes_idle().await < Duration::from_secs(2));
}

#[tokio::test]
async fn draining_finishes_what_plays() {
    let mut server = Server::start().await;
    let mut idle = server.connect().await;
    let mut client = server.connect().await;
    client.start("a").await;
    client.start("b").await;
    client.say("a", &"x".repeat(50)).await;
    client.hear_until("audio_start", "a").await;
    server.shut_down();
    idle.is_refused("DRAINING", 1013).await;
    let (heard, error) = client.hear_until("error", "b").await;
    assert_eq!(error["error_code"], "DRAINING");
    client.start("c").await;
    let (more, error) = client.hear_until("error", "c").await;
    assert_eq!(error["error_code"], "DRAINING");
    client.order("close_context", "a").await;
    let (rest, _) = client.hear_until("done", "a").await;
    assert_eq!(audio_bytes(&[heard, more, rest].concat()), 50 * CHAR);
    client.is_refused("DRAINING", 1013).await;
    let end = tokio::time::timeout(Duration::from_secs(5), server.run).await;
    end.expect("the server ended").expect("no panic").expect("no error");
}

#[tokio::test]
async fn draining_has_an_end() {
    let mut server = Server::with(|c| c.server.drain_timeout = 0.3).await;
    let mut client = server.connect().await;
    client.start("a").await;
    client.say("a", &"x".repeat(900)).await;
    client.hear_until("audio_start", "a").await;
    server.shut_down();
    client.is_refused("DRAINING", 1013).await;
    let end = tokio::time::timeout(Duration::from_secs(5), server.run).await;
    end.expect("the server ended").expect("no panic").expect("no error");
}
