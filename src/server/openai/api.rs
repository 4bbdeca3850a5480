//! The dialect's part of the description at `/openapi.json`. What is read field by field has its
//! description here.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use super::{models, speech, voices};
use crate::server::openapi::Text;
use utoipa::{OpenApi, ToSchema};

/// What to say, and how.
#[derive(ToSchema)]
pub struct OpenaiSpeech {
    #[schema(value_type = Text)]
    input: String,
    /// Of `/v1/models`, or one of OpenAI's names, which stand for it.
    #[schema(example = "tts-1")]
    model: Option<String>,
    voice: Option<OpenaiVoiceName>,
    #[schema(default = "mp3")]
    response_format: Option<OpenaiFormat>,
    /// Other speeds than 1 are made sentence by sentence.
    #[schema(default = 1.0, minimum = 0.5, maximum = 2.0)]
    speed: Option<f64>,
    /// Whether numbers, dates, abbreviations are read as a person would. Unset: as the settings say.
    normalize: Option<bool>,
    /// `sse`: sound in events, see `OpenaiEvent`.
    #[schema(default = "audio")]
    stream_format: Option<OpenaiStream>,
    /// Ignored, which the header `X-Notice` says.
    instructions: Option<String>,
}

/// The name of a registered voice. One of OpenAI's own stands for `default` where none is registered
/// under it.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum OpenaiVoiceName {
    #[schema(example = "alloy")]
    Name(String),
    Object {
        #[schema(example = "default")]
        id: String,
    },
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum OpenaiFormat {
    Mp3,
    Opus,
    Flac,
    Wav,
    /// At 24000 Hz.
    Pcm,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum OpenaiStream {
    Audio,
    Sse,
}

/// A server-sent event.
#[derive(ToSchema)]
pub struct OpenaiSse {
    /// An `OpenaiEvent` as JSON.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// The data of a server-sent event.
#[derive(ToSchema)]
#[serde(tag = "type")]
pub enum OpenaiEvent {
    #[serde(rename = "speech.audio.delta")]
    Delta {
        /// In base64.
        audio: String,
    },
    #[serde(rename = "speech.audio.done")]
    Done { usage: OpenaiUsage },
    /// What ended the speech early.
    #[serde(rename = "error")]
    Error { error: OpenaiProblemDetail },
}

#[derive(ToSchema)]
pub struct OpenaiUsage {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
}

/// The form that registers a voice.
#[derive(ToSchema)]
pub struct OpenaiNewVoice {
    /// Letters, digits, `-`, `_` and `.`.
    #[schema(
        example = "anna",
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"
    )]
    name: String,
    /// WAV, MP3, FLAC, M4A or OGG, 0.5 to 30 s.
    #[schema(value_type = String, format = Binary)]
    audio_sample: Vec<u8>,
    /// What is said in it.
    #[schema(value_type = Text)]
    ref_text: String,
    /// Must be true: the speaker agrees that this voice is made.
    consent: bool,
}

#[derive(ToSchema)]
pub struct OpenaiVoices {
    #[schema(example = "list")]
    object: String,
    data: Vec<OpenaiVoice>,
    /// The names alone.
    voices: Vec<String>,
}

#[derive(ToSchema)]
pub struct OpenaiVoice {
    id: String,
    #[schema(example = "audio.voice")]
    object: String,
    name: String,
    /// Seconds since 1970, of a voice that clients registered.
    #[schema(required = false)]
    created_at: u64,
    /// True of a voice that comes with the model and cannot be deleted.
    #[schema(required = false)]
    bundled: bool,
}

#[derive(ToSchema)]
pub struct OpenaiDeleted {
    id: String,
    #[schema(example = "audio.voice.deleted")]
    object: String,
    deleted: bool,
}

#[derive(ToSchema)]
pub struct OpenaiModels {
    #[schema(example = "list")]
    object: String,
    data: Vec<OpenaiModel>,
}

#[derive(ToSchema)]
pub struct OpenaiModel {
    #[schema(example = "CosyVoice2")]
    id: String,
    #[schema(example = "model")]
    object: String,
    /// Seconds since 1970.
    created: u64,
    owned_by: String,
}

/// Why a request failed.
#[derive(ToSchema)]
pub struct OpenaiProblem {
    error: OpenaiProblemDetail,
}

#[derive(ToSchema)]
pub struct OpenaiProblemDetail {
    #[schema(example = "`speed` must be a number")]
    message: String,
    #[schema(example = "invalid_request_error")]
    r#type: String,
    /// Always null: the message names the parameter.
    param: Option<String>,
    #[schema(example = "invalid_parameter")]
    code: String,
}

#[derive(OpenApi)]
#[openapi(
    paths(
        speech::handle,
        voices::list,
        voices::add,
        voices::remove,
        models::list,
        models::get,
    ),
    components(schemas(OpenaiEvent, OpenaiProblem)),
    tags((name = "openai", description = "The interface of OpenAI's speech API"))
)]
pub struct Api;
