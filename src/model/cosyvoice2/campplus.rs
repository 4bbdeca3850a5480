//! CAM++ speaker encoder (Wang et al. 2023): filter banks of a prompt in, one embedding out.
//!
//! A small 2-D residual network over frequency, then densely connected time-delay layers, each
//! gated by a context of its segment and of the whole utterance, then mean and deviation over
//! time. Every batch norm that follows a convolution is folded into it when loading, as ONNX
//! exporters do, so that a plain state dict and a folded file become the same layers.

mod dense;
mod head;

use self::dense::Stage;
use self::head::Head;
use super::config::CampplusConfig;
use crate::model::nn::{BatchNorm, Conv1d, ConvOptions};
use crate::model::weights::{Scope, Weights, WeightsError};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use std::path::Path;

/// Filter banks of a frame; the head's three halvings leave an eighth.
const FEATURES: usize = 80;
/// Dilations of the dense blocks' convolutions.
const DILATIONS: [usize; 3] = [1, 2, 2];

/// The prompt's filter banks in, its speaker embedding out.
#[derive(Debug, Clone)]
pub struct Campplus {
    head: Head,
    tdnn: Conv1d,
    stages: Vec<Stage>,
    dense: Conv1d,
}

impl Campplus {
    /// Loads from `.onnx` (the release's file) or a state dict. Where `config` is the default, the
    /// sizes are those of the file.
    pub fn open(
        path: &Path,
        config: &CampplusConfig,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let weights = Weights::open(path)?;
        if *config == CampplusConfig::default() {
            let config = CampplusConfig::from_weights(&weights)?;
            return Self::load(&weights.scope(device), &config);
        }
        Self::load(&weights.scope(device), config)
    }

    /// Loads from the state dict's names (`head.*`, `xvector.*`).
    pub fn load(scope: &Scope, config: &CampplusConfig) -> Result<Self, WeightsError> {
        let head = Head::load(&scope.sub("head"))?;
        let xvector = scope.sub("xvector");
        let bins = FEATURES.div_ceil(8);
        let mut channels = config.init_channels;
        let halving = ConvOptions { stride: 2, padding: (2, 2), ..Default::default() };
        let tdnn = folded_conv1d(
            &xvector.sub("tdnn.linear"),
            Some(&xvector.sub("tdnn.nonlinear.batchnorm")),
            [channels, bins * head.channels, 5],
            halving,
        )?;
        let mut stages = Vec::new();
        for (i, dilation) in DILATIONS.into_iter().enumerate() {
            let last = i + 1 == DILATIONS.len();
            let (stage, out) = Stage::load(&xvector, i + 1, channels, dilation, last, config)?;
            channels = out;
            stages.push(stage);
        }
        let dense = folded_conv1d(
            &xvector.sub("dense.linear"),
            Some(&xvector.sub("dense.nonlinear.batchnorm")),
            [config.embedding_size, 2 * channels, 1],
            ConvOptions::default(),
        )?;
        Ok(Self { head, tdnn, stages, dense })
    }

    /// Speaker embedding of a whole utterance, not normalised in length. `fbank` is
    /// `[batch, frames, 80]`, its mean over time already taken off; the result is
    /// `[batch, embedding_size]`. There must be at least one frame.
    pub fn embed(&self, fbank: Tensor<3>) -> Tensor<2> {
        let x = self.tdnn(self.head(fbank));
        let x = (0..self.stages.len()).fold(x, |x, stage| self.stage(stage, x));
        self.project(statistics(relu(x)))
    }

    /// [`Self::embed`] in steps, which [`Self::advance`] takes.
    pub fn begin(&self, fbank: Tensor<3>) -> Embedding {
        Embedding { stage: EmbeddingStage::Head { x: head::plane(fbank), next: 0 } }
    }

