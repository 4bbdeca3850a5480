//! The product of rows with a matrix, with what comes before and after it: one launch in place of
//! up to six.
//!
//! Few rows, as when a decoder steps or a hop of mel is made, leave such a product bound by the
//! memory of its weights and by launches, not by arithmetic. A cube of threads makes some rows of
//! some columns: its threads share the sum over the inputs, each reading four columns at a time, so
//! that a weight is read once for all rows of the cube. The order in which a sum is added up
//! depends on the matrix alone: a row's result is the same however many rows are beside it.

use super::{VECTOR, buffer, empty, from_cube, into_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use half::bf16;

/// Threads of a cube.
const THREADS: usize = 256;
/// Inputs of a row that are in shared memory at a time.
const CHUNK: usize = 512;
/// Most rows of a cube.
const ROWS: usize = 8;
/// Rows whose sums are exchanged at a time.
const EXCHANGED: usize = 2;

/// What is done to a row before the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Norm {
    None,
    /// Root-mean-square normalisation, times a gain.
    Rms,
    /// Layer normalisation, times a gain, plus a shift.
    Layer,
}

/// What is done to the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Activation {
    None,
    /// By the error function.
    Gelu,
    Silu,
    /// `silu(gate) * up`, where the matrix has four columns of the gate, four of the other and so
    /// on: half as many outputs as columns. See [`Product::gated`].
    Gated,
}

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
    norm: Norm,
    activation: Activation,
    bias: bool,
    residual: bool,
}

/// A matrix `[in, out]` on a device of ours, and what goes with it.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    /// `[in, out]`
    weight: CubeTensor,
    /// `[out]`
    bias: Option<CubeTensor>,
    norm: Norm,
    /// Of the normalisation, `[in]` each; anything where there is none.
    gain: CubeTensor,
    shift: CubeTensor,
    eps: f32,
    activation: Activation,
    depth: usize,
    width: usize,
}

/// Rows that lie in memory at equal distances, in some batches.
#[derive(Debug)]
pub(crate) struct ProductInput {
    x: CubeTensor,
    batches: usize,
    per_batch: usize,
    /// Elements from a row to the next, and from a batch to the next.
    row_stride: usize,
    batch_stride: usize,
}

impl ProductInput {
    /// Every row of `x` `[rows, in]`.
    pub fn rows(x: Tensor<2>) -> Option<Self> {
        let [rows, depth] = x.dims();
        let x = float(x)?;
        Some(Self { x, batches: 1, per_batch: rows, row_stride: depth, batch_stride: rows * depth })
    }

    /// Every run of `kernel` frames of `x` `[batch, frames, channels]` as a row of
    /// `kernel * channels`: `frames - kernel + 1` of them.
    pub fn windows(x: Tensor<3>, kernel: usize) -> Option<Self> {
        let [batches, frames, channels] = x.dims();
        Some(Self {
            x: float(x)?,
            batches,
            per_batch: (frames + 1).checked_sub(kernel)?,
            row_stride: channels,
            batch_stride: frames * channels,
        })
    }
}

fn float<const D: usize>(x: Tensor<D>) -> Option<CubeTensor> {
    (x.dtype() == DType::F32).then(|| into_cube(x)).flatten()
}

