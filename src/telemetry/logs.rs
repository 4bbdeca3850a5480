//! Where the log goes and what it holds.
//!
//! At the default level it names requests, lengths and times; never what is said.

use crate::config::LogConfig;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::util::TryInitError;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("`log.level` = {level}: {source}")]
    Filter { level: String, source: ParseError },
    #[error("`log.level` = {0}: must be error, warn, info, debug, trace, off or a filter")]
    Level(String),
    #[error(transparent)]
    Installed(#[from] TryInitError),
}

/// Starts the log of the process, on standard error. `RUST_LOG` overrides the level.
///
/// # Errors
/// A level that cannot be read, or a log that was started before.
pub fn init(config: &LogConfig) -> Result<(), LogError> {
    use tracing_subscriber::util::SubscriberInitExt;
    let level = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| config.level.clone());
    // A lone word that is no level would be a filter for a module of that name: silence.
    let word = !level.contains(['=', ',', ':', '[']);
    if word && level.parse::<LevelFilter>().is_err() {
        return Err(LogError::Level(level));
    }
    // What a client's file does to the decoders is told to the client, and a GPU's failures by the
    // engine; theirs is noise here.
    let filter = EnvFilter::builder()
        .parse(format!("symphonia=off,cubecl_runtime=warn,wgpu_core=warn,wgpu_hal=warn,{level}"))
        .map_err(|source| LogError::Filter { level, source })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.json {
        log.json().flatten_event(true).finish().try_init()?;
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).finish().try_init()?;
    }
    Ok(())
}
