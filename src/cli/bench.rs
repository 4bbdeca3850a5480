//! `mynah bench`: first packet, speed and memory of one session after another.

use super::{Failure, ModelArgs, setup};
use crate::engine::{
    AudioEvent, DEFAULT_VOICE, EngineHandle, SpeakRequest, TextEvent, TextInput, VoiceSource,
};
use crate::telemetry::metrics;
use clap::Args;
use serde_json::json;
use std::time::{Duration, Instant};

/// Short everyday sentences, spoken in turn.
const SENTENCES: [&str; 4] = [
    "The bus was late because of the heavy rain.",
    "Good morning and welcome to the show.",
    "We had dinner with our friends last night.",
    "The old man walked slowly across the bridge.",
];

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Utterances to speak after one that warms up
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    requests: usize,
    /// Text comes word by word through the stream instead of whole
    #[arg(long)]
    bistream: bool,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// What one utterance took.
struct Sample {
    first_packet: Duration,
    elapsed: Duration,
    audio_seconds: f64,
}

pub fn run(args: BenchArgs) -> Result<(), Failure> {
    let config = setup::config(&args.model, json!({}))?;
    let load = Instant::now();
    let engine = setup::ready_engine(&config)?;
    let load = load.elapsed();
    speak(&engine, SENTENCES[0], args.bistream)?;
    let resident_before = metrics::resident_bytes().unwrap_or_default();
    let mut samples = Vec::with_capacity(args.requests);
    for index in 0..args.requests.max(1) {
        samples.push(speak(&engine, SENTENCES[index % SENTENCES.len()], args.bistream)?);
        if !args.json && (index + 1) % 100 == 0 {
            eprintln!(
                "{} utterances, {} MiB resident",
                index + 1,
                mib(metrics::resident_bytes().unwrap_or_default())
            );
        }
    }
    let resident_after = metrics::resident_bytes().unwrap_or_default();
    let mut first: Vec<f64> = samples.iter().map(|s| s.first_packet.as_secs_f64() * 1e3).collect();
    first.sort_by(f64::total_cmp);
    let percentile = |p: f64| first[((first.len() - 1) as f64 * p).round() as usize];
    let audio: f64 = samples.iter().map(|s| s.audio_seconds).sum();
    let elapsed: f64 = samples.iter().map(|s| s.elapsed.as_secs_f64()).sum();
    let result = json!({
        "device": config.model.device,
        "precision": "f32",
        "sessions": 1,
        "voice": "cached",
        "text": if args.bistream { "bistream" } else { "whole" },
        "requests": samples.len(),
        "load_seconds": load.as_secs_f64(),
        "first_packet_ms": {"p50": percentile(0.5), "p95": percentile(0.95), "max": percentile(1.0)},
        "audio_seconds": audio,
        "rtf": elapsed / audio.max(1e-9),
        "audio_seconds_per_second": audio / elapsed.max(1e-9),
        "resident_mib": {"before": mib(resident_before), "after": mib(resident_after)},
    });
    if args.json {
        println!("{result}");
        return Ok(());
    }
    println!(
        "device {}, f32, 1 session, cached voice, {} text, {} utterances",
        config.model.device,
        result["text"].as_str().unwrap_or_default(),
        samples.len()
    );
    println!("load and warm-up     {:8.2} s", load.as_secs_f64());
    println!("first packet p50     {:8.0} ms", percentile(0.5));
    println!("first packet p95     {:8.0} ms", percentile(0.95));
    println!("real-time factor     {:8.3}", elapsed / audio.max(1e-9));
    println!("audio per second     {:8.2} s", audio / elapsed.max(1e-9));
    println!(
        "resident memory      {:8} MiB before, {} MiB after",
        mib(resident_before),
        mib(resident_after)
    );
    Ok(())
}

fn mib(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

/// Speaks one sentence and throws the sound away.
fn speak(engine: &EngineHandle, text: &str, bistream: bool) -> Result<Sample, Failure> {
    let input = if bistream { TextInput::Stream } else { TextInput::Whole(text.into()) };
    let start = Instant::now();
    let mut session = engine.speak(SpeakRequest {
        id: "bench".into(),
        voice: VoiceSource::Named(DEFAULT_VOICE.into()),
        text: input,
        streaming: true,
        speed: 1.0,
        seed: Some(7),
    })?;
    if bistream {
        for word in text.split_inclusive(' ') {
            session.text.blocking_send(TextEvent::Append(word.into()))?;
        }
        session.text.blocking_send(TextEvent::Finish)?;
    }
    let mut first_packet = None;
    loop {
        match session.events.blocking_recv() {
            Some(AudioEvent::Started { .. }) => {}
            Some(AudioEvent::Audio(_)) => {
                first_packet.get_or_insert_with(|| start.elapsed());
            }
            Some(AudioEvent::Done(summary)) => {
                return Ok(Sample {
                    first_packet: first_packet.unwrap_or_default(),
                    elapsed: start.elapsed(),
                    audio_seconds: summary.audio_seconds,
                });
            }
            Some(AudioEvent::Failed(error)) => return Err(error.into()),
            None => return Err("the engine ended".into()),
        }
    }
}