impl Product {
    /// From `weight` `[in, out]`, kept in its type (f32 or bf16), and `bias` `[out]`. None where the
    /// tensors are not on a device of ours, or neither size is a multiple of four.
    pub fn new(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Option<Self> {
        let [depth, width] = weight.dims();
        let divides = |size: usize| size > 0 && size.is_multiple_of(VECTOR);
        if !divides(depth) || !divides(width) || !matches!(weight.dtype(), DType::F32 | DType::BF16)
        {
            return None;
        }
        let weight = into_cube(weight)?;
        let bias = match bias {
            Some(bias) => Some(float(bias)?),
            None => None,
        };
        let nothing = empty(&weight.client, &weight.device, [VECTOR]);
        Some(Self {
            weight,
            bias,
            norm: Norm::None,
            gain: nothing.clone(),
            shift: nothing,
            eps: 0.0,
            activation: Activation::None,
            depth,
            width,
        })
    }

    /// The product of normalised rows: `gain` and `shift` `[in]`, the latter for layer
    /// normalisation.
    pub fn after_norm(self, norm: Norm, gain: Tensor<1>, shift: Option<Tensor<1>>, eps: f64) -> Option<Self> {
        let shift = match shift {
            Some(shift) => float(shift)?,
            None => self.shift,
        };
        Some(Self { norm, gain: float(gain)?, shift, eps: eps as f32, ..self })
    }

    /// Followed by an activation.
    pub fn with(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// The weight of [`Activation::Gated`] from `gate` and `up`, `[in, inner]` each.
    pub fn gated(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
        let [depth, inner] = gate.dims();
        let parts = |x: Tensor<2>| x.reshape([depth, inner / VECTOR, 1, VECTOR]);
        Tensor::cat(vec![parts(gate), parts(up)], 2).reshape([depth, 2 * inner])
    }

    /// Outputs of a row.
    pub fn outputs(&self) -> usize {
        if self.activation == Activation::Gated { self.width / 2 } else { self.width }
    }

    /// `[batches * rows, out]`; `residual` of that shape is added.
    pub fn forward(&self, input: ProductInput, residual: Option<Tensor<2>>) -> Option<Tensor<2>> {
        let ProductInput { x, batches, per_batch, row_stride, batch_stride } = input;
        let (rows, outputs) = (batches * per_batch, self.outputs());
        if !row_stride.is_multiple_of(VECTOR) {
            return None;
        }
        let out = empty(&x.client, &x.device, [rows, outputs]);
        if rows == 0 {
            return Some(from_cube(out));
        }
        let residual = match residual {
            Some(residual) => Some(float(residual)?),
            None => None,
        };
        let shape = Shape {
            depth: self.depth,
            width: self.width,
            rows: rows.next_power_of_two().min(ROWS),
            // The fewer columns a cube has, the more cubes there are to read the weights.
            columns: if self.width * self.depth > 1 << 21 { 64 } else { 32 },
            norm: self.norm,
            activation: self.activation,
            bias: self.bias.is_some(),
            residual: residual.is_some(),
        };
        let cubes = CubeCount::Static(
            self.width.div_ceil(shape.columns) as u32,
            rows.div_ceil(shape.rows) as u32,
            1,
        );
        let dim = CubeDim::new_1d(THREADS as u32);
        let client = x.client.clone();
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
        );
        // SAFETY: the indices stay within the buffers, whose sizes were checked.
        unsafe {
            match self.weight.dtype {
                DType::BF16 => product::launch_unchecked::<bf16>(
                    &client, cubes, dim, VECTOR, x, weight, bias, gain, shift, residual, result, layout, self.eps, shape,
                ),
                _ => product::launch_unchecked::<f32>(
                    &client, cubes, dim, VECTOR, x, weight, bias, gain, shift, residual, result, layout, self.eps, shape,
                ),
            }
        }
        Some(from_cube(out))
    }
}

/// Where rows lie, in vectors.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Layout {
    rows: u32,
    per_batch: u32,
    row_stride: u32,
    batch_stride: u32,
}

