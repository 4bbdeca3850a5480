use super::kernels::{
    Activation, Norm, Product, ProductInput, SkinnyMatrix, activation, gated_silu, matmul,
    multiply_windows,
};
use super::norm::{LayerNorm, RmsNorm};
use crate::model::weights::{Precision, Scope, WeightsError};
use burn::tensor::{DType, Device, Tensor, activation as plain_activation};

/// Affine map of the last dimension.
#[derive(Debug, Clone)]
pub struct Linear {
    map: Map,
    input: usize,
    output: usize,
}

#[derive(Debug, Clone)]
enum Map {
    Plain(Box<Plain>),
    /// On a GPU.
    Product(Product),
}

#[derive(Debug, Clone)]
struct Plain {
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
        let weight = scope.tensor("weight", [output, input])?;
        Ok(Self::new(weight, bias, scope.precision()))
    }

    /// Loads `weight` `[out, in]` alone.
    pub fn load_no_bias(scope: &Scope, input: usize, output: usize) -> Result<Self, WeightsError> {
        Ok(Self::new(scope.tensor("weight", [output, input])?, None, scope.precision()))
    }

    /// From tensors: `weight` `[out, in]`, `bias` `[out]`.
    pub fn new(weight: Tensor<2>, bias: Option<Tensor<1>>, precision: Precision) -> Self {
        let [output, input] = weight.dims();
        let weight = kept(transposed(weight), precision);
        let map = match Product::new(&weight, bias.as_ref()) {
            Some(product) => Map::Product(product),
            // Burn's products want numbers of one type.
            None => Map::Plain(Box::new(Plain { weight: weight.cast(DType::F32), bias })),
        };
        Self { map, input, output }
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mut dims = x.dims();
        let rows: usize = dims[..D - 1].iter().product();
        let x = x.reshape([rows, self.input]);
        let y = match &self.map {
            Map::Plain(plain) => {
                let y = matmul(x, plain.weight.clone());
                match &plain.bias {
                    Some(bias) => y + bias.clone().unsqueeze::<2>(),
                    None => y,
                }
            }
            Map::Product(product) => product.forward(ProductInput::rows(x), None),
        };
        dims[D - 1] = self.output;
        y.reshape(dims)
    }

    /// [`Self::forward`] for tens of rows: on the CPU it spares the general product's copies.
    pub fn forward_rows(&self, x: Tensor<3>) -> Tensor<3> {
        if let Map::Plain(plain) = &self.map
            && let Some(y) = multiply_windows(&x, 1, &plain.weight, plain.bias.as_ref())
        {
            return y;
        }
        self.forward(x)
    }

    /// Adds the map of `x` `[batch, rows, in]` to `residual` `[batch, rows, out]`.
    pub fn add_rows(&self, residual: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
        match &self.map {
            Map::Plain(_) => self.forward_rows(x) + residual,
            Map::Product(product) => {
                let [batch, rows, input] = x.dims();
                let x = ProductInput::rows(x.reshape([batch * rows, input]));
                let residual = residual.reshape([batch * rows, self.output]);
                product.forward(x, Some(residual)).reshape([batch, rows, self.output])
            }
        }
    }
}

/// `[out, in]` to `[in, out]`, written into new memory: a transposed view alone would keep the old
/// order.
fn transposed(weight: Tensor<2>) -> Tensor<2> {
    let [output, input] = weight.dims();
    Tensor::zeros([input, output], &weight.device())
        .slice_assign([0..input, 0..output], weight.transpose())
}

/// The numbers of a matrix in `precision`.
pub fn kept(matrix: Tensor<2>, precision: Precision) -> Tensor<2> {
    match precision {
        Precision::Bf16 if matrix.device() == Device::flex() => {
            matrix.cast(DType::BF16).cast(DType::F32)
        }
        Precision::Bf16 => matrix.cast(DType::BF16),
        Precision::F32 | Precision::F16 => matrix,
    }
}

/// Layer normalisation, an affine map and an activation: on a GPU, one pass.
#[derive(Debug, Clone)]
pub struct NormLinear {
    norm: LayerNorm,
    linear: Linear,
    activation: Activation,
    product: Option<Product>,
}

impl NormLinear {
    pub fn new(norm: LayerNorm, linear: Linear) -> Self {
        Self::with(norm, linear, Activation::None)
    }

    /// Followed by the Gaussian error linear unit.
    pub fn gelu(norm: LayerNorm, linear: Linear) -> Self {
        Self::with(norm, linear, Activation::Gelu)
    }

    /// Followed by `x sigmoid(x)`.
    pub fn silu(norm: LayerNorm, linear: Linear) -> Self {
        Self::with(norm, linear, Activation::Silu)
    }

