//! One-dimensional convolution without im2col.
//!
//! The input is copied once into rows with their padding, a strided one's phases apart, so that
//! every tap of neighbouring outputs reads contiguous memory. A tile of outputs, a few channels by a few
//! vectors, then stays in registers over all input channels and taps.

use super::{CHUNK, from_values, into_flex, is_ours};
use burn::tensor::Tensor;
use rayon::prelude::*;

/// Multiply-adds that are worth a task of their own.
const TASK: usize = 1 << 20;

/// Where a task may begin: every tile's width divides it.
const ALIGN: usize = 48;

/// How a convolution slides over its input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub stride: usize,
    /// Zeros before and after the input.
    pub padding: (usize, usize),
    pub dilation: usize,
}

/// Weights in the order in which the kernel reads them.
#[derive(Debug)]
pub(crate) struct Packed {
    input: usize,
    output: usize,
    kernel: usize,
    blocks: Vec<Block>,
    isa: Isa,
}

/// Output channels that one tile computes.
#[derive(Debug)]
struct Block {
    /// `[rows]`
    bias: Vec<f32>,
    /// `[input, kernel, rows]`
    weights: Vec<f32>,
}

impl Packed {
    /// From `weight` `[out, in, kernel]` and `bias` `[out]`; `None` where only Burn's convolution
    /// can be used.
    pub fn new(weight: &Tensor<3>, bias: Option<&Tensor<1>>) -> Option<Self> {
        Self::with(Isa::detect()?, weight, bias)
    }

    fn with(isa: Isa, weight: &Tensor<3>, bias: Option<&Tensor<1>>) -> Option<Self> {
        let [output, input, kernel] = weight.dims();
        if !is_ours(weight) || input == 0 || kernel == 0 {
            return None;
        }
        let weight: Vec<f32> = weight.to_data().iter().collect();
        let bias: Vec<f32> = match bias {
            Some(bias) => bias.to_data().iter().collect(),
            None => vec![0.0; output],
        };
        // Blocks of like size, as a small one costs as much as a large one.
        let size = output.div_ceil(output.div_ceil(isa.rows()).max(1)).max(1);
        let blocks = bias.chunks(size).zip(weight.chunks(size * input * kernel));
        let blocks = blocks.map(|(bias, weight)| {
            let row = |i: usize| weight[i..].iter().step_by(input * kernel);
            let weights = (0..input * kernel).flat_map(row).copied().collect();
            Block { bias: bias.to_vec(), weights }
        });
        Some(Self { input, output, kernel, blocks: blocks.collect(), isa })
    }

