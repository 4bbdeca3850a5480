//! Causal convolution, over a whole sequence or going on from where an earlier call stopped.

use super::{tensor_bytes, unsupported};
use crate::model::nn::{Product, ProductInput, Tails, kept, matmul, multiply_windows};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::{DType, Tensor};

/// The last input frames of a causal convolution, `[batch, kernel - 1, channels]`; none before
/// the first frame, where they are zeros.
#[derive(Debug, Clone, Default)]
pub struct Tail(Option<Tensor<3>>);

impl Tail {
    /// Device memory in bytes.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, tensor_bytes)
    }
}

/// Convolution of stride 1 that sees only the past: `kernel - 1` frames before the input.
#[derive(Debug, Clone)]
pub struct CausalConv {
    /// Over windows of `kernel` frames, `[kernel * in, out]`.
    weight: Tensor<2>,
    /// `[out]`
    bias: Tensor<1>,
    kernel: usize,
    /// On a GPU.
    product: Option<Product>,
}

impl CausalConv {
    /// Loads `weight` `[out, in, kernel]` and `bias` `[out]`.
    pub fn load(
        scope: &Scope,
        input: usize,
        output: usize,
        kernel: usize,
    ) -> Result<Self, WeightsError> {
        if kernel == 0 {
            return Err(unsupported(scope, "a convolution has no taps"));
        }
        let weight = scope.tensor("weight", [output, input, kernel])?;
        // Tap by tap, as the frames of a window lie in memory.
        let weight = weight.permute([2, 1, 0]).reshape([kernel * input, output]);
        let weight = kept(weight, scope.precision());
        let bias = scope.tensor("bias", [output])?;
        // Rows of the product begin with a whole vector of four.
        let product =
            if input.is_multiple_of(4) { Product::new(&weight, Some(&bias)) } else { None };
        // Burn's products want numbers of one type.
        Ok(Self { weight: weight.cast(DType::F32), bias, kernel, product })
    }

    /// [`Self::forward`] that goes on from, and keeps its last frames in, `shared` tails of a GPU
    /// where there are some.
    pub(super) fn go_on(
        &self,
        x: Tensor<3>,
        tails: &mut [&mut Tail],
        shared: Option<&Tails>,
    ) -> Tensor<3> {
        match (shared, &self.product) {
            (Some(shared), Some(product)) if self.kernel > 1 => {
                let [batch, frames, _] = x.dims();
                let input = ProductInput::going_on(x, self.kernel, shared);
                product.forward(input, None).reshape([batch, frames, self.bias.dims()[0]])
            }
            _ => self.forward(x, tails),
        }
    }

    /// Elements of a row's [`Tails`] that [`Self::go_on`] takes.
    pub(super) fn tail(&self) -> usize {
        let [depth, _] = self.weight.dims();
        let taken = depth / self.kernel * (self.kernel - 1);
        if self.product.is_some() { taken } else { 0 }
    }

    /// BTC to BTC, of equal length. The rows of `x` go on from `tails`, an equal number of rows
    /// from each; without any, they begin.
    pub fn forward(&self, x: Tensor<3>, tails: &mut [&mut Tail]) -> Tensor<3> {
        let [batch, frames, channels] = x.dims();
        let past = self.kernel - 1;
        if past == 0 {
            return self.forward_valid(x);
        }
        if let Some(product) = &self.product {
            let before = before(&x, past, tails);
            let input = ProductInput::causal_windows(x, before, self.kernel);
            return product.forward(input, None).reshape([batch, frames, self.bias.dims()[0]]);
        }
        let zeros = |rows| Tensor::zeros([rows, past, channels], &x.device());
        if tails.is_empty() {
            return self.forward_valid(Tensor::cat(vec![zeros(batch), x], 1));
        }
        let rows = batch / tails.len();
        let mut kept: Vec<_> =
            tails.iter_mut().map(|tail| tail.0.take().unwrap_or_else(|| zeros(rows))).collect();
        let before = match kept.as_slice() {
            [one] => one.clone(),
            several => Tensor::cat(several.to_vec(), 0),
        };
        let x = Tensor::cat(vec![before, x], 1);
        for (i, (tail, mut kept)) in tails.iter_mut().zip(kept.drain(..)).enumerate() {
            // Written into a tensor of its own: a view would keep the whole input alive.
            let last = x.clone().narrow(0, i * rows, rows).narrow(1, frames, past);
            kept.inplace(|kept| kept.slice_assign([0..rows, 0..past, 0..channels], last));
            tail.0 = Some(kept);
        }
        self.forward_valid(x)
    }

