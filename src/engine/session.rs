//! One utterance in the engine: text in, hops of audio out, one step at a time.

use super::feed::Feed;
use super::handle::Submission;
use super::thread::{Context, EngineSettings, remaining};
use super::voices::{Answer, DEFAULT_VOICE, Found, VoiceKey};
use super::{AudioEvent, EngineError, SpeakRequest, Summary, TextEvent, TextInput, VoiceSource};
use crate::model::cosyvoice2::{Generation, GenerationOptions, ModelError, Step, Voice};
use crate::text::TextStream;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, error::TrySendError};

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Worked,
    /// Nothing to do until [`SessionState::wake`] returns.
    Waiting,
    Ended,
}

/// The engine's side of one session.
pub(super) struct SessionState {
    request: SpeakRequest,
    /// Admission.
    started: Instant,
    queued: Duration,
    /// Given back when the session is dropped.
    place: Option<OwnedSemaphorePermit>,
    text: mpsc::Receiver<TextEvent>,
    text_open: bool,
    events: mpsc::Sender<AudioEvent>,
    /// Events that the client has no room for yet. While there are any the session stands still,
    /// so there are never more than one step makes.
    outbox: VecDeque<AudioEvent>,
    /// Since when the client has made no room.
    blocked_since: Option<Instant>,
    /// Text events that came while the engine slept.
    inbox: VecDeque<TextEvent>,
    /// Holds the end of the stream's text that may still change.
    stream: TextStream,
    last_text: Instant,
    voice: Option<Arc<Voice>>,
    feed: Feed,
    generation: Option<Generation>,
    summary: Summary,
    finished: bool,
}

impl SessionState {
    /// A request that has been admitted.
    pub fn new(submission: Submission) -> Self {
        let Submission { request, submitted, text, events, place } = submission;
        Self {
            queued: submitted.elapsed(),
            place: Some(place),
            ..Self::bare(request, text, events)
        }
    }

    /// A session of a few words in the default voice, and the end that its audio goes to.
    pub fn warm_up() -> (Self, mpsc::Receiver<AudioEvent>) {
        let (_, text) = mpsc::channel(1);
        let (events, receiver) = mpsc::channel(64);
        let request = SpeakRequest {
            id: "warm-up".into(),
            voice: VoiceSource::Named(DEFAULT_VOICE.into()),
            text: TextInput::Whole("Good morning.".into()),
            streaming: true,
            speed: 1.0,
            seed: Some(0),
        };
        (Self::bare(request, text, events), receiver)
    }

    /// A session that holds no place.
    fn bare(
        request: SpeakRequest,
        text: mpsc::Receiver<TextEvent>,
        events: mpsc::Sender<AudioEvent>,
    ) -> Self {
        let now = Instant::now();
        Self {
            text_open: matches!(request.text, TextInput::Stream),
            request,
            started: now,
            queued: Duration::ZERO,
            place: None,
            text,
            events,
            outbox: VecDeque::new(),
            blocked_since: None,
            inbox: VecDeque::new(),
            stream: TextStream::new(),
            last_text: now,
            voice: None,
            feed: Feed::default(),
            generation: None,
            summary: Summary::default(),
            finished: false,
        }
    }

    /// Whether the session holds one of the handle's places.
    pub fn is_counted(&self) -> bool {
        self.place.is_some()
    }

    /// One unit of work: the voice, one forward of the language model, or one hop of audio.
    pub fn step(&mut self, context: &mut Context) -> Progress {
        if self.events.is_closed() {
            tracing::debug!(id = self.request.id, "client is gone, session cancelled");
            return Progress::Ended;
        }
        if !self.send_pending() {
            let stall = Duration::from_secs_f64(context.settings.limits.stall_timeout);
            if self.blocked_since.is_some_and(|since| remaining(since, stall).is_zero()) {
                tracing::info!(
                    id = self.request.id,
                    "client left its audio unread, session dropped"
                );
                return Progress::Ended;
            }
            return Progress::Waiting;
        }
        if self.finished {
            return Progress::Ended;
        }
        match self.advance(context) {
            Ok(progress) => {
                self.send_pending();
                progress
            }
            Err(error) => {
                self.fail(error);
                Progress::Worked
            }
        }
    }

