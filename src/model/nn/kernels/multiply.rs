//! Products of a few dozen rows with a matrix, on the CPU.
//!
//! A general product first copies both matrices into the order of its tiles, which for so few rows
//! costs as much as the arithmetic. Here a tile of the result, a few rows by a few vectors, stays
//! in registers while the matrix is read as it lies, and the rows may overlap or lie apart.

use super::{from_values, is_ours};
use burn::backend::Flex;
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

/// Elements of the widest vector: columns come in multiples of them.
pub(super) const LANES: usize = 16;
/// Rows of the largest tile.
const ROWS: usize = 6;
/// Multiply-adds of a call from which its rows are shared among threads.
const PARALLEL_FROM: usize = 1 << 24;
/// Rows of a task then.
const TASK_ROWS: usize = 48;

/// Rows of numbers, `stride` apart, which may overlap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

impl<'a> Rows<'a> {
    pub fn skip(self, rows: usize) -> Self {
        Self { data: &self.data[rows * self.stride..], ..self }
    }
}

/// `windows · matrix + bias` for the windows of `kernel` frames of `x` `[batch, frames, channels]`:
/// each is `kernel` frames joined, and begins a frame after the one before. `matrix` is
/// `[kernel * channels, out]`, `bias` `[out]`.
///
/// Gives `[batch, frames - kernel + 1, out]`, or `None` where the tensors are not f32 in host
/// memory, the processor lacks the vector instructions or the columns fill no whole vectors.
pub(crate) fn multiply_windows(
    x: &Tensor<3>,
    kernel: usize,
    matrix: &Tensor<2>,
    bias: Option<&Tensor<1>>,
) -> Option<Tensor<3>> {
    let isa = Isa::detect()?;
    let [batch, frames, channels] = x.dims();
    let [depth, width] = matrix.dims();
    if !is_ours(x) || !is_ours(matrix) || !width.is_multiple_of(LANES) {
        return None;
    }
    assert_eq!(depth, kernel * channels, "depth of the product");
    let host = |x: FlexTensor| (x.dtype() == DType::F32).then_some(x);
    let x = host(x.clone().try_into_primitive::<Flex>().ok()?)?.to_contiguous();
    let matrix = host(matrix.clone().try_into_primitive::<Flex>().ok()?)?;
    let matrix = Rows { data: matrix.as_slice::<f32>()?, stride: width };
    let bias = match bias {
        Some(bias) => Some(bias.clone().try_into_primitive::<Flex>().ok()?.to_contiguous()),
        None => None,
    };
    let bias = bias.as_ref().and_then(|bias| bias.as_slice::<f32>());

    let rows = (frames + 1).checked_sub(kernel)?;
    let mut output = Vec::with_capacity(batch * rows * width);
    for _ in 0..batch * rows {
        match bias {
            Some(bias) => output.extend_from_slice(bias),
            None => output.resize(output.len() + width, 0.0),
        }
    }
    if output.is_empty() || depth == 0 {
        return Some(from_values(output, [batch, rows, width]));
    }
    let input = x.as_slice::<f32>()?;
    let part = |output: &mut [f32], sample: usize, first: usize| {
        let left = Rows { data: &input[sample * frames * channels..], stride: channels };
        let shape = [output.len() / width, depth, width];
        isa.multiply(shape, left.skip(first), matrix, output, width, true);
    };
    for (sample, output) in output.chunks_exact_mut(rows * width).enumerate() {
        if batch * rows * width * depth < PARALLEL_FROM {
            part(output, sample, 0);
        } else {
            let tasks = output.par_chunks_mut(TASK_ROWS * width).enumerate();
            tasks.for_each(|(i, output)| part(output, sample, i * TASK_ROWS));
        }
    }
    Some(from_values(output, [batch, rows, width]))
}

/// Vector instructions that a product is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

#[cfg(not(target_arch = "x86_64"))]
impl Isa {
    pub fn detect() -> Option<Self> {
        None
    }

    pub fn multiply(self, _: [usize; 3], _: Rows, _: Rows, _: &mut [f32], _: usize, _: bool) {
        match self {}
    }
}