    fn with(norm: LayerNorm, linear: Linear, activation: Activation) -> Self {
        let product = match &linear.map {
            Map::Plain(_) => None,
            Map::Product(product) => {
                let LayerNorm { weight, bias, eps } = &norm;
                let product = product.clone().after(Norm::Layer, weight, Some(bias), *eps);
                Some(product.then(activation))
            }
        };
        Self { norm, linear, activation, product }
    }

    /// `[batch, rows, in]` to `[batch, rows, out]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, rows, input] = x.dims();
        if let Some(product) = &self.product {
            let x = ProductInput::rows(x.reshape([batch * rows, input]));
            return product.forward(x, None).reshape([batch, rows, self.linear.output]);
        }
        let y = self.linear.forward_rows(self.norm.forward(x));
        match self.activation {
            Activation::Gelu => activation::gelu(y),
            Activation::Silu => activation::silu(y),
            Activation::None | Activation::Gated => y,
        }
    }
}

/// Affine map of rows that stand for one another's company: a row's result is the same to the last
/// bit however many rows are beside it. For decoders, whose rows are different sequences.
#[derive(Debug)]
pub struct RowLinear {
    /// Before the map.
    norm: Option<RmsNorm>,
    map: RowMap,
    /// Whether the outputs are `silu(gate) * up` of the map's.
    gated: bool,
}

#[derive(Debug)]
enum RowMap {
    Skinny(Box<Skinny>),
    /// Does what comes before and after the map too.
    Product(Product),
    /// Sizes and backends that no kernel is for. Burn's own product makes no promises, and
    /// `Precision` has no effect.
    Burn(Box<Linear>),
}

#[derive(Debug)]
struct Skinny {
    matrix: SkinnyMatrix,
    bias: Option<Tensor<1>>,
}

impl RowLinear {
    /// From tensors: `weight` `[out, in]`, `bias` `[out]`.
    pub fn new(weight: Tensor<2>, bias: Option<Tensor<1>>, precision: Precision) -> Self {
        let map = match SkinnyMatrix::new(&weight, precision) {
            Some(matrix) => RowMap::Skinny(Box::new(Skinny { matrix, bias })),
            None => {
                let columns = kept(transposed(weight.clone()), precision);
                match Product::new(&columns, bias.as_ref()) {
                    Some(product) => RowMap::Product(product.for_few_rows()),
                    None => RowMap::Burn(Box::new(Linear::new(weight, bias, precision))),
                }
            }
        };
        Self { norm: None, map, gated: false }
    }

    /// `silu(gate) * up` of the maps by `gate` and `up`, `[out, in]` each.
    pub fn gated(gate: Tensor<2>, up: Tensor<2>, precision: Precision) -> Self {
        let columns = |weight: &Tensor<2>| kept(transposed(weight.clone()), precision);
        // Only where there is a GPU: the other matrices are made of both anyway.
        let product = if SkinnyMatrix::is_for(&gate) {
            None
        } else {
            Product::gated(columns(&gate), columns(&up)).map(Product::for_few_rows)
        };
        match product {
            Some(product) => Self { norm: None, map: RowMap::Product(product), gated: true },
            None => {
                Self { gated: true, ..Self::new(Tensor::cat(vec![gate, up], 0), None, precision) }
            }
        }
    }

    /// The map of normalised rows.
    pub fn after(self, norm: RmsNorm) -> Self {
        match self.map {
            RowMap::Product(product) => {
                let product = product.after(Norm::Rms, &norm.weight, None, norm.eps);
                Self { map: RowMap::Product(product), ..self }
            }
            map => Self { norm: Some(norm), map, ..self },
        }
    }

    /// `[rows, in]` to `[rows, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let y = match &self.map {
            RowMap::Skinny(skinny) => skinny.matrix.product(skinny.bias.as_ref(), x),
            RowMap::Product(product) => return product.forward(ProductInput::rows(x), None),
            RowMap::Burn(linear) => linear.forward(x),
        };
        if self.gated { gate(y) } else { y }
    }

    /// Adds the map of `x` `[rows, in]` to `residual` `[rows, out]`.
    pub fn add_to(&self, residual: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        match &self.map {
            RowMap::Skinny(skinny)
                if skinny.bias.is_none() && self.norm.is_none() && !self.gated =>
            {
                skinny.matrix.add_product(residual, x)
            }
            RowMap::Product(product) => product.forward(ProductInput::rows(x), Some(residual)),
            _ => residual + self.forward(x),
        }
    }
}

/// `silu(gate) * up` of `[rows, gate and up]`.
fn gate(y: Tensor<2>) -> Tensor<2> {
    gated_silu(&y).unwrap_or_else(|| {
        let inner = y.dims()[1] / 2;
        plain_activation::silu(y.clone().narrow(1, 0, inner)) * y.narrow(1, inner, inner)
    })
}
