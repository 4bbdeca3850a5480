//! A server with a listener for each selection of dialects.

use mynah::config::{Config, ConfigError, ListenerConfig};
use mynah::engine::{Store, start_silent_with_store};
use mynah::server;
use reqwest::{Method, Response};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub const DIALECTS: [&str; 7] =
    ["light", "index", "index2", "workflow", "tasks", "openai", "realtime"];

/// Methods that clients send.
pub const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

pub struct Server {
    /// In the order of the selections.
    pub addresses: Vec<SocketAddr>,
    pub http: reqwest::Client,
    _dir: TempDir,
    _run: JoinHandle<Result<(), ConfigError>>,
}

impl Server {
    /// One listener for each selection.
    pub async fn serving(selections: &[&[&str]], change: impl FnOnce(&mut Config)) -> Self {
        let dir = TempDir::new().expect("a folder");
        let mut config = Config::default();
        config.storage.dir = dir.path().join("data");
        config.storage.output_dir = dir.path().join("output");
        config.storage.shared_dir = dir.path().join("shared");
        config.storage.voices_dir = dir.path().join("voices");
        config.listeners = selections
            .iter()
            .map(|dialects| ListenerConfig {
                address: "127.0.0.1:0".into(),
                dialects: Some(dialects.iter().map(ToString::to_string).collect()),
                tls: None,
            })
            .collect();
        change(&mut config);
        let listeners = server::bind(&config).await.expect("free ports");
        let addresses = listeners.iter().map(|l| l.address().expect("an address")).collect();
        let store = Store::new(&config.storage.voices_dir);
        let engine = start_silent_with_store(&config.engine, store);
        let run = tokio::spawn(server::run_all(listeners, engine, config, std::future::pending()));
        Self { addresses, http: reqwest::Client::new(), _dir: dir, _run: run }
    }

    pub async fn send(&self, at: usize, method: &str, path: &str) -> Response {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let url = format!("http://{}{path}", self.addresses[at]);
        self.http.request(method, url).send().await.expect("an answer")
    }

    /// What a listener says of itself.
    pub async fn description(&self, at: usize) -> Value {
        self.send(at, "get", "/openapi.json").await.json().await.expect("JSON")
    }
}

/// A member that has to be an object.
#[track_caller]
pub fn object<'a>(value: &'a Value, name: &str) -> &'a Map<String, Value> {
    value[name].as_object().unwrap_or_else(|| panic!("no object `{name}` in {value}"))
}

/// Each operation: its path, its method, itself.
pub fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    object(document, "paths").iter().flat_map(|(path, item)| {
        let operations = item.as_object().expect("operations");
        operations
            .iter()
            .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}
