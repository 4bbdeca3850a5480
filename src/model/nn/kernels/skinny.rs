//! Matrix products with few rows on the left, as when a decoder steps some sequences by one
//! position each.
//!
//! Such a product is bound by the memory of its weights: they are read once, in order, for all
//! rows together. A tile of outputs, some rows by four vectors, stays in registers over the whole
//! sum. Each output is one chain of fused multiply-adds in the order of the inputs, whatever the
//! tile, so a row's result depends neither on the number of rows nor on its place among them.

use super::{from_values, into_flex, is_ours};
use burn::backend::Flex;
use burn::tensor::Tensor;
use half::f16;
use rayon::prelude::*;

/// Weights that are worth a task of their own, for one row and for the work of many.
const TASK: usize = 1 << 15;

/// Inputs that are summed over before the next tile has its turn, so that their weights are still
/// in the second-level cache when there are more rows than a tile has.
const DEPTH: usize = 1024;

/// How a matrix keeps its weights. Sums are in f32 either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    #[default]
    F32,
    /// Half the memory to read, which is what a step costs where it does not fit the caches.
    F16,
}

/// A matrix `[in, out]` in the order in which the kernel reads it.
#[derive(Debug)]
pub(crate) struct SkinnyMatrix {
    input: usize,
    output: usize,
    panels: Panels,
    isa: Isa,
}

/// `[panels, in, columns of a panel]`; the last panel ends in zeros.
#[derive(Debug)]
enum Panels {
    F32(Aligned<f32>),
    F16(Aligned<f16>),
}

/// Values that begin with a cache line: a vector read across two lines costs two reads.
#[derive(Debug)]
struct Aligned<T> {
    values: Vec<T>,
    start: usize,
}

impl<T: Copy + Default> Aligned<T> {
    const LINE: usize = 64;

    fn new(from: impl ExactSizeIterator<Item = T>) -> Self {
        let spare = Self::LINE / size_of::<T>();
        let mut values: Vec<T> = Vec::with_capacity(from.len() + spare);
        let start = values.as_ptr().align_offset(Self::LINE).min(spare);
        values.resize(start, T::default());
        values.extend(from);
        Self { values, start }
    }

    fn get(&self) -> &[T] {
        &self.values[self.start..]
    }
}

impl SkinnyMatrix {
    /// From `weight` `[out, in]`; `None` where only Burn's product can be used.
    pub fn new(weight: &Tensor<2>, precision: Precision) -> Option<Self> {
        is_ours(weight).then(|| Self::with(Isa::detect(), weight, precision))
    }

    fn with(isa: Isa, weight: &Tensor<2>, precision: Precision) -> Self {
        let [output, input] = weight.dims();
        let weight = into_flex(weight.clone());
        let weight: &[f32] = weight.storage();
        let columns = isa.columns();
        let size = output.div_ceil(columns) * input * columns;
        let values = (0..size).map(|i| {
            let (row, column) = (i / columns, i % columns);
            let (panel, k) = (row / input, row % input);
            weight.get((panel * columns + column) * input + k).copied().unwrap_or(0.0)
        });
        let panels = match precision {
            Precision::F32 => Panels::F32(Aligned::new(values)),
            Precision::F16 => Panels::F16(Aligned::new(values.map(f16::from_f32))),
        };
        Self { input, output, panels, isa }
    }

    /// `start + x · matrix`, for `x` `[rows, in]` and `start` `[rows, out]`.
    pub fn add_product(&self, start: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        assert_eq!(x.dims()[1], self.input, "width of the input");
        assert_eq!(start.dims(), [x.dims()[0], self.output], "shape of the output");
        let mut start = into_flex(start);
        self.accumulate(into_flex(x).storage(), start.storage_mut());
        Tensor::from_primitive::<Flex>(start)
    }

    /// `bias + x · matrix`, for `x` `[rows, in]` and `bias` `[out]`.
    pub fn product(&self, bias: Option<&Tensor<1>>, x: Tensor<2>) -> Tensor<2> {
        let [rows, input] = x.dims();
        assert_eq!(input, self.input, "width of the input");
        let mut sums = match bias {
            Some(bias) => into_flex(bias.clone()).storage::<f32>().repeat(rows),
            None => vec![0.0; rows * self.output],
        };
        self.accumulate(into_flex(x).storage(), &mut sums);
        from_values(sums, [rows, self.output])
    }

