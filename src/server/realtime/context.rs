//! One utterance on a socket: waits for its turn and its text, and sends what the engine makes.

use super::events;
use super::outbox::Outbox;
use super::protocol::{ContextId, Start, Voice};
use crate::engine::{SpeakRequest, Summary, TextEvent, TextInput, VoiceSource};
use crate::server::account::Account;
use crate::server::app::App;
use crate::server::error::ApiError;
use crate::server::format::{Container, Encoder, Format};
use crate::server::prompt;
use crate::server::request::RequestId;
use crate::server::speech::{News, Packet, Speech};
use crate::server::upload::Room;
use crate::telemetry::metrics;
use axum::extract::ws::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What the socket knows of a context while it runs.
#[derive(Default)]
pub struct Shared {
    /// Flushes that are not answered.
    pub flushes: AtomicUsize,
    /// Whether the engine has it.
    pub begun: AtomicBool,
}

/// A context to be run.
pub struct Context {
    pub app: Arc<App>,
    pub id: ContextId,
    pub request_id: RequestId,
    pub start: Start,
    /// The memory of its prompt.
    pub room: Room,
    /// The socket bounds what is in it.
    pub text: mpsc::UnboundedReceiver<TextEvent>,
    pub outbox: Arc<Outbox>,
    /// Taken before it speaks. None where contexts speak at the same time.
    pub turn: Option<Arc<Semaphore>>,
    pub shared: Arc<Shared>,
}

/// What is told before the first audio.
pub struct Opening {
    pub request_id: Arc<str>,
    pub container: Container,
    pub sample_rate: u32,
    pub queued: Duration,
    pub first_packet: Duration,
    pub voice_cached: bool,
}

impl Context {
    /// Runs to its end, which the client is told. Dropping the future cancels it.
    pub async fn run(self) {
        let (id, outbox, request_id) =
            (self.id.clone(), self.outbox.clone(), self.request_id.clone());
        if let Err(error) = self.speak().await {
            if error.is_rejection() {
                metrics::rejected(error.code());
            }
            outbox.push_of(&id, events::error(&error, &request_id.0, Some(&*id)));
        }
    }

    async fn speak(mut self) -> Result<(), ApiError> {
        let mut account = Account::open(&self.app, self.request_id.clone(), "/v1/realtime/speech");
        let prepared = self.prepare().await;
        let (voice, _turn) = account.note(prepared)?;
        let first = self.first_text().await;
        let Some(first) = account.note(first)? else {
            account.done(&Summary::default());
            let nothing = events::done(&self.id, &Summary::default(), None, Duration::ZERO);
            self.outbox.push_of(&self.id, nothing);
            return Ok(());
        };
        let since = Instant::now();
        let model_rate = self.app.engine.status().sample_rate;
        let rate = self.start.sample_rate.unwrap_or(model_rate);
        let format = Format::new(self.start.container, rate);
        let encoder = account.note(Encoder::new(model_rate, format))?;
        let request = SpeakRequest {
            id: self.request_id.0.to_string(),
            voice,
            text: TextInput::Stream,
            // The tempo is changed in whole segments.
            streaming: self.start.speed == 1.0,
            speed: self.start.speed,
            seed: self.start.seed,
            sampling: Default::default(),
            timestamps: self.start.timestamps,
            normalize: self.start.normalize,
        };
        let (speech, text) = Speech::begin(&self.app, account, request, encoder, since)?;
        self.shared.begun.store(true, Ordering::Relaxed);
        self.play(speech, text, first).await
    }

    /// The voice, and the turn to speak. Both are waited for at once, so that contexts take turns
    /// in the order of their starts however long their prompts take.
    async fn prepare(&mut self) -> Result<(VoiceSource, Option<OwnedSemaphorePermit>), ApiError> {
        let voice = std::mem::replace(&mut self.start.voice, Voice::Named(String::new()));
        let (app, room) = (self.app.clone(), self.room.clone());
        let voice = async {
            Ok(match voice {
                Voice::Named(name) => VoiceSource::Named(name),
                Voice::Prompt { audio, text } => {
                    VoiceSource::Prompt { audio: prompt::read(app, audio, room).await?, text }
                }
            })
        };
        let turn = async {
            match self.turn.clone() {
                // The semaphore is never closed.
                Some(turn) => Ok(turn.acquire_owned().await.ok()),
                None => Ok(None),
            }
        };
        tokio::select! {
            both = async { tokio::try_join!(turn, voice) } => both.map(|(turn, voice)| (voice, turn)),
            () = self.app.lifecycle.draining() => Err(ApiError::Draining),
        }
    }

