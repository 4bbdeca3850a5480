//! Matrix products with few rows on the left, as when a decoder steps some sequences by one
//! position each.
//!
//! Such a product is bound by the memory of its weights: they are read once, in order, for all
//! rows together. A tile of outputs, some rows by four vectors, stays in registers over the whole
//! sum. Each output is one chain of fused multiply-adds in the order of the inputs, whatever the
//! tile, so a row's result depends neither on the number of rows nor on its place among them.

use super::tile::{Isa, Strided, TILE};
use super::{from_values, into_flex, is_ours};
use crate::model::weights::Precision;
use burn::backend::Flex;
use burn::tensor::Tensor;
use half::{bf16, f16};
use rayon::prelude::*;

/// Weights that are worth a task of their own, for one row and for the work of many.
const TASK: usize = 1 << 15;

/// Inputs that are summed over before the next tile has its turn, so that their weights are still
/// in the second-level cache when there are more rows than a tile has.
const DEPTH: usize = 1024;

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
        Self::is_for(weight).then(|| Self::with(Isa::detect(), weight, precision))
    }

    /// Whether such a matrix can be made of the weight.
    pub fn is_for(weight: &Tensor<2>) -> bool {
        is_ours(weight)
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
            Precision::Bf16 => {
                Panels::F32(Aligned::new(values.map(|value| bf16::from_f32(value).to_f32())))
            }
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
        let isa = self.isa;
        match &self.panels {
            Panels::F32(panels) => self.run_with(panels.get(), task, x, |w, x, depth, sums| {
                isa.tile(w, x, depth, sums);
            }),
            Panels::F16(panels) => self.run_with(panels.get(), task, x, |w, x, depth, sums| {
                isa.tile_f16(w, x, depth, sums);
            }),
        }
    }

    /// Goes through the panels of a task tile by tile.
    fn run_with<W>(
        &self,
        panels: &[W],
        task: &mut Task,
        x: &[f32],
        tile: impl Fn(Strided<W>, Strided<f32>, usize, &mut [f32]),
    ) {
        let (input, columns) = (self.input, self.isa.columns());
        let height = task.rows.len().div_ceil(task.rows.len().div_ceil(self.isa.rows()).max(1));
        let panels = panels.chunks_exact(input * columns).skip(task.panel);
        let width = task.rows.first().map_or(0, |row| row.len());
        for (from, weights) in (0..width).step_by(columns).zip(panels) {
            let to = width.min(from + columns);
            for (depth, weights) in weights.chunks(DEPTH * columns).enumerate() {
                let weights = Strided { values: weights, stride: columns };
                for (i, rows) in task.rows.chunks_mut(height).enumerate() {
                    let mut sums = [0.0; TILE];
                    let sums = &mut sums[..rows.len() * columns];
                    for (sums, row) in sums.chunks_exact_mut(columns).zip(rows.iter()) {
                        sums[..to - from].copy_from_slice(&row[from..to]);
                    }
                    let start = i * height * input + depth * DEPTH;
                    let length = input.min((depth + 1) * DEPTH) - depth * DEPTH;
                    tile(weights, Strided { values: &x[start..], stride: input }, length, sums);
                    for (sums, row) in sums.chunks_exact(columns).zip(rows) {
                        row[from..to].copy_from_slice(&sums[..to - from]);
                    }
                }
            }
        }
    }
}

/// Columns of the result, from those of panel `panel` on, of every row.
struct Task<'a> {
    panel: usize,
    rows: Vec<&'a mut [f32]>,
}

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
