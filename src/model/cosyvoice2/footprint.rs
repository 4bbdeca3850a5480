//! What a model takes of its device's memory, counted before it is loaded.

use super::ModelError;
use super::config::ModelConfig;
use super::model::Component;
use crate::model::nn::Precision;
use crate::model::weights::Weights;
use std::path::Path;

/// Bytes of a number, f32 unless told otherwise.
const ELEMENT: u64 = size_of::<f32>() as u64;
/// Keys and values.
const PAIR: u64 = 2;
/// With the condition and without it.
const GUIDANCE: u64 = 2;
/// Parameters of the official components: language model, flow, vocoder, speech tokenizer, CAM++.
const OFFICIAL: u64 = 505_803_812 + 112_549_360 + 20_821_295 + 123_700_000 + 6_850_000;
/// Positions that the language model's caches have room for, by session: four times those of the
/// shortest.
const SLOT: u64 = 2048;

/// Bytes of a model and of what its sessions keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Of all components.
    pub weights: u64,
    /// A session's share of what the language model's keys and values may take.
    pub slot: u64,
    /// What the flow keeps of a second of speech, the prompt's or its own.
    pub flow_second: u64,
}

impl Footprint {
    /// Of the model in `dir`, by the indices of its weight files and its configuration. Reads no
    /// weights.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    pub fn of(dir: &Path, config: &ModelConfig) -> Result<Self, ModelError> {
        let mut weights = 0;
        for component in Component::ALL {
            weights += bytes(&component.open(dir)?);
        }
        Ok(Self { weights, ..Self::of_config(config) })
    }

    /// Of the official 0.5B model.
    pub fn official() -> Self {
        let weights = OFFICIAL * ELEMENT;
        Self { weights, ..Self::of_config(&ModelConfig::default()) }
    }

    /// With what the flow keeps in the numbers that a model of this precision keeps it in. Weights
    /// count as f32 whatever they are.
    #[must_use]
    pub fn in_precision(self, precision: Precision) -> Self {
        match precision {
            Precision::Bf16 => Self { flow_second: self.flow_second / 2, ..self },
            Precision::F16 | Precision::F32 => self,
        }
    }

    /// Without the weights.
    pub(super) fn of_config(config: &ModelConfig) -> Self {
        let llm = &config.llm;
        let heads = llm.num_attention_heads.max(1);
        let position = llm.num_hidden_layers * llm.num_key_value_heads * (llm.hidden_size / heads);
        let slot = SLOT * position as u64 * PAIR * ELEMENT;

        let (encoder, decoder) = (&config.flow.encoder, &config.flow.decoder);
        // One stage down, those of the middle, one up.
        let blocks = (decoder.num_mid_blocks + 2) * decoder.n_blocks;
        let width = decoder.num_heads * decoder.attention_head_dim;
        let steps = config.flow.n_timesteps as u64;
        let per_frame = (blocks * width) as u64 * PAIR * GUIDANCE * steps * ELEMENT
            + (encoder.num_up_blocks * encoder.output_size) as u64 * PAIR * ELEMENT;
        let per_token = (encoder.num_blocks * encoder.output_size) as u64 * PAIR * ELEMENT
            + per_frame * config.token_mel_ratio as u64;
        Self { weights: 0, slot, flow_second: per_token * config.token_frame_rate as u64 }
    }
}

/// Of all tensors of a file, less the text head of the language model, which is not loaded.
fn bytes(weights: &Weights) -> u64 {
    let elements = |name| weights.shape(name).map_or(0, |shape| shape.iter().product::<usize>());
    let used = weights.names().filter(|name| !name.ends_with("lm_head.weight"));
    used.map(|name| elements(name) as u64 * ELEMENT).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the figures of the official model: 12 KiB of keys and values per position of the
    /// language model in bf16, 2.29 MB per frame of the flow in bf16.
    #[test]
    fn the_official_model() {
        let footprint = Footprint::of_config(&ModelConfig::default());
        assert_eq!(footprint.slot, 2048 * 2 * 12 * 1024);
        let estimator = 50 * 2 * 2_293_760;
        let encoder = 25 * 6 * 512 * 2 * 4 + 50 * 4 * 512 * 2 * 4;
        assert_eq!(footprint.flow_second, estimator + encoder);
        let halved = footprint.in_precision(Precision::Bf16);
        assert_eq!((halved.flow_second, halved.slot), ((estimator + encoder) / 2, footprint.slot));
    }

    #[test]
    fn the_bundled_voice() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
        let config = ModelConfig::from_dir(&dir).expect("a configuration");
        let footprint = Footprint::of(&dir, &config).expect("a model");
        let files = ["llm", "flow", "hift", "speech_tokenizer_v2", "campplus"];
        let stored: u64 = std::fs::read_dir(&dir)
            .expect("a directory")
            .flatten()
            .filter(|file| files.iter().any(|f| file.file_name().to_string_lossy().starts_with(f)))
            .filter_map(|file| Some(file.metadata().ok()?.len()))
            .sum();
        // In the files numbers take two bytes or four.
        assert!(footprint.weights > stored * 9 / 10, "{footprint:?}, {stored} stored");
        assert!(footprint.weights < stored * 9 / 4, "{footprint:?}, {stored} stored");
    }
}
