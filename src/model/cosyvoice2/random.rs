//! Models that nobody trained: the shapes and the cost of a real one, and noise for speech.

use super::decode::LengthLimits;
use super::footprint::Footprint;
use super::model::{Component, Rest};
use super::{CosyVoice2, LoadOptions, ModelConfig, ModelError};
use crate::model::weights::Weights;
use burn::tensor::Device;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Speech tokens per text token of the bundled voice's tokenizer, about what a person takes.
const PER_TEXT_TOKEN: f64 = 5.0;
/// Layers of the dense blocks of CAM++.
const DENSE_LAYERS: [usize; 3] = [12, 24, 16];

/// Whose shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RandomSize {
    /// The official CosyVoice2-0.5B.
    Full,
    /// The bundled voice.
    Mini,
}

impl RandomSize {
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "random-full",
            Self::Mini => "random-mini",
        }
    }

    /// `bundled` is the directory of the bundled voice.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn config(self, bundled: &Path) -> Result<ModelConfig, ModelError> {
        match self {
            Self::Full => Ok(ModelConfig::default()),
            Self::Mini => ModelConfig::from_dir(bundled),
        }
    }

    /// See [`Self::config`].
    pub fn footprint(self, bundled: &Path) -> Result<Footprint, ModelError> {
        match self {
            Self::Full => Ok(Footprint::official()),
            Self::Mini => Footprint::of(bundled, &self.config(bundled)?),
        }
    }
}

impl CosyVoice2 {
    /// A model of random weights, made in memory. Text is cut by the tokenizer of the bundled
    /// voice in `bundled`, whose ids every size has. The end of speech means nothing to it, so
    /// that an utterance is as long as its text lets expect.
    ///
    /// # Errors
    /// Where the bundled voice cannot be read.
    pub fn random(
        size: RandomSize,
        bundled: &Path,
        device: &Device,
        options: LoadOptions,
    ) -> Result<Self, ModelError> {
        let rest = Rest {
            lengths: LengthLimits {
                min_ratio: PER_TEXT_TOKEN,
                max_ratio: PER_TEXT_TOKEN,
                ..LengthLimits::default()
            },
            // No voice of another model is taken for one of this.
            fingerprint: Sha256::digest(size.name()).into(),
            ..Rest::of(bundled, size.config(bundled)?)?
        };
        let open = |component: Component| match size {
            RandomSize::Mini => Ok(component.open(bundled)?.randomised()),
            RandomSize::Full => {
                let layers = DENSE_LAYERS.into_iter().enumerate();
                let known = layers.map(|(i, n)| format!("xvector.block{}.tdnnd{n}", i + 1));
                Ok(Weights::random(size.name(), known))
            }
        };
        Self::load_to_stay(rest, device, options, open)
    }
}