    /// Adds to `sums` `[rows, out]` the product of `x` `[rows, in]` with the matrix.
    fn accumulate(&self, x: &[f32], sums: &mut [f32]) {
        if self.input == 0 || sums.is_empty() {
            return;
        }
        let rows = sums.len() / self.output;
        assert_eq!(x.len(), rows * self.input, "elements of the input");
        let columns = self.isa.columns();
        let panels = self.output.div_ceil(columns);
        let most = 2 * rayon::current_num_threads();
        let tasks = (self.input * self.output / TASK).clamp(1, most).min(panels);
        let share = panels.div_ceil(tasks);
        let task = |i: usize| Task { panel: i * share, rows: Vec::with_capacity(rows) };
        let mut tasks: Vec<Task> = (0..panels.div_ceil(share)).map(task).collect();
        for row in sums.chunks_exact_mut(self.output) {
            for (task, part) in tasks.iter_mut().zip(row.chunks_mut(share * columns)) {
                task.rows.push(part);
            }
        }
        match tasks.as_mut_slice() {
            [task] => self.run(task, x),
            tasks => tasks.par_iter_mut().for_each(|task| self.run(task, x)),
        }
    }

    fn run(&self, task: &mut Task, x: &[f32]) {
        use Panels::{F16, F32};
        let work = Work { input: self.input, x };
        match (self.isa, &self.panels) {
            // SAFETY, in all of these: the processor has what the tile was compiled for.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, F32(panels)) => {
                work.run::<_, _, { avx512::ROWS }>(task, panels.get(), |w, x, sums| unsafe {
                    avx512::tile(w, x, sums);
                });
            }
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, F16(panels)) => {
                work.run::<_, _, { avx512_f16::ROWS }>(task, panels.get(), |w, x, sums| unsafe {
                    avx512_f16::tile(w, x, sums);
                });
            }
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, F32(panels)) => {
                work.run::<_, _, { avx2::ROWS }>(task, panels.get(), |w, x, sums| unsafe {
                    avx2::tile(w, x, sums);
                });
            }
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, F16(panels)) => {
                work.run::<_, _, { avx2_f16::ROWS }>(task, panels.get(), |w, x, sums| unsafe {
                    avx2_f16::tile(w, x, sums);
                });
            }
            (Isa::Portable, F32(panels)) => {
                work.run::<_, _, { portable::ROWS }>(task, panels.get(), portable::tile);
            }
            (Isa::Portable, F16(panels)) => {
                work.run::<_, _, { portable::ROWS }>(task, panels.get(), portable::tile);
            }
        }
    }
}

/// Columns of the result, from those of panel `panel` on, of every row.
struct Task<'a> {
    panel: usize,
    rows: Vec<&'a mut [f32]>,
}

/// What all tasks share.
struct Work<'a> {
    input: usize,
    /// `[rows, in]`
    x: &'a [f32],
}

impl Work<'_> {
    /// Goes through the panels tile by tile. `tile` adds to the sums of some rows the products of
    /// [`Rows`] with weights `[depth, COLUMNS]`.
    fn run<W, const COLUMNS: usize, const ROWS: usize>(
        &self,
        task: &mut Task,
        panels: &[W],
        tile: impl Fn(&[W], Rows, &mut [[f32; COLUMNS]]),
    ) {
        let height = task.rows.len().div_ceil(task.rows.len().div_ceil(ROWS).max(1));
        let panels = panels.chunks_exact(self.input * COLUMNS).skip(task.panel);
        let width = task.rows.first().map_or(0, |row| row.len());
        for (from, weights) in (0..width).step_by(COLUMNS).zip(panels) {
            for (depth, weights) in weights.chunks(DEPTH * COLUMNS).enumerate() {
                for (i, rows) in task.rows.chunks_mut(height).enumerate() {
                    let mut sums = [[0.0; COLUMNS]; ROWS];
                    let sums = &mut sums[..rows.len()];
                    let to = width.min(from + COLUMNS);
                    for (sums, row) in sums.iter_mut().zip(rows.iter()) {
                        sums[..to - from].copy_from_slice(&row[from..to]);
                    }
                    let start = i * height * self.input + depth * DEPTH;
                    tile(weights, Rows { x: &self.x[start..], stride: self.input }, sums);
                    for (sums, row) in sums.iter().zip(rows) {
                        row[from..to].copy_from_slice(&sums[..to - from]);
                    }
                }
            }
        }
    }
}

