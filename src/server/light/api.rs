//! The dialect's part of the description at `/openapi.json`. What is read field by field has its
//! description here.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use super::{bistream, zero_shot};
use crate::server::openapi::Text;
use utoipa::{OpenApi, ToSchema};

/// The form of `/inference_zero_shot`. Booleans may be true/false, 1/0, yes/no or on/off.
#[derive(ToSchema)]
pub struct LightForm {
    #[schema(value_type = Text)]
    tts_text: String,
    /// What is said in the recording. Needed unless `voice` names a registered voice.
    #[schema(value_type = Text, required = false)]
    prompt_text: String,
    /// The recording whose voice is to be used: WAV, MP3, FLAC, M4A or OGG, 0.5 to 30 s. Needed
    /// unless `voice` names a registered voice.
    #[schema(value_type = String, format = Binary, required = false)]
    prompt_wav: Vec<u8>,
    /// A registered voice, in place of `prompt_text` and `prompt_wav`.
    #[schema(example = "default", max_length = 256, required = false)]
    voice: String,
    /// Whether sound is sent as it is made: raw 16-bit samples instead of a WAV file.
    #[schema(default = false, required = false)]
    stream: bool,
    /// Only without `stream`.
    #[schema(default = 1.0, minimum = 0.5, maximum = 2.0, required = false)]
    speed: f32,
    /// `default`, or the loaded model's name.
    #[schema(default = "default", max_length = 256, required = false)]
    tts_model_name: String,
    /// The same seed gives the same speech.
    #[schema(minimum = 0, required = false)]
    seed: u64,
    /// Unset: the model's own, or that of the settings. Of `mp3` only its rates.
    #[schema(minimum = 8000, maximum = 48000, required = false)]
    sample_rate: u32,
    /// Whether numbers, dates, abbreviations are read as a person would. Unset: as the settings say.
    #[schema(example = true, required = false)]
    normalize: bool,
    /// Sets the media type of the answer too, which is `application/octet-stream` without.
    #[schema(required = false)]
    response_format: LightFormat,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum LightFormat {
    Wav,
    Pcm,
    Opus,
    Mp3,
    Flac,
}

/// The first frame of the WebSocket. With `prompt_text` a binary frame or several with the recording
/// follow; with `voice`, text follows.
#[derive(ToSchema)]
pub struct LightInit {
    prompt_text: Option<String>,
    #[schema(example = "default")]
    voice: Option<String>,
    #[schema(default = "default")]
    tts_model_name: Option<String>,
    #[schema(minimum = 8000, maximum = 48000)]
    sample_rate: Option<u32>,
    response_format: Option<LightFormat>,
    seed: Option<u64>,
    /// Whether JSON frames tell of the progress: see `LightEvent`.
    #[schema(default = false)]
    events: Option<bool>,
}

/// A frame of text. Texts may be cut anywhere, also inside a word.
#[derive(ToSchema)]
pub struct LightText {
    #[schema(example = "Good mor")]
    tts_text: Option<String>,
    /// Whether nothing more follows. The server then closes with 1000 after the last sound.
    #[schema(default = false)]
    finish: Option<bool>,
}

/// A frame of the server for clients that asked for `events`.
#[derive(ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LightEvent {
    /// Before the first sound.
    AudioStart {
        request_id: String,
        sample_rate: u32,
        queued_ms: f64,
        first_packet_ms: f64,
        voice_cached: bool,
    },
    /// After each frame of sound.
    Progress { audio_seconds: f64, elapsed_ms: f64 },
    /// After the last.
    Done {
        audio_seconds: f64,
        elapsed_ms: f64,
        first_packet_ms: Option<f64>,
        text_tokens: u64,
        speech_tokens: u64,
    },
}

#[derive(ToSchema)]
pub struct LightModels {
    #[schema(example = json!(["CosyVoice2"]))]
    tts_models: Vec<String>,
}

#[derive(OpenApi)]
#[openapi(
    paths(zero_shot::handle, bistream::handle, super::models, super::models_too),
    components(schemas(LightInit, LightText, LightEvent)),
    tags((name = "light", description = "The interface of LightTTS"))
)]
pub struct Api;
