use super::kernels::activation::leaky_relu_row;
use super::kernels::{Packed, Snake, Window};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::{Tensor, activation, module, ops};
use std::sync::Arc;

/// How a [`Conv1d`] slides over its input. The default is stride 1, dilation 1, one group, no
/// padding.
#[derive(Debug, Clone, Copy)]
pub struct ConvOptions {
    pub stride: usize,
    /// Zeros before and after the input.
    pub padding: (usize, usize),
    pub dilation: usize,
    pub groups: usize,
    pub bias: bool,
}

impl Default for ConvOptions {
    fn default() -> Self {
        Self { stride: 1, padding: (0, 0), dilation: 1, groups: 1, bias: true }
    }
}

/// One-dimensional convolution.
#[derive(Debug, Clone)]
pub struct Conv1d {
    weights: Weights,
    options: ConvOptions,
}

#[derive(Debug, Clone)]
enum Weights {
    Packed(Arc<Packed>),
    Plain(Box<Plain>),
}

#[derive(Debug, Clone)]
struct Plain {
    /// `[out, in / groups, kernel]`
    weight: Tensor<3>,
    /// `[out]`
    bias: Option<Tensor<1>>,
}

impl Conv1d {
    pub fn load(
        scope: &Scope,
        input: usize,
        output: usize,
        kernel: usize,
        options: ConvOptions,
    ) -> Result<Self, WeightsError> {
        let bias = if options.bias { Some(scope.tensor("bias", [output])?) } else { None };
        let weight = scope.tensor("weight", [output, input / options.groups, kernel])?;
        Ok(Self::new(weight, bias, options))
    }

    /// From tensors: `weight` `[out, in / groups, kernel]`, `bias` `[out]`.
    pub fn new(weight: Tensor<3>, bias: Option<Tensor<1>>, options: ConvOptions) -> Self {
        let packed = if options.groups == 1 { Packed::new(&weight, bias.as_ref()) } else { None };
        let weights = match packed {
            Some(packed) => Weights::Packed(Arc::new(packed)),
            None => Weights::Plain(Box::new(Plain { weight, bias })),
        };
        Self { weights, options }
    }

    /// BCT to BCT.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.run(x, |_, _| (), |x| x)
    }

    /// The convolution of `snake(x)`, BCT to BCT.
    pub(crate) fn forward_snake(&self, x: Tensor<3>, snake: &Snake) -> Tensor<3> {
        self.run(x, |channel, row| snake.row(channel, row), |x| snake.forward(x))
    }

    /// The convolution of the leaky ReLU of `x`, BCT to BCT.
    pub(crate) fn forward_leaky(&self, x: Tensor<3>, slope: f64) -> Tensor<3> {
        let by_row = |_, row: &mut [f32]| leaky_relu_row(row, slope as f32);
        self.run(x, by_row, |x| activation::leaky_relu(x, slope))
    }

    /// `sum` plus the convolution of `snake(x)`, BCT to BCT.
    pub(crate) fn add_snake(&self, sum: Tensor<3>, x: Tensor<3>, snake: &Snake) -> Tensor<3> {
        let ConvOptions { stride, padding, dilation, .. } = self.options;
        match &self.weights {
            Weights::Packed(packed) => {
                let window = Window { stride, padding, dilation };
                packed.forward_onto(sum, x, window, |channel, row| snake.row(channel, row))
            }
            Weights::Plain(_) => sum + self.forward_snake(x, snake),
        }
    }

    /// The convolution of `x` after `by_row`, or the same as one operation.
    fn run(
        &self,
        x: Tensor<3>,
        by_row: impl Fn(usize, &mut [f32]) + Sync,
        whole: impl Fn(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let ConvOptions { stride, padding, dilation, groups, .. } = self.options;
        match &self.weights {
            Weights::Packed(packed) => {
                packed.forward(x, Window { stride, padding, dilation }, by_row)
            }
            Weights::Plain(plain) => {
                let Plain { weight, bias } = plain.as_ref();
                let options =
                    ops::ConvOptions::new_with_padding([stride], [padding], [dilation], groups);
                module::conv1d(whole(x), weight.clone(), bias.clone(), options)
            }
        }
    }
}
