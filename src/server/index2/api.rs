//! The dialect's part of the description at `/openapi.json`. What is read field by field has its
//! description here.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use super::{files, tasks, tts};
use crate::server::openapi::Text;
use utoipa::{OpenApi, ToSchema};

/// What to say, and how. Numbers may be text, as forms of web pages send them. What the loaded model
/// has no use for is checked, and named in the header `X-Ignored-Parameters` of the answer.
/// Parameters at their defaults leave the loaded model its own.
#[derive(ToSchema)]
pub struct Index2Request {
    #[schema(value_type = Text)]
    text: String,
    /// The `file_id` of an upload whose voice is to be used. None: the default voice.
    #[schema(example = json!(null))]
    prompt_audio_id: Option<String>,
    /// 0: the emotion of the voice's recording; 1: of another recording; 2: `emo_vector`; 3: as
    /// `emo_text` describes. The loaded model knows no other than 0, nor a vector that is more than
    /// calm: 501.
    #[schema(default = 0, minimum = 0, maximum = 3)]
    emo_control_method: Option<i64>,
    /// For method 1: the `file_id` of an upload.
    emo_audio_id: Option<String>,
    /// The same by its older name.
    emo_audio_path: Option<String>,
    /// For method 2: joy, anger, sadness, fear, disgust, low mood, surprise, calm, each 0 to 1.
    #[schema(schema_with = crate::server::openapi::shares)]
    emo_vector: Option<Vec<f64>>,
    /// For method 3.
    emo_text: Option<String>,
    /// With 0 all methods are neutral.
    #[schema(minimum = 0.0, maximum = 1.0)]
    emo_weight: Option<f64>,
    #[schema(default = false)]
    emo_random: Option<bool>,
    #[schema(default = 120, minimum = 20, maximum = 500)]
    max_text_tokens_per_segment: Option<i64>,
    #[schema(default = true)]
    do_sample: Option<bool>,
    #[schema(default = 0.8, minimum = 0.0, maximum = 1.0)]
    top_p: Option<f64>,
    /// 0: no limit.
    #[schema(default = 30, minimum = 0, maximum = 100)]
    top_k: Option<i64>,
    #[schema(default = 0.8, minimum = 0.1, maximum = 2.0)]
    temperature: Option<f64>,
    #[schema(default = 0.0, minimum = -2.0, maximum = 2.0)]
    length_penalty: Option<f64>,
    #[schema(default = 3, minimum = 1, maximum = 10)]
    num_beams: Option<i64>,
    #[schema(default = 10.0, minimum = 0.1, maximum = 20.0)]
    repetition_penalty: Option<f64>,
    /// Bounds the length of the speech, in tokens of IndexTTS2: about 50 a second.
    #[schema(default = 1500, minimum = 50, maximum = 3000)]
    max_mel_tokens: Option<i64>,
}

/// A task that has been made, or that has been waited for.
#[derive(ToSchema)]
pub struct Index2Created {
    success: bool,
    message: String,
    task_id: String,
    /// Where the speech is found, of a task that is completed.
    audio_url: Option<String>,
    /// Milliseconds of the speech.
    #[schema(minimum = 0)]
    duration: Option<u64>,
}

/// A task as it stands.
#[derive(ToSchema)]
pub struct Index2Task {
    task_id: String,
    status: Index2Status,
    #[schema(minimum = 0.0, maximum = 1.0)]
    progress: f64,
    message: String,
    /// Of a task that failed, as in the errors of all requests.
    error_code: Option<String>,
    /// Where the speech is found, of a task that is completed.
    audio_url: Option<String>,
    /// Milliseconds of the speech.
    #[schema(minimum = 0)]
    duration: Option<u64>,
    /// Seconds since 1970.
    created_at: f64,
    completed_at: Option<f64>,
}

/// What was cancelled has failed.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Index2Status {
    Pending,
    Processing,
    Completed,
    Failed,
}

#[derive(ToSchema)]
pub struct Index2Tasks {
    /// Newest first.
    tasks: Vec<Index2Task>,
}

#[derive(ToSchema)]
pub struct Index2Deleted {
    success: bool,
    message: String,
}

/// The form of an upload.
#[derive(ToSchema)]
pub struct Index2Form {
    /// A recording of 0.5 to 30 s, whose name ends in `.wav`, `.mp3`, `.m4a` or `.flac`.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// An upload just stored. Name and size are told under the names of two revisions of the service.
#[derive(ToSchema)]
pub struct Index2Uploaded {
    success: bool,
    message: String,
    /// SHA-256 of the content.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    file_id: String,
    filename: String,
    original_filename: String,
    saved_filename: String,
    size: u64,
    file_size: u64,
    /// Whether the same content was there already.
    is_duplicate: bool,
    /// Seconds since 1970.
    upload_time: f64,
    expires_at: f64,
}

/// What is known of an upload.
#[derive(ToSchema)]
pub struct Index2File {
    success: bool,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    file_id: String,
    filename: String,
    size: u64,
    file_size: u64,
    /// Seconds since 1970.
    created_time: f64,
    modified_time: f64,
    expires_at: f64,
}

#[derive(ToSchema)]
pub struct Index2Files {
    success: bool,
    count: u64,
    /// Their names by their ids.
    #[schema(value_type = HashMap<String, String>)]
    files: std::collections::HashMap<String, String>,
}

#[derive(ToSchema)]
pub struct Index2Health {
    /// `healthy` or `unhealthy`.
    #[schema(example = "healthy")]
    status: String,
    model_loaded: bool,
}

/// Why a request failed.
#[derive(ToSchema)]
pub struct Index2Problem {
    /// False.
    success: bool,
    /// What was wrong this time, which `detail` says too.
    #[schema(example = "`text` is missing")]
    message: String,
    detail: String,
    /// For programs.
    #[schema(example = "INVALID_PARAMETER")]
    error_code: String,
    /// Of `/api/v1/tts/sync`: the task that failed.
    #[schema(required = false)]
    task_id: String,
}

#[derive(OpenApi)]
#[openapi(
    paths(
        tts::begin,
        tts::wait,
        tasks::one,
        tasks::delete,
        tasks::all,
        tasks::audio,
        files::upload,
        files::one,
        files::all,
        super::health,
    ),
    components(schemas(Index2Problem)),
    tags((name = "index2", description = "The interface of the IndexTTS2 REST API"))
)]
pub struct Api;
