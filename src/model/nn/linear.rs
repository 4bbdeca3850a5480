use super::kernels::{Precision, SkinnyMatrix, multiply_windows};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::Tensor;

/// Affine map of the last dimension.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[in, out]`, row-major. The transpose of PyTorch's layout: with few input rows the CPU
    /// backend's matrix product spends up to ten times the arithmetic on repacking the other one.
    weight: Tensor<2>,
    /// `[out]`
    bias: Option<Tensor<1>>,
}

impl Linear {
    /// Loads `weight` `[out, in]` and `bias` `[out]`.
    pub fn load(scope: &Scope, input: usize, output: usize) -> Result<Self, WeightsError> {
        let bias = Some(scope.tensor("bias", [output])?);
        Ok(Self::new(scope.tensor("weight", [output, input])?, bias))
    }

    /// Loads `weight` `[out, in]` alone.
    pub fn load_no_bias(scope: &Scope, input: usize, output: usize) -> Result<Self, WeightsError> {
        Ok(Self::new(scope.tensor("weight", [output, input])?, None))
    }

    /// From tensors: `weight` `[out, in]`, `bias` `[out]`.
    pub fn new(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        let [output, input] = weight.dims();
        // Written into new memory: a transposed view alone would keep the old order.
        let weight = Tensor::zeros([input, output], &weight.device())
            .slice_assign([0..input, 0..output], weight.transpose());
        Self { weight, bias }
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mut dims = x.dims();
        let [input, output] = self.weight.dims();
        let rows: usize = dims[..D - 1].iter().product();
        let mut y = x.reshape([rows, input]).matmul(self.weight.clone());
        if let Some(bias) = &self.bias {
            y = y + bias.clone().unsqueeze::<2>();
        }
        dims[D - 1] = output;
        y.reshape(dims)
    }

    /// [`Self::forward`] for tens of rows: on the CPU it spares the general product's copies.
    pub fn forward_rows(&self, x: Tensor<3>) -> Tensor<3> {
        match multiply_windows(&x, 1, &self.weight, self.bias.as_ref()) {
            Some(y) => y,
            None => self.forward(x),
        }
    }
}

/// Affine map of rows that stand for one another's company: a row's result is the same to the last
/// bit however many rows are beside it. For decoders, whose rows are different sequences.
#[derive(Debug)]
pub struct RowLinear {
    product: Product,
}

#[derive(Debug)]
enum Product {
    Skinny {
        matrix: SkinnyMatrix,
        bias: Option<Tensor<1>>,
    },
    /// Where the backend is not the one that the kernel is for. Its own product makes no promises,
    /// and `Precision` has no effect.
    Burn(Linear),
}

impl RowLinear {
    /// From tensors: `weight` `[out, in]`, `bias` `[out]`.
    pub fn new(weight: Tensor<2>, bias: Option<Tensor<1>>, precision: Precision) -> Self {
        let product = match SkinnyMatrix::new(&weight, precision) {
            Some(matrix) => Product::Skinny { matrix, bias },
            None => Product::Burn(Linear::new(weight, bias)),
        };
        Self { product }
    }

    /// `[rows, in]` to `[rows, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.product {
            Product::Skinny { matrix, bias } => matrix.product(bias.as_ref(), x),
            Product::Burn(linear) => linear.forward(x),
        }
    }

    /// Adds the map of `x` `[rows, in]` to `residual` `[rows, out]`.
    pub fn add_to(&self, residual: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        match &self.product {
            Product::Skinny { matrix, bias: None } => matrix.add_product(residual, x),
            _ => residual + self.forward(x),
        }
    }
}
