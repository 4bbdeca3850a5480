//! What clients learn of their recordings.

use crate::recordings::{CODES, TOO_LONG, good, poor};
use crate::support::{Heard, Server};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Arc, Mutex};

fn form(recording: Vec<u8>, text: &str) -> Form {
    Form::new()
        .text("tts_text", "Hello.")
        .text("prompt_text", text.to_string())
        .part("prompt_wav", Part::bytes(recording).file_name("me.wav"))
}

/// The codes in a header's value.
fn codes(header: &str) -> Vec<&str> {
    header.split("; ").filter_map(|line| Some(line.split_once(": ")?.0)).collect()
}

#[tokio::test]
async fn a_header_warns_of_poor_recordings() {
    let server = Server::start().await;
    for stream in ["false", "true"] {
        let answer = server.post(form(poor(), TOO_LONG).text("stream", stream)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(codes(answer.header("x-mynah-warning")), CODES);
        let answer = server.post(form(good(), "This is what I say in it.")).await;
        assert_eq!((answer.status, answer.header("x-mynah-warning")), (200, ""));
    }
    let counted = server.metric(r#"mynah_prompt_warnings_total{reason="prompt_clipped"} "#).await;
    assert!(counted >= 2.0, "{counted}");
}

/// The frames of a conversation with this recording.
async fn speak(server: &Server, events: bool, recording: Vec<u8>, text: &str) -> Vec<Value> {
    let mut client = server.connect().await;
    client.text(&json!({ "prompt_text": text, "events": events }).to_string()).await;
    client.binary(recording).await;
    client.say("Hello.", true).await;
    let (audio, json, code) = client.hear_all().await;
    assert_eq!((audio.len(), code), (6 * 960, 1000), "{json:?}");
    json
}

#[tokio::test]
async fn events_warn_of_poor_recordings() {
    let server = Server::start().await;
    let events = speak(&server, true, poor(), TOO_LONG).await;
    let warnings = events[0]["warnings"].as_array().expect("an array");
    let told: Vec<_> = warnings.iter().filter_map(|warning| warning["code"].as_str()).collect();
    assert_eq!(told, CODES);
    let words: Vec<_> = warnings.iter().filter_map(|w| w["message"].as_str()).collect();
    assert!(words.len() == 3 && words.iter().all(|words| words.len() > 40), "{words:?}");

    let events = speak(&server, true, good(), "This is what I say in it.").await;
    assert_eq!(events[0]["warnings"], json!([]));
    // A voice that is registered was looked at when it was.
    let mut client = server.connect().await;
    client.text(r#"{"voice":"default","events":true}"#).await;
    client.say("Hello.", true).await;
    let Heard::Json(start) = client.hear().await else { panic!("no event") };
    assert_eq!(start["warnings"], json!([]));
    // Who did not ask for events gets none.
    assert_eq!(speak(&server, false, poor(), TOO_LONG).await, [Value::Null; 0]);
}

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

/// Once for each recording, however many ears it has, and without what is said in it.
#[tokio::test]
async fn the_log_warns_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    // Of this thread, on which all of the server runs that logs.
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start().await;
    // Another test may be the first to warn, at the moment when this one begins to listen, so that
    // nobody is known to listen: once it has warned, that can be put right.
    server.post(form(poor(), TOO_LONG)).await;
    tracing::callsite::rebuild_interest_cache();
    log.0.lock().expect("whole").clear();
    server.post(form(poor(), TOO_LONG)).await;
    speak(&server, true, poor(), TOO_LONG).await;
    speak(&server, true, good(), "This is what I say in it.").await;
    let log = String::from_utf8(log.0.lock().expect("whole").clone()).expect("text");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("PROMPT_CLIPPED")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines.iter().all(|line| CODES.iter().all(|code| line.contains(code))), "{log}");
    assert!(!log.contains("anybody"), "{log}");
}
