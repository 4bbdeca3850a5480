//! The server's part of the configuration, checked and in the types it is used in.

use super::auth::Keyring;
use super::{cors, listen, rate};
use crate::audio::PromptCare;
use crate::config::{Config, ConfigError, ModelSettings, seconds};
use governor::Quota;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tower_http::cors::CorsLayer;

/// Sample rates that can be asked for, in Hz.
pub const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 8_000..=48_000;

/// Longest wait for the next bytes of a request, however long WebSockets may be idle.
const REQUEST_IDLE: Duration = Duration::from_secs(20);

/// See [`Config`] for what each means.
#[derive(Debug, Clone)]
pub struct Settings {
    pub max_file_size: usize,
    pub max_text_length: usize,
    pub max_stream_text: usize,
    pub max_connections: usize,
    /// None: not limited.
    pub rate: Option<Quota>,
    pub rate_limit_loopback: bool,
    pub trusted_proxies: Vec<IpAddr>,
    pub auth: Arc<Keyring>,
    /// None: no page of another server may read the answers.
    pub cors: Option<CorsLayer>,
    pub idle_timeout: Duration,
    /// Longest wait for the next bytes of a request's head or body.
    pub request_idle: Duration,
    pub stall_timeout: Duration,
    pub queue_timeout: Duration,
    /// Longest that `POST /v1/workflows` waits for what it started.
    pub workflow_wait: Duration,
    pub drain_timeout: Duration,
    /// None: the model's own.
    pub light_sample_rate: Option<u32>,
    /// What is done to recordings of clients.
    pub prompt_care: PromptCare,
    /// What the engine was asked to load.
    pub model: ModelSettings,
    /// Requests that may wait for something that serves one at a time.
    pub queue: usize,
}

impl Settings {
    /// # Errors
    /// [`ConfigError::Value`] for what no server could honour.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        config.check()?;
        listen::check(config)?;
        let limits = &config.limits;
        let bad = |key, value: String, reason: String| ConfigError::Value { key, value, reason };
        let rate = rate::parse(&limits.rate_limit)
            .map_err(|reason| bad("limits.rate_limit", limits.rate_limit.clone(), reason))?;
        if let Some(rate) = config.light.sample_rate
            && !SAMPLE_RATES.contains(&rate)
        {
            let reason = "must be 8000 to 48000".into();
            return Err(bad("light.sample_rate", rate.to_string(), reason));
        }
        let idle_timeout = seconds("limits.idle_timeout", limits.idle_timeout, 0.0)?;
        Ok(Self {
            max_file_size: limits.max_file_size,
            max_text_length: limits.max_text_length,
            max_stream_text: limits.max_stream_text,
            max_connections: limits.max_connections,
            rate,
            rate_limit_loopback: limits.rate_limit_loopback,
            trusted_proxies: config.server.trusted_proxies.clone(),
            auth: Arc::new(Keyring::new(&config.auth)?),
            cors: cors::layer(&config.cors)?,
            idle_timeout,
            request_idle: idle_timeout.min(REQUEST_IDLE),
            stall_timeout: seconds("limits.stall_timeout", limits.stall_timeout, 0.0)?,
            queue_timeout: seconds("limits.queue_timeout", limits.queue_timeout, 0.0)?,
            workflow_wait: seconds("workflow.wait", config.workflow.wait, 0.0)?,
            drain_timeout: seconds("server.drain_timeout", config.server.drain_timeout, 0.0)?,
            light_sample_rate: config.light.sample_rate,
            prompt_care: config.audio.prompt_care(),
            model: config.model.clone(),
            queue: config.engine.queue,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(change: impl Fn(&mut Config)) -> Option<&'static str> {
        let mut config = Config::default();
        change(&mut config);
        match Settings::new(&config) {
            Err(ConfigError::Value { key, .. }) => Some(key),
            _ => None,
        }
    }

    #[test]
    fn the_defaults_are_accepted() {
        assert_eq!(key_of(|_| {}), None);
    }

    /// Times go into clocks that panic at what is not a time.
    #[test]
    fn impossible_values_are_named() {
        for time in [-1.0, f64::NAN, f64::INFINITY, 1e12] {
            assert_eq!(key_of(|c| c.limits.idle_timeout = time), Some("limits.idle_timeout"));
            assert_eq!(key_of(|c| c.server.drain_timeout = time), Some("server.drain_timeout"));
        }
        assert_eq!(key_of(|c| c.limits.rate_limit = "often".into()), Some("limits.rate_limit"));
        assert_eq!(key_of(|c| c.light.sample_rate = Some(4_000)), Some("light.sample_rate"));
    }
}
