//! CAM++ speaker encoder (Wang et al. 2023): filter banks of a prompt in, one embedding out.
//!
//! A small 2-D residual network over frequency, then densely connected time-delay layers, each
//! gated by a context of its segment and of the whole utterance, then mean and deviation over
//! time. Every batch norm that follows a convolution is folded into it when loading, as ONNX
//! exporters do, so that a plain state dict and a folded file become the same layers.

use super::config::CampplusConfig;
use crate::model::nn::{BatchNorm, Conv1d, ConvOptions};
use crate::model::weights::{Scope, Weights, WeightsError};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor, TensorData, module, ops};
use std::path::Path;

/// Dilations of the dense blocks' convolutions.
const DILATIONS: [usize; 3] = [1, 2, 2];
/// Frames (after the halving) that share one context.
const SEGMENT: usize = 100;

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
        let bins = size(&xvector, "tdnn.linear.weight", 1, 10 * head.channels) / head.channels;
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
    /// `[batch, embedding_size]`.
    pub fn embed(&self, fbank: Tensor<3>) -> Tensor<2> {
        let x = self.tdnn(self.head(fbank));
        let x = (0..self.stages.len()).fold(x, |x, stage| self.stage(stage, x));
        self.project(statistics(relu(x)))
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

/// Mean and unbiased standard deviation over time: BCT to `[batch, 2 * channels]`.
pub fn statistics(x: Tensor<3>) -> Tensor<2> {
    let frames = x.dims()[2];
    let mean = x.clone().mean_dim(2);
    let offset = x - mean.clone();
    let variance = (offset.clone() * offset).sum_dim(2) / frames.saturating_sub(1).max(1) as f32;
    Tensor::cat(vec![mean, variance.sqrt()], 1).squeeze_dim(2)
}

/// Residual network over frequency and time.
#[derive(Debug, Clone)]
struct Head {
    conv1: Conv2d,
    blocks: Vec<HeadBlock>,
    conv2: Conv2d,
    channels: usize,
}

impl Head {
    fn load(scope: &Scope) -> Result<Self, WeightsError> {
        let c = size(scope, "conv1.weight", 0, 32);
        let conv = |name: &str, norm: &str, input, stride| {
            Conv2d::load(&scope.sub(name), &scope.sub(norm), [c, input, 3, 3], stride)
        };
        let mut blocks = Vec::new();
        for layer in ["layer1", "layer2"] {
            // The first block of a layer halves the frequency bins.
            for (i, stride) in [2, 1].into_iter().enumerate() {
                blocks.push(HeadBlock::load(&scope.sub(layer).sub(i), c, stride)?);
            }
        }
        Ok(Self {
            conv1: conv("conv1", "bn1", 1, 1)?,
            blocks,
            conv2: conv("conv2", "bn2", c, 2)?,
            channels: c,
        })
    }

    fn forward(&self, fbank: Tensor<3>) -> Tensor<3> {
        let x = relu(self.conv1.forward(fbank.swap_dims(1, 2).unsqueeze_dim(1)));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let x = relu(self.conv2.forward(x));
        let [batch, channels, bins, frames] = x.dims();
        x.reshape([batch, channels * bins, frames])
    }
}

#[derive(Debug, Clone)]
struct HeadBlock {
    conv1: Conv2d,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

impl HeadBlock {
    fn load(scope: &Scope, c: usize, stride: usize) -> Result<Self, WeightsError> {
        let conv = |name: &str, norm: &str, kernel, stride| {
            Conv2d::load(&scope.sub(name), &scope.sub(norm), [c, c, kernel, kernel], stride)
        };
        Ok(Self {
            conv1: conv("conv1", "bn1", 3, stride)?,
            conv2: conv("conv2", "bn2", 3, 1)?,
            shortcut: match stride {
                1 => None,
                _ => Some(conv("shortcut.0", "shortcut.1", 1, stride)?),
            },
        })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.conv2.forward(relu(self.conv1.forward(x.clone())));
        let x = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        relu(y + x)
    }
}

/// Convolution over frequency and time that keeps the time resolution, with its norm folded in.
#[derive(Debug, Clone)]
struct Conv2d {
    /// `[out, in, kernel, kernel]`
    weight: Tensor<4>,
    /// `[out]`
    bias: Option<Tensor<1>>,
    /// Over frequency.
    stride: usize,
}

impl Conv2d {
    fn load(
        conv: &Scope,
        norm: &Scope,
        shape: [usize; 4],
        stride: usize,
    ) -> Result<Self, WeightsError> {
        let (weight, bias) = folded(conv, Some(norm), shape)?;
        Ok(Self { weight, bias, stride })
    }

    /// `[batch, in, bins, frames]` to `[batch, out, bins / stride, frames]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let padding = self.weight.dims()[2] / 2;
        let options = ops::ConvOptions::new([self.stride, 1], [padding, padding], [1, 1], 1);
        module::conv2d(x, self.weight.clone(), self.bias.clone(), options)
    }
}

/// A dense block and its transition to half the channels.
#[derive(Debug, Clone)]
struct Stage {
    layers: Vec<DenseLayer>,
    norm: BatchNorm,
    transit: Conv1d,
}

impl Stage {
    /// Block `number`, counted from 1, and its output channels.
    fn load(
        xvector: &Scope,
        number: usize,
        input: usize,
        dilation: usize,
        last: bool,
        config: &CampplusConfig,
    ) -> Result<(Self, usize), WeightsError> {
        let block = xvector.sub(format!("block{number}"));
        let transit = xvector.sub(format!("transit{number}"));
        let mut channels = input;
        let mut layers = Vec::new();
        for i in 1..=layer_count(&block) {
            let layer = block.sub(format!("tdnnd{i}"));
            layers.push(DenseLayer::load(&layer, channels, dilation, config)?);
            channels += config.growth_rate;
        }
        let norm = BatchNorm::load(&transit.sub("nonlinear.batchnorm"), channels)?;
        let out_norm = xvector.sub("out_nonlinear.batchnorm");
        let linear = folded_conv1d(
            &transit.sub("linear"),
            last.then_some(&out_norm),
            [channels / 2, channels, 1],
            ConvOptions::default(),
        )?;
        Ok((Self { layers, norm, transit: linear }, channels / 2))
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let context = Context::new(x.dims()[2], &x.device());
        let x = self
            .layers
            .iter()
            .fold(x, |x, layer| Tensor::cat(vec![x.clone(), layer.forward(x, &context)], 1));
        self.transit.forward(relu(self.norm.forward(x)))
    }
}

/// How many layers a dense block's names count to. A gap among them is then reported as a
/// missing tensor.
fn layer_count(block: &Scope) -> usize {
    let prefix = block.full("tdnnd");
    let number = |name: &str| name.strip_prefix(&prefix)?.split('.').next()?.parse().ok();
    block.weights().names().filter_map(number).max().unwrap_or(0)
}

/// Bottleneck, dilated convolution and the gate of its context.
#[derive(Debug, Clone)]
struct DenseLayer {
    norm: BatchNorm,
    bottleneck: Conv1d,
    local: Conv1d,
    gate_in: Conv1d,
    gate_out: Conv1d,
}

impl DenseLayer {
    fn load(
        scope: &Scope,
        input: usize,
        dilation: usize,
        config: &CampplusConfig,
    ) -> Result<Self, WeightsError> {
        let growth = config.growth_rate;
        let inner = config.bn_size * growth;
        let cam = scope.sub("cam_layer");
        let kernel = size(&cam, "linear_local.weight", 2, 3);
        let same = dilation * (kernel - 1) / 2;
        let options = ConvOptions { padding: (same, same), dilation, ..Default::default() };
        Ok(Self {
            norm: BatchNorm::load(&scope.sub("nonlinear1.batchnorm"), input)?,
            bottleneck: folded_conv1d(
                &scope.sub("linear1"),
                Some(&scope.sub("nonlinear2.batchnorm")),
                [inner, input, 1],
                ConvOptions::default(),
            )?,
            local: folded_conv1d(&cam.sub("linear_local"), None, [growth, inner, kernel], options)?,
            gate_in: Conv1d::load(&cam.sub("linear1"), inner, inner / 2, 1, Default::default())?,
            gate_out: Conv1d::load(&cam.sub("linear2"), inner / 2, growth, 1, Default::default())?,
        })
    }

    /// The `growth` channels that this layer adds, BCT.
    fn forward(&self, x: Tensor<3>, context: &Context) -> Tensor<3> {
        let z = relu(self.bottleneck.forward(relu(self.norm.forward(x))));
        let gate = relu(self.gate_in.forward(context.pool(z.clone())));
        let gate = sigmoid(self.gate_out.forward(gate));
        self.local.forward(z) * context.spread(gate)
    }
}

/// The pooling of a gate's context: the mean of all frames plus the mean of a segment, once a
/// segment, since it is the same for all its frames.
struct Context {
    /// `[1, frames, segments]`
    pool: Tensor<3>,
    /// 1 where a frame lies in a segment, `[1, segments, frames]`.
    spread: Tensor<3>,
}

impl Context {
    fn new(frames: usize, device: &Device) -> Self {
        let segments = frames.div_ceil(SEGMENT);
        let mut pool = vec![1.0 / frames as f32; frames * segments];
        let mut spread = vec![0.0f32; segments * frames];
        for frame in 0..frames {
            let segment = frame / SEGMENT;
            // The last segment is averaged over the frames that it has.
            let length = SEGMENT.min(frames - segment * SEGMENT);
            pool[frame * segments + segment] += 1.0 / length as f32;
            spread[segment * frames + frame] = 1.0;
        }
        Self {
            pool: Tensor::from_data(TensorData::new(pool, [1, frames, segments]), device),
            spread: Tensor::from_data(TensorData::new(spread, [1, segments, frames]), device),
        }
    }

    /// `[batch, channels, frames]` to `[batch, channels, segments]`.
    fn pool(&self, x: Tensor<3>) -> Tensor<3> {
        x.matmul(self.pool.clone())
    }

    /// `[batch, channels, segments]` to `[batch, channels, frames]`.
    fn spread(&self, x: Tensor<3>) -> Tensor<3> {
        x.matmul(self.spread.clone())
    }
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