#[cube(launch_unchecked)]
fn product<W: Float, N: Size>(
    x: &[Vector<f32, N>],
    weight: &[Vector<W, N>],
    bias: &[Vector<f32, N>],
    gain: &[Vector<f32, N>],
    shift: &[Vector<f32, N>],
    residual: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    layout: Layout,
    eps: f32,
    #[comptime] shape: Shape,
) {
    let depth = comptime!(shape.depth / VECTOR);
    let width = comptime!(shape.width / VECTOR);
    let chunk = comptime!(CHUNK / VECTOR);
    // Vectors of columns of a cube, threads that share each one's sums, and those that share a
    // row's normalisation.
    let lanes = comptime!(shape.columns / VECTOR);
    let groups = comptime!(THREADS / lanes);
    let team = comptime!(THREADS / shape.rows);

    let thread = UNIT_POS as usize;
    let lane = thread % lanes;
    let group = thread / lanes;
    let column = CUBE_POS_X as usize * lanes + lane;
    let first = CUBE_POS_Y as usize * shape.rows;

    let mut inputs = Shared::<[Vector<f32, N>]>::new_slice(comptime!(shape.rows * chunk));
    let mut sums = Shared::<[Vector<f32, N>]>::new_slice(comptime!(EXCHANGED * THREADS));

    // Of the row that the thread helps to load.
    let row = thread / team;
    let member = thread % team;
    let place = first + row;
    let known = place < layout.rows as usize;
    let place = place % layout.rows as usize;
    let start = (place / layout.per_batch as usize) * layout.batch_stride as usize
        + (place % layout.per_batch as usize) * layout.row_stride as usize;

    let mut mean = 0f32;
    let mut scale = 1f32;
    if comptime!(shape.norm != Norm::None) {
        let mut moments = Shared::<[f32]>::new_slice(THREADS);
        if comptime!(shape.norm == Norm::Layer) {
            let mut sum = 0f32;
            let mut k = member;
            while k < depth {
                sum += x[start + k].vector_sum();
                k += team;
            }
            moments[thread] = sum;
            sync_cube();
            let mut total = 0f32;
            for i in 0..team {
                total += moments[row * team + i];
            }
            mean = total / (shape.depth as f32);
            sync_cube();
        }
        let mut sum = 0f32;
        let mut k = member;
        while k < depth {
            let value = x[start + k] - Vector::new(mean);
            sum += (value * value).vector_sum();
            k += team;
        }
        moments[thread] = sum;
        sync_cube();
        let mut total = 0f32;
        for i in 0..team {
            total += moments[row * team + i];
        }
        scale = 1f32 / (total / (shape.depth as f32) + eps).sqrt();
    }

    let mut acc = Array::<Vector<f32, N>>::new(shape.rows);
    #[unroll]
    for r in 0..shape.rows {
        acc[r] = Vector::new(0f32);
    }
    let inside = column < width;
    let mut from = 0usize;
    while from < depth {
        let mut k = member;
        while k < chunk {
            if from + k < depth {
                let mut value = Vector::new(0f32);
                if known {
                    value = x[start + from + k];
                    if comptime!(shape.norm == Norm::Layer) {
                        value = (value - Vector::new(mean)) * Vector::new(scale) * gain[from + k]
                            + shift[from + k];
                    }
                    if comptime!(shape.norm == Norm::Rms) {
                        value = value * Vector::new(scale) * gain[from + k];
                    }
                }
                inputs[row * chunk + k] = value;
            }
            k += team;
        }
        sync_cube();
        if inside {
            let mut k = group;
            while k < chunk && from + k < depth {
                let at = (from + k) * VECTOR * width + column;
                let w0 = Vector::<f32, N>::cast_from(weight[at]);
                let w1 = Vector::<f32, N>::cast_from(weight[at + width]);
                let w2 = Vector::<f32, N>::cast_from(weight[at + 2 * width]);
                let w3 = Vector::<f32, N>::cast_from(weight[at + 3 * width]);
                #[unroll]
                for r in 0..shape.rows {
                    let value = inputs[r * chunk + k];
                    acc[r] += Vector::new(value.extract(0)) * w0
                        + Vector::new(value.extract(1)) * w1
                        + Vector::new(value.extract(2)) * w2
                        + Vector::new(value.extract(3)) * w3;
                }
                k += groups;
            }
        }
        sync_cube();
        from += chunk;
    }

    // The sums of the groups come together, some rows at a time.
    let exchanged = comptime!(if shape.rows < EXCHANGED { shape.rows } else { EXCHANGED });
    #[unroll]
    for part in 0..comptime!(shape.rows / exchanged) {
        #[unroll]
        for r in 0..exchanged {
            sums[r * THREADS + thread] = acc[part * exchanged + r];
        }
        sync_cube();
        if thread < lanes * exchanged {
            let mine = thread % lanes;
            let r = thread / lanes;
            let column = CUBE_POS_X as usize * lanes + mine;
            let row = first + part * exchanged + r;
            if column < width && row < layout.rows as usize {
                if comptime!(shape.activation == Activation::Gated) {
                    if mine % 2 == 0 {
                        let gate = total::<N>(&sums, r * THREADS + mine, lanes, groups);
                        let up = total::<N>(&sums, r * THREADS + mine + 1, lanes, groups);
                        out[row * (width / 2) + column / 2] = silu(gate) * up;
                    }
                } else {
                    let mut y = total::<N>(&sums, r * THREADS + mine, lanes, groups);
                    if comptime!(shape.bias) {
                        y += bias[column];
                    }
                    if comptime!(shape.activation == Activation::Gelu) {
                        y = y * Vector::new(0.5f32)
                            * (Vector::new(1f32)
                                + (y * Vector::new(std::f32::consts::FRAC_1_SQRT_2)).erf());
                    }
                    if comptime!(shape.activation == Activation::Silu) {
                        y = silu(y);
                    }
                    if comptime!(shape.residual) {
                        y += residual[row * width + column];
                    }
                    out[row * width + column] = y;
                }
            }
        }
        sync_cube();
    }
}

/// The sum of `groups` vectors from `first`, `step` apart.
#[cube]
fn total<N: Size>(
    sums: &[Vector<f32, N>],
    first: usize,
    #[comptime] step: usize,
    #[comptime] groups: usize,
) -> Vector<f32, N> {
    let mut total = Vector::new(0f32);
    for group in 0..groups {
        total += sums[first + group * step];
    }
    total
}

#[cube]
fn silu<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    x / (Vector::new(1f32) + (Vector::new(0f32) - x).exp())
}
