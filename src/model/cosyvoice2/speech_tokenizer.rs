//! S3 speech tokenizer v2: speech tokens of a prompt, 25 a second, by finite scalar quantisation.
//!
//! Two strided convolutions bring 100 mel frames a second to 25, a transformer with rotary
//! positions and an FSMN memory branch (Zhang et al. 2018) encodes them, and a projection to a few
//! dimensions is rounded (Mentzer et al. 2023): three levels in each of eight dimensions make the
//! 6561 codes.

mod block;

use self::block::{Block, Rotary};
use super::config::SpeechTokenizerConfig;
use crate::model::nn::{Conv1d, ConvOptions, Linear};
use crate::model::weights::{Scope, Weights, WeightsError, onnx};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor, TensorData};
use std::path::Path;

/// Width of one attention head, from which a weight file's head count follows.
const HEAD_DIM: usize = 64;
/// Levels of one dimension of the quantiser: -1, 0 and 1.
const LEVELS: u32 = 3;
/// Keeps the value that is rounded inside the outer levels.
const FSQ_SCALE: f32 = 0.999;

/// The prompt's mel in, its speech tokens out.
#[derive(Debug, Clone)]
pub struct SpeechTokenizer {
    n_mels: usize,
    conv1: Conv1d,
    conv2: Conv1d,
    blocks: Vec<Block>,
    project_down: Linear,
}

/// An utterance that is being encoded, see [`SpeechTokenizer::advance`].
#[derive(Debug, Clone)]
pub struct Encoding {
    stage: EncodingStage,
}

#[derive(Debug, Clone)]
enum EncodingStage {
    /// `[1, mels, frames]`
    Mel(Tensor<3>),
    /// Frames `[1, time, state]` before block `next`.
    Blocks {
        x: Tensor<3>,
        rotary: Option<Box<Rotary>>,
        next: usize,
    },
    Done,
}

/// Encoder frames of a batch, padded to the longest row.
#[derive(Debug, Clone)]
pub struct Frames {
    /// BTC; what lies beyond a row's length is meaningless.
    pub x: Tensor<3>,
    /// Frames of each row.
    pub lengths: Vec<usize>,
}

impl SpeechTokenizer {
    /// Loads from `.onnx` (the release's file) or a state dict. Where `config` is the default, the
    /// sizes are those of the file.
    pub fn open(
        path: &Path,
        config: &SpeechTokenizerConfig,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let weights = open_weights(path)?;
        if *config == SpeechTokenizerConfig::default() {
            let config = SpeechTokenizerConfig::from_weights(&weights)?;
            return Self::load(&weights.scope(device), &config);
        }
        Self::load(&weights.scope(device), config)
    }

    /// Loads from the state dict's names (`encoder.*`, `quantizer.*`).
    pub fn load(scope: &Scope, config: &SpeechTokenizerConfig) -> Result<Self, WeightsError> {
        let (state, heads) = (config.n_audio_state, config.n_audio_head);
        if heads == 0 || !state.is_multiple_of(2 * heads) {
            return Err(WeightsError::Malformed {
                file: scope.weights().path().into(),
                reason: format!("a width of {state} cannot be split into {heads} rotary heads"),
            });
        }
        let encoder = scope.sub("encoder");
        let stride_2 = ConvOptions { stride: 2, padding: (1, 1), ..Default::default() };
        let quantizer = scope.sub("quantizer._codebook.project_down");
        let digits = quantizer.shape("weight").and_then(|s| s.first()).copied();
        let digits = digits.filter(|n| *n > 0).unwrap_or(8);
        Ok(Self {
            n_mels: config.n_mels,
            conv1: Conv1d::load(&encoder.sub("conv1"), config.n_mels, state, 3, stride_2)?,
            conv2: Conv1d::load(&encoder.sub("conv2"), state, state, 3, stride_2)?,
            blocks: (0..config.n_audio_layer)
                .map(|i| Block::load(&encoder.sub("blocks").sub(i), state, heads))
                .collect::<Result<_, _>>()?,
            project_down: Linear::load(&quantizer, state, digits)?,
        })
    }

