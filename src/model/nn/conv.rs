use super::kernels::PackedConv1d;
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::{Tensor, module, ops};

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
    /// `[out, in / groups, kernel]`
    weight: Tensor<3>,
    /// `[out]`
    bias: Option<Tensor<1>>,
    options: ConvOptions,
    /// The same weights for our own loop on the CPU, where it applies.
    packed: Option<PackedConv1d>,
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
        let packed = if options.stride == 1 && options.groups == 1 {
            PackedConv1d::new(&weight, bias.as_ref(), options.dilation, options.padding)
        } else {
            None
        };
        Self { weight, bias, options, packed }
    }

    /// BCT to BCT.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        if let Some(y) = self.packed.as_ref().and_then(|packed| packed.forward(x.clone())) {
            return y;
        }
        let o = self.options;
        let options =
            ops::ConvOptions::new_with_padding([o.stride], [o.padding], [o.dilation], o.groups);
        module::conv1d(x, self.weight.clone(), self.bias.clone(), options)
    }
}
