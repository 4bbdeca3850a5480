//! One conversation: what the client says goes to the engine, what the engine makes goes out.
//!
//! Reading never waits for writing. Audio waits in a short channel for a writer; where the client
//! does not read, the channel fills, the engine's own fills behind it, and the session pauses
//! until the socket gives up. Text waits here for the engine, no more of it than a stream may hold.

use super::connection::{End, read_error};
use super::events;
use super::protocol::{Init, Limits, Protocol, Said, Voice};
use crate::audio::Clip;
use crate::engine::{SpeakRequest, Summary, TextEvent, TextInput, VoiceSource};
use crate::server::account::Account;
use crate::server::app::App;
use crate::server::error::ApiError;
use crate::server::format::{Encoder, Format};
use crate::server::light::{check_model, check_voice};
use crate::server::prompt;
use crate::server::speech::{Packet, Speech};
use crate::server::upload::Room;
use crate::telemetry::metrics;
use axum::extract::ws::{Message, WebSocket};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::SplitStream;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

/// Most frames that one packet of the engine becomes: an event, the audio, another event.
const PER_PACKET: usize = 3;

/// A prompt after which so much silence follows is taken for complete and checked, so that a
/// client that waits before it sends text learns what is wrong with its recording.
const PROMPT_PAUSE: Duration = Duration::from_secs(5);

type ClipResult = Result<Arc<Clip>, ApiError>;

/// A prompt that is being decoded.
struct Decoding {
    /// How much of the prompt it is.
    bytes: usize,
    work: BoxFuture<'static, ClipResult>,
}

pub struct Actor {
    app: Arc<App>,
    protocol: Protocol,
    init: Option<Init>,
    /// Here until the speech begins, then there.
    account: Option<Account>,
    room: Room,
    decoding: Option<Decoding>,
    /// The prompt as far as it came, decoded.
    clip: Option<Arc<Clip>>,
    speech: Option<Speech>,
    /// Where text goes. None before the speech begins, and when no more is wanted.
    text: Option<mpsc::Sender<TextEvent>>,
    /// Text that the engine has not taken yet.
    pending: String,
    finished: bool,
    /// When the first word came.
    opened: Option<Instant>,
    /// When the client last said, or was sent, anything that matters.
    stirred: Instant,
    queued: Duration,
    voice_cached: bool,
    /// Whether audio was sent.
    sounded: bool,
}

/// What can happen to an actor.
enum Event<'a> {
    Frame(Option<Result<Message, axum::Error>>),
    /// A packet of the engine, with room for its frames.
    Packet(mpsc::PermitIterator<'a, Message>, Option<Result<Packet, ApiError>>),
    /// The engine took text, or wants no more.
    Passed,
    Decoded(ClipResult),
    PromptPause,
    Idle,
    Draining,
}

impl Actor {
    pub fn new(app: Arc<App>, account: Account) -> Self {
        let limits = Limits {
            frame_chars: app.settings.max_text_length,
            total_chars: app.settings.max_stream_text,
            prompt_bytes: app.settings.max_file_size,
        };
        Self {
            room: app.uploads.room(),
            app,
            protocol: Protocol::new(limits),
            init: None,
            account: Some(account),
            decoding: None,
            clip: None,
            speech: None,
            text: None,
            pending: String::new(),
            finished: false,
            opened: None,
            stirred: Instant::now(),
            queued: Duration::ZERO,
            voice_cached: false,
            sounded: false,
        }
    }

