//! A server to test, and clients that speak to it.

use futures::{SinkExt, StreamExt};
use mynah::audio::wav;
use mynah::config::{Config, ConfigError};
use mynah::engine::{EngineHandle, start_silent};
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// Nothing in these tests takes as long, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(15);

pub const BISTREAM: &str = "/inference_zero_shot_bistream";
pub const ZERO_SHOT: &str = "/inference_zero_shot";

pub struct Server {
    pub addr: SocketAddr,
    pub engine: EngineHandle,
    pub http: reqwest::Client,
    shutdown: Option<oneshot::Sender<()>>,
    pub run: JoinHandle<Result<(), ConfigError>>,
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
        let engine = start_silent(&config.engine);
        let (shutdown, wish) = oneshot::channel::<()>();
        let wish = async {
            let _ = wish.await;
        };
        let run = tokio::spawn(mynah::server::run(listener, engine.clone(), config, wish));
        Self { addr, engine, http: reqwest::Client::new(), shutdown: Some(shutdown), run }
    }

    pub fn shut_down(&mut self) {
        let _ = self.shutdown.take().map(|wish| wish.send(()));
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(self.url(path)).send().await).await
    }

    pub async fn post(&self, form: Form) -> Answer {
        Answer::of(self.http.post(self.url(ZERO_SHOT)).multipart(form).send().await).await
    }

    pub async fn connect(&self) -> Client {
        let url = format!("ws://{}{BISTREAM}", self.addr);
        // As small a window as clients have that hardly read.
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, _) =
            connect_async_with_config(url, Some(config), true).await.expect("an upgrade");
        Client { socket }
    }

    /// A client past the first frame, speaking with the registered voice.
    pub async fn connect_voiced(&self) -> Client {
        let mut client = self.connect().await;
        client.text(r#"{"voice":"default"}"#).await;
        client
    }

    /// Waits until no session generates or waits.
    pub async fn becomes_idle(&self) {
        let start = Instant::now();
        loop {
            let status = self.engine.status();
            if status.active + status.queued == 0 {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "sessions remain: {status:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn metric(&self, line: &str) -> f64 {
        let text = String::from_utf8(self.get("/metrics").await.body).expect("text");
        let value = text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {line} in {text}"))
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub async fn of(response: reqwest::Result<reqwest::Response>) -> Self {
        let response = response.expect("an answer");
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

    /// Asserts an error of this status and code, with the documented body.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) {
        let json = self.json();
        assert_eq!((self.status, json["error_code"].as_str()), (status, Some(code)), "{json}");
        assert!(json["message"].is_string() && json["detail"].is_string(), "{json}");
        assert!(!self.header("x-request-id").is_empty());
        if matches!(status, 429 | 503) {
            assert!(self.header("retry-after").parse::<u64>().is_ok_and(|s| s > 0));
        }
    }
}

/// A tone as a WAV file.
pub fn tone(seconds: f64, rate: u32) -> Vec<u8> {
    let samples: Vec<f32> = (0..(seconds * f64::from(rate)) as usize)
        .map(|i| 0.3 * (i as f32 * 880.0 / rate as f32 * std::f32::consts::PI).sin())
        .collect();
    wav::encode(&samples, rate)
}

/// The documented request, for this text.
pub fn form(text: &str) -> Form {
    Form::new()
        .text("tts_text", text.to_string())
        .text("prompt_text", "友好自然的声音")
        .part("prompt_wav", Part::bytes(tone(1.0, 16_000)).file_name("reference.wav"))
}

/// The same with the registered voice.
pub fn voiced(text: &str) -> Form {
    Form::new().text("tts_text", text.to_string()).text("voice", "default")
}

/// What a socket yields.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Json(Value),
    Audio(Vec<u8>),
    Close(u16),
    /// The connection broke without a goodbye.
    Broken,
}

pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    pub async fn text(&mut self, frame: &str) {
        self.socket.send(Message::text(frame)).await.expect("sent");
    }

    pub async fn binary(&mut self, bytes: impl Into<Vec<u8>>) {
        self.socket.send(Message::binary(bytes.into())).await.expect("sent");
    }

    /// A frame of text.
    pub async fn say(&mut self, text: &str, finish: bool) {
        let frame = serde_json::json!({ "tts_text": text, "finish": finish });
        self.text(&frame.to_string()).await;
    }

    pub async fn hear(&mut self) -> Heard {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            return match next.expect("the client was left hanging") {
                Some(Ok(Message::Text(text))) => {
                    Heard::Json(serde_json::from_str(&text).expect("JSON"))
                }
                Some(Ok(Message::Binary(bytes))) => Heard::Audio(bytes.into()),
                Some(Ok(Message::Close(frame))) => {
                    Heard::Close(frame.map_or(1005, |frame| frame.code.into()))
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Heard::Broken,
            };
        }
    }

    /// All audio and all JSON frames until the close, and its code.
    pub async fn hear_all(&mut self) -> (Vec<u8>, Vec<Value>, u16) {
        let (mut audio, mut json) = (Vec::new(), Vec::new());
        loop {
            match self.hear().await {
                Heard::Audio(bytes) => audio.extend(bytes),
                Heard::Json(value) => json.push(value),
                Heard::Close(code) => return (audio, json, code),
                Heard::Broken => panic!("the connection broke after {json:?}"),
            }
        }
    }

    /// Asserts that an error frame of this code follows, then this close code.
    pub async fn is_refused(&mut self, error_code: &str, close: u16) {
        let (_, json, code) = self.hear_all().await;
        let last = json.last().unwrap_or_else(|| panic!("closed {code} without a word"));
        assert_eq!((last["error_code"].as_str(), code), (Some(error_code), close), "{last}");
        assert!(last["message"].is_string() && last["detail"].is_string(), "{last}");
    }
}
