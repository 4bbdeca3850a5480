//! Settings: defaults, then `config.toml`, then the environment (`MYNAH_SERVER__PORT=9000`), then
//! flags, each overriding the one before.

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything that can be set. Field names are the keys of `config.toml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: ServerConfig,
    pub model: ModelSettings,
    pub engine: EngineConfig,
    pub limits: LimitsConfig,
    pub light: LightConfig,
    pub log: LogConfig,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    pub host: String,
    /// 0 lets the system choose; the chosen port is printed.
    pub port: u16,
    /// Seconds that playing sessions may take to finish after SIGTERM.
    pub drain_timeout: f64,
    /// Addresses of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<std::net::IpAddr>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { host: "0.0.0.0".into(), port: 8080, drain_timeout: 30.0, trusted_proxies: vec![] }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// A CosyVoice2 directory. Unset: the bundled voice.
    pub dir: Option<PathBuf>,
    /// `cpu` or `cuda`.
    pub device: String,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self { dir: None, device: "cpu".into() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Speech tokens of the first hop; the first packet needs 3 more (look-ahead). 1 to 25.
    pub first_hop: usize,
    /// Sessions that generate at the same time.
    pub max_sessions: usize,
    /// Requests that may wait for a session; past it, 503.
    pub queue: usize,
    /// A pause of this many milliseconds in a text stream speaks what is held.
    pub text_idle_ms: u64,
    /// Voices kept ready, least recently used dropped first.
    pub voice_cache: usize,
    /// Audio packets a session may be ahead of a client that does not read.
    pub output_packets: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            first_hop: 10,
            max_sessions: 8,
            queue: 16,
            text_idle_ms: 300,
            voice_cache: 64,
            output_packets: 16,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Bytes per uploaded file, and per request body beyond it a little for the other fields.
    pub max_file_size: usize,
    /// Characters per synthesis, and per text frame of a stream.
    pub max_text_length: usize,
    /// Characters of one text stream in all.
    pub max_stream_text: usize,
    /// WebSocket connections at a time.
    pub max_connections: usize,
    /// Synthesis requests per client address: `"10/minute"`, `"100/hour"`, `"off"`.
    pub rate_limit: String,
    /// Whether clients on this machine are limited too.
    pub rate_limit_loopback: bool,
    /// Seconds a WebSocket may stay silent while the server waits for it.
    pub idle_timeout: f64,
    /// Seconds a client may leave its audio unread.
    pub stall_timeout: f64,
    /// Seconds a request may wait in the queue for a session.
    pub queue_timeout: f64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_file_size: 50 * 1024 * 1024,
            max_text_length: 1000,
            max_stream_text: 20_000,
            max_connections: 100,
            rate_limit: "10/minute".into(),
            rate_limit_loopback: false,
            idle_timeout: 60.0,
            stall_timeout: 30.0,
            queue_timeout: 30.0,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LightConfig {
    /// Sample rate of the `light` dialect where the request names none. Unset: the model's own.
    pub sample_rate: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a `tracing` filter.
    pub level: String,
    /// One JSON object per line.
    pub json: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into(), json: false }
    }
}

/// A setting that cannot be used. Says which, where it was set, and why.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}")]
    Read(Box<figment::Error>),
    #[error("no configuration file at {}", .0.display())]
    NoFile(PathBuf),
    #[error("`{key}` = {value}: {reason}")]
    Value { key: &'static str, value: String, reason: String },
}

impl Config {
    /// Reads `file` (or `config.toml` in the working directory, if it exists), the environment
    /// and `flags`, a partial configuration of the command line.
    pub fn load(file: Option<&Path>, flags: serde_json::Value) -> Result<Self, ConfigError> {
        if let Some(file) = file
            && !file.is_file()
        {
            return Err(ConfigError::NoFile(file.into()));
        }
        // `MYNAH_A__B` sets `a.b`; variables without a section (MYNAH_GOLDEN) are not settings.
        let environment =
            Env::prefixed("MYNAH_").filter(|key| key.as_str().contains("__")).split("__");
        let config: Self = Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::file(file.unwrap_or(Path::new("config.toml"))))
            .merge(environment)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|e| ConfigError::Read(Box::new(e)))?;
        config.check()?;
        Ok(config)
    }

    /// Rejects values that no part of the server could honour.
    fn check(&self) -> Result<(), ConfigError> {
        let bad = |key, value: &dyn ToString, reason: &str| {
            Err(ConfigError::Value { key, value: value.to_string(), reason: reason.into() })
        };
        if !(1..=25).contains(&self.engine.first_hop) {
            return bad(
                "engine.first_hop",
                &self.engine.first_hop,
                "must be 1 to 25 speech tokens",
            );
        }
        if self.engine.max_sessions == 0 {
            return bad("engine.max_sessions", &0, "must be at least 1");
        }
        if !matches!(self.model.device.as_str(), "cpu" | "cuda") {
            return bad("model.device", &self.model.device, "must be `cpu` or `cuda`");
        }
        Ok(())
    }
}
