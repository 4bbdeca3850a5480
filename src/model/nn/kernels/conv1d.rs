//! One-dimensional convolution without im2col.
//!
//! The input is copied once into rows with their padding, a strided one's phases apart, so that
//! every tap of neighbouring outputs reads contiguous memory. A tile of outputs, a few channels by a few
//! vectors, then stays in registers over all input channels and taps.

use super::{CHUNK, from_values, into_flex, is_ours};
use burn::backend::Flex;
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
        let ([batch, input, time], output) = (x.dims(), self.output);
        assert_eq!(input, self.input, "channels of the input");
        let (layout, phases) = Phases::new([input, self.kernel], window, time);
        let shape = [batch, output, layout.outputs];
        if shape.contains(&0) {
            return from_values(Vec::new(), shape);
        }
        let padded = phases.pad(into_flex(x).storage(), [batch, input], before);
        from_values(self.run(&padded, batch, &layout), shape)
    }

    /// [`Self::forward`] plus `sum`, of the result's shape, in whose place it is where nobody else
    /// holds it.
    pub fn forward_onto(
        &self,
        sum: Tensor<3>,
        x: Tensor<3>,
        window: Window,
        before: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Tensor<3> {
        let [batch, input, time] = x.dims();
        assert_eq!(input, self.input, "channels of the input");
        let (layout, phases) = Phases::new([input, self.kernel], window, time);
        let shape = [batch, self.output, layout.outputs];
        assert_eq!(sum.dims(), shape, "what the convolution is added to");
        if shape.contains(&0) || !is_ours(&sum) {
            return sum + self.forward(x, window, before);
        }
        let padded = phases.pad(into_flex(x).storage(), [batch, input], before);
        let mut sum = into_flex(sum);
        self.run_in(sum.storage_mut(), true, &padded, &layout);
        Tensor::from_primitive::<Flex>(sum)
    }

    /// Input channels and taps of a channel.
    pub(super) fn shape(&self) -> [usize; 2] {
        [self.input, self.kernel]
    }

    /// Output channels.
    pub(super) fn outputs(&self) -> usize {
        self.output
    }

    /// Input that is laid out, `[batch, in, channel]`, to `[batch, out, rows, outputs]`, of which
    /// there must be one or more.
    pub(super) fn run(&self, padded: &[f32], batch: usize, layout: &Layout) -> Vec<f32> {
        let mut output = vec![0.0; batch * self.output * layout.rows * layout.outputs];
        self.run_in(&mut output, false, padded, layout);
        output
    }

    /// [`Self::run`] into `output`, where `add` on top of what is there.
    fn run_in(&self, output: &mut [f32], add: bool, padded: &[f32], layout: &Layout) {
        let mut tasks = self.tasks(output, layout);
        let run = |task: &mut Task| self.isa.run(task, &padded[task.origin..], layout, add);
        match tasks.as_mut_slice() {
            [task] => run(task),
            tasks => tasks.par_iter_mut().for_each(run),
        }
    }

    /// The output as blocks of channels, each row by itself, cut where that makes enough tasks.
    fn tasks<'a>(&'a self, output: &'a mut [f32], layout: &Layout) -> Vec<Task<'a>> {
        let channels = self.blocks.first().map_or(1, |block| block.bias.len());
        let width = (TASK / (channels * self.input * self.kernel)).max(1).next_multiple_of(ALIGN);
        let mut tasks = Vec::new();
        let size = self.output * layout.rows * layout.outputs;
        for (sample, output) in output.chunks_mut(size).enumerate() {
            let mut channels = output.chunks_mut(layout.rows * layout.outputs);
            for block in &self.blocks {
                let channels = channels.by_ref().take(block.bias.len());
                let mut channels: Vec<_> =
                    channels.map(|channel| channel.chunks_mut(layout.outputs)).collect();
                for row in 0..layout.rows {
                    let channels = channels.iter_mut().filter_map(Iterator::next);
                    let mut channels: Vec<_> =
                        channels.map(|steps| steps.chunks_mut(width)).collect();
                    let origin = sample * self.input * layout.channel + row * layout.step;
                    for start in (0..layout.outputs).step_by(width) {
                        let rows = channels.iter_mut().filter_map(Iterator::next).collect();
                        tasks.push(Task { origin, block, start, rows });
                    }
                }
            }
        }
        if layout.rows > 1 {
            // All blocks read a stretch while the caches hold it.
            tasks.sort_by_key(|task| (task.origin, task.start));
        }
        tasks
    }
}

/// Where the kernel finds its input, and what it makes of it.
#[derive(Debug)]
pub(super) struct Layout {
    /// Steps of an output row. The last tile reads on to a whole vector of them.
    pub outputs: usize,
    /// Output rows of a channel.
    pub rows: usize,
    /// Elements between what neighbouring rows of the output read.
    pub step: usize,
    /// Elements of an input channel.
    pub channel: usize,
    /// The element that each tap of the first output reads, `[input, kernel]`.
    pub taps: Vec<u32>,
}

/// The padded input: per channel one row for each phase of the stride, so that inputs a stride
/// apart are neighbours.
#[derive(Debug)]
struct Phases {
    window: Window,
    /// Steps of the input.
    time: usize,
    /// Length of a row.
    row: usize,
}

impl Phases {
    fn new([input, kernel]: [usize; 2], window: Window, time: usize) -> (Layout, Self) {
        let Window { stride, padding, dilation } = window;
        let reach = (kernel - 1) * dilation;
        let outputs = (time + padding.0 + padding.1).checked_sub(reach + 1);
        let outputs = outputs.map_or(0, |last| last / stride + 1);
        let row = outputs.next_multiple_of(LANES) + reach / stride;
        let channel = stride * row;
        let taps = (0..input).flat_map(|i| (0..kernel).map(move |tap| (i, tap * dilation)));
        let taps = taps.map(|(i, at)| (i * channel + at % stride * row + at / stride) as u32);
        let layout = Layout { outputs, rows: 1, step: 0, channel, taps: taps.collect() };
        (layout, Self { window, time, row })
    }

