//! A server to test, with a store of voices.

use mynah::audio::wav;
use mynah::config::{Config, ConfigError};
use mynah::engine::{EngineHandle, Store, start_silent_with_store};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub struct Server {
    pub addr: SocketAddr,
    pub engine: EngineHandle,
    pub http: Client,
    pub shutdown: Option<oneshot::Sender<()>>,
    pub run: JoinHandle<Result<(), ConfigError>>,
    pub voices: TempDir,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let voices = tempfile::tempdir().expect("a folder");
        let engine = start_silent_with_store(&config.engine, Store::new(voices.path()));
        let (shutdown, wish) = oneshot::channel::<()>();
        let wish = async {
            let _ = wish.await;
        };
        let run = tokio::spawn(mynah::server::run(listener, engine.clone(), config, wish));
        Self { addr, engine, http: Client::new(), shutdown: Some(shutdown), run, voices }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(self.url(path))).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.http.delete(self.url(path))).await
    }

    /// Asks for speech.
    pub async fn speak(&self, body: Value) -> Answer {
        Answer::of(self.http.post(self.url("/v1/audio/speech")).json(&body)).await
    }

    pub async fn register(&self, form: Form) -> Answer {
        Answer::of(self.http.post(self.url("/v1/audio/voices")).multipart(form)).await
    }
}

/// What clients send, with changes.
pub fn request(changes: Value) -> Value {
    let mut body = json!({ "model": "tts-1", "input": "Hello there.", "voice": "default" });
    for (key, value) in changes.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

/// What registers a voice.
pub fn form(name: &str) -> Form {
    let sample = Part::bytes(tone(1.0)).file_name("me.wav");
    Form::new()
        .text("name", name.to_string())
        .text("ref_text", "What I say.")
        .text("consent", "true")
        .part("audio_sample", sample)
}

/// A tone as a WAV file.
pub fn tone(seconds: f32) -> Vec<u8> {
    let samples: Vec<f32> =
        (0..(seconds * 16_000.0) as usize).map(|i| 0.3 * (i as f32 * 0.17).sin()).collect();
    wav::encode(&samples, 16_000)
}

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.expect("a body").into() }
    }

    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text:?} is not JSON"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// Asserts an error in OpenAI's envelope.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) {
        let json = self.json();
        let error = &json["error"];
        assert_eq!((self.status, error["code"].as_str()), (status, Some(code)), "{json}");
        assert!(error["message"].is_string() && error["type"].is_string(), "{json}");
        assert!(error.get("param").is_some_and(Value::is_null), "{json}");
        assert!(!self.header("x-request-id").is_empty());
        if matches!(status, 429 | 503) {
            assert!(self.header("retry-after").parse::<u64>().is_ok_and(|s| s > 0));
        }
    }
}
