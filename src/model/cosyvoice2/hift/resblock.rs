//! Residual block of dilated convolutions with snake activations (Ziyin et al. 2020; BigVGAN).

use crate::model::nn::{Conv1d, ConvOptions, Snake};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::Tensor;

/// Keys `convs1.{i}`, `convs2.{i}`, `activations1.{i}.alpha`, `activations2.{i}.alpha`, one `i`
/// per dilation.
#[derive(Debug, Clone)]
pub struct ResBlock {
    layers: Vec<Layer>,
}

#[derive(Debug, Clone)]
struct Layer {
    snake1: Snake,
    conv1: Conv1d,
    snake2: Snake,
    conv2: Conv1d,
}

impl Layer {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let y = self.conv1.forward_snake(x.clone(), &self.snake1);
        self.conv2.add_snake(x, y, &self.snake2)
    }
}

impl ResBlock {
    pub fn load(
        scope: &Scope,
        channels: usize,
        kernel: usize,
        dilations: &[usize],
    ) -> Result<Self, WeightsError> {
        let conv = |name: &str, i: usize, dilation: usize| {
            let side = (kernel - 1) * dilation / 2;
            let options = ConvOptions { dilation, padding: (side, side), ..Default::default() };
            Conv1d::load(&scope.sub(name).sub(i), channels, channels, kernel, options)
        };
        let snake = |name: &str, i: usize| {
            let alpha = scope.sub(name).sub(i).tensor("alpha", [channels])?;
            Ok::<_, WeightsError>(Snake::new(alpha))
        };
        let layers = dilations.iter().enumerate().map(|(i, &dilation)| {
            Ok(Layer {
                snake1: snake("activations1", i)?,
                conv1: conv("convs1", i, dilation)?,
                snake2: snake("activations2", i)?,
                conv2: conv("convs2", i, 1)?,
            })
        });
        Ok(Self { layers: layers.collect::<Result<_, _>>()? })
    }

    /// `[batch, channels, n]` to the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.layers.iter().fold(x, |x, layer| layer.forward(x))
    }

    /// The sum of `sum` and [`Self::forward`], divided by a number if there is one.
    pub fn add_to(&self, sum: Tensor<3>, x: Tensor<3>, divisor: Option<f64>) -> Tensor<3> {
        let Some((last, layers)) = self.layers.split_last() else {
            return (sum + x) / divisor.unwrap_or(1.0);
        };
        let x = layers.iter().fold(x, |x, layer| layer.forward(x));
        let y = last.conv1.forward_snake(x.clone(), &last.snake1);
        last.conv2.add_snake_to(sum, x, y, &last.snake2, divisor)
    }
}
