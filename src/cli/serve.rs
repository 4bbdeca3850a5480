//! `mynah serve`.

use super::limits::LimitArgs;
use super::{Failure, ModelArgs, setup};
use crate::{server, telemetry};
use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on [default: 0.0.0.0]
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on; 0 lets the system choose [default: 8080]
    #[arg(long)]
    port: Option<u16>,
    /// Sessions that generate at the same time [default: 8]
    #[arg(long, value_name = "N")]
    max_sessions: Option<usize>,
    /// What is logged: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// Log one JSON object per line
    #[arg(long)]
    log_json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

impl ServeArgs {
    fn flags(&self) -> Value {
        let mut flags = json!({ "limits": self.limits });
        let mut set = |section: &str, key: &str, value: Option<Value>| {
            if let Some(value) = value {
                flags[section][key] = value;
            }
        };
        set("server", "host", self.host.as_ref().map(|v| json!(v)));
        set("server", "port", self.port.map(|v| json!(v)));
        set("engine", "max_sessions", self.max_sessions.map(|v| json!(v)));
        set("log", "level", self.log.as_ref().map(|v| json!(v)));
        set("log", "json", self.log_json.then_some(json!(true)));
        // Like all flags, they outweigh the file: one listener, there.
        if self.host.is_some() || self.port.is_some() {
            flags["listeners"] = json!([]);
        }
        flags
    }
}

pub fn run(args: ServeArgs) -> Result<(), Failure> {
    let mut config = setup::config(&args.model, args.flags())?;
    server::check(&config)?;
    telemetry::init(&config.log)?;
    if let Some(reason) = setup::settle_device(&mut config, setup::footprint) {
        tracing::info!("{reason}");
    }
    let (engine, loaded) = setup::start_engine(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listeners = server::bind(&config).await?;
        let stop = stop_signal()?;
        // On stdout and before the model is there: scripts read the port, probes find /readiness.
        for listener in &listeners {
            println!("listening on {}", listener.describe()?);
        }
        let settings = config.clone();
        let mut loading = tokio::spawn(async move {
            match loaded.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(setup::load_failure(&settings, &error)),
                Err(_) => Err("the engine thread ended while loading".into()),
            }
        });
        let (failed_to_load, on_failure) = tokio::sync::oneshot::channel::<String>();
        tokio::spawn(async move {
            match (&mut loading).await {
                Ok(Ok(())) => tracing::info!("ready"),
                Ok(Err(error)) => {
                    let _ = failed_to_load.send(error);
                }
                Err(_) => {}
            }
        });
        let serving = server::run_all(listeners, engine, config.clone(), stop);
        tokio::select! {
            result = serving => result.map_err(Failure::from),
            Ok(error) = on_failure => Err(error.into()),
        }
    })
}

/// Completes at SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