    /// Text up to the first word; None where the context ends without any.
    async fn first_text(&mut self) -> Result<Option<String>, ApiError> {
        let mut first = String::new();
        loop {
            let event = tokio::select! {
                event = self.text.recv() => event,
                () = self.app.lifecycle.draining() => return Err(ApiError::Draining),
            };
            match event {
                Some(TextEvent::Append(text)) => {
                    first += &text;
                    if !text.trim().is_empty() {
                        return Ok(Some(first));
                    }
                }
                Some(TextEvent::Flush) => self.flushed(0.0),
                Some(TextEvent::Finish) | None => return Ok(None),
            }
        }
    }

    fn flushed(&self, audio_seconds: f64) {
        self.shared.flushes.fetch_sub(1, Ordering::Relaxed);
        self.outbox.push_of(&self.id, events::flush_done(&self.id, audio_seconds));
    }

    async fn play(
        mut self,
        mut speech: Speech,
        engine: mpsc::Sender<TextEvent>,
        first: String,
    ) -> Result<(), ApiError> {
        let mut chars = first.chars().count();
        let mut next = Some(TextEvent::Append(first));
        let mut engine = Some(engine);
        let mut opening = Opening {
            request_id: self.request_id.0.clone(),
            container: self.start.container,
            sample_rate: speech.encoder().rate(),
            queued: Duration::ZERO,
            first_packet: Duration::ZERO,
            voice_cached: false,
        };
        let mut sounded = false;
        // Seconds of audio.
        let mut sent = 0.0;
        loop {
            let outbox = self.outbox.clone();
            let news = tokio::select! {
                event = self.text.recv(), if next.is_none() && engine.is_some() => {
                    let event = event.unwrap_or(TextEvent::Finish);
                    if let TextEvent::Append(text) = &event {
                        chars += text.chars().count();
                        speech.account.characters(chars);
                    }
                    next = Some(event);
                    continue;
                }
                () = pass(&mut engine, &mut next), if next.is_some() && engine.is_some() => continue,
                news = async {
                    outbox.room().await;
                    speech.next_news().await
                } => news,
            };
            let Some(news) = news else { return Ok(()) };
            let packet = match news? {
                News::Words { words, settled } => {
                    outbox.push_of(&self.id, events::words(&self.id, &words, settled));
                    continue;
                }
                News::Flushed => {
                    self.flushed(speech.account.audio_seconds());
                    continue;
                }
                News::Packet(packet) => packet,
            };
            let (bytes, summary) = match packet {
                Packet::Started { queued, voice_cached } => {
                    (opening.queued, opening.voice_cached) = (queued, voice_cached);
                    continue;
                }
                Packet::Audio { bytes } => (bytes, None),
                Packet::Done { bytes, summary } => (bytes, Some(summary)),
            };
            if !bytes.is_empty() {
                let seconds = speech.account.audio_seconds();
                let length = Duration::from_secs_f64((seconds - sent).max(0.0));
                sent = seconds;
                if !sounded {
                    sounded = true;
                    opening.first_packet = speech.account.first_packet().unwrap_or_default();
                    outbox.push_of(&self.id, events::audio_start(&self.id, &opening));
                }
                let frame = self.frame(bytes);
                outbox.push_audio(&self.id, frame, length);
            }
            if let Some(summary) = summary {
                let first = speech.account.first_packet();
                let done = events::done(&self.id, &summary, first, speech.elapsed());
                outbox.push_of(&self.id, done);
                return Ok(());
            }
        }
    }

    /// Audio as a frame: behind the length of the context's name and the name, where contexts speak
    /// at the same time.
    fn frame(&self, mut audio: Vec<u8>) -> Message {
        if self.turn.is_none() {
            let name = self.id.as_bytes();
            let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
            audio.splice(..0, [length].into_iter().chain(name.iter().copied()));
        }
        Message::binary(audio)
    }
}

/// Gives the engine the next of the text. After the last it is let go.
async fn pass(engine: &mut Option<mpsc::Sender<TextEvent>>, next: &mut Option<TextEvent>) {
    let Some(sender) = engine else { return };
    let over = match sender.reserve().await {
        Ok(slot) => next.take().is_some_and(|event| {
            let last = event == TextEvent::Finish;
            slot.send(event);
            last
        }),
        // The session has ended; its events say how.
        Err(_) => true,
    };
    if over {
        *engine = None;
    }
}