    /// Goes on until one side ends it.
    pub async fn converse(
        &mut self,
        stream: &mut SplitStream<WebSocket>,
        outbox: &mpsc::Sender<Message>,
    ) -> End {
        loop {
            let event = self.event(stream, outbox).await;
            let step = match event {
                Event::Frame(frame) => self.hear(frame),
                Event::Packet(slots, packet) => self.tell(slots, packet),
                Event::Passed => Ok(()),
                Event::Decoded(result) => self.decoded(result),
                Event::PromptPause => {
                    self.decode(self.protocol.prompt().to_vec());
                    Ok(())
                }
                Event::Idle => {
                    let words = format!("nothing came for {:?}", self.app.settings.idle_timeout);
                    Err(ApiError::Timeout(words).into())
                }
                Event::Draining => Err(ApiError::Draining.into()),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Waits for whatever comes first.
    async fn event<'a>(
        &mut self,
        stream: &mut SplitStream<WebSocket>,
        outbox: &'a mpsc::Sender<Message>,
    ) -> Event<'a> {
        let settings = &self.app.settings;
        let idle = self.stirred + settings.idle_timeout;
        let pause = self.stirred + PROMPT_PAUSE.min(settings.idle_timeout / 2);
        let unchecked =
            !self.protocol.prompt().is_empty() && self.decoding.is_none() && self.clip.is_none();
        let (pending, finished) = (&mut self.pending, self.finished);
        let text = &mut self.text;
        let has_news = text.is_some() && (!pending.is_empty() || finished);
        let lifecycle = &self.app.lifecycle;
        tokio::select! {
            frame = stream.next() => Event::Frame(frame),
            event = next_packet(&mut self.speech, outbox), if self.speech.is_some() => event,
            () = pass(text, pending), if has_news => Event::Passed,
            result = decoded(&mut self.decoding), if self.decoding.is_some() => {
                Event::Decoded(result)
            }
            () = sleep_until(pause.into()), if unchecked => Event::PromptPause,
            () = sleep_until(idle.into()), if !finished => Event::Idle,
            () = lifecycle.draining(), if self.opened.is_none() => Event::Draining,
            () = lifecycle.stopping() => Event::Draining,
        }
    }

    fn hear(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        match frame {
            None | Some(Ok(Message::Close(_))) => Err(End::Gone),
            Some(Err(error)) => Err(read_error(error, self.app.settings.max_file_size)),
            // Answered below us. They show that the client's machine lives, not that it will speak.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Binary(piece))) => {
                self.stirred = Instant::now();
                self.protocol.binary(&piece)?;
                self.room.grow(piece.len())?;
                self.clip = None;
                Ok(())
            }
            Some(Ok(Message::Text(frame))) => {
                self.stirred = Instant::now();
                if self.protocol.awaits_init() {
                    self.begin(&frame)
                } else {
                    let said = self.protocol.text(&frame)?;
                    self.take(said)
                }
            }
        }
    }

    fn begin(&mut self, frame: &str) -> Result<(), End> {
        let Some(init) = self.protocol.init(frame)? else { return Err(End::Done) };
        if let Some(name) = &init.tts_model_name {
            check_model(&self.app, name)?;
        }
        if let Voice::Named(name) = &init.voice {
            check_voice(&self.app, name)?;
        }
        self.format(&init).check()?;
        self.init = Some(init);
        Ok(())
    }

    fn format(&self, init: &Init) -> Format {
        let rate = init.sample_rate.or(self.app.settings.light_sample_rate);
        let rate = rate.unwrap_or_else(|| self.app.engine.status().sample_rate);
        Format::new(init.container, rate)
    }

    fn take(&mut self, said: Said) -> Result<(), End> {
        self.pending += &said.text;
        self.finished |= said.finish;
        if self.opened.is_some() {
            return Ok(());
        }
        if !said.text.is_empty() {
            self.opened = Some(Instant::now());
            return self.open();
        }
        if self.finished { Err(End::Done) } else { Ok(()) }
    }

    /// Starts the speech, or the decoding of the prompt that it needs.
    fn open(&mut self) -> Result<(), End> {
        let (Some(init), Some(since)) = (&self.init, self.opened) else { return Ok(()) };
        let voice = match &init.voice {
            Voice::Named(name) => VoiceSource::Named(name.clone()),
            Voice::Prompt(text) => match &self.clip {
                Some(clip) => VoiceSource::Prompt { audio: clip.clone(), text: text.clone() },
                None => {
                    if self.decoding.is_none() {
                        let prompt = self.protocol.take_prompt();
                        self.decode(prompt);
                    }
                    return Ok(());
                }
            },
        };
        let Some(account) = self.account.take() else { return Ok(()) };
        let format = self.format(init);
        let request = SpeakRequest {
            id: account.id.0.to_string(),
            voice,
            text: TextInput::Stream,
            streaming: true,
            speed: 1.0,
            seed: init.seed,
            sampling: Default::default(),
            timestamps: false,
            normalize: init.normalize,
        };
        let encoder = Encoder::new(self.app.engine.status().sample_rate, format)?;
        let (speech, text) = Speech::begin(&self.app, account, request, encoder, since)?;
        self.speech = Some(speech);
        self.text = Some(text);
        self.room = self.app.uploads.room();
        Ok(())
    }

