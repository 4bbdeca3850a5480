//! Limits on rates, connections, sizes and patience.

use crate::support::{BISTREAM, Heard, Server, ZERO_SHOT, form, voiced};
use futures::SinkExt;
use reqwest::multipart::{Form, Part};
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{client_async, connect_async};

#[tokio::test]
async fn requests_per_address() {
    let server = Server::with(|c| {
        c.limits.rate_limit = "2/hour".into();
        c.limits.rate_limit_loopback = true;
        c.server.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await;
    assert_eq!(server.post(voiced("a")).await.status, 200);
    let mut client = server.connect_voiced().await;
    client.say("a", true).await;
    assert_eq!(client.hear_all().await.2, 1000);
    server.post(voiced("a")).await.is_error(429, "RATE_LIMITED");
    server.connect().await.is_refused("RATE_LIMITED", 1008).await;
    // Others, and what is no synthesis, go on.
    assert_eq!(server.get("/query_tts_model").await.status, 200);
    let other = server.http.post(server.url(ZERO_SHOT)).header("x-forwarded-for", "192.0.2.1");
    assert_eq!(other.multipart(voiced("a")).send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn loopback_is_exempt_by_default() {
    let server = Server::with(|c| c.limits.rate_limit = "1/hour".into()).await;
    for _ in 0..3 {
        assert_eq!(server.post(voiced("a")).await.status, 200);
    }
}

#[tokio::test]
async fn a_rate_that_is_none_keeps_the_server_from_starting() {
    let server = Server::with(|c| c.limits.rate_limit = "often".into()).await;
    let error = server.run.await.expect("no panic").expect_err("an error").to_string();
    assert!(error.contains("limits.rate_limit") && error.contains("often"), "{error}");
}

#[tokio::test]
async fn websocket_connections_have_a_cap() {
    let server = Server::with(|c| c.limits.max_connections = 2).await;
    let _one = server.connect().await;
    let two = server.connect().await;
    let url = format!("ws://{}{BISTREAM}/", server.addr);
    let Err(SocketError::Http(answer)) = connect_async(&url).await else { panic!("no refusal") };
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let body = answer.body().as_deref().unwrap_or_default();
    assert!(String::from_utf8_lossy(body).contains("OVERLOADED"));
    drop(two);
    let start = Instant::now();
    while connect_async(&url).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "the place was not given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let server = Server::with(|c| {
        c.engine.max_sessions = 1;
        c.engine.queue = 1;
    })
    .await;
    let mut talkers = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect_voiced().await;
        client.say(&"x".repeat(500), true).await;
        talkers.push(client);
    }
    assert!(matches!(talkers[0].hear().await, Heard::Audio(_)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let start = Instant::now();
    server.post(voiced("a")).await.is_error(503, "OVERLOADED");
    assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
    let mut client = server.connect_voiced().await;
    client.say("a", true).await;
    client.is_refused("OVERLOADED", 1013).await;
}

#[tokio::test]
async fn waiting_in_the_queue_has_an_end() {
    let server = Server::with(|c| {
        c.engine.max_sessions = 1;
        c.limits.queue_timeout = 0.3;
    })
    .await;
    let mut client = server.connect_voiced().await;
    client.say(&"x".repeat(500), true).await;
    assert!(matches!(client.hear().await, Heard::Audio(_)));
    server.post(voiced("a")).await.is_error(503, "OVERLOADED");
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let server = Server::with(|c| c.limits.max_file_size = 100_000).await;
    let part = |len: usize| Part::bytes(vec![0; len]).file_name("p.wav");
    let form = || Form::new().text("tts_text", "a").text("prompt_text", "b");
    for len in [100_001, 5_000_000, 30_000_000] {
        let answer = server.post(form().part("prompt_wav", part(len))).await;
        answer.is_error(413, "PAYLOAD_TOO_LARGE");
    }
    // Without a length to be refused by.
    let chunks = futures::stream::iter((0..500).map(|_| Ok::<_, ErrorKind>(vec![b'x'; 10_000])))
        .map_err_to_io();
    let endless = Part::stream(reqwest::Body::wrap_stream(chunks));
    let answer = server.post(form().part("prompt_wav", endless)).await;
    answer.is_error(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(server.post(crate::support::form("a")).await.status, 200);
}

/// `reqwest` wants errors that are errors.
trait MapErr: futures::Stream<Item = Result<Vec<u8>, ErrorKind>> + Sized {
    fn map_err_to_io(self) -> impl futures::Stream<Item = std::io::Result<Vec<u8>>> {
        futures::StreamExt::map(self, |item| item.map_err(Into::into))
    }
}

impl<S: futures::Stream<Item = Result<Vec<u8>, ErrorKind>>> MapErr for S {}

#[tokio::test]
async fn heads_and_bodies_that_never_come() {
    let server = Server::with(|c| c.limits.idle_timeout = 0.3).await;
    let mut connection = TcpStream::connect(server.addr).await.expect("a connection");
    connection.write_all(b"POST /inference_zero_shot HTTP/1.1\r\nHo").await.expect("sent");
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(3), read).await.expect("closed").expect("read");

    let mut connection = TcpStream::connect(server.addr).await.expect("a connection");
    let head = "POST /inference_zero_shot HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\
                Content-Type: multipart/form-data; boundary=x\r\n\r\n--x";
    connection.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(5), read).await.expect("closed").expect("read");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("TASK_TIMEOUT"), "{answer}");
}

/// A client that reads nothing is dropped, whichever way it asked.
#[tokio::test]
async fn clients_that_do_not_read() {
    let server = Server::with(|c| c.limits.stall_timeout = 0.5).await;
    let connect = async || {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small window");
        socket.connect(server.addr).await.expect("a connection")
    };
    let url = format!("ws://{}{BISTREAM}", server.addr);
    let (mut idler, _) = client_async(url, connect().await).await.expect("an upgrade");
    let long = serde_json::json!({ "tts_text": "x".repeat(1000), "finish": true });
    for frame in [r#"{"voice":"default","sample_rate":48000}"#.to_string(), long.to_string()] {
        idler.send(Message::text(frame)).await.expect("sent");
    }
    let mut connection = connect().await;
    let body = format!("voice=default&stream=1&sample_rate=48000&tts_text={}", "x".repeat(1000));
    let head = format!(
        "POST /inference_zero_shot HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.engine.status().active, 2);
    let start = Instant::now();
    server.becomes_idle().await;
    // 20 s of speech were asked for.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(server.post(form("a")).await.status, 200);
}
