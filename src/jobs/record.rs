//! What is known of a job, as it is stored.

use super::JobError;
use crate::engine::{DEFAULT_VOICE, SamplingOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest id, in characters.
const LONGEST_ID: usize = 100;

/// Names a job: 1 to 100 ASCII letters, digits, `-` and `_`, so that it can name a file too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// # Errors
    /// [`JobError::Invalid`].
    pub fn new(id: &str) -> Result<Self, JobError> {
        let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        match (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(sound) {
            true => Ok(Self(id.into())),
            false => Err(JobError::Invalid("a job's id has letters, digits, `-` and `_`".into())),
        }
    }

    /// A new one: 32 hexadecimal digits.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for JobId {
    type Error = JobError;

    fn try_from(id: String) -> Result<Self, JobError> {
        Self::new(&id)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The voice a job is spoken with. An empty `text` means that the transcript is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobVoice {
    /// A registered voice.
    Named(String),
    /// An upload ([`super::Jobs::put_upload`]).
    Upload { file_id: String, text: String },
    /// A recording on the server, [confined](super::confine) by the caller.
    File { path: PathBuf, text: String },
}

/// What is to be spoken, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSpec {
    /// The dialect it came by; [`super::Jobs::list`] can be asked for those of one.
    pub kind: String,
    pub text: String,
    pub voice: JobVoice,
    pub sampling: SamplingOptions,
    /// Most text tokens of a segment, as the client wishes. Remembered for it: the engine's own
    /// segments have at most 100, whatever is wished.
    pub max_text_tokens: Option<usize>,
    /// Tempo, 0.5 to 2.
    pub speed: f32,
    /// Equal seeds give equal speech tokens.
    pub seed: Option<u64>,
    /// The WAV file to write, [confined](super::confine) to `storage.output_dir` by the caller. Folders
    /// on the way are made. None: the store keeps the result.
    pub output: Option<PathBuf>,
    /// What else the dialect wants to remember.
    pub extra: Value,
}

impl Default for JobSpec {
    fn default() -> Self {
        Self {
            kind: String::new(),
            text: String::new(),
            voice: JobVoice::Named(DEFAULT_VOICE.into()),
            sampling: SamplingOptions::default(),
            max_text_tokens: None,
            speed: 1.0,
            seed: None,
            output: None,
            extra: Value::Null,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Pending,
    Processing,
    Completed,
    Failed,
    Cancelled,
}

impl JobState {
    /// `pending`, `processing`, `completed`, `failed` or `cancelled`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing happens to the job any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Processing)
    }
}

/// A job and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    pub id: JobId,
    pub spec: JobSpec,
    pub state: JobState,
    /// 0 to 1, never less than before.
    pub progress: f32,
    /// Why it failed, for its client; empty otherwise.
    pub message: String,
    /// As in the answers of all dialects, of jobs that failed.
    pub error_code: Option<String>,
    /// Unix time in seconds, as all times here.
    pub created_at: f64,
    pub started_at: Option<f64>,
    pub completed_at: Option<f64>,
    /// When the state or the progress last changed.
    #[serde(default)]
    pub updated_at: f64,
    /// Of the audio.
    pub duration_ms: Option<u64>,
    pub sample_rate: Option<u32>,
    /// Seconds from the start to the end.
    pub process_seconds: Option<f64>,
    /// What is wrong with the recording its voice was made of: [lines](crate::audio::PromptWarning::line).
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How often it was begun.
    pub attempts: u32,
    /// Grows with every change; a change of an older version is refused.
    pub(super) version: u64,
}

impl JobRecord {
    pub(super) fn new(id: JobId, spec: JobSpec) -> Self {
        let created_at = now();
        Self {
            id,
            spec,
            state: JobState::Pending,
            progress: 0.0,
            message: String::new(),
            error_code: None,
            created_at,
            updated_at: created_at,
            started_at: None,
            completed_at: None,
            duration_ms: None,
            sample_rate: None,
            process_seconds: None,
            warnings: Vec::new(),
            attempts: 0,
            version: 0,
        }
    }

    pub(super) fn start(&mut self) {
        self.state = JobState::Processing;
        self.updated_at = now();
        self.started_at = Some(self.updated_at);
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Waits again, its server having ended.
    pub(super) fn interrupt(&mut self) {
        self.state = JobState::Pending;
        self.updated_at = now();
        self.started_at = None;
        self.progress = 0.0;
    }

    /// Waits again, as if it had not been begun.
    pub(super) fn put_back(&mut self) {
        self.interrupt();
        self.attempts = self.attempts.saturating_sub(1);
    }

    /// As it is stored when it replaces this version.
    pub(super) fn next_version(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }

    /// Whether it is being spoken, and by whom it was when it was like `ours`.
    pub(super) fn is_same_attempt(&self, ours: &Self) -> bool {
        self.state == JobState::Processing && self.attempts == ours.attempts
    }

    pub(super) fn end(&mut self, state: JobState) {
        let end = now();
        self.state = state;
        self.completed_at = Some(end);
        self.updated_at = end;
        self.process_seconds = self.started_at.map(|start| (end - start).max(0.0));
    }

    pub(super) fn fail(&mut self, code: &str, message: impl Into<String>) {
        self.end(JobState::Failed);
        self.error_code = Some(code.into());
        self.message = message.into();
    }
}

/// An uploaded recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileInfo {
    /// SHA-256 of the content in hexadecimal.
    pub file_id: String,
    /// As the client called it first.
    pub filename: String,
    /// In bytes.
    pub size: u64,
    /// Unix time in seconds.
    pub created: f64,
    /// Until when it is kept, unless it is uploaded again.
    pub expires: f64,
    /// Whether the content was there already when it was uploaded.
    #[serde(skip)]
    pub is_duplicate: bool,
}

/// What the store holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Statistics {
    pub pending: usize,
    pub processing: usize,
    pub completed: usize,
    pub failed: usize,
    pub cancelled: usize,
    /// Mean of the completed jobs; 0 without any.
    pub mean_process_seconds: f64,
    /// Workers of this server.
    pub workers: usize,
    pub storage_bytes: u64,
    pub storage_limit: u64,
}

/// Unix time in seconds.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}