/// Inputs of the rows of a tile: those of row `r` begin at `r * stride`.
#[derive(Clone, Copy)]
struct Rows<'a> {
    x: &'a [f32],
    stride: usize,
}

/// Vector instructions that a kernel is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    /// The best of this processor.
    fn detect() -> Self {
        Self::all().next().unwrap_or(Self::Portable)
    }

    /// Those of this processor, the best first.
    fn all() -> impl Iterator<Item = Self> {
        let all = [
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, is_x86_feature_detected!("avx512f")),
            #[cfg(target_arch = "x86_64")]
            (
                Self::Avx2,
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c"),
            ),
            (Self::Portable, true),
        ];
        all.into_iter().filter(|(_, available)| *available).map(|(isa, _)| isa)
    }

    /// Columns of a panel: four vectors.
    fn columns(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::COLUMNS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::COLUMNS,
            Self::Portable => portable::COLUMNS,
        }
    }
}

mod portable {
    use super::Rows;

    pub(super) const COLUMNS: usize = 32;
    pub(super) const ROWS: usize = 4;

    pub(super) fn tile<W: Copy + Into<f32>>(
        weights: &[W],
        rows: Rows,
        sums: &mut [[f32; COLUMNS]],
    ) {
        let (weights, _) = weights.as_chunks::<COLUMNS>();
        for (k, weights) in weights.iter().enumerate() {
            let weights = weights.map(Into::into);
            for (row, sums) in sums.iter_mut().enumerate() {
                let x = rows.x[row * rows.stride + k];
                sums.iter_mut().zip(&weights).for_each(|(sum, weight)| *sum += x * weight);
            }
        }
    }
}