    /// BTC to BTC, `kernel - 1` frames shorter: the input brings its own past.
    pub fn forward_valid(&self, x: Tensor<3>) -> Tensor<3> {
        if let Some(product) = &self.product {
            return self.multiply(product, x, None);
        }
        if let Some(y) = multiply_windows(&x, self.kernel, &self.weight, Some(&self.bias)) {
            return y;
        }
        let y = matmul(windows(x, self.kernel), self.weight.clone().unsqueeze::<3>());
        y + self.bias.clone().unsqueeze::<3>()
    }

    /// Adds [`Self::forward_valid`] to `sum`.
    pub fn add_valid(&self, sum: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
        match &self.product {
            Some(product) => self.multiply(product, x, Some(sum)),
            None => sum + self.forward_valid(x),
        }
    }

    fn multiply(&self, product: &Product, x: Tensor<3>, sum: Option<Tensor<3>>) -> Tensor<3> {
        let ([batch, frames, _], output) = (x.dims(), self.bias.dims()[0]);
        let frames = frames + 1 - self.kernel;
        let sum = sum.map(|sum| sum.reshape([batch * frames, output]));
        let y = product.forward(ProductInput::windows(x, self.kernel), sum);
        y.reshape([batch, frames, output])
    }
}

/// The `past` frames before `x`, of all rows, or None where they are zeros; `tails` are then the
/// last of `x` in turn.
fn before(x: &Tensor<3>, past: usize, tails: &mut [&mut Tail]) -> Option<Tensor<3>> {
    let [batch, frames, channels] = x.dims();
    if tails.is_empty() {
        return None;
    }
    let rows = batch / tails.len();
    let kept: Vec<_> = tails.iter_mut().map(|tail| tail.0.take()).collect();
    let before = if kept.iter().all(Option::is_none) {
        None
    } else {
        let zeros = || Tensor::zeros([rows, past, channels], &x.device());
        let mut kept: Vec<_> = kept.into_iter().map(|kept| kept.unwrap_or_else(zeros)).collect();
        Some(if kept.len() == 1 { kept.remove(0) } else { Tensor::cat(kept, 0) })
    };
    // A copy of all rows at once, of which each state keeps its own. (A view alone would keep all
    // of `x`.)
    let last = match &before {
        Some(before) if frames < past => {
            let before = before.clone().narrow(1, frames, past - frames);
            Tensor::cat(vec![before, x.clone()], 1)
        }
        None if frames < past => {
            let zeros = Tensor::zeros([batch, past - frames, channels], &x.device());
            Tensor::cat(vec![zeros, x.clone()], 1)
        }
        _ => x.clone().narrow(1, frames - past, past).add_scalar(0.0),
    };
    for (i, tail) in tails.iter_mut().enumerate() {
        tail.0 = Some(last.clone().narrow(0, i * rows, rows));
    }
    before
}

/// Every run of `kernel` frames as one row: `[batch, frames, channels]` to
/// `[batch, frames - kernel + 1, kernel * channels]`.
fn windows(x: Tensor<3>, kernel: usize) -> Tensor<3> {
    let rows = x.dims()[1] + 1 - kernel;
    match kernel {
        1 => x,
        _ => Tensor::cat((0..kernel).map(|tap| x.clone().narrow(1, tap, rows)).collect(), 2),
    }
}
