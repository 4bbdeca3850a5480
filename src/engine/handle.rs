//! What callers hold: the way into the engine, and one session's two ends.

use super::{EngineError, Prompt, Readings, Registry};
use crate::audio::Clip;
use crate::model::cosyvoice2::SamplingOptions;
use crate::model::device::{self, DeviceMemory};
use crate::text::Normalizer;
use burn::tensor::Device;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// The voice a session speaks with.
#[derive(Debug, Clone)]
pub enum VoiceSource {
    /// A registered voice.
    Named(String),
    /// A recording and what is said in it; an empty text stands for what is not known.
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
    /// Whether audio leaves hop by hop, or sentence by sentence, which sounds a little better.
    pub streaming: bool,
    /// Tempo, 0.5 to 2. Heeded only without `streaming`.
    pub speed: f32,
    /// Equal seeds give equal speech tokens.
    pub seed: Option<u64>,
    pub sampling: SamplingOptions,
    /// Whether [`AudioEvent::Words`] tell when each word is spoken.
    pub timestamps: bool,
    /// Whether its text is normalised; none where the settings decide.
    pub normalize: Option<bool>,
}

/// Text of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum TextEvent {
    /// More text, cut anywhere between characters.
    Append(String),
    /// Speak what has come so far without waiting for more, and answer with
    /// [`AudioEvent::Flushed`] when it is spoken.
    Flush,
    /// No more text follows.
    Finish,
}

/// What a session reports, in this order: `Started`, any number of `Audio` with `Words` and
/// `Flushed` between, then one of `Done` or `Failed`.
#[derive(Debug, Clone)]
pub enum AudioEvent {
    /// The session left the queue and has its voice.
    Started {
        queued: Duration,
        voice_cached: bool,
    },
    /// Mono samples in `[-1, 1]` at [`EngineStatus::sample_rate`].
    Audio(Vec<f32>),
    /// When words are spoken, for sessions with [`SpeakRequest::timestamps`]. First as an estimate,
    /// before the audio they are expected in; then, `settled`, all words of a segment once all of
    /// its sound is known, before its last audio.
    Words {
        words: Vec<WordTime>,
        settled: bool,
    },
    /// All text before a [`TextEvent::Flush`] is spoken.
    Flushed,
    Done(Summary),
    Failed(EngineError),
}

/// When a word is spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct WordTime {
    /// As the client wrote it, without punctuation around it.
    pub text: String,
    /// Seconds of the session's audio.
    pub start: f64,
    pub end: f64,
    /// Its place in all of the session's text, in characters, the end exclusive.
    pub from: usize,
    pub to: usize,
}

/// What a finished session did.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// From leaving the queue to the first audio.
    pub first_packet: Option<Duration>,
    /// From leaving the queue to the end.
    pub elapsed: Duration,
    pub audio_seconds: f64,
    pub text_tokens: usize,
    pub speech_tokens: usize,
    /// Packets of a stream that were made after the sound before them had played out.
    pub underruns: usize,
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
    /// What reads its text; none where it is spoken as it is written.
    pub normalizer: Option<Normalizer>,
    pub text: mpsc::Receiver<TextEvent>,
    pub events: mpsc::Sender<AudioEvent>,
    /// The place in the engine or its queue that this request holds until it is dropped.
    pub place: OwnedSemaphorePermit,
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
    /// How long the step in progress has been running; zero between steps.
    pub stalled_for: Duration,
    /// As `/query_tts_model` lists it.
    pub model_name: String,
    /// Of the model that is loaded. None until it is.
    pub model_version: Option<String>,
    /// Samples per second of [`AudioEvent::Audio`].
    pub sample_rate: u32,
    /// Names of registered voices.
    pub voices: Vec<String>,
}

/// Facts that the engine thread writes and everybody reads.
pub(super) struct Shared {
    started: Instant,
    pub ready: AtomicBool,
    pub draining: AtomicBool,
    pub active: AtomicUsize,
    pub queued: AtomicUsize,
    /// Milliseconds from `started` to the beginning of the step in progress, plus 1; 0 between
    /// steps.
    step_began: AtomicU64,
    model_name: String,
    pub model_version: OnceLock<String>,
    sample_rate: u32,
    registry: Registry,
    readings: Readings,
    /// Where the model is, once it is loaded.
    pub device: OnceLock<Device>,
}

