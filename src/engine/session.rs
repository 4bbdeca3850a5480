//! One utterance in the engine: its text, its voice, its client. The work on it is done by the
//! engine's steps, which it shares with others.

use super::expected::Expected;
use super::feed::Feed;
use super::handle::Submission;
use super::playback::Playback;
use super::schedule::{Need, Urgency};
use super::thread::{EngineSettings, remaining};
use super::voices::{DEFAULT_VOICE, Found, VoiceKey};
use super::words::WordTimes;
use super::{AudioEvent, EngineError, SpeakRequest, Summary, TextEvent, TextInput, VoiceSource};
use crate::model::cosyvoice2::{
    CosyVoice2, Generation, GenerationOptions, Next, SamplingOptions, Slots, Voice, WaveShape,
};
use crate::telemetry::metrics::{self, Stage};
use crate::text::{Normalizer, ReadText, Reader, read_whole};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, error::TrySendError};

/// How long after its start a session that does not stream is as urgent as one that runs dry.
const UNHURRIED: Duration = Duration::from_secs(5);

/// Whether a session can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Ready,
    /// Nothing to do until [`SessionState::wake`] returns.
    Waiting,
    Ended,
}

/// What polling a session may use of the engine.
pub(super) struct Context<'a> {
    pub model: &'a CosyVoice2,
    pub slots: &'a mut Slots,
    pub settings: &'a EngineSettings,
}

/// The voice of a session.
enum SessionVoice {
    /// To be looked up.
    Asked,
    /// To be made.
    Wanted(VoiceKey, Found),
    Ready(Arc<Voice>),
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
    /// Reads the stream's text, and holds the end that may still change.
    reader: Reader,
    /// What reads the text that is known in full.
    normalizer: Option<Normalizer>,
    last_text: Instant,
    voice: SessionVoice,
    feed: Feed,
    /// None where nobody asked for them.
    words: Option<WordTimes>,
    /// What the segment in progress should be in speech. None without guards.
    expected: Option<Expected>,
    generation: Option<Generation>,
    playback: Playback,
    /// Time of the device that the hop in progress has cost so far, shared steps in shares.
    hop_cost: Duration,
    /// Memory of the generation at its last hop.
    pub bytes: usize,
    summary: Summary,
    finished: bool,
}

impl SessionState {
    /// A request that has been admitted.
    pub fn new(submission: Submission) -> Self {
        let Submission { request, submitted, normalizer, text, events, place } = submission;
        Self {
            queued: submitted.elapsed(),
            place: Some(place),
            reader: Reader::new(normalizer.clone()),
            normalizer,
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
            text: TextInput::Whole("Good morning and welcome.".into()),
            streaming: true,
            speed: 1.0,
            seed: Some(0),
            sampling: SamplingOptions::default(),
            timestamps: false,
            normalize: None,
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
            words: request.timestamps.then(WordTimes::new),
            request,
            started: now,
            queued: Duration::ZERO,
            place: None,
            text,
            events,
            outbox: VecDeque::new(),
            blocked_since: None,
            inbox: VecDeque::new(),
            reader: Reader::default(),
            normalizer: None,
            last_text: now,
            voice: SessionVoice::Asked,
            feed: Feed::default(),
            expected: None,
            generation: None,
            playback: Playback::default(),
            hop_cost: Duration::ZERO,
            bytes: 0,
            summary: Summary::default(),
            finished: false,
        }
    }

    /// Whether the session holds one of the handle's places.
    pub fn is_counted(&self) -> bool {
        self.place.is_some()
    }

    pub fn queued(&self) -> Duration {
        self.queued
    }

    /// The prompt it asks for, before its voice was looked up.
    pub fn asks_for_voice(&self) -> Option<&VoiceSource> {
        matches!(self.voice, SessionVoice::Asked).then_some(&self.request.voice)
    }