    /// Bands of the mel that it takes.
    pub fn n_mels(&self) -> usize {
        self.n_mels
    }

    /// Tokens of one utterance. `mel` is whisper's log-mel, `[1, mels, frames]`; the result has a
    /// quarter as many tokens as frames, rounded up.
    pub fn encode(&self, mel: Tensor<3>) -> Vec<u32> {
        let mut encoding = self.begin(mel);
        loop {
            if let Some(tokens) = self.advance(&mut encoding) {
                return tokens;
            }
        }
    }

    /// [`Self::encode`] in steps, which [`Self::advance`] takes. `mel` is `[1, mels, frames]`.
    pub fn begin(&self, mel: Tensor<3>) -> Encoding {
        Encoding { stage: EncodingStage::Mel(mel) }
    }

    /// One step: the two convolutions, then a block of the transformer each; the last one gives
    /// the tokens. After them there are none.
    pub fn advance(&self, encoding: &mut Encoding) -> Option<Vec<u32>> {
        let (x, rotary, next) = match std::mem::replace(&mut encoding.stage, EncodingStage::Done) {
            EncodingStage::Mel(mel) if mel.dims()[2] > 0 => {
                let frames = mel.dims()[2];
                let x = self.stem(mel, &[frames]).x;
                let rotary = self.rotary(&x).map(Box::new);
                (x, rotary, 0)
            }
            EncodingStage::Blocks { x, rotary, next } => {
                let x = match (self.blocks.get(next), &rotary) {
                    (Some(block), Some(rotary)) => block.forward(x, rotary, None),
                    _ => x,
                };
                (x, rotary, next + 1)
            }
            EncodingStage::Mel(_) | EncodingStage::Done => return Some(Vec::new()),
        };
        if next < self.blocks.len() {
            encoding.stage = EncodingStage::Blocks { x, rotary, next };
            return None;
        }
        let tokens = x.dims()[1];
        Some(codes(self.project(x), &[tokens]).pop().unwrap_or_default())
    }

    /// Tokens of each row of a batch. `mel` is `[batch, mels, frames]`, `lengths` the frames of
    /// each row.
    pub fn forward(&self, mel: Tensor<3>, lengths: &[usize]) -> Vec<Vec<u32>> {
        if mel.dims()[2] == 0 {
            return vec![Vec::new(); lengths.len()];
        }
        let encoded = self.encoder(self.stem(mel, lengths));
        codes(self.project(encoded.x), &encoded.lengths)
    }

    /// The two convolutions: mel BCT to frames BTC at a quarter of the rate.
    pub fn stem(&self, mel: Tensor<3>, lengths: &[usize]) -> Frames {
        let halve = |conv: &Conv1d, x: Tensor<3>, lengths: &mut Vec<usize>| {
            let x = match key_mask(lengths, x.dims()[2], &x.device()) {
                Some(mask) => x * mask.unsqueeze_dim(1),
                None => x,
            };
            lengths.iter_mut().for_each(|length| *length = length.div_ceil(2));
            gelu(conv.forward(x))
        };
        let mut lengths = lengths.to_vec();
        let x = halve(&self.conv1, mel, &mut lengths);
        let x = halve(&self.conv2, x, &mut lengths);
        Frames { x: x.swap_dims(1, 2), lengths }
    }

    /// All blocks, BTC to BTC.
    pub fn encoder(&self, frames: Frames) -> Frames {
        self.blocks(frames, self.blocks.len())
    }

    /// The first `count` blocks, BTC to BTC.
    pub fn blocks(&self, frames: Frames, count: usize) -> Frames {
        let Frames { x, lengths } = frames;
        let mask = key_mask(&lengths, x.dims()[1], &x.device());
        let x = match self.rotary(&x) {
            Some(rotary) => self
                .blocks
                .iter()
                .take(count)
                .fold(x, |x, block| block.forward(x, &rotary, mask.as_ref())),
            None => x,
        };
        Frames { x, lengths }
    }