#[cfg(target_arch = "x86_64")]
impl Isa {
    /// The best of this processor.
    pub fn detect() -> Option<Self> {
        [Self::Avx512, Self::Avx2].into_iter().find(|isa| isa.available())
    }

    pub fn available(self) -> bool {
        match self {
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        }
    }

    /// `left · right`, `[rows, depth]` by `[depth, width]`, into the rows of `output` that lie
    /// `stride` apart; onto what they hold if `add`. The width is a multiple of [`LANES`].
    pub fn multiply(
        self,
        shape: [usize; 3],
        left: Rows,
        right: Rows,
        output: &mut [f32],
        stride: usize,
        add: bool,
    ) {
        let [rows, depth, width] = shape;
        if rows == 0 || depth == 0 || width == 0 {
            return;
        }
        assert!(width.is_multiple_of(LANES), "columns fill whole vectors");
        assert!(left.data.len() >= (rows - 1) * left.stride + depth, "left rows");
        assert!(right.data.len() >= (depth - 1) * right.stride + width, "right rows");
        assert!(output.len() >= (rows - 1) * stride + width, "output rows");
        // SAFETY: the processor has the instructions, as only `detect` gives an `Isa` away, and
        // all that the tiles touch is within the lengths above.
        match self {
            Self::Avx512 => unsafe { avx512::run(shape, left, right, output, stride, add) },
            Self::Avx2 => unsafe { avx2::run(shape, left, right, output, stride, add) },
        }
    }
}

