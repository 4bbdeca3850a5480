//! `mynah bench`: what a listener waits for, what the machine can carry, and what it costs.
//!
//! Clients in this process ask the engine, without a server between; [`server_only`] measures the
//! server without a model, [`hops`] the model without an engine.

mod client;
mod compare;
mod hops;
mod load;
mod machine;
mod memory;
mod player;
mod report;
mod run;
mod server_only;
mod spread;
mod stages;

use super::{Failure, ModelArgs, setup};
use crate::config::Config;
use crate::engine::DEFAULT_VOICE;
use crate::model::cosyvoice2::RandomSize;
use crate::telemetry::metrics;
use clap::{Args, ValueEnum};
use client::{Outcome, TextPace};
use indicatif::{ProgressBar, ProgressStyle};
use load::{Voices, Workload};
use machine::{Machine, processor_time};
use memory::Watch;
use report::Report;
use run::{Around, Run};
use serde_json::json;
use stages::Snapshot;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ABOUT: &str = "\
Measures this machine with the model of the settings. Nothing but the result goes to standard output.

Closed loop (--sessions): N clients start together, and each asks for its next utterance when the \
last one has ended. engine.max_sessions is raised to N where it is lower; engine.max_load still holds \
sessions back, and what they wait is part of the first packet.
Open loop (--rate): requests come at random moments whether or not others have ended, and the engine \
refuses what has no room in max_sessions and queue.

First packet: from the request to the first audio at the client. With --bistream from the first word, \
and a second time from the end of the text. Real-time factor: a stream's time from the start of its \
session to its end, by its audio. Underruns: a player begins with the first packet and plays what it \
has; it runs dry where a packet comes after the audio before it. Percentiles are values that were \
measured: with fewer than 100 streams p99 is the slowest. Memory per session: what the peak is above \
the memory before the run, by N. Stages: the engine's own clocks; shares are of wall time.

--server-only: the engine emits 20 ms of silence per character on a clock, behind the real server on a \
loopback port; WebSockets of the bistream endpoint start together and listen. Two figures: from the \
engine's sending a packet to the client's having it, which is what server and network cost, and from \
the moment the clock had set for it, which adds the timer's grain of a millisecond and late threads. \
Server and clients share this process and its processors.

--random-weights: text is cut by the bundled voice's tokenizer, and an utterance has five speech tokens \
(0.2 s) for each of its text tokens, so that speech is about as long as a person's.

--hops: wall time between packets of one utterance that never ends, its tokens, mel and samples, at \
packet n (median of three utterances).

The machine should do nothing else: the load average is part of the result, and above 1 there is a \
warning. The process' own processor time is measured as well.";

/// When a client asks for its next utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pace {
    /// When the last one has been made
    Max,
    /// When it has been heard to its end
    Realtime,
}

/// Whose shapes a model of random weights has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Random {
    /// The official CosyVoice2-0.5B
    Full,
    /// The bundled voice
    Mini,
}

impl From<Random> for RandomSize {
    fn from(random: Random) -> Self {
        match random {
            Random::Full => Self::Full,
            Random::Mini => Self::Mini,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_long_help = ABOUT)]
pub struct BenchArgs {
    /// Sessions at a time, one run each [default: 1,4,8; with --server-only 64]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=4096))]
    sessions: Vec<u16>,
    /// Utterances per client, after one that warms up
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Open loop: requests per second, at random moments
    #[arg(long, value_name = "R", value_parser = positive, conflicts_with_all = ["sessions", "requests"])]
    rate: Option<f64>,
    /// Seconds that requests come in an open loop [default: 30], or that --server-only takes
    /// [default: 10]
    #[arg(long, value_name = "S", value_parser = positive)]
    duration: Option<f64>,
    /// When a client asks for its next utterance
    #[arg(long, value_enum, default_value_t = Pace::Max, conflicts_with = "rate")]
    pace: Pace,
    /// Text comes word by word through the stream instead of whole
    #[arg(long)]
    bistream: bool,
    /// Words per second of a bistream [default: all at once]
    #[arg(long, value_name = "T", value_parser = positive, requires = "bistream")]
    token_rate: Option<f64>,
    /// Every request brings a recording that nobody used before
    #[arg(long)]
    new_voice: bool,
    /// A model of these shapes with random weights: the cost of the real one, and noise for speech
    #[arg(long, value_enum, value_name = "SIZE", conflicts_with_all = ["model_dir", "hops", "server_only"])]
    random_weights: Option<Random>,
    /// What is spoken, in place of everyday sentences
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["hops", "server_only"])]
    text: Option<String>,
    /// Measure the cost of packets 1 to 60 of one long utterance
    #[arg(long, conflicts_with_all = OF_CLIENTS)]
    hops: bool,
    /// Measure the server alone, with an engine that emits silence on a clock
    #[arg(long, conflicts_with_all = ["hops", "requests", "rate", "pace", "bistream", "new_voice", "model_dir", "device"])]
    server_only: bool,
    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Compare with what an earlier `mynah bench --json` printed
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
}

/// Flags that say how clients behave.
const OF_CLIENTS: [&str; 7] =
    ["sessions", "requests", "rate", "duration", "pace", "bistream", "new_voice"];

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if value > 0.0 && value <= 1e5 => Ok(value),
        _ => Err("must be a number above 0, at most 100000".into()),
    }
}

