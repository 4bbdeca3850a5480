//! The dialect's part of the description at `/openapi.json`. What is read field by field has its
//! description here.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use super::{bistream, zero_shot};
use crate::server::openapi::Binary;
use utoipa::{OpenApi, ToSchema};

/// The form of `/inference_zero_shot`. Booleans may be true/false, 1/0, yes/no or on/off.
#[derive(ToSchema)]
pub struct LightForm {
    /// What to say.
    #[schema(example = "Good morning.", max_length = 1000)]
    tts_text: String,
    /// What is said in the recording. Needed unless `voice` names a registered voice.
    prompt_text: Option<String>,
    /// The recording whose voice is to be used: WAV, MP3, FLAC, M4A or OGG, 0.5 to 30 s. Needed
    /// unless `voice` names a registered voice.
    #[schema(value_type = Option<Binary>, format = Binary)]
    prompt_wav: Option<Vec<u8>>,
    /// A registered voice, in place of `prompt_text` and `prompt_wav`.
    #[schema(example = "default")]
    voice: Option<String>,
    /// Whether sound is sent as it is made: raw 16-bit samples instead of a WAV file.
    #[schema(default = false)]
    stream: Option<bool>,
    /// Only without `stream`.
    #[schema(default = 1.0, minimum = 0.5, maximum = 2.0)]
    speed: Option<f32>,
    /// `default`, or the loaded model's name.
    #[schema(default = "default")]
    tts_model_name: Option<String>,
    /// The same seed gives the same speech.
    #[schema(minimum = 0)]
    seed: Option<u64>,
    /// Unset: the model's own, or that of the settings.
    #[schema(minimum = 8000, maximum = 48000)]
    sample_rate: Option<u32>,
    /// Whether numbers, dates, abbreviations are read as a person would. Unset: as the settings say.
    #[schema(example = true)]
    normalize: Option<bool>,
    /// Sets the media type of the answer too, which is `application/octet-stream` without.
    response_format: Option<LightFormat>,
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
    /// Whether JSON frames tell of the progress: `audio_start`, `progress`, `done`.
    #[schema(default = false)]
    events: Option<bool>,
}

/// A frame of text. Texts may be cut anywhere, also inside a word.
#[derive(ToSchema)]
pub struct LightText {
    #[schema(example = "Good mor", max_length = 1000)]
    tts_text: Option<String>,
    /// Whether nothing more follows. The server then closes with 1000 after the last sound.
    #[schema(default = false)]
    finish: Option<bool>,
}

#[derive(ToSchema)]
pub struct LightModels {
    #[schema(example = json!(["CosyVoice2"]))]
    tts_models: Vec<String>,
}

#[derive(OpenApi)]
#[openapi(
    paths(zero_shot::handle, bistream::handle, super::models),
    components(schemas(LightInit, LightText)),
    tags((name = "light", description = "The interface of LightTTS"))
)]
pub struct Api;
