use super::kernels::activation::leaky_relu_row;
use super::kernels::cube::{After, Before, Convolution};
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
    /// On a GPU.
    Gpu(Arc<Convolution>),
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
        Self { weights: Weights::new(weight, bias, options), options }
    }

    /// BCT to BCT.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.run(x, Before::None, |_, _| (), |x| x)
    }

    /// The exponential linear unit of [`Self::forward`].
    pub(crate) fn forward_elu(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.weights {
            Weights::Gpu(conv) => conv.forward(x, Before::None, After::Elu, false),
            _ => activation::elu(self.forward(x), 1.0),
        }
    }

    /// The convolution of `snake(x)`, BCT to BCT.
    pub(crate) fn forward_snake(&self, x: Tensor<3>, snake: &Snake) -> Tensor<3> {
        let before = snake.gpu().map_or(Before::None, Before::Snake);
        self.run(x, before, |channel, row| snake.row(channel, row), |x| snake.forward(x))
    }

    /// The convolution of the leaky ReLU of `x`, BCT to BCT.
    pub(crate) fn forward_leaky(&self, x: Tensor<3>, slope: f64) -> Tensor<3> {
        let by_row = |_, row: &mut [f32]| leaky_relu_row(row, slope as f32);
        let before = Before::Leaky(slope as f32);
        self.run(x, before, by_row, |x| activation::leaky_relu(x, slope))
    }

    /// `sum` plus the convolution of `snake(x)`, BCT to BCT.
    pub(crate) fn add_snake(&self, sum: Tensor<3>, x: Tensor<3>, snake: &Snake) -> Tensor<3> {
        let ConvOptions { stride, padding, dilation, .. } = self.options;
        match &self.weights {
            Weights::Packed(packed) => {
                let window = Window { stride, padding, dilation };
                packed.forward_onto(sum, x, window, |channel, row| snake.row(channel, row))
            }
            Weights::Gpu(conv) => {
                let before = snake.gpu().map_or(Before::None, Before::Snake);
                conv.forward(x, before, After::Add(sum), false)
            }
            Weights::Plain(_) => sum + self.forward_snake(x, snake),
        }
    }

    /// The sum of `other` and [`Self::add_snake`], divided by a number if there is one.
    pub(crate) fn add_snake_to(
        &self,
        other: Tensor<3>,
        sum: Tensor<3>,
        x: Tensor<3>,
        snake: &Snake,
        divisor: Option<f64>,
    ) -> Tensor<3> {
        if let Weights::Gpu(conv) = &self.weights {
            let before = snake.gpu().map_or(Before::None, Before::Snake);
            let scale = divisor.map_or(1.0, f64::recip) as f32;
            let after = After::AddTwo(sum, other, scale);
            return conv.forward(x, before, after, false);
        }
        let sum = other + self.add_snake(sum, x, snake);
        match divisor {
            Some(divisor) => sum / divisor,
            None => sum,
        }
    }

    /// The convolution of `x` after `by_row`, or the same on a GPU or as one operation.
    fn run(
        &self,
        x: Tensor<3>,
        before: Before,
        by_row: impl Fn(usize, &mut [f32]) + Sync,
        whole: impl Fn(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let ConvOptions { stride, padding, dilation, groups, .. } = self.options;
        match &self.weights {
            Weights::Packed(packed) => {
                packed.forward(x, Window { stride, padding, dilation }, by_row)
            }
            Weights::Gpu(conv) => conv.forward(x, before, After::None, false),
            Weights::Plain(plain) => {
                let Plain { weight, bias } = plain.as_ref();
                let options =
                    ops::ConvOptions::new_with_padding([stride], [padding], [dilation], groups);
                module::conv1d(whole(x), weight.clone(), bias.clone(), options)
            }
        }
    }
}

impl Weights {
    fn new(weight: Tensor<3>, bias: Option<Tensor<1>>, options: ConvOptions) -> Self {
        let ConvOptions { stride, padding, dilation, groups, .. } = options;
        if groups == 1 {
            if let Some(packed) = Packed::new(&weight, bias.as_ref()) {
                return Self::Packed(Arc::new(packed));
            }
            let conv = Convolution::new(&weight, bias.as_ref(), stride, padding, dilation);
            if let Some(conv) = conv {
                return Self::Gpu(Arc::new(conv));
            }
        }
        Self::Plain(Box::new(Plain { weight, bias }))
    }
}
