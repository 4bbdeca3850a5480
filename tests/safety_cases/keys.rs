//! Keys of clients, on requests and on WebSockets.

use crate::support::{BISTREAM, Server, ZERO_SHOT, code, sent, told, voiced};
use futures::{SinkExt, StreamExt};
use mynah::config::{Config, KeyConfig};
use reqwest::Method;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const KEY: &str = "sk-4f1c9a0d7b";

fn locked(config: &mut Config) {
    config.auth.keys = vec![KEY.into()];
}

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects; or the status of the refusal. With the subprotocol that was agreed on.
async fn connect(
    server: &Server,
    query: &str,
    header: Option<(&'static str, String)>,
) -> Result<(Client, Option<String>), u16> {
    let url = format!("ws://{}{BISTREAM}{query}", server.addresses[0]);
    let mut request = url.into_client_request().expect("a request");
    if let Some((name, value)) = header {
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    match connect_async(request).await {
        Ok((client, response)) => {
            let protocol = response.headers().get("sec-websocket-protocol");
            Ok((client, protocol.and_then(|p| Some(p.to_str().ok()?.to_string()))))
        }
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn requests_need_a_key_and_what_informs_does_not() {
    let server = Server::with(locked).await;
    for path in ["/health", "/healthz/", "/liveness", "/readiness", "/metrics", "/demo", "/"] {
        assert_eq!(server.get(path).await.0, 200, "{path}");
    }
    for path in ["/query_tts_model", "/nothing", BISTREAM] {
        let (status, body) = server.get(path).await;
        assert_eq!((status, code(&body).as_str()), (401, "UNAUTHORIZED"), "{path}");
    }
    let answer = sent(server.request(Method::GET, "/v1/models")).await;
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    let get = || server.request(Method::GET, "/query_tts_model");
    assert_eq!(told(get().bearer_auth(KEY)).await.0, 200);
    assert_eq!(told(get().header("x-api-key", KEY)).await.0, 200);
    assert_eq!(told(get().query(&[("api_key", KEY)])).await.0, 200);
    assert_eq!(told(get().bearer_auth("sk-4f1c9a0d7")).await.0, 401);
    let post = server.request(Method::POST, ZERO_SHOT).bearer_auth(KEY).multipart(voiced("hi"));
    assert_eq!(told(post).await.0, 200);

    let closed = |config: &mut Config| {
        locked(config);
        config.auth.metrics = true;
    };
    assert_eq!(Server::with(closed).await.get("/metrics").await.0, 401);
}

/// Whoever has no key cannot make the server read what he sends.
#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body() {
    let server = Server::with(locked).await;
    let mut socket = TcpStream::connect(server.addresses[0]).await.expect("a connection");
    let head = format!(
        "POST {ZERO_SHOT} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n\
         Content-Length: 1000000\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 1024];
    let read = tokio::time::timeout(Duration::from_secs(2), socket.read(&mut answer)).await;
    let len = read.expect("an answer in time").expect("an answer");
    assert!(answer[..len].starts_with(b"HTTP/1.1 401"), "{:?}", answer[..len].utf8_chunks());
}

#[tokio::test]
async fn sockets_need_a_key_before_the_upgrade() {
    let server = Server::with(locked).await;
    let refused = connect(&server, "", None).await.map(|_| ());
    assert_eq!(refused, Err(401));
    let refused = connect(&server, "?api_key=wrong", None).await.map(|_| ());
    assert_eq!(refused, Err(401));
    let bearer = Some(("authorization", format!("Bearer {KEY}")));
    let alone = Some(("sec-websocket-protocol", format!("mynah.api_key.{KEY}")));
    let beside = Some(("sec-websocket-protocol", format!("mynah, mynah.api_key.{KEY}")));
    let echoed = Some(format!("mynah.api_key.{KEY}"));
    for (query, header, agreed) in [
        (format!("?api_key={KEY}"), None, None),
        (String::new(), bearer, None),
        (String::new(), alone, echoed),
        (String::new(), beside, Some("mynah".into())),
    ] {
        let (mut client, protocol) = connect(&server, &query, header).await.expect("let in");
        assert_eq!(protocol, agreed);
        client.send(Message::text(r#"{"voice":"default"}"#)).await.expect("sent");
        client.send(Message::text(r#"{"tts_text":"hi","finish":true}"#)).await.expect("sent");
        let first = client.next().await.expect("an answer").expect("a frame");
        assert!(matches!(first, Message::Binary(_)), "{first:?}");
    }
}

fn limited(rate_limit: Option<&str>, sessions: Option<usize>) -> impl FnOnce(&mut Config) {
    let rate_limit = rate_limit.map(str::to_string);
    move |config| {
        config.auth.keys = vec![KeyConfig { rate_limit, sessions, ..KEY.into() }, "other".into()];
        config.limits.rate_limit = "1/hour".into();
        config.limits.rate_limit_loopback = true;
    }
}

#[tokio::test]
async fn a_keys_rate_replaces_that_of_addresses() {
    let server = Server::with(limited(Some("2/hour"), None)).await;
    let post = async |key: &str| {
        let post = server.request(Method::POST, ZERO_SHOT).query(&[("api_key", key)]);
        let answer = sent(post.multipart(voiced("hi"))).await;
        (answer.status().as_u16(), answer.headers().contains_key("retry-after"))
    };
    assert_eq!(post(KEY).await, (200, false));
    assert_eq!(post(KEY).await, (200, false));
    assert_eq!(post(KEY).await, (429, true));
    assert_eq!(post("other").await, (200, false));
    assert_eq!(post("other").await, (429, true));
}

#[tokio::test]
async fn a_keys_sessions_end_with_their_sockets_and_bodies() {
    let server = Server::with(|config| {
        limited(None, Some(1))(config);
        config.limits.rate_limit = "off".into();
    })
    .await;
    let query = format!("?api_key={KEY}");
    let post = async |text: &str| {
        let post = server.request(Method::POST, &format!("{ZERO_SHOT}{query}"));
        sent(post.multipart(voiced(text).text("stream", "1"))).await
    };
    let (client, _) = connect(&server, &query, None).await.expect("let in");
    assert_eq!(connect(&server, &query, None).await.map(|_| ()), Err(429));
    assert_eq!(post("hi").await.status(), 429);
    assert_eq!(told(server.request(Method::GET, &format!("/query_tts_model{query}"))).await.0, 200);
    drop(client);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let playing = post(&"x".repeat(500)).await;
    assert_eq!(playing.status(), 200);
    assert_eq!(post("hi").await.status(), 429);
    drop(playing);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(post("hi").await.status(), 200);
}
