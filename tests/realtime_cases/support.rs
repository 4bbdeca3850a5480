//! A server to test, and a client that speaks to it.

use futures::{SinkExt, StreamExt};
use mynah::config::{Config, ConfigError};
use mynah::engine::{EngineHandle, start_silent};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Nothing in these tests takes as long, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(15);

pub const PATH: &str = "/v1/realtime/speech";

/// Bytes of a character at the model's rate.
pub const CHAR: usize = 960;

pub struct Server {
    pub addr: SocketAddr,
    pub engine: EngineHandle,
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
        Self { addr, engine, shutdown: Some(shutdown), run }
    }

    pub fn shut_down(&mut self) {
        let _ = self.shutdown.take().map(|wish| wish.send(()));
    }

    /// A client that has heard `ready`.
    pub async fn connect(&self) -> Client {
        self.connect_to(PATH).await.0
    }

    pub async fn connect_to(&self, path: &str) -> (Client, Value) {
        let url = format!("ws://{}{path}", self.addr);
        let (socket, _) = connect_async(url).await.expect("an upgrade");
        let mut client = Client { socket };
        let ready = client.hear().await.json();
        assert_eq!(ready["type"], "ready");
        (client, ready)
    }

    /// Waits until no session generates or waits.
    pub async fn becomes_idle(&self) -> Duration {
        let start = Instant::now();
        loop {
            let status = self.engine.status();
            if status.active + status.queued == 0 {
                return start.elapsed();
            }
            assert!(start.elapsed() < PATIENCE, "sessions remain: {status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What a socket yields.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Json(Value),
    Audio(Vec<u8>),
    Ping,
    Close(u16),
    /// The connection broke without a goodbye.
    Broken,
}

impl Heard {
    #[track_caller]
    pub fn json(self) -> Value {
        match self {
            Self::Json(json) => json,
            other => panic!("JSON was expected, not {other:?}"),
        }
    }
}

pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    pub async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.expect("sent");
    }

    /// Starts a context in the registered voice.
    pub async fn start(&mut self, id: &str) {
        self.start_with(id, json!({})).await;
    }

    pub async fn start_with(&mut self, id: &str, fields: Value) {
        let mut frame = json!({ "type": "start", "context_id": id, "voice": "default" });
        for (key, value) in fields.as_object().expect("an object") {
            frame[key] = value.clone();
        }
        self.send(frame).await;
    }

    pub async fn say(&mut self, id: &str, text: &str) {
        self.send(json!({ "type": "text", "context_id": id, "text": text })).await;
    }

    /// `flush`, `cancel` or `close_context`.
    pub async fn order(&mut self, kind: &str, id: &str) {
        self.send(json!({ "type": kind, "context_id": id })).await;
    }

    /// Starts, says and closes.
    pub async fn speak(&mut self, id: &str, text: &str) {
        self.start(id).await;
        self.say(id, text).await;
        self.order("close_context", id).await;
    }

    /// What comes next, pings too.
    pub async fn hear_any(&mut self) -> Heard {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            return match next.expect("the client was left hanging") {
                Some(Ok(Message::Text(text))) => {
                    Heard::Json(serde_json::from_str(&text).expect("JSON"))
                }
                Some(Ok(Message::Binary(bytes))) => Heard::Audio(bytes.into()),
                Some(Ok(Message::Ping(_))) => Heard::Ping,
                Some(Ok(Message::Close(frame))) => {
                    Heard::Close(frame.map_or(1005, |frame| frame.code.into()))
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Heard::Broken,
            };
        }
    }

    pub async fn hear(&mut self) -> Heard {
        loop {
            match self.hear_any().await {
                Heard::Ping => {}
                heard => return heard,
            }
        }
    }

    /// All that comes up to a JSON frame of this type about this context, with that frame.
    pub async fn hear_until(&mut self, kind: &str, id: &str) -> (Vec<Heard>, Value) {
        let mut before = Vec::new();
        loop {
            match self.hear().await {
                Heard::Json(json) if json["type"] == kind && json["context_id"] == id => {
                    return (before, json);
                }
                end @ (Heard::Close(_) | Heard::Broken) => {
                    panic!("{end:?} before {kind} of {id}, after {before:?}")
                }
                heard => before.push(heard),
            }
        }
    }

    /// The next frame is an error of this context and code.
    pub async fn context_fails(&mut self, id: &str, code: &str) -> Value {
        let json = self.hear().await.json();
        let found =
            (json["type"].as_str(), json["context_id"].as_str(), json["error_code"].as_str());
        assert_eq!(found, (Some("error"), Some(id), Some(code)), "{json}");
        assert!(json["message"].is_string() && json["detail"].is_string(), "{json}");
        assert!(json["retryable"].is_boolean(), "{json}");
        json
    }

    /// An error frame of the socket follows, then this close code.
    pub async fn is_refused(&mut self, code: &str, close: u16) {
        let mut last = Value::Null;
        loop {
            match self.hear().await {
                Heard::Json(json) => last = json,
                Heard::Audio(_) => {}
                Heard::Close(found) => {
                    assert_eq!((last["error_code"].as_str(), found), (Some(code), close), "{last}");
                    assert_eq!(
                        (&last["type"], &last["context_id"]),
                        (&json!("error"), &Value::Null)
                    );
                    return;
                }
                other => panic!("{other:?} after {last}"),
            }
        }
    }
}

/// The types of JSON frames, with `audio` for any number of frames of it.
pub fn kinds(heard: &[Heard]) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for heard in heard {
        let kind = match heard {
            Heard::Json(json) => json["type"].as_str().unwrap_or_default().to_string(),
            Heard::Audio(_) => "audio".to_string(),
            other => format!("{other:?}"),
        };
        if kind != "audio" || kinds.last() != Some(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

pub fn audio_bytes(heard: &[Heard]) -> usize {
    let bytes = heard.iter().map(|heard| match heard {
        Heard::Audio(bytes) => bytes.len(),
        _ => 0,
    });
    bytes.sum()
}