    /// The voice it waits for, to be made of what was found.
    pub fn wants_voice(&self) -> Option<(&VoiceKey, &Found)> {
        match &self.voice {
            SessionVoice::Wanted(key, found) => Some((key, found)),
            _ => None,
        }
    }

    /// The voice is not there and will be made.
    pub fn wait_for_voice(&mut self, key: VoiceKey, found: Found) {
        self.voice = SessionVoice::Wanted(key, found);
    }

    /// The voice is there.
    pub fn begin(&mut self, voice: Arc<Voice>, model: &CosyVoice2) {
        let voice_cached = matches!(self.voice, SessionVoice::Asked);
        self.voice = SessionVoice::Ready(voice);
        if let TextInput::Whole(text) = &self.request.text {
            let read = read_whole(self.normalizer.as_ref(), text);
            self.feed = Feed::whole(&read.spoken, |piece| model.tokenizer().encode(piece));
            if let Some(words) = &mut self.words {
                read.pieces.iter().for_each(|piece| words.push(piece));
                words.close();
            }
            self.summary.text_tokens = self.feed.total_tokens;
            if self.feed.is_exhausted() {
                let reason = "the text holds nothing that can be spoken".into();
                return self.fail(EngineError::InvalidParameter(reason));
            }
        }
        self.outbox.push_back(AudioEvent::Started { queued: self.queued, voice_cached });
        self.send_pending();
    }

    /// The utterance in progress.
    pub fn generation(&mut self) -> Option<&mut Generation> {
        self.generation.as_mut()
    }

    /// Notes a step of the wave, this session's share of its time, and how many shared it. Gives
    /// what a hop of a stream has cost, with its last step.
    pub fn worked(&mut self, step: Option<Next>, share: Duration, rows: usize) -> Option<Duration> {
        let generation = self.generation.as_ref()?;
        let now = generation.next();
        self.hop_cost += share;
        match (step, now) {
            (Some(Next::Wave(WaveShape::Hop { .. })), Next::Wave(WaveShape::Vocoder { .. })) => {
                metrics::stage(Stage::FlowHop, self.hop_cost, rows);
                self.bytes = generation.bytes();
                None
            }
            (Some(Next::Wave(WaveShape::Vocoder { .. })), _) => {
                let cost = std::mem::take(&mut self.hop_cost);
                self.request.streaming.then_some(cost)
            }
            _ => None,
        }
    }

    /// Ends the session with an error.
    pub fn fail(&mut self, error: EngineError) {
        if matches!(error, EngineError::Failed(_)) {
            tracing::error!(id = self.request.id, %error, "session failed");
        }
        // Its slot is not used again: what went wrong may have been in it.
        self.generation = None;
        self.outbox.push_back(AudioEvent::Failed(error));
        self.finished = true;
        self.send_pending();
    }

    /// Gives back what the next session can use.
    pub fn end(self, slots: &mut Slots) {
        if let Some(generation) = self.generation {
            generation.end(slots);
        }
    }