impl Shared {
    pub fn new(model_name: &str, sample_rate: u32, registry: Registry, readings: Readings) -> Self {
        Self {
            started: Instant::now(),
            ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            active: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            step_began: AtomicU64::new(0),
            model_name: model_name.into(),
            model_version: OnceLock::new(),
            sample_rate,
            registry,
            readings,
            device: OnceLock::new(),
        }
    }

    pub fn begin_step(&self) {
        self.step_began.store(self.started.elapsed().as_millis() as u64 + 1, Ordering::Release);
    }

    pub fn end_step(&self) {
        self.step_began.store(0, Ordering::Release);
    }
}

/// The way into the engine. Cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    submissions: mpsc::Sender<Submission>,
    shared: Arc<Shared>,
    /// One permit per session that may generate or wait.
    places: Arc<Semaphore>,
    output_packets: usize,
}

impl EngineHandle {
    /// A handle for `places` requests at a time, generating or waiting, and the end the engine
    /// reads.
    pub(super) fn new(
        shared: Arc<Shared>,
        places: usize,
        output_packets: usize,
    ) -> (Self, mpsc::Receiver<Submission>) {
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        let (submissions, incoming) = mpsc::channel(places);
        let places = Arc::new(Semaphore::new(places));
        (Self { submissions, shared, places, output_packets: output_packets.max(1) }, incoming)
    }

    /// Queues an utterance. Returns at once: the session's first event tells when it starts.
    ///
    /// # Errors
    /// [`EngineError::NotReady`], [`EngineError::Draining`], or [`EngineError::Overloaded`] when
    /// the queue is full. What is wrong with the request itself arrives as
    /// [`AudioEvent::Failed`].
    pub fn speak(&self, request: SpeakRequest) -> Result<Session, EngineError> {
        if self.shared.draining.load(Ordering::Acquire) {
            return Err(EngineError::Draining);
        }
        if !self.shared.ready.load(Ordering::Acquire) {
            return Err(EngineError::NotReady);
        }
        let overloaded = EngineError::Overloaded { retry_after: Duration::from_secs(2) };
        let place = self.places.clone().try_acquire_owned().map_err(|_| overloaded.clone())?;
        let (text, text_in) = mpsc::channel(64);
        let (events_out, events) = mpsc::channel(self.output_packets);
        let submission = Submission {
            normalizer: self.shared.readings.of_request(request.normalize),
            request,
            submitted: Instant::now(),
            text: text_in,
            events: events_out,
            place,
        };
        self.shared.queued.fetch_add(1, Ordering::AcqRel);
        self.submissions.try_send(submission).map_err(|e| {
            self.shared.queued.fetch_sub(1, Ordering::AcqRel);
            match e {
                mpsc::error::TrySendError::Full(_) => overloaded,
                mpsc::error::TrySendError::Closed(_) => {
                    EngineError::Failed("the engine thread has ended".into())
                }
            }
        })?;
        Ok(Session { text, events })
    }

    pub fn status(&self) -> EngineStatus {
        let shared = &self.shared;
        let now = shared.started.elapsed();
        let stalled_for = match shared.step_began.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            began => now.saturating_sub(Duration::from_millis(began - 1)),
        };
        EngineStatus {
            ready: shared.ready.load(Ordering::Acquire),
            draining: shared.draining.load(Ordering::Acquire),
            active: shared.active.load(Ordering::Acquire),
            queued: shared.queued.load(Ordering::Acquire),
            stalled_for,
            model_name: shared.model_name.clone(),
            model_version: shared.model_version.get().cloned(),
            sample_rate: shared.sample_rate,
            voices: shared.registry.names(),
        }
    }

    /// Memory of the model's device. None on the CPU, and while there is no model.
    pub fn device_memory(&self) -> Option<DeviceMemory> {
        self.shared.device.get().and_then(device::memory)
    }

    /// The recording and transcript of a registered voice. Reads a stored one from disk.
    ///
    /// # Errors
    /// [`EngineError::UnknownVoice`], and [`EngineError::Failed`] for a stored voice that cannot be
    /// read.
    pub fn prompt(&self, voice: &str) -> Result<Prompt, EngineError> {
        self.shared.registry.prompt(voice)
    }

    /// How texts are read.
    pub fn readings(&self) -> &Readings {
        &self.shared.readings
    }

    /// Registered voices, those of the store among them.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// Refuses new sessions from now on; those that run go on to their end.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }
}
