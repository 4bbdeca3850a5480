//! A server with the listeners of its settings.

use mynah::config::{Config, ConfigError, ListenerConfig};
use mynah::engine::start_silent;
use mynah::server;
use reqwest::multipart::Form;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const ZERO_SHOT: &str = "/inference_zero_shot";
pub const BISTREAM: &str = "/inference_zero_shot_bistream";

pub struct Server {
    /// One for each listener.
    pub addresses: Vec<SocketAddr>,
    pub http: reqwest::Client,
    shutdown: Option<oneshot::Sender<()>>,
    pub run: JoinHandle<Result<(), ConfigError>>,
}

/// A listener of the settings on a free port.
pub fn listener(dialects: Option<&[&str]>) -> ListenerConfig {
    let dialects = dialects.map(|names| names.iter().map(ToString::to_string).collect());
    ListenerConfig { address: "127.0.0.1:0".into(), dialects, tls: None }
}

impl Server {
    /// Starts it with changed settings; where those name no listener, with one.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        if config.listeners.is_empty() {
            config.listeners.push(listener(None));
        }
        let listeners = server::bind(&config).await.expect("free ports");
        let addresses = listeners.iter().map(|l| l.address().expect("an address")).collect();
        let engine = start_silent(&config.engine);
        let (shutdown, wish) = oneshot::channel::<()>();
        let wish = async {
            let _ = wish.await;
        };
        let run = tokio::spawn(server::run_all(listeners, engine, config, wish));
        let http = reqwest::Client::new();
        Self { addresses, http, shutdown: Some(shutdown), run }
    }

    pub fn shut_down(&mut self) {
        let _ = self.shutdown.take().map(|wish| wish.send(()));
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses[0])
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        told(self.request(Method::GET, path)).await
    }
}

/// A short text with the registered voice.
pub fn voiced(text: &str) -> Form {
    Form::new().text("tts_text", text.to_string()).text("voice", "default")
}

pub async fn sent(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

/// Status and body of the answer.
pub async fn told(request: RequestBuilder) -> (u16, String) {
    let response = sent(request).await;
    (
        response.status().as_u16(),
        String::from_utf8_lossy(&response.bytes().await.expect("all")).into(),
    )
}

/// The code of an error's body.
pub fn code(body: &str) -> String {
    let json: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{body:?} is not JSON"));
    json["error_code"].as_str().unwrap_or_else(|| panic!("{json} has no code")).to_string()
}
