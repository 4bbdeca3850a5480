//! Densely connected time-delay layers with context-aware masking.

use super::{folded_conv1d, size};
use crate::model::cosyvoice2::config::CampplusConfig;
use crate::model::nn::{BatchNorm, Conv1d, ConvOptions, matmul};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};

/// Frames (after the halving) that share one context.
const SEGMENT: usize = 100;

/// A dense block and its transition to half the channels.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    layers: Vec<DenseLayer>,
    norm: BatchNorm,
    transit: Conv1d,
}

impl Stage {
    /// Block `number`, counted from 1, and its output channels.
    pub fn load(
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

    /// BCT to BCT.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
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
        // Only an odd kernel keeps the frames; the tensor of another is refused by its shape.
        let kernel = size(&cam, "linear_local.weight", 2, 3) | 1;
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
        matmul(x, self.pool.clone())
    }

    /// `[batch, channels, segments]` to `[batch, channels, frames]`.
    fn spread(&self, x: Tensor<3>) -> Tensor<3> {
        matmul(x, self.spread.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each segment has its own mean, the last one over the frames that it has.
    #[test]
    fn context_is_the_mean_of_all_plus_that_of_the_segment() {
        let device = Device::flex();
        let frames = SEGMENT + 2;
        let values: Vec<f32> = (0..frames).map(|t| if t < SEGMENT { 1.0 } else { 4.0 }).collect();
        let x = Tensor::<3>::from_data(TensorData::new(values, [1, 1, frames]), &device);
        let context = Context::new(frames, &device);
        let spread = context.spread(context.pool(x)).into_data();
        let mean = (SEGMENT as f32 + 8.0) / frames as f32;
        for (t, value) in spread.iter::<f32>().enumerate() {
            let segment = if t < SEGMENT { 1.0 } else { 4.0 };
            assert!((value - mean - segment).abs() < 1e-5, "frame {t}: {value}");
        }
    }
}
