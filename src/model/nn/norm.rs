use super::kernels::cube::Mish;
use super::kernels::{activation, cube, rms_norm};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::{Tensor, module};

/// Layer normalisation over the last dimension.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    pub(super) weight: Tensor<1>,
    pub(super) bias: Tensor<1>,
    pub(super) eps: f64,
}

impl LayerNorm {
    pub fn load(scope: &Scope, size: usize, eps: f64) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: scope.tensor("weight", [size])?,
            bias: scope.tensor("bias", [size])?,
            eps,
        })
    }

    /// `[.., size]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        cube::layer_norm(x, &self.weight, &self.bias, self.eps, None)
            .unwrap_or_else(|x| self.portable(x))
    }

    /// `mish` of [`Self::forward`].
    pub fn forward_mish<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        cube::layer_norm(x, &self.weight, &self.bias, self.eps, Some(Mish::Alone))
            .unwrap_or_else(|x| activation::mish(self.portable(x)))
    }

    /// [`Self::forward_mish`], plus `row` `[size]`.
    pub fn forward_mish_plus<const D: usize>(&self, x: Tensor<D>, row: &Tensor<1>) -> Tensor<D> {
        cube::layer_norm(x, &self.weight, &self.bias, self.eps, Some(Mish::Plus(row)))
            .unwrap_or_else(|x| activation::mish(self.portable(x)) + row.clone().unsqueeze::<D>())
    }

    fn portable<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        module::layer_norm(x, self.weight.clone(), Some(self.bias.clone()), self.eps)
    }
}

/// Root-mean-square normalisation over the last dimension (Zhang & Sennrich 2019).
#[derive(Debug, Clone)]
pub struct RmsNorm {
    pub(super) weight: Tensor<1>,
    pub(super) eps: f64,
}

impl RmsNorm {
    pub fn load(scope: &Scope, size: usize, eps: f64) -> Result<Self, WeightsError> {
        Ok(Self { weight: scope.tensor("weight", [size])?, eps })
    }

    /// `[.., size]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if let Some(y) = rms_norm(&x, &self.weight, self.eps as f32) {
            return y;
        }
        cube::rms_norm(x, &self.weight, self.eps).unwrap_or_else(|x| self.portable(x))
    }

    fn portable<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mean_square = (x.clone() * x.clone()).mean_dim(D - 1);
        x / (mean_square + self.eps).sqrt() * self.weight.clone().unsqueeze::<D>()
    }
}

/// Batch normalisation with the running statistics, over dimension 1, as one scale and shift.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    /// `weight / sqrt(var + eps)`, `[size]`
    scale: Tensor<1>,
    /// `bias - mean * scale`, `[size]`
    shift: Tensor<1>,
}

impl BatchNorm {
    const EPS: f32 = 1e-5;

    /// Loads `running_mean`, `running_var` and, where the file has them, `weight` and `bias`.
    pub fn load(scope: &Scope, size: usize) -> Result<Self, WeightsError> {
        let mean = scope.values("running_mean", &[size])?;
        let var = scope.values("running_var", &[size])?;
        let mut scale: Vec<f32> = var.iter().map(|v| 1.0 / (v + Self::EPS).sqrt()).collect();
        if scope.contains("weight") {
            let weight = scope.values("weight", &[size])?;
            scale.iter_mut().zip(weight).for_each(|(s, w)| *s *= w);
        }
        let mut shift: Vec<f32> = mean.iter().zip(&scale).map(|(m, s)| -m * s).collect();
        if scope.contains("bias") {
            let bias = scope.values("bias", &[size])?;
            shift.iter_mut().zip(bias).for_each(|(s, b)| *s += b);
        }
        let device = scope.device();
        Ok(Self {
            scale: Tensor::from_floats(scale.as_slice(), device),
            shift: Tensor::from_floats(shift.as_slice(), device),
        })
    }

    /// Scale and shift, `[size]` each, for folding into a neighbouring layer.
    pub fn scale_shift(&self) -> (Tensor<1>, Tensor<1>) {
        (self.scale.clone(), self.shift.clone())
    }

    /// `[batch, size, ..]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mut shape = [1; D];
        shape[1] = self.scale.dims()[0];
        x * self.scale.clone().reshape(shape) + self.shift.clone().reshape(shape)
    }
}
