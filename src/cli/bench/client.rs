//! One client: asks for an utterance and notes when each packet of it comes.

use super::Failure;
use super::player::Arrival;
use crate::engine::{
    AudioEvent, EngineError, EngineHandle, Session, SpeakRequest, TextEvent, TextInput, VoiceSource,
};
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// How a client's text comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TextPace {
    /// All at once, with the request.
    Whole,
    /// Word by word, so many in a second; None: as fast as the engine takes them.
    Words(Option<f64>),
}

/// What a client asks for.
pub struct Job {
    pub text: String,
    pub pace: TextPace,
    pub voice: VoiceSource,
    pub seed: u64,
}

/// An utterance as its client saw it. Times are seconds since it was asked for, which with text in
/// pieces is when the first of them left.
#[derive(Debug, Clone, Default)]
pub struct Utterance {
    /// Before it became a session.
    pub queued: f64,
    /// When the last of the text had left.
    pub text_complete: f64,
    pub packets: Vec<Arrival>,
    pub ended: f64,
}

impl Utterance {
    pub fn first_packet(&self) -> Option<f64> {
        self.packets.first().map(|packet| packet.at)
    }

    pub fn audio(&self) -> f64 {
        self.packets.iter().map(|packet| packet.audio).sum()
    }
}

#[derive(Debug, Clone)]
pub enum Outcome {
    Spoken(Utterance),
    /// The engine had no room, and said so after so many seconds.
    Refused {
        after: f64,
    },
}

/// Speaks, and throws the sound away.
///
/// # Errors
/// Whatever the engine failed with, but for a lack of room.
pub async fn speak(engine: &EngineHandle, job: Job) -> Result<Outcome, Failure> {
    let whole = job.pace == TextPace::Whole;
    let rate = f64::from(engine.status().sample_rate.max(1));
    let start = Instant::now();
    let session = engine.speak(SpeakRequest {
        id: "bench".into(),
        voice: job.voice,
        text: if whole { TextInput::Whole(job.text.clone()) } else { TextInput::Stream },
        streaming: true,
        speed: 1.0,
        seed: Some(job.seed),
        sampling: Default::default(),
        timestamps: false,
        normalize: None,
    });
    let Session { text, mut events } = match session {
        Ok(session) => session,
        Err(error) => return refused(error, start),
    };
    let typing = async move {
        if let TextPace::Words(rate) = job.pace {
            type_words(&job.text, rate, &text, start).await;
            start.elapsed().as_secs_f64()
        } else {
            0.0
        }
    };
    let listening = async {
        let mut heard = Utterance::default();
        loop {
            let event = events.recv().await;
            let at = start.elapsed().as_secs_f64();
            match event {
                Some(AudioEvent::Started { queued, .. }) => heard.queued = queued.as_secs_f64(),
                Some(AudioEvent::Audio(samples)) => {
                    heard.packets.push(Arrival { at, audio: samples.len() as f64 / rate });
                }
                Some(AudioEvent::Words { .. } | AudioEvent::Flushed) => {}
                Some(AudioEvent::Done(_)) => {
                    heard.ended = at;
                    return Ok(Outcome::Spoken(heard));
                }
                Some(AudioEvent::Failed(error)) => return refused(error, start),
                None => return Err("the engine ended".into()),
            }
        }
    };
    let (text_complete, outcome) = tokio::join!(typing, listening);
    Ok(match outcome? {
        Outcome::Spoken(heard) => Outcome::Spoken(Utterance { text_complete, ..heard }),
        refused => refused,
    })
}

fn refused(error: EngineError, start: Instant) -> Result<Outcome, Failure> {
    match error {
        EngineError::Overloaded { .. } => {
            Ok(Outcome::Refused { after: start.elapsed().as_secs_f64() })
        }
        other => Err(other.into()),
    }
}

/// Sends a text word by word, the first at once, then its end.
async fn type_words(
    text: &str,
    rate: Option<f64>,
    to: &tokio::sync::mpsc::Sender<TextEvent>,
    start: Instant,
) {
    for (index, word) in text.split_inclusive(' ').enumerate() {
        if let Some(rate) = rate {
            let due = start + Duration::from_secs_f64(index as f64 / rate);
            tokio::select! {
                () = sleep_until(due.into()) => {}
                // Nobody listens any more.
                () = to.closed() => return,
            }
        }
        if to.send(TextEvent::Append(word.into())).await.is_err() {
            return;
        }
    }
    // A session that has ended needs no end.
    let _ = to.send(TextEvent::Finish).await;
}