/// A kernel for the named vector instructions and type of weights. `$rows` are the heights of its
/// tiles: their sums, four vectors of weights and an input fit the registers.
#[cfg(target_arch = "x86_64")]
macro_rules! kernel {
    (
        $name:ident, $features:literal, $weight:ty, $lanes:literal, $most:literal, [$($rows:literal)*],
        $splat:ident, $load:ident, $store:ident, $fma:ident, |$from:ident| $widen:expr
    ) => {
        mod $name {
            use super::Rows;
            use std::arch::x86_64::*;

            const VECTORS: usize = 4;
            pub(super) const COLUMNS: usize = VECTORS * $lanes;
            pub(super) const ROWS: usize = $most;

            #[target_feature(enable = $features)]
            pub(super) fn tile(weights: &[$weight], rows: Rows, sums: &mut [[f32; COLUMNS]]) {
                match sums.len() {
                    $($rows => height::<$rows>(weights, rows, sums),)*
                    height => unreachable!("a tile of {height} rows"),
                }
            }

            #[target_feature(enable = $features)]
            fn height<const HEIGHT: usize>(
                weights: &[$weight],
                rows: Rows,
                sums: &mut [[f32; COLUMNS]],
            ) {
                // Loops of known length only, or the sums would live in memory.
                let Some(sums) = sums.first_chunk_mut::<HEIGHT>() else { return };
                let (weights, _) = weights.as_chunks::<COLUMNS>();
                let Rows { x, stride } = rows;
                assert!((HEIGHT - 1) * stride + weights.len() <= x.len(), "inputs of a tile");
                let mut vectors = [[$splat(0.0); VECTORS]; HEIGHT];
                for (vectors, sums) in vectors.iter_mut().zip(sums.iter()) {
                    for (vector, sums) in vectors.iter_mut().zip(sums.as_chunks::<$lanes>().0) {
                        // SAFETY: `sums` has the length of a vector.
                        *vector = unsafe { $load(sums.as_ptr()) };
                    }
                }
                for (k, weights) in weights.iter().enumerate() {
                    let mut parts = [$splat(0.0); VECTORS];
                    for (part, weights) in parts.iter_mut().zip(weights.as_chunks::<$lanes>().0) {
                        let $from = weights.as_ptr();
                        // SAFETY: `weights` has the length of a vector.
                        *part = unsafe { $widen };
                    }
                    for (row, vectors) in vectors.iter_mut().enumerate() {
                        // SAFETY: that the inputs reach this far is asserted above.
                        let x = $splat(unsafe { *x.get_unchecked(row * stride + k) });
                        for (vector, part) in vectors.iter_mut().zip(&parts) {
                            *vector = $fma(x, *part, *vector);
                        }
                    }
                }
                for (vectors, sums) in vectors.iter().zip(sums) {
                    for (vector, sums) in vectors.iter().zip(sums.as_chunks_mut::<$lanes>().0) {
                        // SAFETY: `sums` has the length of a vector.
                        unsafe { $store(sums.as_mut_ptr(), *vector) };
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernel!(
    avx512, "avx512f", f32, 16, 6, [1 2 3 4 5 6],
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps,
    |from| _mm512_loadu_ps(from)
);
#[cfg(target_arch = "x86_64")]
kernel!(
    avx512_f16, "avx512f", half::f16, 16, 6, [1 2 3 4 5 6],
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps,
    |from| _mm512_cvtph_ps(_mm256_loadu_si256(from.cast()))
);
#[cfg(target_arch = "x86_64")]
kernel!(
    avx2, "avx2,fma", f32, 8, 3, [1 2 3],
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps,
    |from| _mm256_loadu_ps(from)
);
#[cfg(target_arch = "x86_64")]
kernel!(
    avx2_f16, "avx2,fma,f16c", half::f16, 8, 3, [1 2 3],
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps,
    |from| _mm256_cvtph_ps(_mm_loadu_si128(from.cast()))
);

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn all() -> impl Iterator<Item = (Isa, Precision)> {
        Isa::all().flat_map(|isa| [(isa, Precision::F32), (isa, Precision::F16)])
    }

    /// Protects rows and columns at the ends of tiles and panels, sums longer than a block of
    /// them, and the shares of threads, of every kernel against Burn's product.
    #[test]
    fn equals_burns_product() {
        for (rows, input, output) in
            [(1, 1, 1), (2, 7, 65), (5, 40, 64), (7, 33, 31), (8, 256, 1536), (32, 2500, 130)]
        {
            let weight = random([output, input]) / (input as f64).sqrt();
            let (bias, start, x) =
                (random([output]), random([rows, output]), random([rows, input]));
            let product = x.clone().matmul(weight.clone().transpose());
            for (isa, precision) in all() {
                let matrix = SkinnyMatrix::with(isa, &weight, precision);
                let close = |name: &str, got: Tensor<2>, want: Tensor<2>| {
                    assert_eq!(got.dims(), want.dims());
                    let error = (got - want).abs().max().into_scalar::<f32>();
                    let most = if precision == Precision::F16 { 4e-3 } else { 2e-5 };
                    assert!(
                        error < most,
                        "{name}, {isa:?} {precision:?} {rows}x{input}x{output}: {error:e}"
                    );
                };
                close("plain", matrix.product(None, x.clone()), product.clone());
                let want = product.clone() + bias.clone().unsqueeze();
                close("bias", matrix.product(Some(&bias), x.clone()), want);
                let sum = matrix.add_product(start.clone(), x.clone());
                close("added", sum, product.clone() + start.clone());
            }
        }
    }

    /// Protects the promise on which equal seeds rest: equal speech, whoever else is speaking.
    #[test]
    fn a_row_is_the_same_alone_and_anywhere_among_others() {
        let (weight, bias, x) = (random([1000, 300]), random([1000]), random([32, 300]));
        for (isa, precision) in all() {
            let matrix = SkinnyMatrix::with(isa, &weight, precision);
            let product = |from: usize, rows: usize| -> Vec<f32> {
                let x = x.clone().narrow(0, from, rows);
                matrix.product(Some(&bias), x).into_data().iter().collect()
            };
            let alone: Vec<f32> = (0..32).flat_map(|row| product(row, 1)).collect();
            for (from, rows) in [(0, 32), (3, 2), (4, 8), (9, 7), (20, 11)] {
                let want = &alone[from * 1000..][..rows * 1000];
                assert!(product(from, rows) == want, "{isa:?} {precision:?}: {rows} from {from}");
            }
        }
    }

    /// Protects those who hold the tensor that the sums start from.
    #[test]
    fn what_is_added_to_is_left_alone() {
        let matrix = SkinnyMatrix::new(&random([3, 2]), Precision::F32).unwrap();
        let start = random([1, 3]);
        let before = start.to_data();
        matrix.add_product(start.clone(), random([1, 2]));
        assert_eq!(start.to_data(), before);
    }
}
