//! All components of one model directory.

use super::campplus::Campplus;
use super::config::{CampplusConfig, SpeechTokenizerConfig};
use super::decode::LengthLimits;
use super::fingerprint::fingerprint;
use super::flow::Flow;
use super::footprint::Footprint;
use super::hift::Hift;
use super::llm::{Llm, Slots};
use super::speech_tokenizer::{self, SpeechTokenizer};
use super::tokenizer::TextTokenizer;
use super::{ModelConfig, ModelError};
use crate::audio::Frames;
use crate::model::nn::Precision;
use crate::model::weights::{Weights, WeightsError};
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
    /// Of an utterance, by its text.
    pub(super) lengths: LengthLimits,
    fingerprint: [u8; 32],
}

/// What a model has besides weights.
pub(super) struct Rest {
    pub config: ModelConfig,
    pub tokenizer: TextTokenizer,
    pub fingerprint: [u8; 32],
    pub lengths: LengthLimits,
}

/// What has a weight file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Component {
    Llm,
    Flow,
    Hift,
    SpeechTokenizer,
    Campplus,
}

impl Component {
    pub const ALL: [Self; 5] =
        [Self::Llm, Self::Flow, Self::Hift, Self::SpeechTokenizer, Self::Campplus];

    /// Its file in a directory of the official layout.
    pub fn open(self, dir: &Path) -> Result<Weights, WeightsError> {
        match self {
            Self::Llm => Weights::open_either(dir, "llm"),
            Self::Flow => Weights::open_either(dir, "flow"),
            Self::Hift => {
                Weights::open_either(dir, "hift")?.rename(|key| key.replace("generator.", ""))
            }
            Self::SpeechTokenizer => {
                speech_tokenizer::open_weights(&either(dir, "speech_tokenizer_v2"))
            }
            Self::Campplus => Weights::open(either(dir, "campplus")),
        }
    }
}

/// How a model is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// Numbers that the language model's weights are held in.
    pub precision: Precision,
    /// Blocks that the streaming flow looks back at, see [`Flow::set_left_blocks`]; 0: all.
    pub left_blocks: usize,
}

impl Rest {
    /// Of a directory whose configuration is `config`.
    pub fn of(dir: &Path, config: ModelConfig) -> Result<Self, ModelError> {
        let tokenizer = TextTokenizer::open(&dir.join("CosyVoice-BlankEN"))?;
        let lengths = LengthLimits::default();
        Ok(Self { config, tokenizer, fingerprint: fingerprint(dir)?, lengths })
    }
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
        Self::load_to_stay(Rest::of(dir, config)?, device, options, |component| component.open(dir))
    }

    /// [`Self::load_with`] for a model that is going to be used. On a GPU, memory for each step is
    /// found by a search that takes longer the more there is, so what stays lies elsewhere.
    pub(super) fn load_to_stay(
        rest: Rest,
        device: &Device,
        options: LoadOptions,
        open: impl Fn(Component) -> Result<Weights, WeightsError> + Send,
    ) -> Result<Self, ModelError> {
        let load = |(rest, open)| Self::load_with(rest, device, options, open, |_| {});
        let model = device.memory_persistent_allocations((rest, open), load)?;
        // What only loading needed.
        device.memory_cleanup();
        Ok(model)
    }

    /// Loads every component from what `open` gives for it; `close` gets that back when the
    /// component has taken what it needs.
    pub(super) fn load_with(
        rest: Rest,
        device: &Device,
        options: LoadOptions,
        open: impl Fn(Component) -> Result<Weights, WeightsError>,
        mut close: impl FnMut(Weights),
    ) -> Result<Self, ModelError> {
        let Rest { config, tokenizer, fingerprint, lengths } = rest;
        let weights = open(Component::Llm)?;
        let scope = weights.scope(device);
        let llm = Llm::load_as(&scope, &config.llm, config.speech_token_size, options.precision)?;
        close(weights);

        let weights = open(Component::Flow)?;
        let scope = weights.scope(device).in_precision(options.precision);
        let mut flow = Flow::load(&scope, &config.flow, config.spk_embed_dim, MEL_BINS)?;
        flow.set_left_blocks(options.left_blocks);
        close(weights);

        let weights = open(Component::Hift)?;
        let hift = Hift::load(&weights.scope(device), &config.hift)?;
        close(weights);

        let weights = open(Component::SpeechTokenizer)?;
        let sizes = match &config.speech_tokenizer {
            stated if *stated != SpeechTokenizerConfig::default() => stated.clone(),
            stated if !weights.has_shapes() => stated.clone(),
            _ => SpeechTokenizerConfig::from_weights(&weights)?,
        };
        let speech_tokenizer = SpeechTokenizer::load(&weights.scope(device), &sizes)?;
        close(weights);

        let weights = open(Component::Campplus)?;
        let sizes = match &config.campplus {
            stated if *stated != CampplusConfig::default() => stated.clone(),
            stated if !weights.has_shapes() => stated.clone(),
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
            lengths,
            fingerprint,
        })
    }

    pub fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    /// A store of language-model caches for so many utterances at a time. On a GPU, caches take no
    /// more than the [`Footprint`] of so many and the `voices` bytes that prompts may take.
    pub fn slots(&self, most: usize, voices: usize) -> Slots {
        let each = usize::try_from(Footprint::of_config(&self.config).slot).unwrap_or(usize::MAX);
        self.llm.limit_caches(each.saturating_mul(most).saturating_add(voices));
        Slots::new(&self.llm, most)
    }

    /// On a GPU, takes the memory for what sessions and voices keep of the flow, `bytes` in all, and
    /// no more later.
    pub fn plan_memory(&self, bytes: usize) {
        self.flow.plan_memory(bytes);
    }

    pub fn device(&self) -> &Device {
        &self.device
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
pub(super) fn either(dir: &Path, stem: &str) -> PathBuf {
    let (onnx, other) =
        (dir.join(stem).with_extension("onnx"), dir.join(stem).with_extension("safetensors"));
    if other.exists() && !onnx.exists() { other } else { onnx }
}
