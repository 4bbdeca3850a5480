//! Flags for the limits of `mynah serve`, one for each setting of `[limits]`.

use clap::Args;
use serde::Serialize;

/// What is not given keeps its value from the environment, the file or the defaults.
#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Bytes of an uploaded recording [default: 52428800]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_file_size: Option<usize>,
    /// Characters per synthesis, and per text frame of a stream [default: 1000]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_text_length: Option<usize>,
    /// Characters of one text stream in all [default: 20000]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_stream_text: Option<usize>,
    /// WebSocket connections at a time [default: 100]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<usize>,
    /// Requests per client address, such as 10/minute or 100/hour; `off` for none
    /// [default: 10/minute]
    #[arg(long, value_name = "RATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<String>,
    /// Limit clients on this machine too
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rate_limit_loopback: bool,
    /// How long a WebSocket may stay silent while the server waits for it [default: 60]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_timeout: Option<f64>,
    /// How long a client may leave its audio unread [default: 30]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    stall_timeout: Option<f64>,
    /// How long a request may wait for a session [default: 30]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_timeout: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LimitsConfig;
    use clap::Parser;
    use serde_json::{Value, json};

    #[derive(Parser)]
    struct Limits {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn flags(args: &[&str]) -> Value {
        let args = std::iter::once(&"mynah").chain(args);
        let parsed = Limits::try_parse_from(args).expect("sound flags");
        serde_json::to_value(parsed.limits).expect("a value")
    }

    /// A limit that is added to the settings needs a flag as well.
    #[test]
    fn every_limit_has_a_flag_of_its_name() {
        let Ok(Value::Object(settings)) = serde_json::to_value(LimitsConfig::default()) else {
            panic!("settings are an object")
        };
        for (key, value) in settings {
            let flag = format!("--{}", key.replace('_', "-"));
            let given = if value.is_boolean() { flags(&[&flag]) } else { flags(&[&flag, "7"]) };
            assert_eq!(given.as_object().map(|o| o.keys().collect::<Vec<_>>()), Some(vec![&key]));
        }
        assert_eq!(flags(&[]), json!({}));
    }
}