    /// One step: a block of the 2-D network or a dense one; the last gives the embedding. After it
    /// there is none, and steps do nothing.
    pub fn advance(&self, embedding: &mut Embedding) -> Option<Tensor<2>> {
        let stage = std::mem::replace(&mut embedding.stage, EmbeddingStage::Done);
        embedding.stage = match stage {
            EmbeddingStage::Head { x, next } => {
                let (x, next) = (self.head.step(next, x), next + 1);
                match next < self.head.steps() {
                    true => EmbeddingStage::Head { x, next },
                    false => EmbeddingStage::Dense { x: self.tdnn(head::flat(x)), next: 0 },
                }
            }
            EmbeddingStage::Dense { x, next } if next < self.stages.len() => {
                EmbeddingStage::Dense { x: self.stage(next, x), next: next + 1 }
            }
            EmbeddingStage::Dense { x, .. } => return Some(self.project(statistics(relu(x)))),
            EmbeddingStage::Done => EmbeddingStage::Done,
        };
        None
    }

    /// The 2-D network: `[batch, frames, 80]` to BCT, channels and frequency bins in one
    /// dimension, channel major.
    pub fn head(&self, fbank: Tensor<3>) -> Tensor<3> {
        self.head.forward(fbank)
    }

    /// The first time-delay layer, which halves the frames; BCT to BCT.
    pub fn tdnn(&self, x: Tensor<3>) -> Tensor<3> {
        relu(self.tdnn.forward(x))
    }

    /// Dense block `index` (0, 1, 2) and the transition that follows it; BCT to BCT. The last
    /// one includes the norm of `out_nonlinear`, of which the ReLU is then left.
    pub fn stage(&self, index: usize, x: Tensor<3>) -> Tensor<3> {
        match self.stages.get(index) {
            Some(stage) => stage.forward(x),
            None => x,
        }
    }

    /// [`statistics`] to the embedding, `[batch, embedding_size]`.
    pub fn project(&self, statistics: Tensor<2>) -> Tensor<2> {
        self.dense.forward(statistics.unsqueeze_dim(2)).squeeze_dim(2)
    }
}

/// An utterance that is being embedded, see [`Campplus::advance`].
#[derive(Debug, Clone)]
pub struct Embedding {
    stage: EmbeddingStage,
}

#[derive(Debug, Clone)]
enum EmbeddingStage {
    /// `[batch, channels, bins, frames]` before step `next` of the 2-D network.
    Head {
        x: Tensor<4>,
        next: usize,
    },
    /// BCT before dense block `next`.
    Dense {
        x: Tensor<3>,
        next: usize,
    },
    Done,
}

/// Mean and unbiased standard deviation over time: BCT to `[batch, 2 * channels]`.
pub fn statistics(x: Tensor<3>) -> Tensor<2> {
    let frames = x.dims()[2];
    let mean = x.clone().mean_dim(2);
    let offset = x - mean.clone();
    let variance = (offset.clone() * offset).sum_dim(2) / frames.saturating_sub(1).max(1) as f32;
    Tensor::cat(vec![mean, variance.sqrt()], 1).squeeze_dim(2)
}

/// Weight and bias of a convolution with the norm after it folded in. Where the file has no such
/// norm, it must have been folded already, which leaves a bias.
fn folded<const D: usize>(
    conv: &Scope,
    norm: Option<&Scope>,
    shape: [usize; D],
) -> Result<(Tensor<D>, Option<Tensor<1>>), WeightsError> {
    let output = shape[0];
    let weight = conv.tensor("weight", shape)?;
    let bias = match conv.contains("bias") {
        true => Some(conv.tensor("bias", [output])?),
        false => None,
    };
    let norm = norm.filter(|norm| bias.is_none() || norm.contains("running_mean"));
    let Some(norm) = norm else { return Ok((weight, bias)) };
    let (scale, shift) = BatchNorm::load(norm, output)?.scale_shift();
    let bias = match bias {
        Some(bias) => bias * scale.clone() + shift,
        None => shift,
    };
    let mut rows = [1; D];
    rows[0] = output;
    Ok((weight * scale.reshape(rows), Some(bias)))
}

/// [`folded`] in one dimension; `shape` is `[out, in, kernel]`.
fn folded_conv1d(
    conv: &Scope,
    norm: Option<&Scope>,
    shape: [usize; 3],
    options: ConvOptions,
) -> Result<Conv1d, WeightsError> {
    let (weight, bias) = folded(conv, norm, shape)?;
    Ok(Conv1d::new(weight, bias, options))
}

