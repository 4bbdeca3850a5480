//! What a request wants to be said, and by whom.

use super::fields::Fields;
use super::parameters::Parameters;
use super::voices;
use crate::engine::{SpeakRequest, TextInput, VoiceSource};
use crate::server::app::App;
use crate::server::error::ApiError;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Names the parameters that were given and could not be heeded.
const IGNORED: HeaderName = HeaderName::from_static("x-ignored-parameters");

/// A request that is understood.
#[derive(Debug)]
pub struct Utterance {
    pub text: String,
    pub index: usize,
    voice: String,
    parameters: Parameters,
}

impl Utterance {
    /// # Errors
    /// [`ApiError::InvalidParameter`] for a text without words or a voice that is not there,
    /// [`ApiError::TextTooLong`], and what is wrong with a field.
    pub fn new(app: &App, fields: &Fields, parameters: Parameters) -> Result<Self, ApiError> {
        let text = fields.text("text")?.unwrap_or_default();
        let index = fields.integer("reference_audio_index")?.unwrap_or(0);
        Self::of(app, text, index, parameters)
    }

    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(
        app: &App,
        text: String,
        index: i64,
        parameters: Parameters,
    ) -> Result<Self, ApiError> {
        if text.trim().is_empty() {
            let words = "`text` is missing or empty (文本不能为空)";
            return Err(ApiError::InvalidParameter(words.into()));
        }
        let limit = app.settings.max_text_length;
        if text.chars().count() > limit {
            return Err(ApiError::TextTooLong { limit });
        }
        let voice = voices::find(app, index).map_err(ApiError::InvalidParameter)?;
        let index = usize::try_from(index).unwrap_or_default();
        Ok(Self { text, index, voice, parameters })
    }

    pub fn characters(&self) -> usize {
        self.text.chars().count()
    }

    /// Headers that tell what was not heeded.
    pub fn headers(&self) -> HeaderMap {
        let ignored = self.parameters.ignored.join(", ");
        let value = HeaderValue::from_str(&ignored).ok().filter(|value| !value.is_empty());
        value.into_iter().map(|value| (IGNORED, value)).collect()
    }

    /// What the engine is asked for.
    pub fn request(self, id: &str, streaming: bool) -> SpeakRequest {
        SpeakRequest {
            id: id.into(),
            voice: VoiceSource::Named(self.voice),
            text: TextInput::Whole(self.text),
            streaming,
            speed: 1.0,
            timestamps: false,
            normalize: None,
            seed: self.parameters.seed,
            sampling: self.parameters.sampling,
        }
    }
}