/// Products with the named vector instructions. `$most` vectors by [`ROWS`] fit the registers.
#[cfg(target_arch = "x86_64")]
macro_rules! product {
    (
        $name:ident, $features:literal, $lanes:literal, $most:literal, [$($rows:literal)*],
        $splat:ident, $load:ident, $store:ident, $fma:ident
    ) => {
        mod $name {
            use super::{ROWS, Rows};
            use std::arch::x86_64::{$fma, $load, $splat, $store};

            /// # Safety
            /// The rows are within their slices.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn run(
                [rows, depth, width]: [usize; 3],
                left: Rows,
                right: Rows,
                output: &mut [f32],
                stride: usize,
                add: bool,
            ) {
                let mut column = 0;
                while column < width {
                    let vectors = (width - column) / $lanes;
                    // Five are better as a three and a two than as a four and a one.
                    let vectors = if vectors == $most + 1 { $most / 2 + 1 } else { vectors.min($most) };
                    let mut row = 0;
                    while row < rows {
                        // Tiles of like height, as a small one costs as much as a large one.
                        let left_over = rows - row;
                        let height = left_over.div_ceil(left_over.div_ceil(ROWS));
                        // SAFETY: rows and columns of the tile are within those of the matrices.
                        unsafe {
                            let a = left.data.as_ptr().add(row * left.stride);
                            let b = right.data.as_ptr().add(column);
                            let c = output.as_mut_ptr().add(row * stride + column);
                            let (a, b, c) = ((a, left.stride), (b, right.stride), (c, stride));
                            match (height, vectors) {
                                $(
                                    ($rows, 1) => tile::<$rows, 1>(depth, a, b, c, add),
                                    ($rows, 2) => tile::<$rows, 2>(depth, a, b, c, add),
                                    ($rows, 3) => tile::<$rows, 3>(depth, a, b, c, add),
                                    ($rows, 4) => tile::<$rows, 4>(depth, a, b, c, add),
                                )*
                                (rows, vectors) => unreachable!("a tile of {rows} by {vectors}"),
                            }
                        }
                        row += height;
                    }
                    column += vectors * $lanes;
                }
            }

            /// `R` rows by `V` vectors. Each matrix is its first element and its stride.
            ///
            /// # Safety
            /// All of the rows can be read and written.
            #[target_feature(enable = $features)]
            unsafe fn tile<const R: usize, const V: usize>(
                depth: usize,
                (a, a_stride): (*const f32, usize),
                (b, b_stride): (*const f32, usize),
                (c, c_stride): (*mut f32, usize),
                add: bool,
            ) {
                let mut sums = [[$splat(0.0); V]; R];
                // SAFETY: the caller's.
                unsafe {
                    if add {
                        for (r, sums) in sums.iter_mut().enumerate() {
                            for (v, sum) in sums.iter_mut().enumerate() {
                                *sum = $load(c.add(r * c_stride + v * $lanes));
                            }
                        }
                    }
                    for k in 0..depth {
                        let mut inputs = [$splat(0.0); V];
                        for (v, input) in inputs.iter_mut().enumerate() {
                            *input = $load(b.add(k * b_stride + v * $lanes));
                        }
                        for (r, sums) in sums.iter_mut().enumerate() {
                            let weight = $splat(*a.add(r * a_stride + k));
                            for (sum, input) in sums.iter_mut().zip(&inputs) {
                                *sum = $fma(weight, *input, *sum);
                            }
                        }
                    }
                    for (r, sums) in sums.iter().enumerate() {
                        for (v, sum) in sums.iter().enumerate() {
                            $store(c.add(r * c_stride + v * $lanes), *sum);
                        }
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
product!(
    avx512, "avx512f", 16, 4, [1 2 3 4 5 6],
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps
);
#[cfg(target_arch = "x86_64")]
product!(
    avx2, "avx2,fma", 8, 2, [1 2 3 4 5 6],
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps
);

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn values(count: usize) -> Vec<f32> {
        let x: Tensor<1> = Tensor::random([count], Distribution::Normal(0.0, 1.0), &Device::flex());
        x.into_data().iter::<f32>().collect()
    }

    /// Protects tiles of every height and width, rows that overlap or lie apart, and what lies
    /// between the output's rows, against the definition.
    #[test]
    fn equals_the_definition() {
        for isa in [Isa::Avx512, Isa::Avx2].into_iter().filter(|isa| isa.available()) {
            for (rows, vectors) in [(1, 1), (2, 2), (9, 3), (50, 5), (13, 4), (7, 9), (25, 8)] {
                for (depth, step, gap) in [(1, 1, 0), (24, 8, 3), (37, 40, 0)] {
                    let (width, add) = (vectors * LANES, rows % 2 == 0);
                    let left = values((rows - 1) * step + depth);
                    let right = values(depth * (width + gap));
                    let before = values(rows * (width + gap));
                    let mut output = before.clone();
                    let of = |data, stride| Rows { data, stride };
                    let (a, b) = (of(&left, step), of(&right, width + gap));
                    isa.multiply([rows, depth, width], a, b, &mut output, width + gap, add);
                    for (i, (got, before)) in output.iter().zip(&before).enumerate() {
                        let (row, column) = (i / (width + gap), i % (width + gap));
                        if column >= width {
                            assert_eq!(got, before);
                            continue;
                        }
                        let product = |k| left[row * step + k] * right[k * (width + gap) + column];
                        let sum: f32 = (0..depth).map(product).sum();
                        let want = sum + if add { *before } else { 0.0 };
                        assert!((got - want).abs() < 1e-4, "{isa:?} {rows} {width} {depth}");
                    }
                }
            }
        }
    }

    /// Protects batches, views and the split among threads, against Burn's product.
    #[test]
    fn windows_are_those_of_every_sample() {
        let random = |shape: [usize; 3]| {
            Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
        };
        for (batch, frames, channels, kernel, width) in
            [(2, 7, 5, 3, 16), (1, 50, 32, 1, 48), (2, 500, 64, 3, 256), (1, 3, 4, 3, 32)]
        {
            let x = random([batch, channels, frames]).swap_dims(1, 2);
            let matrix = random([1, kernel * channels, width]);
            let bias = random([1, 1, width]);
            let flat = (matrix.clone().squeeze_dim::<2>(0), bias.clone().reshape([width]));
            let got = multiply_windows(&x, kernel, &flat.0, Some(&flat.1)).unwrap();
            let taps = (0..kernel).map(|tap| x.clone().narrow(1, tap, frames + 1 - kernel));
            let want = Tensor::cat(taps.collect(), 2).matmul(matrix) + bias;
            assert_eq!(got.dims(), want.dims());
            let error = (got - want).abs().max().into_scalar::<f32>();
            assert!(error < 1e-4, "{error:e}");
        }
        let x = random([1, 4, 8]);
        assert!(multiply_windows(&x, 1, &random([1, 8, 5]).squeeze_dim(0), None).is_none());
    }
}