/// Dimension `axis` of a tensor in the file, or what is usual where the file does not say: loading
/// the tensor then names what is wrong with it.
fn size(scope: &Scope, name: &str, axis: usize, usual: usize) -> usize {
    let found = scope.shape(name).and_then(|shape| shape.get(axis)).copied();
    found.filter(|size| *size > 0).unwrap_or(usual)
}

impl CampplusConfig {
    /// The sizes that a file's tensors have.
    pub fn from_weights(weights: &Weights) -> Result<Self, WeightsError> {
        let shape = |name: &str, expected: [usize; 3]| match weights.shape(name) {
            Some(&[out, input, kernel]) if out > 0 => Ok([out, input, kernel]),
            _ => Err(WeightsError::Missing {
                file: weights.path().into(),
                tensor: name.into(),
                expected: expected.into(),
            }),
        };
        let usual = Self::default();
        let inner = usual.bn_size * usual.growth_rate;
        let local = "xvector.block1.tdnnd1.cam_layer.linear_local.weight";
        let [growth_rate, inner, _] = shape(local, [usual.growth_rate, inner, 3])?;
        let [init_channels, ..] =
            shape("xvector.tdnn.linear.weight", [usual.init_channels, 320, 5])?;
        let [embedding_size, ..] =
            shape("xvector.dense.linear.weight", [usual.embedding_size, 1024, 1])?;
        Ok(Self { growth_rate, bn_size: inner / growth_rate, init_channels, embedding_size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    fn mini() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini/campplus.onnx")
    }

    /// The bundled file has every tensor, and none that nothing reads.
    #[test]
    fn bundled_file_loads_completely() {
        let device = Device::flex();
        let weights = Weights::open(mini()).unwrap();
        let config = CampplusConfig::from_weights(&weights).unwrap();
        Campplus::load(&weights.scope(&device), &config).unwrap();
        assert_eq!(weights.unused(), Vec::<String>::new());
    }

    /// Half a second to thirty: one segment, whole segments, a rest of one frame.
    #[test]
    fn any_length_has_an_embedding() {
        let device = Device::flex();
        let model = Campplus::open(&mini(), &CampplusConfig::default(), &device).unwrap();
        for frames in [1, 48, 200, 201, 400, 3000] {
            let values: Vec<f32> = (0..frames * 80).map(|i| (i as f32 * 0.37).sin()).collect();
            let fbank = Tensor::from_data(TensorData::new(values, [1, frames, 80]), &device);
            let embedding: Vec<f32> = model.embed(fbank).into_data().iter::<f32>().collect();
            assert_eq!(embedding.len(), 192);
            assert!(embedding.iter().all(|v| v.is_finite()), "{frames} frames");
        }
    }

    /// Steps give the embedding of one pass, and an end that is asked again gives nothing.
    #[test]
    fn steps_give_the_embedding_of_one_pass() {
        let device = Device::flex();
        let model = Campplus::open(&mini(), &CampplusConfig::default(), &device).unwrap();
        let values: Vec<f32> = (0..150 * 80).map(|i| (i as f32 * 0.37).sin()).collect();
        let fbank = Tensor::from_data(TensorData::new(values, [1, 150, 80]), &device);
        let mut embedding = model.begin(fbank.clone());
        let steps = model.head.steps() + model.stages.len();
        assert!((0..steps).all(|_| model.advance(&mut embedding).is_none()));
        let got = model.advance(&mut embedding).unwrap();
        assert_eq!(got.into_data(), model.embed(fbank).into_data());
        assert!(model.advance(&mut embedding).is_none());
    }

    /// Sizes other than the file's are named, not read past.
    #[test]
    fn wrong_sizes_name_the_tensor() {
        let other = CampplusConfig { growth_rate: 7, ..Default::default() };
        let error = Campplus::open(&mini(), &other, &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("xvector.tdnn.linear.weight"), "{error}");
    }
}
