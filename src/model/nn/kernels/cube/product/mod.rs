//! The product of rows with a matrix, with what comes before and after it: one launch in place of
//! up to six.
//!
//! Few rows, as when a decoder steps or a hop of mel is made, leave such a product bound by the
//! memory of its weights and by launches, not by arithmetic. A cube of threads makes some rows of
//! some columns: its threads share the sum over the inputs, each reading four columns at a time, so
//! that a weight is read once for all rows of the cube. The order in which a sum is added up
//! depends on the matrix alone: a row's result is the same however many rows are beside it.

use super::super::{Activation, Norm};
use super::{VECTOR, activations, buffer, empty, from_cube, into_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use half::bf16;

/// Threads of a cube.
const THREADS: usize = 128;
/// Inputs of a row that are in shared memory at a time.
const CHUNK: usize = 512;
/// Most rows of a cube.
const ROWS: usize = 8;
/// Threads that add up the moments of a row: no more than there are where a cube has most rows.
const TEAM: usize = THREADS / ROWS;
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

/// Where windows begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Before {
    channels: usize,
    /// Frames before the first.
    frames: usize,
    /// Whether they are known; they are zeros otherwise.
    known: bool,
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

/// Rows that lie in memory at equal distances, in some batches.
#[derive(Debug)]
pub(crate) struct ProductInput {
    x: CubeTensor,
    batches: usize,
    per_batch: usize,
    /// Elements from a row to the next, and from a batch to the next.
    row_stride: usize,
    batch_stride: usize,
    before: Option<(Before, Option<CubeTensor>)>,
}

impl ProductInput {
    /// Every row of `x` `[rows, in]`.
    pub fn rows(x: Tensor<2>) -> Self {
        let [rows, depth] = x.dims();
        let x = activations(x);
        let batch_stride = rows * depth;
        Self { x, batches: 1, per_batch: rows, row_stride: depth, batch_stride, before: None }
    }

    /// Every run of `kernel` frames of `x` `[batch, frames, channels]` as a row of
    /// `kernel * channels`: `frames - kernel + 1` of them. `channels` is a multiple of four.
    pub fn windows(x: Tensor<3>, kernel: usize) -> Self {
        let [batches, frames, channels] = x.dims();
        Self {
            x: activations(x),
            batches,
            per_batch: (frames + 1).saturating_sub(kernel),
            row_stride: channels,
            batch_stride: frames * channels,
            before: None,
        }
    }

    /// As many rows as `x` `[batch, frames, channels]` has frames: every frame behind the `kernel -
    /// 1` before it. Before the first are those of `past` `[batch, kernel - 1, channels]`, or zeros.
    pub fn causal_windows(x: Tensor<3>, past: Option<Tensor<3>>, kernel: usize) -> Self {
        let [batches, frames, channels] = x.dims();
        let all = Self::windows(x, 1);
        if kernel == 1 {
            return all;
        }
        if let Some(past) = &past {
            assert_eq!(past.dims(), [batches, kernel - 1, channels], "frames before the first");
        }
        let before = Before { channels, frames: kernel - 1, known: past.is_some() };
        Self { per_batch: frames, before: Some((before, past.map(activations))), ..all }
    }
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
        let (before, past) = before.map_or((None, None), |(before, past)| (Some(before), past));
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
        let past = buffer(past.as_ref().unwrap_or(&self.gain), VECTOR);
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
                    &client, cubes, dim, VECTOR, x, past, weight, bias, gain, shift, residual,
                    result, layout, self.eps, shape,
                ),
                _ => product::launch_unchecked::<f32>(
                    &client, cubes, dim, VECTOR, x, past, weight, bias, gain, shift, residual,
                    result, layout, self.eps, shape,
                ),
            }
        }
        from_cube(out)
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
    past: &[Vector<f32, N>],
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

    // The inputs of some rows; at the end, what each thread has summed up.
    let mut shared = Shared::<[Vector<f32, N>]>::new_slice(comptime!(
        shape.rows * if chunk > THREADS { chunk } else { THREADS }
    ));

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
    if comptime!(shape.norm.is_some()) {
        let mut moments = Shared::<[f32]>::new_slice(comptime!(shape.rows * TEAM));
        if comptime!(shape.norm == Some(Norm::Layer)) {
            if member < TEAM {
                let mut sum = 0f32;
                let mut k = member;
                while k < depth {
                    sum += x[start + k].vector_sum();
                    k += TEAM;
                }
                moments[row * TEAM + member] = sum;
            }
            sync_cube();
            let mut total = 0f32;
            for i in 0..TEAM {
                total += moments[row * TEAM + i];
            }
            mean = total / (shape.depth as f32);
            sync_cube();
        }
        if member < TEAM {
            let mut sum = 0f32;
            let mut k = member;
            while k < depth {
                let value = x[start + k] - Vector::new(mean);
                sum += (value * value).vector_sum();
                k += TEAM;
            }
            moments[row * TEAM + member] = sum;
        }
        sync_cube();
        let mut total = 0f32;
        for i in 0..TEAM {
            total += moments[row * TEAM + i];
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
                    if comptime!(shape.before.is_some()) {
                        let before = comptime!(shape.before.unwrap());
                        let channels = comptime!(before.channels / VECTOR);
                        let (i, t) =
                            (place / layout.per_batch as usize, place % layout.per_batch as usize);
                        let frame = t + (from + k) / channels;
                        let channel = (from + k) % channels;
                        if frame >= before.frames {
                            let frame = i * layout.per_batch as usize + frame - before.frames;
                            value = x[frame * channels + channel];
                        } else {
                            if comptime!(before.known) {
                                value = past[(i * before.frames + frame) * channels + channel];
                            }
                        }
                    } else {
                        value = x[start + from + k];
                    }
                    if comptime!(shape.norm == Some(Norm::Layer)) {
                        value = (value - Vector::new(mean)) * Vector::new(scale) * gain[from + k]
                            + shift[from + k];
                    }
                    if comptime!(shape.norm == Some(Norm::Rms)) {
                        value = value * Vector::new(scale) * gain[from + k];
                    }
                }
                shared[row * chunk + k] = value;
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
                    let value = shared[r * chunk + k];
                    acc[r] += Vector::new(value.extract(0usize)) * w0
                        + Vector::new(value.extract(1usize)) * w1
                        + Vector::new(value.extract(2usize)) * w2
                        + Vector::new(value.extract(3usize)) * w3;
                }
                k += groups;
            }
        }
        sync_cube();
        from += chunk;
    }

    #[unroll]
    for r in 0..shape.rows {
        shared[r * THREADS + thread] = acc[r];
    }
    sync_cube();
    // An output, or four, is summed up by one thread.
    let mut i = thread;
    while i < lanes * shape.rows {
        let mine = i % lanes;
        let r = i / lanes;
        let column = CUBE_POS_X as usize * lanes + mine;
        let row = first + r;
        if column < width && row < layout.rows as usize {
            if comptime!(shape.activation == Activation::Gated) {
                if mine % 2 == 0 {
                    let gate = total::<N>(&shared, r * THREADS + mine, lanes, groups);
                    let up = total::<N>(&shared, r * THREADS + mine + 1, lanes, groups);
                    out[row * (width / 2) + column / 2] = silu(gate) * up;
                }
            } else {
                let mut y = total::<N>(&shared, r * THREADS + mine, lanes, groups);
                if comptime!(shape.bias) {
                    y += bias[column];
                }
                if comptime!(shape.activation == Activation::Gelu) {
                    y = y
                        * Vector::new(0.5f32)
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
        i += THREADS;
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

#[cfg(test)]
mod on_a_gpu {
    use super::super::test_device;
    use super::*;
    use burn::tensor::{Device, Distribution, activation};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn there<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
        Tensor::from_data(x.to_data(), &test_device())
    }

    #[track_caller]
    fn assert_close<const D: usize>(got: Tensor<D>, want: Tensor<D>, limit: f32, what: &str) {
        assert_eq!(got.dims(), want.dims(), "{what}");
        let got = Tensor::from_data(got.into_data(), &Device::flex());
        let scale = want.clone().abs().max().into_scalar::<f32>();
        let error = (got - want).abs().max().into_scalar::<f32>() / scale;
        assert!(error < limit, "{what}: {error:e}");
    }

    /// Protects the sums for sizes that no block divides, one row and many, with bias and residual
    /// and each activation; and that a row alone is the row among others, to the last bit.
    #[test]
    fn equals_the_plain_product() {
        for (rows, depth, width) in
            [(1, 4, 4), (2, 896, 1152), (3, 36, 20), (9, 1200, 72), (100, 256, 128)]
        {
            let what = format!("{rows} x {depth} x {width}");
            let (x, weight) =
                (random([rows, depth]), random([depth, width]) / (depth as f64).sqrt());
            let (bias, residual) = (random([width]), random([rows, width]));
            let plain = x.clone().matmul(weight.clone()) + bias.clone().unsqueeze::<2>();
            let product = Product::new(&there(&weight), Some(&there(&bias))).unwrap();
            let product = product.for_few_rows();
            let input = || ProductInput::rows(there(&x));
            let got = product.forward(input(), None);
            let first = product.forward(ProductInput::rows(there(&x).narrow(0, rows - 1, 1)), None);
            assert_eq!(first.into_data(), got.clone().narrow(0, rows - 1, 1).into_data(), "{what}");
            assert_close(got, plain.clone(), 2e-6, &what);
            for (kind, f) in [
                (Activation::Gelu, activation::gelu as fn(Tensor<2>) -> Tensor<2>),
                (Activation::Silu, activation::silu),
            ] {
                let got = product.clone().then(kind).forward(input(), Some(there(&residual)));
                assert_close(got, f(plain.clone()) + residual.clone(), 2e-6, &what);
            }
        }
    }

    /// Protects normalisation over rows longer than what is in shared memory at a time, the gate's
    /// columns.
    #[test]
    fn normalises_and_gates() {
        for (rows, depth, inner) in [(1, 896, 64), (5, 40, 36), (17, 1028, 4)] {
            let what = format!("{rows} x {depth} x {inner}");
            let x = random([rows, depth]) + 0.3;
            let (gate, up) = (random([depth, inner]) / 30.0, random([depth, inner]) / 30.0);
            let (gain, shift) = (random([depth]), random([depth]));
            let input = || ProductInput::rows(there(&x));
            let square = (x.clone() * x.clone()).mean_dim(1);
            let rms = x.clone() / (square + 1e-6).sqrt() * gain.clone().unsqueeze::<2>();
            let product = Product::gated(there(&gate), there(&up)).unwrap();
            let product = product.after(Norm::Rms, &there(&gain), None, 1e-6);
            let want = activation::silu(rms.clone().matmul(gate.clone())) * rms.matmul(up.clone());
            assert_close(product.forward(input(), None), want, 5e-6, &what);

            let centred = x.clone() - x.clone().mean_dim(1);
            let variance = (centred.clone() * centred.clone()).mean_dim(1);
            let normal = centred / (variance + 1e-5).sqrt() * gain.clone().unsqueeze::<2>()
                + shift.clone().unsqueeze::<2>();
            let product = Product::new(&there(&gate), None).unwrap();
            let product = product.after(Norm::Layer, &there(&gain), Some(&there(&shift)), 1e-5);
            assert_close(product.forward(input(), None), normal.matmul(gate), 5e-6, &what);
        }
    }

    /// Protects the rows of a convolution: neighbours that overlap, and batches.
    #[test]
    fn windows_are_rows() {
        let (x, weight) = (random([2, 7, 8]), random([24, 12]));
        let product = Product::new(&there(&weight), None).unwrap();
        let got = product.forward(ProductInput::windows(there(&x), 3), None);
        let rows = x.clone().reshape([2, 56]).unfold::<3, _>(1, 24, 8).reshape([10, 24]);
        assert_close(got, rows.clone().matmul(weight.clone()), 2e-6, "windows");
        let (past, x) = (x.clone().narrow(1, 0, 2), x.narrow(1, 2, 5));
        let input = ProductInput::causal_windows(there(&x), Some(there(&past)), 3);
        assert_close(product.forward(input, None), rows.matmul(weight.clone()), 2e-6, "past");
        let input = ProductInput::causal_windows(there(&x), None, 3);
        let x = Tensor::cat(vec![past.zeros_like(), x], 1);
        let rows = x.reshape([2, 56]).unfold::<3, _>(1, 24, 8).reshape([10, 24]);
        assert_close(product.forward(input, None), rows.matmul(weight), 2e-6, "no past");
    }
}