pub fn run(args: BenchArgs) -> Result<(), Failure> {
    if args.duration.is_some() && args.rate.is_none() && !args.server_only {
        return Err("--duration goes with --rate or --server-only: a closed loop ends after -n utterances per client".into());
    }
    if args.server_only && args.sessions.len() > 1 {
        return Err("--server-only takes one number of --sessions".into());
    }
    let earlier = match &args.compare {
        Some(file) => Some((file, compare::read(file)?)),
        None => None,
    };
    let mut config = setup::config(&args.model, json!({}))?;
    let reason = setup::settle_device(&mut config, |config| match args.random_weights {
        Some(size) => setup::random_footprint(size.into()),
        None => setup::footprint(config),
    });
    if let Some(reason) = reason {
        eprintln!("mynah: {reason}");
    }
    let model = if args.server_only { None } else { Some(setup::model_dir(&config)?) };
    let machine = Machine::look(&config.model.device);
    machine.warn_if_busy();
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("MYNAH_COMMIT"),
        machine,
        precision: config.model.dtype.clone(),
        model:
            args.random_weights
                .map(|size| RandomSize::from(size).name().to_owned())
                .or(model
                    .map(|dir| dir.file_name().unwrap_or_default().to_string_lossy().into_owned())),
        text: if args.bistream || args.hops || args.server_only { "bistream" } else { "whole" },
        token_rate: args.token_rate,
        voice: if args.new_voice { "new" } else { "cached" },
        pace: if args.pace == Pace::Realtime { "realtime" } else { "max" },
        warm: true,
        load_seconds: None,
        cold_first_packet_ms: None,
        runs: Vec::new(),
        hops: None,
        server_only: None,
        compare: None,
    };
    let progress = progress_bar();
    if args.server_only {
        let sessions = args.sessions.first().copied().map_or(64, usize::from);
        let duration = Duration::from_secs_f64(args.duration.unwrap_or(10.0));
        report.server_only = Some(server_only::run(&config, sessions, duration, &progress)?);
    } else if args.hops {
        report.hops = Some(hops::run(&config, &progress)?);
    } else {
        clients(&args, config, progress.clone(), &mut report)?;
    }
    progress.finish_and_clear();
    if let Some((file, old)) = earlier {
        report.compare = Some(compare::compare(file, &old, &serde_json::to_value(&report)?));
    }
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(())
}

/// Runs of clients against the engine.
fn clients(
    args: &BenchArgs,
    mut config: Config,
    progress: ProgressBar,
    report: &mut Report,
) -> Result<(), Failure> {
    let sessions: Vec<usize> = match &args.sessions[..] {
        _ if args.rate.is_some() => vec![],
        [] => vec![1, 4, 8],
        given => given.iter().copied().map(usize::from).collect(),
    };
    let most = sessions.iter().copied().max().unwrap_or_default();
    config.engine.max_sessions = config.engine.max_sessions.max(most);
    let voices = if args.new_voice {
        let registry = setup::registry(&setup::model_dir(&config)?, &config)?;
        let mut bundled = registry.bundled();
        let default = bundled.find(|(name, _)| *name == DEFAULT_VOICE);
        Voices::New(default.ok_or("the model has no prompts to make new voices of")?.1.clone())
    } else {
        Voices::Cached
    };
    let text = if args.bistream { TextPace::Words(args.token_rate) } else { TextPace::Whole };
    // Before the engine begins to count.
    let registry = metrics::install();
    let load = Instant::now();
    progress.set_message("loading the model");
    let engine = match args.random_weights {
        Some(size) => setup::ready_random_engine(&config, size.into())?,
        None => setup::ready_engine(&config)?,
    };
    report.load_seconds = Some(spread::round(load.elapsed().as_secs_f64()));
    let realtime = args.pace == Pace::Realtime;
    let workload = Workload::new(engine, args.text.clone(), text, voices, realtime, progress);
    let gpu = config.model.device == "cuda";
    // All clients on this one thread: they only wait, and the engine keeps its processors.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let cold = runtime.block_on(workload.closed(1, 1))?;
    report.cold_first_packet_ms = cold.first().and_then(|outcome| match outcome {
        Outcome::Spoken(heard) => heard.first_packet().map(|first| spread::round(first * 1e3)),
        Outcome::Refused { .. } => None,
    });
    let measure = |sharers: usize, clients: &dyn Fn() -> Result<Vec<Outcome>, Failure>| {
        let watch = Watch::begin(registry.clone(), gpu)?;
        let (snapshot, processor) = (Snapshot::take(&registry), processor_time());
        let start = Instant::now();
        let outcomes = clients()?;
        let seconds = start.elapsed().as_secs_f64();
        let spent = processor_time().zip(processor).map(|(after, before)| after - before);
        let memory = watch.end(sharers);
        let audio = run::audio_seconds(&outcomes);
        let around = Around {
            seconds,
            processor_seconds: spent.map(|time| time.as_secs_f64()),
            memory,
            stages: Snapshot::take(&registry).since(&snapshot, seconds, audio),
        };
        Ok::<_, Failure>((outcomes, around))
    };
    for sessions in sessions {
        workload.progress.set_message(format!("{sessions} sessions"));
        runtime.block_on(workload.closed(sessions, 1))?;
        let each = usize::try_from(args.requests)?;
        let (outcomes, around) =
            measure(sessions, &|| runtime.block_on(workload.closed(sessions, each)))?;
        report.runs.push(Run::new(Some(sessions), None, text, &outcomes, around));
    }
    if let Some(rate) = args.rate {
        workload.progress.set_message(format!("{rate} requests per second"));
        let duration = Duration::from_secs_f64(args.duration.unwrap_or(30.0));
        let (outcomes, around) = measure(config.engine.max_sessions, &|| {
            runtime.block_on(workload.open(rate, duration))
        })?;
        report.runs.push(Run::new(None, Some(rate), text, &outcomes, around));
    }
    Ok(())
}

/// Counts utterances, packets or hops on a terminal; nothing elsewhere.
fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {msg} {pos} ({elapsed})");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
