use crate::model::weights::{Scope, WeightsError};
use burn::tensor::Tensor;

/// Affine map of the last dimension.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[out, in]`, row-major: each output's weights lie together, which the matrix-vector
    /// product of a decode step reads in order.
    weight: Tensor<2>,
    /// `[out]`
    bias: Option<Tensor<1>>,
}

impl Linear {
    /// Loads `weight` `[out, in]` and `bias` `[out]`.
    pub fn load(scope: &Scope, input: usize, output: usize) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: scope.tensor("weight", [output, input])?,
            bias: Some(scope.tensor("bias", [output])?),
        })
    }

    /// Loads `weight` `[out, in]` alone.
    pub fn load_no_bias(scope: &Scope, input: usize, output: usize) -> Result<Self, WeightsError> {
        Ok(Self { weight: scope.tensor("weight", [output, input])?, bias: None })
    }

    /// From tensors: `weight` `[out, in]`, `bias` `[out]`.
    pub fn new(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        Self { weight, bias }
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mut dims = x.dims();
        let [output, input] = self.weight.dims();
        let rows: usize = dims[..D - 1].iter().product();
        let mut y = x.reshape([rows, input]).matmul(self.weight.clone().transpose());
        if let Some(bias) = &self.bias {
            y = y + bias.clone().unsqueeze::<2>();
        }
        dims[D - 1] = output;
        y.reshape(dims)
    }
}
