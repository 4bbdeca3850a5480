//! What callers hold: the way into the engine, and one session's two ends.

use super::EngineError;
use crate::audio::Clip;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The voice a session speaks with.
#[derive(Debug, Clone)]
pub enum VoiceSource {
    /// A registered voice.
    Named(String),
    /// A recording and what is said in it.
    Prompt { audio: Arc<Clip>, text: String },
}

/// How the text comes.
#[derive(Debug, Clone)]
pub enum TextInput {
    /// All at once; it is split into sentences.
    Whole(String),
    /// In pieces, through [`Session::text`].
    Stream,
}

/// One utterance to be spoken.
#[derive(Debug, Clone)]
pub struct SpeakRequest {
    /// Names the request in logs and errors.
    pub id: String,
    pub voice: VoiceSource,
    pub text: TextInput,
    /// Tempo, 0.5 to 2. Only 1 when `streaming`.
    pub speed: f32,
    /// Equal seeds give equal speech.
    pub seed: Option<u64>,
    /// Whether audio leaves hop by hop, or once the whole is made (which `speed` needs).
    pub streaming: bool,
}

/// Text of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum TextEvent {
    /// More text, cut anywhere between characters.
    Append(String),
    /// Speak what has come so far without waiting for more.
    Flush,
    /// No more text follows.
    Finish,
}

/// What a session reports, in this order: `Started`, any number of `Audio`, then one of `Done` or
/// `Failed`.
#[derive(Debug, Clone)]
pub enum AudioEvent {
    /// The session left the queue.
    Started {
        queued: Duration,
        voice_cached: bool,
    },
    /// Mono samples in `[-1, 1]` at [`EngineStatus::sample_rate`].
    Audio(Vec<f32>),
    Done(Summary),
    Failed(EngineError),
}

/// What a finished session did.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// From admission to the first audio.
    pub first_packet: Option<Duration>,
    /// From admission to the end.
    pub elapsed: Duration,
    pub audio_seconds: f64,
    pub text_tokens: usize,
    pub speech_tokens: usize,
}

/// One utterance in the engine. Dropping it cancels the utterance within one step.
#[derive(Debug)]
pub struct Session {
    /// Text of a [`TextInput::Stream`]; ignored otherwise. Dropping it is `Finish`.
    pub text: mpsc::Sender<TextEvent>,
    pub events: mpsc::Receiver<AudioEvent>,
}

/// The engine's end of a [`Session`].
pub(super) struct Submission {
    pub request: SpeakRequest,
    pub submitted: Instant,
    pub text: mpsc::Receiver<TextEvent>,
    pub events: mpsc::Sender<AudioEvent>,
}

/// What health checks and metrics may know without asking the engine thread.
#[derive(Debug, Clone)]
pub struct EngineStatus {
    /// Loaded and warmed up.
    pub ready: bool,
    pub draining: bool,
    /// Generating now.
    pub active: usize,
    /// Waiting for a session.
    pub queued: usize,
    /// Since the engine last finished a step, while it has work; zero when idle.
    pub stalled_for: Duration,
    /// As `/query_tts_model` lists it.
    pub model_name: String,
    /// Samples per second of [`AudioEvent::Audio`].
    pub sample_rate: u32,
    /// Names of registered voices.
    pub voices: Vec<String>,
}

/// Facts that the engine thread writes and everybody reads.
pub(super) struct Shared {
    pub started: Instant,
    pub ready: AtomicBool,
    pub draining: AtomicBool,
    pub active: AtomicUsize,
    pub queued: AtomicUsize,
    /// Milliseconds from `started` to the last finished step.
    pub progress_ms: AtomicU64,
    pub model_name: String,
    pub sample_rate: u32,
    pub voices: Vec<String>,
    pub queue: usize,
}

/// The way into the engine. Cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    pub(super) submissions: mpsc::Sender<Submission>,
    pub(super) shared: Arc<Shared>,
    pub(super) output_packets: usize,
}

impl EngineHandle {
    /// Queues an utterance. Returns at once: the session's first event tells when it starts.
    ///
    /// # Errors
    /// [`EngineError::NotReady`], [`EngineError::Draining`], or [`EngineError::Overloaded`] when
    /// the queue is full. What is wrong with the request itself arrives as
    /// [`AudioEvent::Failed`].
    pub fn speak(&self, request: SpeakRequest) -> Result<Session, EngineError> {
        let shared = &self.shared;
        if shared.draining.load(Ordering::Acquire) {
            return Err(EngineError::Draining);
        }
        if !shared.ready.load(Ordering::Acquire) {
            return Err(EngineError::NotReady);
        }
        let overloaded = || EngineError::Overloaded { retry_after: Duration::from_secs(2) };
        let (text, text_in) = mpsc::channel(64);
        let (events_out, events) = mpsc::channel(self.output_packets.max(1));
        let submission =
            Submission { request, submitted: Instant::now(), text: text_in, events: events_out };
        shared.queued.fetch_add(1, Ordering::AcqRel);
        self.submissions.try_send(submission).map_err(|e| {
            shared.queued.fetch_sub(1, Ordering::AcqRel);
            match e {
                mpsc::error::TrySendError::Full(_) => overloaded(),
                mpsc::error::TrySendError::Closed(_) => EngineError::Draining,
            }
        })?;
        Ok(Session { text, events })
    }

    pub fn status(&self) -> EngineStatus {
        let s = &self.shared;
        let (active, queued) = (s.active.load(Ordering::Acquire), s.queued.load(Ordering::Acquire));
        let progress = Duration::from_millis(s.progress_ms.load(Ordering::Acquire));
        let busy = active + queued > 0;
        EngineStatus {
            ready: s.ready.load(Ordering::Acquire),
            draining: s.draining.load(Ordering::Acquire),
            active,
            queued,
            stalled_for: if busy {
                s.started.elapsed().saturating_sub(progress)
            } else {
                Duration::ZERO
            },
            model_name: s.model_name.clone(),
            sample_rate: s.sample_rate,
            voices: s.voices.clone(),
        }
    }

    /// Refuses new sessions from now on; those that run go on to their end.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }
}