    /// `[batch, in, time]` to `[batch, out, time]`. Each row of the input, a channel, passes
    /// through `before` first.
    pub fn forward(
        &self,
        x: Tensor<3>,
        window: Window,
        before: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Tensor<3> {
        let [batch, input, time] = x.dims();
        assert_eq!(input, self.input, "channels of the input");
        let layout = Layout::new([input, self.kernel], window, time);
        let mut output = vec![0.0; batch * self.output * layout.outputs];
        if output.is_empty() {
            return from_values(output, [batch, self.output, layout.outputs]);
        }
        let x = into_flex(x);
        let padded = layout.pad(x.storage(), [batch, input], window, before);
        let mut tasks = self.tasks(&mut output, &layout);
        let run = |task: &mut Task| {
            let sample = input * layout.channel;
            self.isa.run(task, &padded[task.sample * sample..][..sample], &layout);
        };
        match tasks.as_mut_slice() {
            [task] => run(task),
            tasks => tasks.par_iter_mut().for_each(run),
        }
        drop(tasks);
        from_values(output, [batch, self.output, layout.outputs])
    }

    /// The output `[batch, out, outputs]` as blocks of rows, cut where that makes enough tasks.
    fn tasks<'a>(&'a self, output: &'a mut [f32], layout: &Layout) -> Vec<Task<'a>> {
        let rows = self.blocks.first().map_or(1, |block| block.bias.len());
        let width = (TASK / (rows * self.input * self.kernel)).max(1).next_multiple_of(ALIGN);
        let mut tasks = Vec::new();
        for (sample, output) in output.chunks_mut(self.output * layout.outputs).enumerate() {
            let mut rows = output.chunks_mut(layout.outputs);
            for block in &self.blocks {
                let mut rows: Vec<_> =
                    rows.by_ref().take(block.bias.len()).map(|row| row.chunks_mut(width)).collect();
                for start in (0..layout.outputs).step_by(width) {
                    let rows = rows.iter_mut().filter_map(Iterator::next).collect();
                    tasks.push(Task { sample, block, start, rows });
                }
            }
        }
        tasks
    }
}

/// The padded input: per channel one row for each phase of the stride, so that inputs a stride
/// apart are neighbours.
#[derive(Debug)]
struct Layout {
    /// Steps of the output.
    outputs: usize,
    /// Steps of the input.
    time: usize,
    /// Length of a row. The last tile reads on to a whole vector of outputs.
    row: usize,
    /// Elements of a channel: its rows.
    channel: usize,
    /// The element that each tap of the first output reads, `[input, kernel]`.
    taps: Vec<u32>,
}

impl Layout {
    fn new([input, kernel]: [usize; 2], window: Window, time: usize) -> Self {
        let Window { stride, padding, dilation } = window;
        let reach = (kernel - 1) * dilation;
        let outputs = (time + padding.0 + padding.1).checked_sub(reach + 1);
        let outputs = outputs.map_or(0, |last| last / stride + 1);
        let row = outputs.next_multiple_of(LANES) + reach / stride;
        let channel = stride * row;
        let taps = (0..input).flat_map(|i| (0..kernel).map(move |tap| (i, tap * dilation)));
        let taps = taps.map(|(i, at)| (i * channel + at % stride * row + at / stride) as u32);
        Self { outputs, time, row, channel, taps: taps.collect() }
    }

    /// Copies `x` `[batch, channels, time]`.
    fn pad(
        &self,
        x: &[f32],
        [batch, channels]: [usize; 2],
        window: Window,
        before: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let Window { stride, padding: (left, _), .. } = window;
        let mut padded = vec![0.0; batch * channels * self.channel];
        let fill = |(i, rows): (usize, &mut [f32])| {
            let x = &x[i * self.time..][..self.time];
            for (phase, row) in rows.chunks_mut(self.row).enumerate() {
                // The first input of this phase, and its place in the row.
                let first = (phase + stride - left % stride) % stride;
                let Some(place) = row.get_mut((first + left) / stride..) else { continue };
                let length = self.time.saturating_sub(first).div_ceil(stride).min(place.len());
                let place = &mut place[..length];
                match stride {
                    1 => place.copy_from_slice(&x[first..][..length]),
                    _ => {
                        let x = x[first.min(self.time)..].iter().step_by(stride);
                        place.iter_mut().zip(x).for_each(|(place, x)| *place = *x);
                    }
                }
                before(i % channels, place);
            }
        };
        let few = (CHUNK / 2).div_ceil(self.channel);
        let rows = padded.par_chunks_mut(self.channel).with_min_len(few).enumerate();
        rows.for_each(fill);
        padded
    }
}

/// A stretch of a block's output.
struct Task<'a> {
    sample: usize,
    block: &'a Block,
    /// Step at which `rows` begin.
    start: usize,
    rows: Vec<&'a mut [f32]>,
}

/// Elements of the widest vector.
const LANES: usize = 16;

/// Vector instructions that a kernel is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

#[cfg(not(target_arch = "x86_64"))]
impl Isa {
    fn detect() -> Option<Self> {
        None
    }

    fn rows(self) -> usize {
        match self {}
    }

    fn run(self, _: &mut Task, _: &[f32], _: &Layout) {
        match self {}
    }
}

#[cfg(target_arch = "x86_64")]
impl Isa {
    /// The best of this processor.
    fn detect() -> Option<Self> {
        [Self::Avx512, Self::Avx2].into_iter().find(|isa| isa.available())
    }

    fn available(self) -> bool {
        match self {
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        }
    }

