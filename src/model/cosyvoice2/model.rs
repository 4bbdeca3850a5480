//! All components of one model directory.

use super::campplus::Campplus;
use super::config::{CampplusConfig, SpeechTokenizerConfig};
use super::fingerprint::fingerprint;
use super::flow::Flow;
use super::hift::Hift;
use super::llm::{Llm, Slots};
use super::speech_tokenizer::{self, SpeechTokenizer};
use super::tokenizer::TextTokenizer;
use super::{ModelConfig, ModelError};
use crate::audio::Frames;
use crate::model::nn::Precision;
use crate::model::weights::Weights;
use burn::tensor::{Device, Tensor, TensorData};
use std::path::{Path, PathBuf};

/// Mel bins between flow and vocoder.
pub(super) const MEL_BINS: usize = 80;

/// A CosyVoice2 model, ready to speak. Nothing in it changes after loading.
pub struct CosyVoice2 {
    pub(super) config: ModelConfig,
    pub(super) tokenizer: TextTokenizer,
    pub(super) llm: Llm,
    pub(super) flow: Flow,
    pub(super) hift: Hift,
    pub(super) speech_tokenizer: SpeechTokenizer,
    pub(super) campplus: Campplus,
    pub(super) device: Device,
    fingerprint: [u8; 32],
}

/// How a model is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// Numbers that the language model's weights are held in.
    pub precision: Precision,
    /// Blocks that the streaming flow looks back at, see [`Flow::set_left_blocks`]; 0: all.
    pub left_blocks: usize,
}

impl CosyVoice2 {
    /// The family's name, as clients see it.
    pub const NAME: &'static str = "CosyVoice2";

    /// The family's version, as its makers count.
    const VERSION: &'static str = "2.0";

    /// Loads a directory of the official layout.
    ///
    /// # Errors
    /// The first file or tensor that is missing or is not what the configuration says.
    pub fn load(dir: &Path, device: &Device, options: LoadOptions) -> Result<Self, ModelError> {
        let config = ModelConfig::from_dir(dir)?;
        Self::load_with(dir, config, device, options, |weights| weights, |_| {})
    }

    /// Loads with every file's [`Weights`] passed through `open` before, and `close` after, its
    /// component has taken what it needs.
    pub(super) fn load_with(
        dir: &Path,
        config: ModelConfig,
        device: &Device,
        options: LoadOptions,
        open: impl Fn(Weights) -> Weights,
        mut close: impl FnMut(Weights),
    ) -> Result<Self, ModelError> {
        let tokenizer = TextTokenizer::open(&dir.join("CosyVoice-BlankEN"))?;

        let weights = open(Weights::open_either(dir, "llm")?);
        let scope = weights.scope(device);
        let llm = Llm::load_as(&scope, &config.llm, config.speech_token_size, options.precision)?;
        close(weights);

        let weights = open(Weights::open_either(dir, "flow")?);
        let mut flow =
            Flow::load(&weights.scope(device), &config.flow, config.spk_embed_dim, MEL_BINS)?;
        flow.set_left_blocks(options.left_blocks);
        close(weights);

        let weights = Weights::open_either(dir, "hift")?;
        let weights = open(weights.rename(|key| key.replace("generator.", ""))?);
        let hift = Hift::load(&weights.scope(device), &config.hift)?;
        close(weights);

        let weights = open(speech_tokenizer::open_weights(&either(dir, "speech_tokenizer_v2"))?);
        let sizes = match &config.speech_tokenizer {
            stated if *stated != SpeechTokenizerConfig::default() => stated.clone(),
            _ => SpeechTokenizerConfig::from_weights(&weights)?,
        };
        let speech_tokenizer = SpeechTokenizer::load(&weights.scope(device), &sizes)?;
        close(weights);

        let weights = open(Weights::open(either(dir, "campplus"))?);
        let sizes = match &config.campplus {
            stated if *stated != CampplusConfig::default() => stated.clone(),
            _ => CampplusConfig::from_weights(&weights)?,
        };
        let campplus = Campplus::load(&weights.scope(device), &sizes)?;
        close(weights);

        Ok(Self {
            config,
            tokenizer,
            llm,
            flow,
            hift,
            speech_tokenizer,
            campplus,
            device: device.clone(),
            fingerprint: fingerprint(dir)?,
        })
    }

    pub fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    /// A store of language-model caches for so many utterances at a time.
    pub fn slots(&self, most: usize) -> Slots {
        Slots::new(&self.llm, most)
    }

    /// Whether it computes on the CPU, where a batch takes as long as its parts.
    pub fn is_on_cpu(&self) -> bool {
        self.device == Device::flex()
    }

    /// See [`fingerprint()`](super::fingerprint()): differs between model directories.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The family's version, and behind `+` what tells this directory's weights from others': the
    /// beginning of its fingerprint.
    pub fn version(&self) -> String {
        let [a, b, c, d, ..] = self.fingerprint;
        format!("{}+{a:02x}{b:02x}{c:02x}{d:02x}", Self::VERSION)
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Host features as a tensor `[1, frames, bins]`.
    pub(super) fn features(&self, frames: Frames) -> Tensor<3> {
        let shape = [1, frames.frames, frames.bins];
        Tensor::from_data(TensorData::new(frames.data, shape), &self.device)
    }
}

/// `<stem>.safetensors` where only that exists, else `<stem>.onnx`.
fn either(dir: &Path, stem: &str) -> PathBuf {
    let (onnx, other) =
        (dir.join(stem).with_extension("onnx"), dir.join(stem).with_extension("safetensors"));
    if other.exists() && !onnx.exists() { other } else { onnx }
}