    fn decode(&mut self, prompt: Vec<u8>) {
        let work = prompt::read(self.app.clone(), prompt, self.room.clone());
        let bytes = self.protocol.prompt_bytes();
        self.decoding = Some(Decoding { bytes, work: Box::pin(work) });
    }

    fn decoded(&mut self, result: ClipResult) -> Result<(), End> {
        let Some(Decoding { bytes, .. }) = self.decoding.take() else { return Ok(()) };
        // More of the prompt came meanwhile: what was decoded was not all of it.
        if bytes == self.protocol.prompt_bytes() {
            self.clip = Some(result?);
        }
        self.open()
    }

    /// Turns a packet into frames.
    fn tell(
        &mut self,
        mut slots: mpsc::PermitIterator<'_, Message>,
        packet: Option<Result<Packet, ApiError>>,
    ) -> Result<(), End> {
        let (Some(speech), Some(init)) = (&mut self.speech, &self.init) else { return Ok(()) };
        let Some(packet) = packet else { return Err(End::Done) };
        let mut send = |frame: Message| {
            if let Some(slot) = slots.next() {
                slot.send(frame);
            }
        };
        let json = |event: Value| Message::text(event.to_string());
        let (bytes, summary) = match packet? {
            Packet::Started { queued, voice_cached } => {
                (self.queued, self.voice_cached) = (queued, voice_cached);
                return Ok(());
            }
            Packet::Audio { bytes } => (bytes, None),
            Packet::Done { bytes, summary } => (bytes, Some(summary)),
        };
        self.stirred = Instant::now();
        let first = speech.account.first_packet();
        if !bytes.is_empty() {
            if !self.sounded {
                self.sounded = true;
                if init.events {
                    send(json(events::audio_start(
                        &speech.account.id.0,
                        speech.encoder().rate(),
                        self.queued,
                        first.unwrap_or_default(),
                        self.voice_cached,
                    )));
                }
            }
            send(Message::binary(bytes));
        }
        match summary {
            None => {
                if init.events {
                    let seconds = speech.account.audio_seconds();
                    send(json(events::progress(seconds, speech.elapsed())));
                }
                Ok(())
            }
            Some(summary) => {
                if init.events {
                    send(json(events::done(&summary, first, speech.elapsed())));
                }
                Err(End::Done)
            }
        }
    }

    /// Writes down how it ended.
    pub fn settle(&mut self, end: &End) {
        let chars = self.protocol.chars();
        let account = match &mut self.speech {
            Some(speech) => Some(&mut speech.account),
            None => self.account.as_mut(),
        };
        let Some(account) = account else { return };
        account.characters(chars);
        match end {
            End::Gone => {}
            End::Done if account.is_over() => {}
            // Nothing was said, and nothing was to be.
            End::Done => account.done(&Summary::default()),
            End::Failed(error) => {
                account.failed(error);
                if error.is_rejection() {
                    metrics::rejected(error.code());
                }
            }
        }
    }
}

/// The next packet, once there is room for its frames.
async fn next_packet<'a>(
    speech: &mut Option<Speech>,
    outbox: &'a mpsc::Sender<Message>,
) -> Event<'a> {
    let (Some(speech), Ok(slots)) = (speech, outbox.reserve_many(PER_PACKET).await) else {
        // The writer has failed, which ends everything.
        return std::future::pending().await;
    };
    Event::Packet(slots, speech.next().await)
}

/// Gives the engine all text that waits, or, where none does, the news that no more follows.
async fn pass(text: &mut Option<mpsc::Sender<TextEvent>>, pending: &mut String) {
    let Some(sender) = text else { return };
    match sender.reserve().await {
        Ok(slot) if !pending.is_empty() => {
            slot.send(TextEvent::Append(std::mem::take(pending)));
            return;
        }
        Ok(slot) => slot.send(TextEvent::Finish),
        // The session has ended; its events say how.
        Err(_) => pending.clear(),
    }
    *text = None;
}

async fn decoded(decoding: &mut Option<Decoding>) -> ClipResult {
    match decoding {
        Some(decoding) => (&mut decoding.work).await,
        None => std::future::pending().await,
    }
}
