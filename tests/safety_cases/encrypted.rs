//! Listeners that speak TLS, with a certificate made for the test.

use crate::support::{BISTREAM, Server, listener};
use futures::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

/// A server with a listener in TLS and one in clear, what a client has to trust, and the folder of
/// its files.
async fn start() -> (Server, CertificateDer<'static>, TempDir) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("made");
    let dir = tempfile::tempdir().expect("a folder");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let server = Server::with(|config| {
        (config.tls.cert, config.tls.key) = (Some(cert), Some(key));
        let mut plain = listener(None);
        plain.tls = Some(false);
        config.listeners = vec![listener(None), plain];
        config.limits.idle_timeout = 0.5;
    })
    .await;
    (server, made.cert.der().clone(), dir)
}

async fn connect(address: SocketAddr, trusted: CertificateDer<'static>) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake")
}

#[tokio::test]
async fn requests_and_sockets_work_encrypted() {
    let (server, trusted, _files) = start().await;
    let mut stream = connect(server.addresses[0], trusted.clone()).await;
    let head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(head).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("all of it");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Ok"), "{answer}");

    let stream = connect(server.addresses[0], trusted).await;
    let url = format!("ws://localhost{BISTREAM}");
    let (mut client, _) = client_async(url, stream).await.expect("an upgrade");
    client.send(Message::text(r#"{"voice":"default"}"#)).await.expect("sent");
    client.send(Message::text(r#"{"tts_text":"hello","finish":true}"#)).await.expect("sent");
    let (mut bytes, mut close) = (0, None);
    while let Some(Ok(message)) = client.next().await {
        match message {
            Message::Binary(audio) => bytes += audio.len(),
            Message::Close(frame) => close = frame.map(|frame| u16::from(frame.code)),
            _ => {}
        }
    }
    assert_eq!((bytes, close), (5 * 960, Some(1000)));

    let plain = format!("http://{}/health", server.addresses[1]);
    assert_eq!(server.http.get(plain).send().await.expect("an answer").status(), 200);
}

/// Neither speaking in clear nor silence keeps a connection.
#[tokio::test]
async fn those_who_do_not_shake_hands_are_let_go() {
    let (server, _, _files) = start().await;
    for words in [&b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"[..], b""] {
        let mut stream = TcpStream::connect(server.addresses[0]).await.expect("a connection");
        stream.write_all(words).await.expect("sent");
        let mut answer = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer));
        let _ = end.await.expect("the connection ended");
        assert!(!answer.starts_with(b"HTTP"), "answered in clear");
    }
}
