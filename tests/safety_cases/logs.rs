//! What the log says of those who ask.

use crate::support::{BISTREAM, Server, ZERO_SHOT};
use std::io::Write;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::level_filters::LevelFilter;

const KEY: &str = "sk-logged-never-1";
const WRONG: &str = "sk-logged-never-2";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Sends a request by hand, since clients have logs of their own, and reads what comes.
async fn ask(server: &Server, request: String) -> String {
    let mut socket = TcpStream::connect(server.addresses[0]).await.expect("a connection");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4096];
    let len = socket.read(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer[..len]).into_owned()
}

/// Everything that any part of the program logs at its most talkative.
#[tokio::test]
async fn keys_are_in_no_log_and_no_answer() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).expect("no other test logs");
    let server = Server::with(|config| config.auth.keys = vec![KEY.into()]).await;
    for (key, passes) in [(KEY, true), (WRONG, false)] {
        for (path, header) in [
            (format!("/query_tts_model?api_key={key}&x=1"), String::new()),
            ("/query_tts_model".into(), format!("Authorization: Bearer {key}\r\n")),
            ("/query_tts_model/".into(), format!("X-API-Key: {key}\r\n")),
            (
                BISTREAM.into(),
                format!(
                    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                     Sec-WebSocket-Protocol: mynah, mynah.api_key.{key}\r\n"
                ),
            ),
        ] {
            let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n");
            let answer = ask(&server, head).await;
            let status = if !passes {
                "401"
            } else if path == BISTREAM {
                "101"
            } else {
                "200"
            };
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
            assert!(!answer.contains(key), "{path}: {answer}");
        }
        let broken = format!("POST {ZERO_SHOT}?api_key={key} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(!ask(&server, broken).await.contains(key));
    }
    let log = String::from_utf8(log.0.lock().expect("whole").clone()).expect("text");
    assert!(log.contains("/query_tts_model") && log.contains("authorised"), "nothing was logged");
    let leak = log.lines().find(|line| line.contains(KEY) || line.contains(WRONG));
    assert_eq!(leak, None);
}