    /// Ends the session with an error.
    pub fn fail(&mut self, error: EngineError) {
        if matches!(error, EngineError::Failed(_)) {
            tracing::error!(id = self.request.id, %error, "session failed");
        }
        self.generation = None;
        self.outbox.push_back(AudioEvent::Failed(error));
        self.finished = true;
        self.send_pending();
    }

    fn advance(&mut self, context: &mut Context) -> Result<Progress, EngineError> {
        let Some(voice) = self.voice.clone() else {
            self.prepare(context)?;
            return Ok(Progress::Worked);
        };
        self.take_text(context)?;
        if self.generation.is_none() {
            let Some(segment) = self.feed.front_mut() else {
                return Ok(self.idle_or_done());
            };
            let options = GenerationOptions {
                seed: self.request.seed.unwrap_or_else(rand::random),
                streaming: self.request.streaming,
                speed: self.request.speed,
                max_text_tokens: super::feed::MAX_SEGMENT_TOKENS,
            };
            self.generation = Some(if matches!(self.request.text, TextInput::Whole(_)) {
                let tokens = std::mem::take(&mut segment.tokens);
                Generation::whole(context.model, &voice, &tokens, options).map_err(failed)?
            } else {
                Generation::streamed(context.model, &voice, options).map_err(failed)?
            });
        }
        let Some(generation) = &mut self.generation else { return Ok(Progress::Worked) };
        if let Some(segment) = self.feed.front_mut() {
            if !segment.tokens.is_empty() {
                generation.push_text(&std::mem::take(&mut segment.tokens)).map_err(failed)?;
            }
            if segment.complete {
                generation.finish_text();
            }
        }
        match generation.step(context.model).map_err(failed)? {
            Step::Working => Ok(Progress::Worked),
            Step::NeedText => Ok(Progress::Waiting),
            Step::Audio(samples) => {
                self.emit(samples, context.settings.sample_rate)?;
                Ok(Progress::Worked)
            }
            Step::Done => {
                self.summary.speech_tokens += generation.speech_tokens();
                self.generation = None;
                self.feed.pop();
                Ok(Progress::Worked)
            }
        }
    }

    /// Makes the voice, or finds it in the cache, and splits a text known in full.
    fn prepare(&mut self, context: &mut Context) -> Result<(), EngineError> {
        let found = context.settings.registry.resolve(&self.request.voice)?;
        let key = found.key(context.model.fingerprint());
        // The voice is made in this step, so nobody else can ask for it meanwhile.
        let (voice, voice_cached) = match context.voices.request(key, 0) {
            Answer::Ready(voice) => (voice, true),
            Answer::Start | Answer::InWork => {
                let made = make(context, &found, key);
                context.voices.fail(&key);
                (made?, false)
            }
        };
        self.voice = Some(voice);
        if let TextInput::Whole(text) = &self.request.text {
            self.feed = Feed::whole(text, |piece| context.model.tokenizer().encode(piece));
            self.summary.text_tokens = self.feed.total_tokens;
            if self.feed.is_exhausted() {
                let reason = "the text holds nothing that can be spoken".into();
                return Err(EngineError::InvalidParameter(reason));
            }
        }
        self.outbox.push_back(AudioEvent::Started { queued: self.queued, voice_cached });
        Ok(())
    }