    /// Moves what has come from and goes to the client; says whether there is work.
    pub fn poll(&mut self, context: &mut Context) -> Progress {
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
                metrics::stalled();
                return Progress::Ended;
            }
            return Progress::Waiting;
        }
        if self.finished {
            return Progress::Ended;
        }
        let SessionVoice::Ready(voice) = &self.voice else { return Progress::Ready };
        let voice = voice.clone();
        match self.speak(&voice, context) {
            Ok(progress) => progress,
            Err(error) => {
                self.fail(error);
                Progress::Ready
            }
        }
    }

    /// Brings text to the utterance in progress, and begins and ends utterances.
    fn speak(
        &mut self,
        voice: &Arc<Voice>,
        context: &mut Context,
    ) -> Result<Progress, EngineError> {
        self.take_text(context)?;
        loop {
            let Some(segment) = self.feed.front_mut() else {
                self.playback.starve();
                return Ok(self.idle_or_done());
            };
            let generation = match &mut self.generation {
                Some(generation) => generation,
                none => {
                    if let Some(words) = &mut self.words {
                        words.begin(self.summary.audio_seconds);
                    }
                    let options = GenerationOptions {
                        seed: self.request.seed.unwrap_or_else(rand::random),
                        streaming: self.request.streaming,
                        speed: self.request.speed,
                        max_text_tokens: super::feed::MAX_SEGMENT_TOKENS,
                        first_hop: context.settings.engine.first_hop,
                        adaptive: context.settings.engine.adaptive_first_hop,
                        sampling: self.request.sampling,
                        guards: context.settings.engine.guards,
                    };
                    self.expected = options.guards.then(|| {
                        let (text, tokens) = voice.prompt_text();
                        Expected::new(&context.model.tokenizer().decode(text), tokens)
                    });
                    let (model, slots) = (context.model, &mut *context.slots);
                    none.insert(if matches!(self.request.text, TextInput::Whole(_)) {
                        let tokens = std::mem::take(&mut segment.tokens);
                        Generation::whole(model, slots, voice, &tokens, options)
                    } else {
                        Generation::streamed(model, slots, voice, options).map_err(failed)?
                    })
                }
            };
            if !segment.tokens.is_empty() {
                generation.push_text(&std::mem::take(&mut segment.tokens)).map_err(failed)?;
            }
            let text = std::mem::take(&mut segment.text);
            if let Some(expected) = &mut self.expected
                && !text.is_empty()
            {
                generation.expect(expected.push(&text));
            }
            if let Some(words) = &mut self.words {
                words.spoken(&text, segment.complete);
            }
            if segment.complete {
                generation.finish_text();
            }
            for (fault, remedy) in generation.take_faults() {
                let (reason, action) = (fault.name(), remedy.name());
                tracing::info!(id = self.request.id, reason, action, "a sentence came out wrong");
                metrics::guard(reason, action);
            }
            match generation.next() {
                Next::Done => {
                    self.summary.speech_tokens += generation.speech_tokens();
                    if let Some(generation) = self.generation.take() {
                        generation.end(context.slots);
                    }
                    let flushes = segment.flushes;
                    self.feed.pop();
                    self.settle_words();
                    self.outbox.extend(std::iter::repeat_n(AudioEvent::Flushed, flushes));
                    self.send_pending();
                }
                Next::Text => {
                    self.playback.starve();
                    return Ok(Progress::Waiting);
                }
                Next::Prefill | Next::Token | Next::Wave(_) => return Ok(Progress::Ready),
            }
        }
    }

    /// What a session that is ready needs next.
    pub fn need(&self) -> Option<Need<WaveShape>> {
        if self.finished || !self.outbox.is_empty() {
            return None;
        }
        if matches!(self.voice, SessionVoice::Wanted(..)) {
            return Some(Need::Voice);
        }
        match self.generation.as_ref()?.next() {
            Next::Prefill => Some(Need::Prefill),
            Next::Token => Some(Need::Token),
            Next::Wave(shape) => Some(Need::Wave(shape)),
            Next::Text | Next::Done => None,
        }
    }

    /// Whether it can take part in a step of the language model.
    pub fn takes_token(&self) -> bool {
        self.outbox.is_empty() && self.generation.as_ref().is_some_and(Generation::takes_token)
    }

    /// How soon its next packet must come, where making a hop takes `hop`.
    pub fn urgency(&self, hop: Duration, now: Instant) -> Urgency {
        match self.playback.dry_at(now) {
            Some(dry) if self.request.streaming => Urgency::playing(dry, hop, now),
            Some(dry) => Urgency::Playing(dry),
            None if self.request.streaming => {
                let unheard = self.summary.first_packet.is_none();
                // After a pause it is the new text that waits to be heard.
                Urgency::Unheard(if unheard { self.started } else { self.last_text })
            }
            None => Urgency::Playing(self.started + UNHURRIED),
        }
    }

    /// How long its client can go on playing what was sent.
    pub fn slack(&self, now: Instant) -> Duration {
        let dry = self.playback.dry_at(now);
        dry.map_or(Duration::ZERO, |dry| dry.saturating_duration_since(now))
    }

    /// Moves arrived text into the feed; speaks what is held when the stream has paused.
    fn take_text(&mut self, context: &Context) -> Result<(), EngineError> {
        let encode = |text: &str| context.model.tokenizer().encode(text);
        // What is answered at once must not pile up before a client that does not read.
        while self.text_open && self.outbox.is_empty() {
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
                TextEvent::Append(text) => {
                    let read = self.reader.push(&text);
                    self.append(read, encode);
                }
                TextEvent::Flush => {
                    self.release(encode);
                    if !self.feed.flush() {
                        self.outbox.push_back(AudioEvent::Flushed);
                        self.send_pending();
                    }
                }
                TextEvent::Finish => {
                    self.release(encode);
                    self.feed.close();
                    self.text_open = false;
                }
            }
        }
        let idle = Duration::from_millis(context.settings.engine.text_idle_ms);
        if self.text_open && self.holds_text() && remaining(self.last_text, idle).is_zero() {
            self.release(encode);
            self.feed.end_segment();
        }
        self.summary.text_tokens = self.feed.total_tokens;
        Ok(())
    }

    /// Lets all text go that was held because it might change.
    fn release(&mut self, encode: impl Fn(&str) -> Vec<u32>) {
        let read = self.reader.flush();
        self.append(read, encode);
        if let Some(words) = &mut self.words {
            words.close();
        }
    }

    fn append(&mut self, read: ReadText, encode: impl Fn(&str) -> Vec<u32>) {
        if let Some(words) = &mut self.words {
            read.pieces.iter().for_each(|piece| words.push(piece));
        }
        self.feed.append(&read.spoken, encode);
    }

    /// Tells the times of a segment's words, all of whose sound was heard.
    fn settle_words(&mut self) {
        let words = self.words.as_mut().map(WordTimes::settle).unwrap_or_default();
        if !words.is_empty() {
            self.outbox.push_back(AudioEvent::Words { words, settled: true });
        }
    }

    /// Text that only a pause, more text or the end will bring to speech.
    fn holds_text(&self) -> bool {
        !self.reader.is_empty() || self.feed.is_open()
    }

    fn idle_or_done(&mut self) -> Progress {
        if !self.feed.is_exhausted() {
            return Progress::Waiting;
        }
        self.summary.elapsed = self.started.elapsed();
        self.outbox.push_back(AudioEvent::Done(std::mem::take(&mut self.summary)));
        self.finished = true;
        self.send_pending();
        Progress::Ready
    }

    /// Samples for the client.
    pub fn emit(&mut self, samples: Vec<f32>, rate: u32) {
        if samples.is_empty() {
            return;
        }
        if samples.iter().any(|s| !s.is_finite()) {
            let reason = "the model produced audio that is not a number".into();
            return self.fail(EngineError::Failed(reason));
        }
        let seconds = samples.len() as f64 / f64::from(rate);
        self.summary.first_packet.get_or_insert_with(|| self.started.elapsed());
        self.summary.audio_seconds += seconds;
        if self.playback.sent(seconds, Instant::now()) && self.request.streaming {
            self.summary.underruns += 1;
            metrics::underrun();
        }
        if let Some(words) = &mut self.words {
            let expected = words.heard(&samples, rate);
            if self.generation.as_ref().is_some_and(|g| g.next() == Next::Done) {
                self.settle_words();
            } else if !expected.is_empty() {
                self.outbox.push_back(AudioEvent::Words { words: expected, settled: false });
            }
        }
        self.outbox.push_back(AudioEvent::Audio(samples));
        self.send_pending();
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
                // The next poll sees the closed channel.
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

/// What goes wrong inside the model is our fault: the client's mistakes are found before it.
pub(super) fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Failed(error.to_string())
}
