//! The dialect's part of the description at `/openapi.json`. What is read field by field has its
//! description here.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use super::{info, opus, queue, synthesize, voices};
use utoipa::{OpenApi, ToSchema};

/// What to say, and how. Parameters that the loaded model does not know are named in the header
/// `X-Ignored-Parameters` of the answer.
#[derive(ToSchema)]
pub struct IndexRequest {
    #[schema(example = "你好。", max_length = 1000)]
    text: String,
    /// Of `/reference_audios`.
    #[schema(default = 0)]
    reference_audio_index: Option<i64>,
    #[schema(default = true)]
    do_sample: Option<bool>,
    #[schema(default = 0.95, minimum = 0.0, maximum = 1.0)]
    top_p: Option<f64>,
    #[schema(default = 30, minimum = 0)]
    top_k: Option<i64>,
    #[schema(default = 1.2)]
    temperature: Option<f64>,
    #[schema(default = 10.0)]
    repetition_penalty: Option<f64>,
    #[schema(default = 600, minimum = 1)]
    max_mel_tokens: Option<i64>,
    #[schema(default = 120, minimum = 1)]
    max_text_tokens_per_sentence: Option<i64>,
    #[schema(default = 3, minimum = 1)]
    num_beams: Option<i64>,
    #[schema(default = 0.0)]
    length_penalty: Option<f64>,
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