    /// Moves arrived text into the feed; speaks what is held when the stream has paused.
    fn take_text(&mut self, context: &Context) -> Result<(), EngineError> {
        let encode = |text: &str| context.model.tokenizer().encode(text);
        while self.text_open {
            let event = match self.inbox.pop_front() {
                Some(event) => event,
                None => match self.text.try_recv() {
                    Ok(event) => event,
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => TextEvent::Finish,
                },
            };
            self.last_text = Instant::now();
            match event {
                TextEvent::Append(text) => self.feed.append(&self.stream.push(&text), encode),
                TextEvent::Flush => self.flush(encode),
                TextEvent::Finish => {
                    self.feed.append(&self.stream.flush(), encode);
                    self.feed.close();
                    self.text_open = false;
                }
            }
        }
        let idle = Duration::from_millis(context.settings.engine.text_idle_ms);
        if self.text_open && self.holds_text() && remaining(self.last_text, idle).is_zero() {
            self.flush(encode);
        }
        self.summary.text_tokens = self.feed.total_tokens;
        Ok(())
    }

    fn flush(&mut self, encode: impl Fn(&str) -> Vec<u32>) {
        self.feed.append(&self.stream.flush(), encode);
        self.feed.end_segment();
    }

    /// Text that only a pause, more text or the end will bring to speech.
    fn holds_text(&self) -> bool {
        !self.stream.is_empty() || self.feed.is_open()
    }

    fn idle_or_done(&mut self) -> Progress {
        if !self.feed.is_exhausted() {
            return Progress::Waiting;
        }
        self.summary.elapsed = self.started.elapsed();
        self.outbox.push_back(AudioEvent::Done(std::mem::take(&mut self.summary)));
        self.finished = true;
        Progress::Worked
    }

    fn emit(&mut self, samples: Vec<f32>, rate: u32) -> Result<(), EngineError> {
        if samples.is_empty() {
            return Ok(());
        }
        if samples.iter().any(|s| !s.is_finite()) {
            return Err(EngineError::Failed(
                "the model produced audio that is not a number".into(),
            ));
        }
        self.summary.first_packet.get_or_insert_with(|| self.started.elapsed());
        self.summary.audio_seconds += samples.len() as f64 / f64::from(rate);
        self.outbox.push_back(AudioEvent::Audio(samples));
        Ok(())
    }

    /// Hands events to the client as far as it has room. True when none are left.
    fn send_pending(&mut self) -> bool {
        while let Some(event) = self.outbox.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => self.blocked_since = None,
                Err(TrySendError::Full(event)) => {
                    self.outbox.push_front(event);
                    self.blocked_since.get_or_insert_with(Instant::now);
                    return false;
                }
                // The next step sees the closed channel.
                Err(TrySendError::Closed(_)) => return true,
            }
        }
        true
    }

    /// Returns when a waiting session may be able to go on.
    pub async fn wake(&mut self, settings: &EngineSettings) {
        let blocked = !self.outbox.is_empty();
        let deadline = if blocked {
            let stall = Duration::from_secs_f64(settings.limits.stall_timeout);
            self.blocked_since.map(|since| remaining(since, stall))
        } else if self.text_open && self.holds_text() {
            Some(remaining(self.last_text, Duration::from_millis(settings.engine.text_idle_ms)))
        } else {
            None
        };
        tokio::select! {
            event = self.text.recv(), if self.text_open && !blocked && self.inbox.is_empty() => {
                self.inbox.push_back(event.unwrap_or(TextEvent::Finish));
            }
            _ = self.events.reserve(), if blocked => {}
            () = self.events.closed() => {}
            () = tokio::time::sleep(deadline.unwrap_or_default()), if deadline.is_some() => {}
        }
    }
}

/// A voice that is not ready.
fn make(context: &mut Context, found: &Found, key: VoiceKey) -> Result<Arc<Voice>, EngineError> {
    let settings = context.settings;
    let mut making = settings.registry.begin(found, context.model, settings.engine.first_hop)?;
    loop {
        if let Some(voice) = making.step(context.model).map_err(failed)? {
            let (bytes, voice) = (voice.bytes(), Arc::new(voice));
            context.voices.complete(key, voice.clone(), bytes);
            return Ok(voice);
        }
    }
}

/// What goes wrong inside the model is our fault: the client's mistakes are found before it.
fn failed(error: ModelError) -> EngineError {
    EngineError::Failed(error.to_string())
}
