//! The dialect's part of the description at `/openapi.json`. What is read field by field has its
//! description here.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use super::{info, opus, queue, synthesize, voices};
use crate::server::openapi::Text;
use utoipa::{OpenApi, ToSchema};

/// What to say, and how. Numbers may be text, as forms of web pages send them. Parameters that the
/// loaded model does not know are checked, and named in the header `X-Ignored-Parameters` of the
/// answer; those at their documented defaults leave the loaded model its own.
#[derive(ToSchema)]
pub struct IndexRequest {
    #[serde(flatten)]
    speech: IndexStreamRequest,
    /// Ignored: there is one way of inference.
    #[schema(default = false)]
    use_fast_inference: Option<bool>,
    /// Ignored, like the fast inference that it is for.
    #[schema(default = 2, minimum = 1)]
    sentences_bucket_max_size: Option<i64>,
}

/// What to say, in which voice.
#[derive(ToSchema)]
pub struct IndexSimpleRequest {
    #[schema(value_type = Text)]
    text: String,
    /// Of `/reference_audios`.
    #[schema(default = 0, minimum = 0)]
    reference_audio_index: Option<i64>,
}

/// What to say, and how. See `IndexRequest`.
#[derive(ToSchema)]
pub struct IndexStreamRequest {
    #[schema(value_type = Text)]
    text: String,
    /// Of `/reference_audios`.
    #[schema(default = 0, minimum = 0)]
    reference_audio_index: Option<i64>,
    /// Ignored: the log says what its settings say.
    #[schema(default = false)]
    verbose: Option<bool>,
    /// Ignored: the model has segments of its own.
    #[schema(default = 120, minimum = 1)]
    max_text_tokens_per_sentence: Option<i64>,
    /// False: always the most probable token, and the same speech for the same text.
    #[schema(default = true)]
    do_sample: Option<bool>,
    #[schema(default = 0.95, minimum = 0.0, maximum = 1.0)]
    top_p: Option<f64>,
    /// 0: no limit.
    #[schema(default = 30, minimum = 0)]
    top_k: Option<i64>,
    #[schema(default = 1.2, minimum = 0.01, maximum = 100.0)]
    temperature: Option<f64>,
    /// Ignored: the model has no beams.
    #[schema(default = 0.0)]
    length_penalty: Option<f64>,
    /// Ignored: the model has no beams.
    #[schema(default = 3, minimum = 1)]
    num_beams: Option<i64>,
    #[schema(default = 10.0, minimum = 0.01, maximum = 100.0)]
    repetition_penalty: Option<f64>,
    /// Bounds the length of the speech, in tokens of IndexTTS: 23.4375 a second.
    #[schema(default = 600, minimum = 1)]
    max_mel_tokens: Option<i64>,
}

/// What to say, and how, and how it is encoded. See `IndexRequest`.
#[derive(ToSchema)]
pub struct IndexOpusRequest {
    #[serde(flatten)]
    speech: IndexStreamRequest,
    /// Bits per second.
    #[schema(default = 32000, minimum = 8000, maximum = 512_000)]
    opus_bitrate: Option<i64>,
    /// More is better and takes longer.
    #[schema(default = 10, minimum = 0, maximum = 10)]
    opus_complexity: Option<i64>,
}

/// Who is served by `/synthesize_stream_opus`.
#[derive(ToSchema)]
pub struct IndexQueue {
    is_processing: bool,
    queue_available: bool,
    /// Seconds since 1970.
    timestamp: f64,
    /// Where somebody is served.
    #[schema(required = false)]
    current_request: IndexQueued,
}

#[derive(ToSchema)]
pub struct IndexQueued {
    /// The first 50 characters.
    text_preview: String,
    #[schema(minimum = 0)]
    reference_audio_index: u64,
    #[schema(minimum = 0)]
    processing_duration_seconds: f64,
    /// Seconds since 1970.
    start_time: f64,
}

/// The registered voices, in the order of their names.
#[derive(ToSchema)]
pub struct IndexAudios {
    reference_audios: Vec<IndexAudio>,
    #[schema(minimum = 0)]
    total_count: u64,
}

#[derive(ToSchema)]
pub struct IndexAudio {
    #[schema(minimum = 0)]
    index: u64,
    #[schema(example = "voices/default.wav")]
    path: String,
    exists: bool,
    #[schema(example = "default.wav")]
    filename: String,
}

/// What is loaded.
#[derive(ToSchema)]
pub struct IndexModel {
    model_loaded: bool,
    #[schema(example = "cpu")]
    device: String,
    is_fp16: bool,
    use_cuda_kernel: bool,
    #[schema(example = "CosyVoice2")]
    model_version: String,
    #[schema(example = "mynah-mini/config.json")]
    config_path: String,
    #[schema(example = "mynah-mini")]
    model_dir: String,
}

#[derive(OpenApi)]
#[openapi(
    paths(
        synthesize::whole,
        synthesize::simple,
        synthesize::stream,
        synthesize::test,
        opus::handle,
        queue::status,
        voices::list,
        voices::download,
        info::model,
        info::test_stream,
    ),
    tags((name = "index", description = "The interface of the IndexTTS API server"))
)]
pub struct Api;
