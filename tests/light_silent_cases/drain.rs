//! Shutting down.

use crate::support::{BISTREAM, Heard, Server, ZERO_SHOT, voiced};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Asks on a connection that was open before, and reads what there is of the answer.
async fn ask(connection: &mut TcpStream, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4096];
    let len = connection.read(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer[..len]).into_owned()
}

async fn ended(server: Server) {
    let end = tokio::time::timeout(Duration::from_secs(5), server.run).await;
    end.expect("the server ended").expect("no panic").expect("no error");
}

#[tokio::test]
async fn what_plays_is_finished_and_nothing_else_begins() {
    let mut server = Server::start().await;
    let mut talker = server.connect_voiced().await;
    talker.say(&"x".repeat(50), true).await;
    assert!(matches!(talker.hear().await, Heard::Audio(_)));
    let post = server.http.post(server.url(ZERO_SHOT)).multipart(voiced(&"x".repeat(50)));
    let file = tokio::spawn(post.send());
    let mut silent = server.connect().await;
    let (mut one, mut two) = (
        TcpStream::connect(server.addr).await.expect("a connection"),
        TcpStream::connect(server.addr).await.expect("a connection"),
    );
    for connection in [&mut one, &mut two] {
        assert!(ask(connection, "/readiness").await.starts_with("HTTP/1.1 200"));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;

    server.shut_down();
    silent.is_refused("DRAINING", 1013).await;
    let answer = ask(&mut one, "/query_tts_model").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("DRAINING"), "{answer}");
    assert!(answer.to_lowercase().contains("retry-after"), "{answer}");
    assert!(ask(&mut two, "/readiness").await.starts_with("HTTP/1.1 503"));
    assert!(TcpStream::connect(server.addr).await.is_err(), "{BISTREAM} is still open");

    let (audio, json, code) = talker.hear_all().await;
    assert_eq!((audio.len(), json.len(), code), (49 * 960, 0, 1000));
    let file = file.await.expect("no panic").expect("an answer");
    assert_eq!(file.bytes().await.expect("a body").len(), 44 + 50 * 960);
    ended(server).await;
}

#[tokio::test]
async fn an_idle_server_ends_at_once() {
    let mut server = Server::start().await;
    assert_eq!(server.get("/health").await.status, 200);
    let start = Instant::now();
    server.shut_down();
    ended(server).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_plays_too_long_is_ended() {
    let mut server = Server::with(|c| c.server.drain_timeout = 0.3).await;
    let mut talker = server.connect_voiced().await;
    talker.say(&"x".repeat(900), false).await;
    assert!(matches!(talker.hear().await, Heard::Audio(_)));
    let stream = voiced(&"x".repeat(900)).text("stream", "1");
    let post = server.http.post(server.url(ZERO_SHOT)).multipart(stream).send();
    let stream = post.await.expect("an answer");
    server.shut_down();
    talker.is_refused("DRAINING", 1013).await;
    ended(server).await;
    assert!(stream.bytes().await.is_err(), "a stream that was cut looks complete");
}
