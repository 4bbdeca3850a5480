//! Settings: defaults, then `config.toml`, then the environment (`MYNAH_SERVER__PORT=9000`), then
//! flags, each overriding the one before.

mod access;

pub use access::{AuthConfig, CorsConfig, KeyConfig, ListenerConfig, Secret, TlsConfig};

use crate::audio::PromptCare;
use crate::text::Language;
use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that can be set. Field names are the keys of `config.toml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: ServerConfig,
    /// Where it listens. None: on `server.host` and `server.port`, with all interfaces.
    pub listeners: Vec<ListenerConfig>,
    pub auth: AuthConfig,
    pub cors: CorsConfig,
    pub tls: TlsConfig,
    pub model: ModelSettings,
    pub engine: EngineConfig,
    pub flow: FlowSettings,
    pub text: TextConfig,
    pub audio: AudioConfig,
    pub storage: StorageConfig,
    pub jobs: JobsConfig,
    pub limits: LimitsConfig,
    pub light: LightConfig,
    pub workflow: WorkflowConfig,
    pub log: LogConfig,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    pub host: String,
    /// 0 lets the system choose; the chosen port is printed.
    pub port: u16,
    /// Seconds that sessions and jobs under way may take to finish after SIGTERM.
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
    /// `cpu`, `cuda`, `vulkan`, or `auto`: CUDA where there is a GPU that can be used, else the CPU.
    pub device: String,
    /// Numbers the language model's weights are held in: `f32`, `f16` on the CPU, `bf16` on a GPU.
    pub dtype: String,
    /// Where a GPU's compiled kernels are kept for the next start. Unset: in the user's cache
    /// directory; empty: nowhere.
    pub kernel_cache: Option<PathBuf>,
}

impl ModelSettings {
    /// The directory that [`Self::kernel_cache`] comes to, if there is one.
    pub fn kernel_dir(&self) -> Option<PathBuf> {
        let filled = |path: &PathBuf| !path.as_os_str().is_empty();
        if let Some(dir) = &self.kernel_cache {
            return Some(dir.clone()).filter(filled);
        }
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(filled);
        let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        Some(cache?.join("mynah"))
    }
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self { dir: None, device: "cpu".into(), dtype: "f32".into(), kernel_cache: None }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Speech tokens of the first hop; the first packet needs 3 more (look-ahead). 1 to 25.
    pub first_hop: usize,
    /// Lengthens a session's first hop where, at the speed of the moment, its sound would run dry
    /// before the second packet.
    pub adaptive_first_hop: bool,
    /// Samples a sentence again, or cuts it, whose speech is too long or too short for its text, is
    /// caught in a loop, or falls silent.
    pub guards: bool,
    /// Sessions that generate at the same time.
    pub max_sessions: usize,
    /// Requests that may wait for a session; past it, 503.
    pub queue: usize,
    /// Share of the machine's speed that sessions may be expected to use: one more starts only
    /// while the sum stays below it. One session always may.
    pub max_load: f64,
    /// Memory in MiB that the caches of all sessions may take.
    pub cache_mib: usize,
    /// Threads that compute. 0: as many as the machine has physical cores.
    pub threads: usize,
    /// A pause of this many milliseconds in a text stream speaks what is held.
    pub text_idle_ms: u64,
    /// Memory in MiB for voices kept ready, least recently used dropped first.
    pub voice_cache_mib: usize,
    /// Audio packets a session may be ahead of a client that does not read.
    pub output_packets: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            first_hop: 10,
            adaptive_first_hop: true,
            guards: true,
            max_sessions: 8,
            queue: 16,
            max_load: 0.9,
            cache_mib: 4096,
            threads: 0,
            text_idle_ms: 300,
            voice_cache_mib: 512,
            output_packets: 16,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlowSettings {
    /// Blocks of 25 speech tokens that the flow looks back at. 0: all of them.
    pub left_blocks: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextConfig {
    /// Whether numbers, dates, abbreviations and the like are read as a person would, where a
    /// request does not say.
    pub normalize: bool,
    /// Language of all numbers and symbols: `en`, `zh`, or `auto` for that of the words around.
    pub language: String,
    /// A TOML file of words and how they are read. Read again when it changes.
    pub lexicon: Option<PathBuf>,
    /// Whether emoji are spoken by their names.
    pub emoji: bool,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self { normalize: true, language: "auto".into(), lexicon: None, emoji: false }
    }
}

impl TextConfig {
    /// The language of everything, where the settings name one.
    pub fn language(&self) -> Option<Language> {
        Language::by_name(&self.language)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioConfig {
    /// Whether silence of more than half a second at a prompt's ends is cut off.
    pub prompt_trim: bool,
    /// Loudness that prompts are given, in dB of full scale, -40 to -10. Unset: they keep theirs.
    pub prompt_loudness: Option<f64>,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self { prompt_trim: true, prompt_loudness: None }
    }
}

impl AudioConfig {
    /// What is done to the recordings of clients.
    pub fn prompt_care(&self) -> PromptCare {
        PromptCare { trim: self.prompt_trim, loudness: self.prompt_loudness }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Folder of registered voices (`mynah voice add`).
    pub voices_dir: PathBuf,
    /// Folder of jobs, uploads and results. Made when the first of them is stored.
    pub dir: PathBuf,
    /// The only folder below which clients may have results written.
    pub output_dir: PathBuf,
    /// The folder, besides `voices_dir`, below which clients may name recordings.
    pub shared_dir: PathBuf,
    /// Bytes that `dir` may hold in all; past it, uploads, jobs and results are refused.
    pub max_bytes: u64,
    /// Hours that an upload is kept.
    pub upload_hours: f64,
    /// Hours that a job and its result are kept after its end.
    pub result_hours: f64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            voices_dir: "voices".into(),
            dir: "data".into(),
            output_dir: "outputs".into(),
            shared_dir: "shared".into(),
            max_bytes: 10 << 30,
            upload_hours: 1.0,
            result_hours: 24.0,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// Where jobs are kept: `embedded` (a database in `storage.dir`), `redis` (shared by several
    /// servers) or `off`.
    pub backend: String,
    /// Of `redis`. All servers that share it need the same `storage.dir`, on a shared volume.
    pub redis_url: String,
    /// Jobs that are spoken at a time.
    pub workers: usize,
    /// Jobs that may wait; past it, 503.
    pub queue: usize,
    /// Seconds that speaking a job may take; past it, it has failed.
    pub timeout: f64,
    /// Seconds without a sign of life after which a job of another server is taken over (`redis`).
    pub lease: f64,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            backend: "embedded".into(),
            redis_url: "redis://127.0.0.1:6379".into(),
            workers: 2,
            queue: 1000,
            timeout: 3600.0,
            lease: 30.0,
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
pub struct WorkflowConfig {
    /// Seconds that `POST /v1/workflows` waits for its speech; past it, the answer is 202 and the
    /// workflow goes on.
    pub wait: f64,
}

impl Default for WorkflowConfig {
    fn default() -> Self {
        Self { wait: 600.0 }
    }
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
    #[error("{}", describe(.0))]
    Read(Box<figment::Error>),
    #[error("no configuration file at {}", .0.display())]
    NoFile(PathBuf),
    #[error("`{key}` = {value}: {reason}")]
    Value { key: &'static str, value: String, reason: String },
}

impl ConfigError {
    fn value(key: &'static str, value: impl ToString, reason: impl Into<String>) -> Self {
        Self::Value { key, value: value.to_string(), reason: reason.into() }
    }
}

/// The place a setting was read from, its key, and what is wrong with it.
fn describe(error: &figment::Error) -> String {
    let mut key = error.path.join(".");
    let mut reason = error.kind.to_string().trim_end().to_string();
    if let Kind::UnknownField(_, known) = &error.kind {
        reason = format!("there is no such setting; known are {}", known.join(", "));
    }
    let mut place = String::new();
    if let Some(metadata) = &error.metadata {
        if let Some(file) = metadata.source.as_ref().and_then(|source| source.file_path()) {
            place = format!("{}: ", file.display());
        } else if metadata.name.contains("environment") {
            key = format!("{PREFIX}{}", error.path.join("__").to_uppercase());
        }
    }
    if key.is_empty() { format!("{place}{reason}") } else { format!("{place}`{key}`: {reason}") }
}

/// A time of the settings, `from` seconds or more.
///
/// # Errors
/// [`ConfigError::Value`] for what no clock could count.
pub fn seconds(key: &'static str, value: f64, from: f64) -> Result<Duration, ConfigError> {
    // Instants far in the future overflow the clock.
    let year = 365.0 * 86_400.0;
    if (from..=year).contains(&value) {
        return Ok(Duration::from_secs_f64(value));
    }
    let reason = if from > 0.0 {
        format!("must be seconds, {from} or more")
    } else {
        "must be seconds, 0 or more".into()
    };
    Err(ConfigError::value(key, value, reason))
}

/// What the names of environment variables begin with.
const PREFIX: &str = "MYNAH_";

/// Further keys of clients, separated by commas.
const API_KEYS: &str = "MYNAH_API_KEYS";

/// Shortest time that a limit can give a client, in seconds.
const SHORTEST: f64 = 0.01;

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
            Env::prefixed(PREFIX).filter(|key| key.as_str().contains("__")).split("__");
        let mut config: Self = Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::file(file.unwrap_or(Path::new("config.toml"))))
            .merge(environment)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|e| ConfigError::Read(Box::new(e)))?;
        if let Ok(keys) = std::env::var(API_KEYS) {
            config.auth.keys.extend(access::listed(&keys));
        }
        config.check()?;
        Ok(config)
    }

    /// Rejects values that no part of the program could honour.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let Self { server, engine, limits, .. } = self;
        let within = |key, value: usize, range: RangeInclusive<usize>| {
            let reason = format!("must be {} to {}", range.start(), range.end());
            if range.contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::value(key, value, reason))
            }
        };
        within("engine.first_hop", engine.first_hop, 1..=25)?;
        within("engine.max_sessions", engine.max_sessions, 1..=10_000)?;
        within("engine.queue", engine.queue, 0..=1_000_000)?;
        within("engine.voice_cache_mib", engine.voice_cache_mib, 1..=1 << 30)?;
        within("engine.cache_mib", engine.cache_mib, 1..=1 << 30)?;
        within("engine.threads", engine.threads, 0..=1024)?;
        within("flow.left_blocks", self.flow.left_blocks, 0..=1_000_000)?;
        if !(engine.max_load > 0.0 && engine.max_load <= 100.0) {
            let reason = "must be more than 0 and at most 100";
            return Err(ConfigError::value("engine.max_load", engine.max_load, reason));
        }
        match (self.model.dtype.as_str(), self.model.device.as_str()) {
            ("f32" | "bf16", _) | ("f16", "cpu" | "auto") => {}
            (dtype, _) => {
                let reason = "must be `f32`, `bf16` (for GPUs) or `f16` (for the CPU alone)";
                return Err(ConfigError::value("model.dtype", dtype, reason));
            }
        }
        if !matches!(self.text.language.as_str(), "auto" | "en" | "zh") {
            let reason = "must be `auto`, `en` or `zh`";
            return Err(ConfigError::value("text.language", &self.text.language, reason));
        }
        if let Some(loudness) = self.audio.prompt_loudness
            && !(-40.0..=-10.0).contains(&loudness)
        {
            let reason = "must be -40 to -10, in dB of full scale; unset, prompts keep theirs";
            return Err(ConfigError::value("audio.prompt_loudness", loudness, reason));
        }
        within("engine.output_packets", engine.output_packets, 1..=1_000_000)?;
        seconds("server.drain_timeout", server.drain_timeout, 0.0)?;
        seconds("limits.idle_timeout", limits.idle_timeout, SHORTEST)?;
        seconds("limits.stall_timeout", limits.stall_timeout, SHORTEST)?;
        seconds("limits.queue_timeout", limits.queue_timeout, SHORTEST)?;
        seconds("workflow.wait", self.workflow.wait, 0.0)?;
        if engine.text_idle_ms > 3_600_000 {
            let reason = "must be at most an hour, 3600000";
            return Err(ConfigError::value("engine.text_idle_ms", engine.text_idle_ms, reason));
        }
        let Self { jobs, storage, .. } = self;
        if !matches!(jobs.backend.as_str(), "embedded" | "redis" | "off") {
            let reason = "must be `embedded`, `redis` or `off`";
            return Err(ConfigError::value("jobs.backend", &jobs.backend, reason));
        }
        within("jobs.workers", jobs.workers, 1..=1000)?;
        within("jobs.queue", jobs.queue, 1..=1_000_000)?;
        seconds("jobs.timeout", jobs.timeout, SHORTEST)?;
        seconds("jobs.lease", jobs.lease, 0.1)?;
        seconds("storage.upload_hours", storage.upload_hours * 3600.0, 0.0)?;
        seconds("storage.result_hours", storage.result_hours * 3600.0, 0.0)?;
        if !matches!(self.model.device.as_str(), "cpu" | "cuda" | "vulkan" | "auto") {
            let reason = "must be `cpu`, `cuda`, `vulkan` or `auto`";
            return Err(ConfigError::value("model.device", &self.model.device, reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn load(toml: &str, flags: serde_json::Value) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), toml).expect("written");
        Config::load(Some(file.path()), flags)
    }

    /// The file in the repository shows the defaults; it must not drift from them.
    #[test]
    fn the_file_in_the_repository_states_the_defaults() {
        let config = Config::load(
            Some(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml"))),
            json!({}),
        );
        assert_eq!(config.expect("a sound file"), Config::default());
    }

    #[test]
    fn flags_outweigh_the_file() {
        let config = load("[server]\nport = 1\nhost = \"::1\"", json!({"server": {"port": 2}}));
        let server = config.expect("sound").server;
        assert_eq!((server.port, server.host.as_str()), (2, "::1"));
    }

    /// Whoever wrote the file finds the place from the message.
    #[test]
    fn mistakes_are_told_with_file_and_key() {
        for (toml, key) in [
            ("[server]\nprot = 1", "`server.prot`"),
            ("[sever]\nport = 1", "`sever`"),
            ("[server]\nport = \"x\"", "`server.port`"),
            ("[server]\nport = 70000", "`server.port`"),
            ("[log]\njson = \"yes\"", "`log.json`"),
            ("[server", "line 1"),
        ] {
            let file = tempfile::Builder::new().prefix("settings").tempfile().expect("a file");
            std::fs::write(file.path(), toml).expect("written");
            let error = Config::load(Some(file.path()), json!({})).expect_err(toml).to_string();
            assert!(error.contains(key) && error.contains("/settings"), "{toml}: {error}");
        }
    }

    /// Each would stop an engine, a clock or an allocation later on.
    #[test]
    fn values_nothing_could_honour_are_refused_by_key() {
        let huge = i64::MAX;
        for (section, key, value) in [
            ("engine", "first_hop", json!(0)),
            ("engine", "first_hop", json!(26)),
            ("engine", "max_sessions", json!(0)),
            ("engine", "max_sessions", json!(huge)),
            ("engine", "queue", json!(huge)),
            ("engine", "voice_cache_mib", json!(0)),
            ("engine", "voice_cache_mib", json!(huge)),
            ("engine", "cache_mib", json!(0)),
            ("engine", "cache_mib", json!(huge)),
            ("engine", "max_load", json!(0.0)),
            ("engine", "max_load", json!(-1.0)),
            ("engine", "threads", json!(huge)),
            ("flow", "left_blocks", json!(huge)),
            ("model", "dtype", json!("f64")),
            ("engine", "output_packets", json!(0)),
            ("engine", "output_packets", json!(huge)),
            ("engine", "text_idle_ms", json!(huge)),
            ("audio", "prompt_loudness", json!(0)),
            ("audio", "prompt_loudness", json!(-41)),
            ("jobs", "backend", json!("mysql")),
            ("jobs", "workers", json!(0)),
            ("jobs", "queue", json!(0)),
            ("jobs", "timeout", json!(0)),
            ("jobs", "lease", json!(1e12)),
            ("workflow", "wait", json!(-1)),
            ("storage", "upload_hours", json!(-1)),
            ("storage", "result_hours", json!(1e12)),
            ("limits", "idle_timeout", json!(0)),
            ("limits", "stall_timeout", json!(-1)),
            ("limits", "queue_timeout", json!(1e12)),
            ("server", "drain_timeout", json!(-1)),
            ("model", "device", json!("tpu")),
        ] {
            let error = load("", json!({section: {key: value}})).expect_err(key).to_string();
            assert!(error.contains(&format!("`{section}.{key}`")), "{error}");
        }
        let mut config = Config::default();
        config.limits.queue_timeout = f64::NAN;
        assert!(config.check().is_err());
    }
}
