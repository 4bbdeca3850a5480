//! The 2-D residual network in front: frequency shrinks to an eighth, time stays.

use super::{folded, size};
use crate::model::nn::Conv2d;
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

/// Residual network over frequency and time.
#[derive(Debug, Clone)]
pub(super) struct Head {
    conv1: Conv2d,
    blocks: Vec<HeadBlock>,
    conv2: Conv2d,
    pub channels: usize,
}

impl Head {
    pub fn load(scope: &Scope) -> Result<Self, WeightsError> {
        let c = size(scope, "conv1.weight", 0, 32);
        let conv = |name: &str, norm: &str, input, stride| {
            conv2d(&scope.sub(name), &scope.sub(norm), [c, input, 3, 3], stride)
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

    /// `[batch, frames, features]` to `[batch, channels * features / 8, frames]`.
    pub fn forward(&self, fbank: Tensor<3>) -> Tensor<3> {
        flat((0..self.steps()).fold(plane(fbank), |x, step| self.step(step, x)))
    }

    /// How many calls of [`Self::step`] make the network.
    pub fn steps(&self) -> usize {
        self.blocks.len() + 2
    }

    /// A convolution or a block, `[batch, channels, bins, frames]` to the same with fewer bins.
    pub fn step(&self, step: usize, x: Tensor<4>) -> Tensor<4> {
        match step.checked_sub(1) {
            None => relu(self.conv1.forward(x)),
            Some(block) => match self.blocks.get(block) {
                Some(block) => block.forward(x),
                None => relu(self.conv2.forward(x)),
            },
        }
    }
}

/// `[batch, frames, features]` to one channel, `[batch, 1, features, frames]`.
pub(super) fn plane(fbank: Tensor<3>) -> Tensor<4> {
    fbank.swap_dims(1, 2).unsqueeze_dim(1)
}

/// `[batch, channels, bins, frames]` to `[batch, channels * bins, frames]`.
pub(super) fn flat(x: Tensor<4>) -> Tensor<3> {
    let [batch, channels, bins, frames] = x.dims();
    x.reshape([batch, channels * bins, frames])
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
            conv2d(&scope.sub(name), &scope.sub(norm), [c, c, kernel, kernel], stride)
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

/// Convolution over frequency and time that keeps the time resolution, with its norm folded in;
/// `shape` is `[out, in, kernel, kernel]`.
fn conv2d(
    conv: &Scope,
    norm: &Scope,
    shape: [usize; 4],
    stride: usize,
) -> Result<Conv2d, WeightsError> {
    let (weight, bias) = folded(conv, Some(norm), shape)?;
    Ok(Conv2d::new(weight, bias, stride))
}
