//! `mynah say`: one text, one voice, one WAV.

use super::{Failure, ModelArgs, setup};
use crate::audio;
use crate::engine::{AudioEvent, DEFAULT_VOICE, SpeakRequest, Summary, TextInput, VoiceSource};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug, Args)]
pub struct SayArgs {
    /// The text to speak
    text: String,
    /// Where the WAV goes; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "out.wav")]
    output: PathBuf,
    /// Write raw 16-bit little-endian mono samples instead of WAV, as soon as they are made
    #[arg(long)]
    raw: bool,
    /// A registered voice
    #[arg(long, value_name = "NAME", default_value = DEFAULT_VOICE, conflicts_with = "prompt_wav")]
    voice: String,
    /// A recording of the voice to speak in, 0.5 to 30 seconds
    #[arg(long, value_name = "FILE", requires = "prompt_text")]
    prompt_wav: Option<PathBuf>,
    /// What is said in the recording
    #[arg(long, value_name = "TEXT", requires = "prompt_wav")]
    prompt_text: Option<String>,
    /// Tempo, 0.5 to 2
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f32,
    /// Equal seeds give equal speech [default: a new one each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// No progress on standard error
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    model: ModelArgs,
}

fn speed(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(speed) if (0.5..=2.0).contains(&speed) => Ok(speed),
        _ => Err("must be a number from 0.5 to 2".into()),
    }
}

pub fn run(args: SayArgs) -> Result<(), Failure> {
    let mut config = setup::config(&args.model, json!({}))?;
    if let Some(reason) = setup::settle_device(&mut config, setup::footprint) {
        eprintln!("mynah: {reason}");
    }
    let voice = match (&args.prompt_wav, &args.prompt_text) {
        (Some(file), Some(text)) => {
            let clip = setup::prompt(file, text, &config)?;
            VoiceSource::Prompt { audio: Arc::new(clip), text: text.clone() }
        }
        _ => VoiceSource::Named(args.voice.clone()),
    };
    check_output(&args)?;
    let bar = progress_bar(args.quiet);
    bar.set_message("loading the model");
    let engine = setup::ready_engine(&config)?;
    let rate = engine.status().sample_rate;
    bar.set_message("speaking");
    let mut session = engine.speak(SpeakRequest {
        id: "say".into(),
        voice,
        text: TextInput::Whole(args.text.clone()),
        streaming: args.raw,
        speed: args.speed,
        seed: args.seed,
        sampling: Default::default(),
        timestamps: false,
        normalize: None,
    })?;
    let start = Instant::now();
    let mut samples = Vec::new();
    let mut stdout = std::io::stdout().lock();
    let summary = loop {
        match session.events.blocking_recv() {
            Some(AudioEvent::Started { .. } | AudioEvent::Words { .. } | AudioEvent::Flushed) => {}
            Some(AudioEvent::Audio(hop)) => {
                if args.raw && to_stdout(&args) {
                    stdout.write_all(&s16le(&hop))?;
                    stdout.flush()?;
                }
                samples.extend(hop);
                let seconds = samples.len() as f64 / f64::from(rate);
                let speed = seconds / start.elapsed().as_secs_f64();
                bar.set_message(format!("{seconds:.1} s of speech, {speed:.1} × real time"));
                bar.tick();
            }
            Some(AudioEvent::Done(summary)) => break summary,
            Some(AudioEvent::Failed(error)) => return Err(error.into()),
            None => return Err("the engine ended".into()),
        }
    };
    bar.finish_and_clear();
    write(&args, &samples, rate, &mut stdout)?;
    if !args.quiet {
        report(&args, &summary);
    }
    Ok(())
}

/// Says that the file cannot be written before the time is spent to make what is in it.
fn check_output(args: &SayArgs) -> Result<(), Failure> {
    let file = &args.output;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let reason = match folder {
        _ if to_stdout(args) => return Ok(()),
        _ if file.is_dir() => "it is a directory",
        Some(folder) if !folder.is_dir() => "there is no such directory",
        _ => return Ok(()),
    };
    Err(format!("cannot write {}: {reason}", file.display()).into())
}

fn to_stdout(args: &SayArgs) -> bool {
    args.output.as_os_str() == "-"
}

fn write(
    args: &SayArgs,
    samples: &[f32],
    rate: u32,
    stdout: &mut impl Write,
) -> Result<(), Failure> {
    let bytes = if args.raw { s16le(samples) } else { audio::wav::encode(samples, rate) };
    if !to_stdout(args) {
        std::fs::write(&args.output, bytes)
            .map_err(|e| format!("cannot write {}: {e}", args.output.display()))?;
    } else if !args.raw {
        stdout.write_all(&bytes)?;
        stdout.flush()?;
    }
    Ok(())
}

fn s16le(samples: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(samples.len() * 2);
    audio::pcm::append_s16le(samples, &mut bytes);
    bytes
}

fn report(args: &SayArgs, summary: &Summary) {
    let elapsed = summary.elapsed.as_secs_f64();
    let first = summary.first_packet.unwrap_or_default().as_millis();
    let target =
        if to_stdout(args) { "standard output".into() } else { args.output.display().to_string() };
    eprintln!(
        "{target}: {:.2} s of speech in {elapsed:.2} s ({:.1} × real time), first sound after {first} ms",
        summary.audio_seconds,
        summary.audio_seconds / elapsed.max(1e-9),
    );
}

/// A spinner on a terminal, nothing elsewhere.
fn progress_bar(quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{spinner} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}
