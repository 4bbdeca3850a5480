//! Convolution with stride one as a direct loop.
//!
//! A tile of eight output channels by eight samples stays in registers while all input channels
//! and taps are added to it: one load of the input and eight of the weights for eight fused
//! multiply-adds, without copying the input into columns first and with one write of the output,
//! whatever the number of taps. That suits the few channels and many samples of a small vocoder.

use super::{from_host, host, supported};
use burn::tensor::Tensor;
use rayon::prelude::*;
use std::sync::Arc;

/// Output channels of a tile.
const ROWS: usize = 8;
/// Samples of a tile.
const WIDTH: usize = 8;
/// Multiply-adds below which a second thread costs more than it brings.
const SERIAL: usize = 500_000;

type Tile = [[f32; WIDTH]; ROWS];

/// Weights of a convolution of stride one and one group, in the order in which the loop reads.
#[derive(Debug, Clone)]
pub(in crate::model::nn) struct PackedConv1d {
    /// `[output blocks, in, kernel, ROWS]`, the last block filled up with zeros
    weight: Arc<Vec<f32>>,
    /// `[output blocks, ROWS]`
    bias: Arc<Vec<f32>>,
    input: usize,
    output: usize,
    kernel: usize,
    dilation: usize,
    padding: (usize, usize),
}

/// A part of the output: some columns of the rows of one block.
struct Task<'a> {
    sample: usize,
    block: usize,
    start: usize,
    rows: Vec<&'a mut [f32]>,
}

impl PackedConv1d {
    /// Packs `weight` `[out, in, kernel]` and `bias` `[out]`. `None` where the loop cannot run:
    /// off the Flex backend, in another type, on another processor.
    pub fn new(
        weight: &Tensor<3>,
        bias: Option<&Tensor<1>>,
        dilation: usize,
        padding: (usize, usize),
    ) -> Option<Self> {
        if !supported() {
            return None;
        }
        let [output, input, kernel] = weight.dims();
        let blocks = output.div_ceil(ROWS);
        let weight = host(weight.clone())?;
        let mut packed = vec![0f32; blocks * input * kernel * ROWS];
        for (o, row) in weight.as_slice::<f32>()?.chunks_exact(input * kernel).enumerate() {
            let first = o / ROWS * input * kernel * ROWS + o % ROWS;
            for (slot, value) in packed[first..].iter_mut().step_by(ROWS).zip(row) {
                *slot = *value;
            }
        }
        let mut padded_bias = vec![0f32; blocks * ROWS];
        if let Some(bias) = bias {
            let bias = host(bias.clone())?;
            padded_bias.iter_mut().zip(bias.as_slice::<f32>()?).for_each(|(slot, b)| *slot = *b);
        }
        let (weight, bias) = (Arc::new(packed), Arc::new(padded_bias));
        Some(Self { weight, bias, input, output, kernel, dilation, padding })
    }

    /// `[batch, in, n]` to `[batch, out, n + padding - (kernel - 1) * dilation]`; `None` for input
    /// that the loop cannot take.
    pub fn forward(&self, x: Tensor<3>) -> Option<Tensor<3>> {
        let [batch, channels, n] = x.dims();
        let length = (n + self.padding.0 + self.padding.1).checked_sub(self.span())?;
        if channels != self.input || length == 0 || n == 0 || batch == 0 {
            return None;
        }
        let x = host(x)?;
        let x = x.as_slice::<f32>()?;
        let mut y = vec![0f32; batch * self.output * length];
        let work = self.weight.len() * batch * length;
        if work < SERIAL {
            self.tasks(&mut y, length, 1).into_iter().for_each(|task| self.run(task, x, n));
        } else {
            // About four tasks per thread, so that a thread which is held up does not hold up all.
            let blocks = batch * self.output.div_ceil(ROWS);
            let parts = (4 * rayon::current_num_threads()).div_ceil(blocks);
            let tasks = self.tasks(&mut y, length, parts);
            tasks.into_par_iter().for_each(|task| self.run(task, x, n));
        }
        Some(from_host(y, [batch, self.output, length]))
    }

    /// Input samples before the last that a tap reaches.
    fn span(&self) -> usize {
        (self.kernel - 1) * self.dilation
    }

