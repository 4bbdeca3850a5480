//! The product of rows with a matrix, with what comes before and after it: one launch in place of
//! up to six.

mod input;
mod kernel;
#[cfg(test)]
mod on_a_gpu;

pub(crate) use input::{ProductInput, Tails};

use super::super::{Activation, Norm};
use super::{VECTOR, activations, buffer, element, empty, from_cube, into_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;
use input::Before;
use kernel::{LayoutLaunch, ROWS, THREADS, product};

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    /// Inputs of a row, a multiple of [`VECTOR`].
    depth: usize,
    /// Columns of the matrix, a multiple of [`VECTOR`].
    width: usize,
    /// Rows of a cube.
    rows: usize,
    /// Columns of a cube.
    columns: usize,
    norm: Option<Norm>,
    activation: Activation,
    bias: bool,
    residual: bool,
    /// Rows are windows of a sequence that begin before it.
    before: Option<Before>,
}

/// A matrix `[in, out]` on a device of ours, and what goes with it.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    /// `[in, out]`
    weight: CubeTensor,
    /// `[out]`
    bias: Option<CubeTensor>,
    norm: Option<Norm>,
    /// Of the normalisation, `[in]` each; anything where there is none.
    gain: CubeTensor,
    shift: CubeTensor,
    eps: f32,
    activation: Activation,
    depth: usize,
    width: usize,
    /// Whether cubes have no more rows than there are, for which other kernels are compiled.
    few_rows: bool,
}

impl Product {
    /// From `weight` `[in, out]`, kept in its type (f32 or bf16), and `bias` `[out]`. None where the
    /// tensors are not on a device of ours, or a size is no multiple of four.
    pub fn new(weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Option<Self> {
        let [depth, width] = weight.dims();
        let divides = |size: usize| size > 0 && size.is_multiple_of(VECTOR);
        if !divides(depth) || !divides(width) || !matches!(weight.dtype(), DType::F32 | DType::BF16)
        {
            return None;
        }
        let weight = into_cube(weight.clone())?;
        let nothing = empty(&weight.client, &weight.device, [VECTOR]);
        Some(Self {
            weight,
            bias: bias.map(|bias| activations(bias.clone())),
            norm: None,
            gain: nothing.clone(),
            shift: nothing,
            eps: 0.0,
            activation: Activation::None,
            depth,
            width,
            few_rows: false,
        })
    }

    /// For a decoder, which has a row or two most of the time.
    pub fn for_few_rows(self) -> Self {
        Self { few_rows: true, ..self }
    }

    /// [`Activation::Gated`] of the products with `gate` and `up`, `[in, inner]` each.
    pub fn gated(gate: Tensor<2>, up: Tensor<2>) -> Option<Self> {
        let [depth, inner] = gate.dims();
        if inner == 0 || !inner.is_multiple_of(VECTOR) {
            return None;
        }
        let parts = |x: Tensor<2>| x.reshape([depth, inner / VECTOR, 1, VECTOR]);
        let both = Tensor::cat(vec![parts(gate), parts(up)], 2).reshape([depth, 2 * inner]);
        Some(Self::new(&both, None)?.then(Activation::Gated))
    }

    /// The product of normalised rows: `gain` and, for layer normalisation, `shift` `[in]`.
    pub fn after(self, norm: Norm, gain: &Tensor<1>, shift: Option<&Tensor<1>>, eps: f64) -> Self {
        let shift = shift.map_or(self.shift, |shift| activations(shift.clone()));
        Self { norm: Some(norm), gain: activations(gain.clone()), shift, eps: eps as f32, ..self }
    }

    /// Followed by an activation.
    pub fn then(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Outputs of a row.
    fn outputs(&self) -> usize {
        if self.activation == Activation::Gated { self.width / 2 } else { self.width }
    }

    /// `[batches * rows, out]`; `residual` of that shape is added.
    pub fn forward(&self, input: ProductInput, residual: Option<Tensor<2>>) -> Tensor<2> {
        let ProductInput { x, batches, per_batch, row_stride, batch_stride, before } = input;
        let (rows, outputs) = (batches * per_batch, self.outputs());
        assert!(row_stride.is_multiple_of(VECTOR), "rows begin with a whole vector");
        let (before, places) = before.unzip();
        let row = match before {
            Some(Before { channels, frames, .. }) => {
                assert_eq!(self.depth, channels * (frames + 1), "frames of a window");
                channels
            }
            None => self.depth,
        };
        assert!(
            rows == 0
                || (batches - 1) * batch_stride + (per_batch - 1) * row_stride + row
                    <= x.meta.num_elements(),
            "rows of {} inputs",
            self.depth
        );
        let out = empty(&x.client, &x.device, [rows, outputs]);
        if rows == 0 {
            return from_cube(out);
        }
        let residual = residual.map(|residual| {
            assert_eq!(residual.dims(), [rows, outputs], "shape of the residual");
            activations(residual)
        });
        let shape = Shape {
            depth: self.depth,
            width: self.width,
            rows: if self.few_rows { rows.next_power_of_two().min(ROWS) } else { ROWS },
            // The fewer columns a cube has, the more cubes there are to read the weights.
            columns: if self.width * self.depth > 1 << 21 { 64 } else { 32 },
            norm: self.norm,
            activation: self.activation,
            bias: self.bias.is_some(),
            residual: residual.is_some(),
            before,
        };
        let cubes = CubeCount::Static(
            self.width.div_ceil(shape.columns) as u32,
            rows.div_ceil(shape.rows) as u32,
            1,
        );
        let dim = CubeDim::new_1d(THREADS as u32);
        let client = x.client.clone();
        let (stride, start) = places.as_ref().map_or((0, 0), |p| (p.stride, p.first));
        let [past, next] = match places {
            Some(places) => [places.past, places.next],
            None => [None, None],
        };
        let [past, next] = [past, next].map(|x| buffer(x.as_ref().unwrap_or(&self.gain), VECTOR));
        let x = buffer(&x, VECTOR);
        let weight = buffer(&self.weight, VECTOR);
        let bias = buffer(self.bias.as_ref().unwrap_or(&self.gain), VECTOR);
        let (gain, shift) = (buffer(&self.gain, VECTOR), buffer(&self.shift, VECTOR));
        let residual = buffer(residual.as_ref().unwrap_or(&self.gain), VECTOR);
        let result = buffer(&out, VECTOR);
        let layout = LayoutLaunch::new(
            rows as u32,
            per_batch as u32,
            (row_stride / VECTOR) as u32,
            (batch_stride / VECTOR) as u32,
            (stride / VECTOR) as u32,
            (start / VECTOR) as u32,
        );
        // SAFETY: the indices stay within the buffers, whose sizes were checked.
        unsafe {
            product::launch_unchecked(
                &client,
                cubes,
                dim,
                VECTOR,
                x,
                past,
                next,
                weight,
                bias,
                gain,
                shift,
                residual,
                result,
                layout,
                self.eps,
                shape,
                element(self.weight.dtype),
            );
        }
        from_cube(out)
    }
}