    /// The positions of frames BTC; none where there are no blocks.
    fn rotary(&self, x: &Tensor<3>) -> Option<Rotary> {
        let head_dim = self.blocks.first()?.head_dim();
        Some(Rotary::new(x.dims()[1], head_dim, &x.device()))
    }

    /// Frames BTC to the quantiser's dimensions, before rounding: `[batch, time, digits]`.
    pub fn project(&self, x: Tensor<3>) -> Tensor<3> {
        self.project_down.forward(x).tanh() * FSQ_SCALE
    }
}

/// Reads each row's projection as digits of base 3, the least significant first; halves round to
/// even.
pub fn codes(projected: Tensor<3>, lengths: &[usize]) -> Vec<Vec<u32>> {
    let [_, time, digits] = projected.dims();
    let values: Vec<f32> = projected.into_data().iter::<f32>().collect();
    let code = |frame: &[f32]| {
        frame.iter().rev().fold(0u32, |code, h| {
            // A value that is not a number reads as the middle level.
            let digit = (h.round_ties_even() as i32 + 1).clamp(0, 2) as u32;
            code.wrapping_mul(LEVELS).wrapping_add(digit)
        })
    };
    values
        .chunks(time * digits)
        .zip(lengths)
        .map(|(row, length)| row.chunks(digits).take(*length).map(code).collect())
        .collect()
}

/// 1 on a row's frames and 0 on its padding, `[batch, time]`; `None` where no row is padded.
fn key_mask(lengths: &[usize], time: usize, device: &Device) -> Option<Tensor<2>> {
    if lengths.iter().all(|length| *length >= time) {
        return None;
    }
    let mask: Vec<f32> = lengths
        .iter()
        .flat_map(|length| (0..time).map(move |t| if t < *length { 1.0 } else { 0.0 }))
        .collect();
    Some(Tensor::from_data(TensorData::new(mask, [lengths.len(), time]), device))
}

impl SpeechTokenizerConfig {
    /// The sizes that a file's tensors have. The head count is not among them: a head is 64 wide.
    pub fn from_weights(weights: &Weights) -> Result<Self, WeightsError> {
        let name = "encoder.conv1.weight";
        let (state, mels) = match weights.shape(name) {
            Some(&[state, mels, _]) if state > 0 && mels > 0 => (state, mels),
            _ => {
                let default = Self::default();
                return Err(WeightsError::Missing {
                    file: weights.path().into(),
                    tensor: name.into(),
                    expected: vec![default.n_audio_state, default.n_mels, 3],
                });
            }
        };
        let layer = |i: &usize| weights.contains(&format!("encoder.blocks.{i}.attn.key.weight"));
        Ok(Self {
            n_mels: mels,
            n_audio_state: state,
            n_audio_head: state / HEAD_DIM,
            n_audio_layer: (0..).take_while(layer).count(),
        })
    }
}

/// Opens a weight file of this component under its state-dict names.
pub fn open_weights(path: &Path) -> Result<Weights, WeightsError> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("onnx") => Ok(state_dict(&onnx::Graph::open(path)?)),
        _ => Weights::open(path),
    }
}

