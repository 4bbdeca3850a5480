//! Fundamental frequency from mel: five convolutions and a linear layer.

use crate::model::nn::{Conv1d, ConvOptions, Linear};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::{Device, Tensor};

const LAYERS: usize = 5;
const KERNEL: usize = 3;

/// Mel frames on each side that an output of [`F0Predictor`] depends on.
pub const F0_CONTEXT: usize = LAYERS * (KERNEL / 2);

/// Keys `condnet.{0,2,4,6,8}` (an ELU follows each) and `classifier`.
#[derive(Debug, Clone)]
pub struct F0Predictor {
    convs: Vec<Conv1d>,
    classifier: Classifier,
}

#[derive(Debug, Clone)]
enum Classifier {
    Linear(Box<Linear>),
    /// The same as a convolution of one tap: on a GPU, where a product with one column is no kernel
    /// of ours.
    Conv(Conv1d),
}

impl F0Predictor {
    pub fn load(scope: &Scope, mels: usize, channels: usize) -> Result<Self, WeightsError> {
        let options = ConvOptions { padding: (KERNEL / 2, KERNEL / 2), ..Default::default() };
        let convs = (0..LAYERS)
            .map(|i| {
                let input = if i == 0 { mels } else { channels };
                let scope = scope.sub("condnet").sub(2 * i);
                Conv1d::load(&scope, input, channels, KERNEL, options)
            })
            .collect::<Result<_, _>>()?;
        let scope = scope.sub("classifier");
        let classifier = if *scope.device() == Device::flex() {
            Classifier::Linear(Box::new(Linear::load(&scope, channels, 1)?))
        } else {
            let weight: Tensor<2> = scope.tensor("weight", [1, channels])?;
            let bias = scope.tensor("bias", [1])?;
            let weight = weight.reshape([1, channels, 1]);
            Classifier::Conv(Conv1d::new(weight, Some(bias), ConvOptions::default()))
        };
        Ok(Self { convs, classifier })
    }

    /// Mel `[batch, mels, frames]` to hertz `[batch, frames]`, not negative.
    pub fn forward(&self, mel: Tensor<3>) -> Tensor<2> {
        let x = self.convs.iter().fold(mel, |x, conv| conv.forward_elu(x));
        match &self.classifier {
            Classifier::Linear(linear) => {
                linear.forward(x.swap_dims(1, 2)).squeeze_dim::<2>(2).abs()
            }
            Classifier::Conv(conv) => conv.forward(x).squeeze_dim::<2>(1).abs(),
        }
    }
}