    /// Copies `x` `[batch, channels, time]`.
    fn pad(
        &self,
        x: &[f32],
        [batch, channels]: [usize; 2],
        before: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let Window { stride, padding: (left, _), .. } = self.window;
        let channel = stride * self.row;
        let mut padded = vec![0.0; batch * channels * channel];
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
        let few = (CHUNK / 2).div_ceil(channel);
        let rows = padded.par_chunks_mut(channel).with_min_len(few).enumerate();
        rows.for_each(fill);
        padded
    }
}

/// A stretch of a block's output.
struct Task<'a> {
    /// Element of the input from which taps are counted.
    origin: usize,
    block: &'a Block,
    /// Step at which `rows` begin.
    start: usize,
    rows: Vec<&'a mut [f32]>,
}

/// Elements of the widest vector.
pub(super) const LANES: usize = 16;

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

    fn run(self, _: &mut Task, _: &[f32], _: &Layout, _: bool) {
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

    fn run(self, task: &mut Task, x: &[f32], layout: &Layout, add: bool) {
        // SAFETY: weights are packed only for instructions that this processor has.
        match self {
            Self::Avx512 => unsafe { avx512::run(task, x, layout, add) },
            Self::Avx2 => unsafe { avx2::run(task, x, layout, add) },
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
            pub(super) fn run(task: &mut Task, x: &[f32], layout: &Layout, add: bool) {
                let Task { block, start, rows, .. } = task;
                let mut vectors = rows.first().map_or(0, |row| row.len().div_ceil($lanes));
                let mut from = 0;
                while vectors > 0 {
                    // Four are better as two twos than as a three and a one.
                    let now = if vectors == 4 { 2 } else { vectors.min(3) };
                    let at = *start + from;
                    match (block.bias.len(), now) {
                        $(
                            ($rows, 1) => tile::<$rows, 1>(block, x, layout, at, rows, from, add),
                            ($rows, 2) => tile::<$rows, 2>(block, x, layout, at, rows, from, add),
                            ($rows, 3) => tile::<$rows, 3>(block, x, layout, at, rows, from, add),
                        )*
                        (rows, _) => unreachable!("a block of {rows} channels"),
                    }
                    from += now * $lanes;
                    vectors -= now;
                }
            }

            /// `ROWS` output channels by `VECTORS` vectors of steps: those at `at`, which go to
            /// `rows` at `from`, where they may exceed the rows' end; onto them where `add`.
            #[allow(clippy::needless_range_loop)]
            #[target_feature(enable = $features)]
            fn tile<const ROWS: usize, const VECTORS: usize>(
                block: &Block,
                x: &[f32],
                layout: &Layout,
                at: usize,
                rows: &mut [&mut [f32]],
                from: usize,
                add: bool,
            ) {
                let (Some(bias), Some(rows)) =
                    (block.bias.first_chunk::<ROWS>(), rows.first_chunk_mut::<ROWS>())
                else {
                    return;
                };
                // Indexed by numbers below constants: through an iterator the compiler keeps some
                // of the sums in memory, which halves the speed.
                let mut sums = [[$splat(0.0); VECTORS]; ROWS];
                for row in 0..ROWS {
                    sums[row] = [$splat(bias[row]); VECTORS];
                }
                let (weights, _) = block.weights.as_chunks::<ROWS>();
                for (tap, weights) in layout.taps.iter().zip(weights) {
                    let x = &x[at + *tap as usize..][..VECTORS * $lanes];
                    let mut inputs = [$splat(0.0); VECTORS];
                    for i in 0..VECTORS {
                        // SAFETY: `x` has room for `VECTORS` vectors.
                        inputs[i] = unsafe { $load(x.as_ptr().add(i * $lanes)) };
                    }
                    for row in 0..ROWS {
                        let weight = $splat(weights[row]);
                        for i in 0..VECTORS {
                            sums[row][i] = $fma(weight, inputs[i], sums[row][i]);
                        }
                    }
                }
                let mut values = [[[0f32; $lanes]; VECTORS]; ROWS];
                for row in 0..ROWS {
                    for i in 0..VECTORS {
                        // SAFETY: there is room for one vector.
                        unsafe { $store(values[row][i].as_mut_ptr(), sums[row][i]) };
                    }
                }
                for (row, values) in rows.iter_mut().zip(&values) {
                    let output = &mut row[from..];
                    let values = values.as_flattened();
                    let length = output.len().min(values.len());
                    if add {
                        for (output, value) in output.iter_mut().zip(values) {
                            *output += *value;
                        }
                    } else {
                        output[..length].copy_from_slice(&values[..length]);
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
                let want = module::conv1d(x.clone(), weight, Some(bias), options);
                assert_eq!(got.dims(), want.dims(), "{shape:?}");
                let error = (got - want.clone()).abs().max().into_scalar::<f32>();
                assert!(error < 1e-5, "{isa:?} {shape:?}: {error:e}");
                // Onto a tensor of its own, and onto one that another holds.
                let sum = random(want.dims());
                let window = Window { stride, padding, dilation };
                let own = sum.clone() * 1.0;
                for onto in [own, sum.clone()] {
                    let got = packed.forward_onto(onto, x.clone(), window, |_, _| ());
                    let error = (got - want.clone() - sum.clone()).abs().max().into_scalar::<f32>();
                    assert!(error < 1e-5, "{isa:?} {shape:?} onto: {error:e}");
                }
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
