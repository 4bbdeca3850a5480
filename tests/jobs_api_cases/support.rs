//! A server to test, with folders of its own.

use mynah::audio::wav;
use mynah::config::{Config, ConfigError};
use mynah::engine::start_silent;
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Nothing in these tests takes as long, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(15);

pub struct Server {
    pub addr: SocketAddr,
    pub http: reqwest::Client,
    /// Holds `voices`, `shared`, `output` and `data`.
    pub dir: TempDir,
    shutdown: Option<oneshot::Sender<()>>,
    pub run: JoinHandle<Result<(), ConfigError>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = TempDir::new().expect("a folder");
        let mut config = Config::default();
        config.storage.dir = dir.path().join("data");
        config.storage.output_dir = dir.path().join("output");
        config.storage.shared_dir = dir.path().join("shared");
        config.storage.voices_dir = dir.path().join("voices");
        std::fs::create_dir(&config.storage.shared_dir).expect("a folder");
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let engine = start_silent(&config.engine);
        let (shutdown, wish) = oneshot::channel::<()>();
        let wish = async {
            let _ = wish.await;
        };
        let run = tokio::spawn(mynah::server::run(listener, engine, config, wish));
        Self { addr, http: reqwest::Client::new(), dir, shutdown: Some(shutdown), run }
    }

    pub fn shut_down(&mut self) {
        let _ = self.shutdown.take().map(|wish| wish.send(()));
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// A path below one of the server's folders.
    pub fn path(&self, below: &str) -> String {
        self.dir.path().join(below).display().to_string()
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = tokio::time::timeout(PATIENCE, request.send()).await;
        Answer::of(response.expect("the client was left hanging")).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.http.get(self.url(path))).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.http.delete(self.url(path))).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.http.post(self.url(path)).json(&body)).await
    }

    /// Uploads a file under this name.
    pub async fn upload(&self, name: &str, bytes: Vec<u8>) -> Answer {
        let form = Form::new().part("file", Part::bytes(bytes).file_name(name.to_string()));
        self.send(self.http.post(self.url("/api/v1/upload/audio")).multipart(form)).await
    }

    /// Asks again until `enough`.
    pub async fn poll(&self, path: &str, enough: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let json = self.get(path).await.json();
            if enough(&json) {
                return json;
            }
            assert!(start.elapsed() < PATIENCE, "{path} stays {json}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    async fn of(response: reqwest::Result<reqwest::Response>) -> Self {
        let response = response.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.expect("a body").into() }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text:?} is not JSON"))
    }

    /// The JSON of an answer that must be 200.
    #[track_caller]
    pub fn good(&self) -> Value {
        let json = self.json();
        assert_eq!(self.status, 200, "{json}");
        json
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// Asserts an error of this status and code, with the body all dialects share.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) -> Value {
        let json = self.json();
        assert_eq!((self.status, json["error_code"].as_str()), (status, Some(code)), "{json}");
        assert!(json["message"].is_string() && json["detail"].is_string(), "{json}");
        assert!(!self.header("x-request-id").is_empty());
        if matches!(status, 429 | 503) {
            assert!(self.header("retry-after").parse::<u64>().is_ok_and(|s| s > 0));
        }
        json
    }
}

/// A tone as a WAV file.
pub fn tone(seconds: f64, rate: u32) -> Vec<u8> {
    let samples: Vec<f32> = (0..(seconds * f64::from(rate)) as usize)
        .map(|i| 0.3 * (i as f32 * 880.0 / rate as f32 * std::f32::consts::PI).sin())
        .collect();
    wav::encode(&samples, rate)
}
