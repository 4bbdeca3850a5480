use super::kernels::cube::{After, Before, Convolution};
use super::kernels::{Transposed, activation};
use burn::tensor::ops::{ConvTransposeOptions, PadMode};
use burn::tensor::{Tensor, activation as plain_activation, module};
use std::sync::Arc;

/// One-dimensional transposed convolution with one group and dilation 1.
#[derive(Debug, Clone)]
pub(crate) struct ConvTranspose1d {
    weights: Weights,
}

#[derive(Debug, Clone)]
enum Weights {
    Packed(Arc<Transposed>),
    /// On a GPU.
    Gpu(Arc<Convolution>),
    Plain(Box<Plain>),
}

#[derive(Debug, Clone)]
struct Plain {
    /// `[in, out, kernel]`
    weight: Tensor<3>,
    /// `[out]`
    bias: Option<Tensor<1>>,
    options: ConvTransposeOptions<1>,
}

impl ConvTranspose1d {
    /// From `weight` `[in, out, kernel]` and `bias` `[out]`. The output has `rate` steps per step of
    /// the input, and `cut` fewer at both ends.
    pub fn new(weight: Tensor<3>, bias: Option<Tensor<1>>, rate: usize, cut: usize) -> Self {
        Self { weights: Weights::new(weight, bias, rate, cut) }
    }

    /// `[batch, in, time]` to `[batch, out, (time - 1) * rate + kernel - 2 * cut]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.weights {
            Weights::Packed(packed) => packed.forward(x, |_, _| ()),
            Weights::Gpu(conv) => conv.forward(x, Before::None, After::None, false),
            Weights::Plain(plain) => plain.forward(x),
        }
    }

    /// [`Self::forward`] of the leaky ReLU of `x`.
    pub fn forward_leaky(&self, x: Tensor<3>, slope: f64) -> Tensor<3> {
        match &self.weights {
            Weights::Packed(packed) => {
                packed.forward(x, |_, row| activation::leaky_relu_row(row, slope as f32))
            }
            Weights::Gpu(conv) => conv.forward(x, Before::Leaky(slope as f32), After::None, false),
            Weights::Plain(plain) => plain.forward(plain_activation::leaky_relu(x, slope)),
        }
    }

    /// [`Self::forward_leaky`], where asked for with its second step once more before the first,
    /// plus `sum` of that shape.
    pub fn add_leaky(&self, sum: Tensor<3>, x: Tensor<3>, slope: f64, extend: bool) -> Tensor<3> {
        if let Weights::Gpu(conv) = &self.weights {
            let before = Before::Leaky(slope as f32);
            return conv.forward(x, before, After::Add(sum), extend);
        }
        let y = self.forward_leaky(x, slope);
        if extend { y.pad([(1, 0)], PadMode::Reflect) + sum } else { y + sum }
    }
}

impl Weights {
    fn new(weight: Tensor<3>, bias: Option<Tensor<1>>, rate: usize, cut: usize) -> Self {
        if let Some(packed) = Transposed::new(&weight, bias.as_ref(), rate, cut) {
            return Self::Packed(Arc::new(packed));
        }
        if let Some(conv) = Convolution::transposed(&weight, bias.as_ref(), rate, cut) {
            return Self::Gpu(Arc::new(conv));
        }
        let options = ConvTransposeOptions::new([rate], [cut], [0], [1], 1);
        Self::Plain(Box::new(Plain { weight, bias, options }))
    }
}

impl Plain {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let Self { weight, bias, options } = self.clone();
        module::conv_transpose1d(x, weight, bias, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    /// Protects kernels that are and are not whole multiples of the rate, cuts within and beyond a
    /// step, rates of one and batches, against Burn's transposed convolution.
    #[test]
    fn equals_burns_transposed_convolution() {
        let random = |shape: [usize; 3]| -> Tensor<3> {
            Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
        };
        let shapes = [
            // batch, in, out, time, kernel, rate, cut
            (1, 1, 1, 1, 1, 1, 0),
            (1, 3, 2, 5, 4, 2, 1),
            (2, 8, 5, 33, 11, 5, 3),
            (1, 16, 9, 100, 16, 8, 4),
            (1, 18, 1, 481, 16, 4, 8),
            (2, 18, 1, 3, 20, 5, 10),
            (1, 4, 3, 50, 7, 3, 2),
            (1, 4, 3, 9, 2, 3, 0),
        ];
        for (batch, input, output, time, kernel, rate, cut) in shapes {
            let weight = random([input, output, kernel]) / input as f64;
            let bias: Tensor<1> = random([output, 1, 1]).reshape([output]);
            let x = random([batch, input, time]);
            let options = ConvTransposeOptions::new([rate], [cut], [0], [1], 1);
            let plain = Plain { weight: weight.clone(), bias: Some(bias.clone()), options };
            let conv = ConvTranspose1d::new(weight, Some(bias), rate, cut);
            let leaky = plain_activation::leaky_relu(x.clone(), 0.1);
            let pairs = [
                (conv.forward(x.clone()), plain.forward(x.clone())),
                (conv.forward_leaky(x, 0.1), plain.forward(leaky)),
            ];
            for (got, want) in pairs {
                assert_eq!(got.dims(), want.dims());
                let error = (got - want).abs().max().into_scalar::<f32>();
                assert!(error < 1e-5, "kernel {kernel}, rate {rate}: {error:e}");
            }
        }
    }
}