    /// Cuts the output into blocks of rows, and each block into `parts` of its columns.
    fn tasks<'a>(&self, y: &'a mut [f32], length: usize, parts: usize) -> Vec<Task<'a>> {
        let columns = length.div_ceil(parts).next_multiple_of(WIDTH);
        let mut tasks = vec![];
        for (sample, y) in y.chunks_mut(self.output * length).enumerate() {
            for (block, y) in y.chunks_mut(ROWS * length).enumerate() {
                let first = tasks.len();
                tasks.extend((0..length).step_by(columns).map(|start| Task {
                    sample,
                    block,
                    start,
                    rows: Vec::with_capacity(ROWS),
                }));
                for row in y.chunks_mut(length) {
                    for (task, part) in tasks[first..].iter_mut().zip(row.chunks_mut(columns)) {
                        task.rows.push(part);
                    }
                }
            }
        }
        tasks
    }

    fn run(&self, task: Task, x: &[f32], n: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,fma")]
            fn vectorised(conv: &PackedConv1d, task: Task, x: &[f32], n: usize) {
                conv.fill(task, x, n);
            }
            // SAFETY: `new` packs only where `supported` has found both features.
            unsafe { vectorised(self, task, x, n) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.fill(task, x, n);
    }

    #[inline(always)]
    fn fill(&self, mut task: Task, x: &[f32], n: usize) {
        let x = &x[task.sample * self.input * n..][..self.input * n];
        let panel_size = self.input * self.kernel * ROWS;
        let panel = &self.weight[task.block * panel_size..][..panel_size];
        let mut bias = [0f32; ROWS];
        bias.copy_from_slice(&self.bias[task.block * ROWS..][..ROWS]);
        let columns = task.rows.first().map_or(0, |row| row.len());
        let reach = self.span() + WIDTH;
        let mut edge = vec![];
        for column in (0..columns).step_by(WIDTH) {
            // Where the tile's input begins, counted from the start of the left padding.
            let at = task.start + column;
            let inside = at >= self.padding.0 && at - self.padding.0 + reach <= n;
            let tile = if inside {
                self.tile(&x[at - self.padding.0..], n, panel, bias)
            } else {
                edge.clear();
                edge.resize(self.input * reach, 0.0);
                let from = at.saturating_sub(self.padding.0).min(n);
                let to = (at + reach).saturating_sub(self.padding.0).min(n);
                let skip = self.padding.0.saturating_sub(at).min(reach);
                for (copy, row) in edge.chunks_exact_mut(reach).zip(x.chunks_exact(n)) {
                    let part = &row[from..to];
                    copy[skip..skip + part.len()].copy_from_slice(part);
                }
                self.tile(&edge, reach, panel, bias)
            };
            let width = WIDTH.min(columns - column);
            for (row, values) in task.rows.iter_mut().zip(&tile) {
                row[column..column + width].copy_from_slice(&values[..width]);
            }
        }
    }

    /// One tile, from input rows that lie `stride` apart and begin at its first sample.
    #[inline(always)]
    fn tile(&self, x: &[f32], stride: usize, panel: &[f32], bias: [f32; ROWS]) -> Tile {
        let mut tile = bias.map(|b| [b; WIDTH]);
        for (row, weights) in x.chunks(stride).zip(panel.chunks_exact(self.kernel * ROWS)) {
            for (tap, weights) in weights.as_chunks::<ROWS>().0.iter().enumerate() {
                let Some(x) = row[tap * self.dilation..].first_chunk::<WIDTH>() else { break };
                for r in 0..ROWS {
                    for i in 0..WIDTH {
                        tile[r][i] = weights[r].mul_add(x[i], tile[r][i]);
                    }
                }
            }
        }
        tile
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, module, ops};

    fn portable(
        x: Tensor<3>,
        weight: Tensor<3>,
        bias: Option<Tensor<1>>,
        dilation: usize,
        padding: (usize, usize),
    ) -> Tensor<3> {
        let options = ops::ConvOptions::new_with_padding([1], [padding], [dilation], 1);
        module::conv1d(x, weight, bias, options)
    }

    /// The loop and the backend agree: odd channel counts, inputs shorter than a tile, uneven and
    /// causal padding, no bias, batches, sizes on both sides of the thread threshold.
    #[test]
    fn agrees_with_the_backend() {
        let device = Device::flex();
        let random = |shape| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        for (batch, input, output, kernel, dilation, padding, n) in [
            (1, 16, 16, 11, 5, (25, 25), 600),
            (1, 3, 5, 3, 1, (1, 1), 1),
            (2, 7, 18, 7, 1, (3, 3), 9),
            (2, 20, 12, 4, 1, (0, 3), 33),
            (1, 8, 9, 3, 2, (4, 0), 17),
            (1, 6, 8, 5, 3, (0, 0), 40),
            (3, 5, 1, 1, 1, (0, 0), 7),
            (1, 4, 4, 3, 1, (21, 11), 2),
            (2, 64, 64, 7, 3, (9, 9), 400),
        ] {
            let (x, weight) = (random([batch, input, n]), random([output, input, kernel]));
            for bias in [None, Some(random([1, 1, output]).reshape([output]))] {
                let packed = PackedConv1d::new(&weight, bias.as_ref(), dilation, padding);
                let Some(packed) = packed else { return };
                let got = packed.forward(x.clone()).expect("host tensor");
                let want = portable(x.clone(), weight.clone(), bias, dilation, padding);
                assert_eq!(got.dims(), want.dims());
                let error = (got - want).abs().max().into_scalar::<f32>();
                assert!(error < 1e-4, "{input} to {output}, kernel {kernel}, {n}: {error}");
            }
        }
    }

    /// What cannot be convolved is left to the backend and its errors.
    #[test]
    fn declines_what_does_not_fit() {
        let device = Device::flex();
        let weight = Tensor::<3>::ones([4, 3, 5], &device);
        let Some(packed) = PackedConv1d::new(&weight, None, 1, (0, 0)) else { return };
        assert!(packed.forward(Tensor::ones([1, 2, 10], &device)).is_none());
        assert!(packed.forward(Tensor::ones([1, 3, 4], &device)).is_none());
        assert!(packed.forward(Tensor::ones([1, 3, 5], &device)).is_some());
    }
}
