use super::kernels::{Packed, Rows};
use burn::tensor::{Tensor, module, ops};
use std::sync::Arc;

/// Convolution over rows and time with a square kernel of odd size, padded by half of it: time
/// stays, and of the rows every `stride`th is computed.
#[derive(Debug, Clone)]
pub(crate) struct Conv2d {
    weights: Weights,
    kernel: usize,
    stride: usize,
}

#[derive(Debug, Clone)]
enum Weights {
    Packed(Arc<Packed>),
    Plain(Box<Plain>),
}

#[derive(Debug, Clone)]
struct Plain {
    /// `[out, in, kernel, kernel]`
    weight: Tensor<4>,
    /// `[out]`
    bias: Option<Tensor<1>>,
}

impl Conv2d {
    /// From `weight` `[out, in, kernel, kernel]` and `bias` `[out]`.
    pub fn new(weight: Tensor<4>, bias: Option<Tensor<1>>, stride: usize) -> Self {
        let [output, input, kernel, width] = weight.dims();
        let flat = weight.clone().reshape([output, input, kernel * width]);
        let weights = match Packed::new(&flat, bias.as_ref()) {
            Some(packed) => Weights::Packed(Arc::new(packed)),
            None => Weights::Plain(Box::new(Plain { weight, bias })),
        };
        Self { weights, kernel, stride }
    }

    /// `[batch, in, rows, time]` to `[batch, out, rows / stride, time]`, rounded up.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let Self { kernel, stride, .. } = *self;
        match &self.weights {
            Weights::Packed(packed) => packed.forward_rows(x, Rows { kernel, stride }),
            Weights::Plain(plain) => {
                let (weight, bias) = (plain.weight.clone(), plain.bias.clone());
                let padding = [kernel / 2, kernel / 2];
                let options = ops::ConvOptions::new([stride, 1], padding, [1, 1], 1);
                module::conv2d(x, weight, bias, options)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    /// Protects rows at the rim, strides that do and do not divide the rows, ends of tiles and
    /// blocks, kernels of one and batches, against Burn's convolution.
    #[test]
    fn equals_burns_convolution() {
        let random = |shape: [usize; 4]| -> Tensor<4> {
            Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
        };
        let shapes = [
            // batch, in, out, rows, time, kernel, stride
            (1, 1, 1, 1, 1, 3, 1),
            (1, 1, 9, 5, 7, 3, 1),
            (2, 3, 17, 8, 50, 3, 2),
            (1, 4, 8, 7, 130, 3, 2),
            (1, 8, 12, 80, 400, 3, 1),
            (2, 5, 4, 9, 33, 1, 2),
            (1, 2, 3, 6, 20, 5, 3),
        ];
        for (batch, input, output, rows, time, kernel, stride) in shapes {
            let weight = random([output, input, kernel, kernel]) / (input * kernel) as f64;
            let bias: Tensor<1> = random([output, 1, 1, 1]).reshape([output]);
            let x = random([batch, input, rows, time]);
            let plain = Plain { weight: weight.clone(), bias: Some(bias.clone()) };
            let plain = Conv2d { weights: Weights::Plain(Box::new(plain)), kernel, stride };
            let want = plain.forward(x.clone());
            let got = Conv2d::new(weight, Some(bias), stride).forward(x);
            assert_eq!(got.dims(), want.dims());
            assert_eq!(got.dims(), [batch, output, rows.div_ceil(stride), time]);
            let error = (got - want).abs().max().into_scalar::<f32>();
            assert!(error < 1e-5, "{input} to {output}, {rows} x {time}: {error:e}");
        }
    }
}