    /// Output channels of the largest tile: its sums, three vectors of input and a weight fit the
    /// registers.
    fn rows(self) -> usize {
        match self {
            Self::Avx512 => 8,
            Self::Avx2 => 4,
        }
    }

    fn run(self, task: &mut Task, x: &[f32], layout: &Layout) {
        // SAFETY: weights are packed only for instructions that this processor has.
        match self {
            Self::Avx512 => unsafe { avx512::run(task, x, layout) },
            Self::Avx2 => unsafe { avx2::run(task, x, layout) },
        }
    }
}

/// A kernel for the named vector instructions. `$rows` are the heights of its tiles.
#[cfg(target_arch = "x86_64")]
macro_rules! kernel {
    (
        $name:ident, $features:literal, $lanes:literal, [$($rows:literal)*],
        $splat:ident, $load:ident, $store:ident, $fma:ident
    ) => {
        mod $name {
            use super::{Block, Layout, Task};
            use std::arch::x86_64::{$fma, $load, $splat, $store};

            #[target_feature(enable = $features)]
            pub(super) fn run(task: &mut Task, x: &[f32], layout: &Layout) {
                let Task { block, start, rows, .. } = task;
                let mut vectors = rows.first().map_or(0, |row| row.len().div_ceil($lanes));
                let mut from = 0;
                while vectors > 0 {
                    // Four are better as two twos than as a three and a one.
                    let now = if vectors == 4 { 2 } else { vectors.min(3) };
                    let at = *start + from;
                    match (block.bias.len(), now) {
                        $(
                            ($rows, 1) => tile::<$rows, 1>(block, x, layout, at, rows, from),
                            ($rows, 2) => tile::<$rows, 2>(block, x, layout, at, rows, from),
                            ($rows, 3) => tile::<$rows, 3>(block, x, layout, at, rows, from),
                        )*
                        (rows, _) => unreachable!("a block of {rows} channels"),
                    }
                    from += now * $lanes;
                    vectors -= now;
                }
            }

            /// `ROWS` output channels by `VECTORS` vectors of steps: those at `at`, which go to
            /// `rows` at `from`, where they may exceed the rows' end.
            #[target_feature(enable = $features)]
            fn tile<const ROWS: usize, const VECTORS: usize>(
                block: &Block,
                x: &[f32],
                layout: &Layout,
                at: usize,
                rows: &mut [&mut [f32]],
                from: usize,
            ) {
                // Loops of known length only, or the sums would live in memory.
                let (Some(bias), Some(rows)) =
                    (block.bias.first_chunk::<ROWS>(), rows.first_chunk_mut::<ROWS>())
                else {
                    return;
                };
                let mut sums = [[$splat(0.0); VECTORS]; ROWS];
                for (sums, bias) in sums.iter_mut().zip(bias) {
                    *sums = [$splat(*bias); VECTORS];
                }
                let (weights, _) = block.weights.as_chunks::<ROWS>();
                for (tap, weights) in layout.taps.iter().zip(weights) {
                    let x = &x[at + *tap as usize..][..VECTORS * $lanes];
                    let mut inputs = [$splat(0.0); VECTORS];
                    for (i, input) in inputs.iter_mut().enumerate() {
                        // SAFETY: `x` has room for `VECTORS` vectors.
                        *input = unsafe { $load(x.as_ptr().add(i * $lanes)) };
                    }
                    for (sums, weight) in sums.iter_mut().zip(weights) {
                        let weight = $splat(*weight);
                        for (sum, input) in sums.iter_mut().zip(&inputs) {
                            *sum = $fma(weight, *input, *sum);
                        }
                    }
                }
                for (row, sums) in rows.iter_mut().zip(&sums) {
                    for (i, sum) in sums.iter().enumerate() {
                        let mut values = [0f32; $lanes];
                        // SAFETY: there is room for one vector.
                        unsafe { $store(values.as_mut_ptr(), *sum) };
                        let output = &mut row[from + i * $lanes..];
                        match output.first_chunk_mut() {
                            Some(output) => *output = values,
                            None => output.copy_from_slice(&values[..output.len()]),
                        }
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernel!(
    avx512, "avx512f", 16, [1 2 3 4 5 6 7 8],
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps
);
#[cfg(target_arch = "x86_64")]
kernel!(
    avx2, "avx2,fma", 8, [1 2 3 4],
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps
);

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, module, ops};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    /// Protects rows and vectors at the ends of tiles, blocks and tasks, padding on one side only,
    /// inputs shorter than the kernel or the stride, strides beyond the kernel, and batches,
    /// against Burn's convolution.
    #[test]
    fn equals_burns_convolution() {
        let shapes = [
            // batch, in, out, time, kernel, dilation, stride, padding
            (1, 1, 1, 1, 1, 1, 1, (0, 0)),
            (1, 3, 9, 5, 3, 1, 1, (1, 1)),
            (2, 5, 18, 61, 7, 3, 1, (9, 9)),
            (1, 8, 17, 400, 11, 5, 1, (25, 25)),
            (3, 4, 6, 49, 3, 2, 1, (4, 0)),
            (1, 4, 5, 47, 5, 1, 1, (0, 3)),
            (1, 2, 64, 2, 7, 5, 1, (15, 15)),
            (1, 64, 32, 2000, 3, 1, 1, (1, 1)),
            (2, 16, 23, 700, 1, 1, 1, (0, 0)),
            (1, 1, 18, 1016, 16, 1, 4, (0, 0)),
            (2, 18, 10, 301, 30, 1, 15, (7, 7)),
            (1, 18, 7, 100, 6, 1, 3, (1, 1)),
            (1, 3, 2, 20, 2, 3, 5, (3, 8)),
            (1, 3, 2, 3, 2, 1, 4, (1, 0)),
            (2, 4, 4, 33, 3, 2, 2, (2, 2)),
        ];
        for isa in [Isa::Avx512, Isa::Avx2].into_iter().filter(|isa| isa.available()) {
            for shape in shapes {
                let (batch, input, output, time, kernel, dilation, stride, padding) = shape;
                let weight = random([output, input, kernel]) / ((input * kernel) as f64).sqrt();
                let (bias, x) = (random([output]), random([batch, input, time]));
                let packed = Packed::with(isa, &weight, Some(&bias)).unwrap();
                let got =
                    packed.forward(x.clone(), Window { stride, padding, dilation }, |_, _| ());
                let options =
                    ops::ConvOptions::new_with_padding([stride], [padding], [dilation], 1);
                let want = module::conv1d(x, weight, Some(bias), options);
                assert_eq!(got.dims(), want.dims(), "{shape:?}");
                let error = (got - want).abs().max().into_scalar::<f32>();
                assert!(error < 1e-5, "{isa:?} {shape:?}: {error:e}");
            }
        }
    }

    /// Protects views into other tensors, what goes before, and the padding, which it must not
    /// see.
    #[test]
    fn reads_views_and_maps_only_the_input() {
        let x = random([2, 40, 6]).swap_dims(1, 2).narrow(2, 3, 30);
        let weight = random([4, 6, 3]);
        let packed = Packed::new(&weight, None);
        let Some(packed) = packed else { return };
        let window = Window { stride: 2, padding: (1, 1), dilation: 1 };
        let add = |channel: usize, row: &mut [f32]| {
            row.iter_mut().for_each(|x| *x += channel as f32);
        };
        let got = packed.forward(x.clone(), window, add);
        let steps = Tensor::<1>::from_floats([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &Device::flex());
        let options = ops::ConvOptions::new_with_padding([2], [(1, 1)], [1], 1);
        let want = module::conv1d(x + steps.reshape([1, 6, 1]), weight, None, options);
        let error = (got - want).abs().max().into_scalar::<f32>();
        assert!(error < 1e-5, "{error:e}");
    }

    #[test]
    fn an_input_shorter_than_the_kernel_gives_nothing() {
        let Some(packed) = Packed::new(&random([2, 3, 5]), None) else { return };
        let window = Window { stride: 1, padding: (0, 0), dilation: 1 };
        for time in [0, 4] {
            assert_eq!(packed.forward(random([1, 3, time]), window, |_, _| ()).dims(), [1, 2, 0]);
        }
    }
}