/// The state dict's names of an exported graph: the encoder was the root of the export, and the
/// quantiser's projection had another name in it.
pub fn state_dict(graph: &onnx::Graph) -> Weights {
    // The projection is the last linear layer, whatever its node is called.
    let linear = graph.parameters().filter(|p| p.op == "MatMul").last();
    let projection = linear.map(|p| p.module).unwrap_or_default();
    let mut convs: Vec<String> = Vec::new();
    graph.named(graph.parameters().map(|p| {
        if p.op == "Conv" && !convs.contains(&p.module) {
            convs.push(p.module.clone());
        }
        let module = match convs.iter().take(2).position(|conv| *conv == p.module) {
            Some(stem) => format!("encoder.conv{}", stem + 1),
            None if p.module == projection => "quantizer._codebook.project_down".to_owned(),
            None => format!("encoder.{}", p.module),
        };
        (format!("{module}.{}", p.name), p.tensor)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mini() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("model_weights/mynah-mini/speech_tokenizer_v2.onnx")
    }

    /// The bundled file has every tensor, and none that nothing reads.
    #[test]
    fn bundled_file_loads_completely() {
        let device = Device::flex();
        let weights = open_weights(&mini()).unwrap();
        let config = SpeechTokenizerConfig::from_weights(&weights).unwrap();
        SpeechTokenizer::load(&weights.scope(&device), &config).unwrap();
        assert_eq!(weights.unused(), Vec::<String>::new());
    }

    /// The default sizes give way to the file's; others must be the file's.
    #[test]
    fn sizes_follow_the_file_unless_stated() {
        let device = Device::flex();
        let tokenizer =
            SpeechTokenizer::open(&mini(), &SpeechTokenizerConfig::default(), &device).unwrap();
        for (frames, tokens) in [(0, 0), (1, 1), (4, 1), (5, 2), (50, 13)] {
            let mel = Tensor::zeros([1, 128, frames], &device);
            assert_eq!(tokenizer.encode(mel.clone()).len(), tokens, "{frames} frames");
            assert_eq!(tokenizer.forward(mel, &[frames])[0].len(), tokens, "{frames} frames");
        }
        let other =
            SpeechTokenizerConfig { n_audio_state: 64, n_audio_head: 1, ..Default::default() };
        let error = SpeechTokenizer::open(&mini(), &other, &device).unwrap_err().to_string();
        assert!(error.contains("encoder.conv1") && error.contains("expected [64"), "{error}");
        let odd = SpeechTokenizerConfig { n_audio_head: 0, ..other };
        assert!(SpeechTokenizer::open(&mini(), &odd, &device).is_err());
    }

    /// A padded row must give the tokens that it gives alone.
    #[test]
    fn padding_does_not_change_tokens() {
        let device = Device::flex();
        let tokenizer =
            SpeechTokenizer::open(&mini(), &SpeechTokenizerConfig::default(), &device).unwrap();
        let values: Vec<f32> = (0..2 * 128 * 60).map(|i| (i as f32 * 0.37).sin()).collect();
        let batch = Tensor::<3>::from_data(TensorData::new(values, [2, 128, 60]), &device);
        let together = tokenizer.forward(batch.clone(), &[60, 37]);
        let alone = tokenizer.encode(batch.narrow(0, 1, 1).narrow(2, 0, 37));
        assert_eq!(together[1], alone);
    }

    /// Steps give the tokens of the pass over a batch, and an end that is asked again ends.
    #[test]
    fn steps_give_the_tokens_of_one_pass() {
        let device = Device::flex();
        let tokenizer =
            SpeechTokenizer::open(&mini(), &SpeechTokenizerConfig::default(), &device).unwrap();
        let values: Vec<f32> = (0..128 * 90).map(|i| (i as f32 * 0.37).sin()).collect();
        let mel = Tensor::<3>::from_data(TensorData::new(values, [1, 128, 90]), &device);
        let mut encoding = tokenizer.begin(mel.clone());
        for _ in 0..tokenizer.blocks.len() {
            assert_eq!(tokenizer.advance(&mut encoding), None);
        }
        let tokens = tokenizer.advance(&mut encoding);
        assert_eq!(tokens, Some(tokenizer.forward(mel, &[90]).remove(0)));
        assert_eq!(tokenizer.advance(&mut encoding), Some(Vec::new()));
    }

    #[test]
    fn codes_are_base_3_with_the_first_digit_least() {
        let device = Device::flex();
        let projected = Tensor::<3>::from_floats([[[0.9, -0.9, 0.5, -0.51, f32::NAN]]], &device);
        // Digits 2, 0, 1 (a half rounds to even), 0, 1.
        assert_eq!(codes(projected, &[1]), [[2 + 9 + 81]]);
    }
}
