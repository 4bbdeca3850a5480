//! One-dimensional convolution, plain and transposed, with the activation before it and the sum
//! after it: one launch in place of up to ten, and nothing to be tuned when a length is new.
//!
//! A cube of threads makes some steps of 32 output channels of a sample. Inputs come to shared
//! memory a few channels at a time, past the activation, with the zeros around them; their weights
//! lie beside them. A thread holds eight channels of some steps, so that a number read from shared
//! memory is used many times. The order in which a sum is added up depends on the weights alone: a
//! sample's result is the same in any batch.

use super::snake::snaked;
use super::{VECTOR, buffer, empty, from_cube, into_cube};
use burn::tensor::ops::PadMode;
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use half::bf16;

/// Threads that have neighbouring steps.
const LANES: usize = 32;
/// Vectors of output channels of a thread.
const HELD: usize = 2;
/// Groups of threads by output channels.
const GROUPS: usize = 4;
const THREADS: usize = LANES * GROUPS;
/// Output channels of a cube.
const BLOCK: usize = GROUPS * HELD * VECTOR;
/// Most numbers of the input, and most taps of all its channels, in shared memory at a time: 24 KiB
/// with the weights.
const INPUTS: usize = 3072;
const TAPS: usize = 96;
/// Loops over more taps than this stay loops.
const UNROLLED: usize = 16;

/// What is done to the input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Before<'a> {
    None,
    /// The snake activation with `a` `[in]`.
    Snake(&'a CubeTensor),
    /// Leaky ReLU of a slope.
    Leaky(f32),
}

/// What is done to the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum After {
    None,
    /// Exponential linear unit: `e^x - 1` where `x` is negative.
    Elu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    None,
    Snake,
    Leaky,
}

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    /// Input channels, and how many of them are in shared memory at a time.
    input: usize,
    chunk: usize,
    /// Output channels.
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Outputs of a step: 1 but for transposed convolutions.
    rate: usize,
    /// Steps of a thread.
    steps: usize,
    before: Kind,
    after: After,
    bias: bool,
    residual: bool,
    /// The second output once more before the first.
    extend: bool,
}

/// The weights of a convolution on a device of ours.
#[derive(Debug, Clone)]
pub(crate) struct Conv1d {
    /// `[blocks, in, kernel, BLOCK]`, zero beyond the channels.
    weight: CubeTensor,
    /// `[blocks, BLOCK]`
    bias: Option<CubeTensor>,
    input: usize,
    chunk: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Zeros before and after the input.
    padding: (usize, usize),
    rate: usize,
    /// Taps of the transposed convolution, and outputs cut at both ends; see [`Self::length`].
    taps: usize,
    cut: usize,
    steps: usize,
}

impl Conv1d {
    /// From `weight` `[out, in, kernel]`, kept in its type (f32 or bf16), and `bias` `[out]`. None
    /// where they are not on a device of ours.
    pub fn new(
        weight: Tensor<3>,
        bias: Option<Tensor<1>>,
        stride: usize,
        padding: (usize, usize),
        dilation: usize,
    ) -> Option<Self> {
        let [output, input, kernel] = weight.dims();
        let fits = matches!(weight.dtype(), DType::F32 | DType::BF16);
        if !super::is_cube(&weight.device()) || !fits || output * input * kernel * stride == 0 {
            return None;
        }
        // Few steps to a cube where there are many channels: such layers work on few steps.
        let steps = match output {
            512.. => 1,
            256.. => 2,
            _ => 4,
        };
        let width = width(steps, stride, kernel, dilation);
        let chunk = (INPUTS / width).min(TAPS / kernel).clamp(1, 16).min(input);
        if chunk * width > 2 * INPUTS || chunk * kernel > 2 * TAPS {
            return None;
        }
        let blocks = output.div_ceil(BLOCK);
        let channels = input.next_multiple_of(chunk);
        let pad = [(0, blocks * BLOCK - output), (0, channels - input), (0, 0)];
        let weight = weight.pad(pad, PadMode::Constant(0.0));
        let weight = weight.reshape([blocks, BLOCK, channels, kernel]).permute([0, 2, 3, 1]);
        let bias = match bias {
            Some(bias) => {
                let bias = bias.reshape([1, output]).cast(DType::F32);
                let bias = bias.pad([(0, 0), (0, blocks * BLOCK - output)], PadMode::Constant(0.0));
                Some(into_cube(bias)?)
            }
            None => None,
        };
        let weight = into_cube(weight)?;
        Some(Self {
            weight,
            bias,
            input,
            chunk,
            output,
            kernel,
            stride,
            dilation,
            padding,
            rate: 1,
            taps: 0,
            cut: 0,
            steps,
        })
    }

    /// The transposed convolution from `weight` `[in, out, kernel]` and `bias` `[out]`: `rate`
    /// outputs to a step, `cut` fewer at both ends.
    pub fn transposed(
        weight: Tensor<3>,
        bias: Option<Tensor<1>>,
        rate: usize,
        cut: usize,
    ) -> Option<Self> {
        let [input, output, kernel] = weight.dims();
        if !super::is_cube(&weight.device()) || rate == 0 || kernel == 0 || output == 0 {
            return None;
        }
        // Output `q * rate + r` sees input `q - m` by tap `m * rate + r`.
        let taps = kernel.div_ceil(rate);
        let weight = weight.pad([(0, taps * rate - kernel)], PadMode::Constant(0.0));
        let weight = weight.reshape([input, output, taps, rate]).permute([1, 3, 0, 2]).flip([3]);
        let bias = bias.map(|bias| {
            bias.reshape([output, 1]).repeat_dim(1, rate).reshape([output * rate])
        });
        let weight = weight.reshape([output * rate, input, taps]);
        let conv = Self::new(weight, bias, 1, (taps - 1, taps - 1), 1)?;
        Some(Self { rate, taps: kernel, cut, output, ..conv })
    }

    /// Steps and outputs of an input of `time`. None where it is too short.
    fn length(&self, time: usize) -> Option<(usize, usize)> {
        let padded = time + self.padding.0 + self.padding.1;
        let span = (self.kernel - 1) * self.dilation + 1;
        let steps = padded.checked_sub(span)? / self.stride + 1;
        if self.rate == 1 && self.taps == 0 {
            return Some((steps, steps));
        }
        let outputs = (time.checked_sub(1)? * self.rate + self.taps).checked_sub(2 * self.cut)?;
        Some((steps, outputs))
    }

    /// BCT to BCT; `residual` of the shape of the result is added. With `extend` the result has
    /// its second element once more at its start, as a reflection has. None where the input is not
    /// on a device of ours or does not fit.
    pub fn forward(
        &self,
        x: Tensor<3>,
        before: Before,
        after: After,
        residual: Option<Tensor<3>>,
        extend: bool,
    ) -> Option<Tensor<3>> {
        let [batch, channels, time] = x.dims();
        if channels != self.input || x.dtype() != DType::F32 {
            return None;
        }
        let (steps, outputs) = self.length(time)?;
        if extend && outputs < 2 {
            return None;
        }
        let outputs = outputs + usize::from(extend);
        let shape = [batch, self.output, outputs];
        let residual = match residual {
            Some(residual) if residual.dims() == shape && residual.dtype() == DType::F32 => {
                Some(into_cube(residual)?)
            }
            Some(_) => return None,
            None => None,
        };
        let x = into_cube(x)?;
        let out = empty(&x.client, &x.device, shape);
        if shape.contains(&0) {
            return Some(from_cube(out));
        }
        let (kind, alpha, slope) = match before {
            Before::None => (Kind::None, None, 0.0),
            Before::Snake(alpha) => (Kind::Snake, Some(alpha), 0.0),
            Before::Leaky(slope) => (Kind::Leaky, None, slope),
        };
        let shape = Shape {
            input: channels.next_multiple_of(self.chunk),
            chunk: self.chunk,
            output: self.output,
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            rate: self.rate,
            steps: self.steps,
            before: kind,
            after,
            bias: self.bias.is_some(),
            residual: residual.is_some(),
            extend,
        };
        let cubes = CubeCount::Static(
            steps.div_ceil(LANES * self.steps) as u32,
            (self.output * self.rate).div_ceil(BLOCK) as u32,
            batch as u32,
        );
        let dim = CubeDim::new_1d(THREADS as u32);
        let client = x.client.clone();
        let layout = LayoutLaunch::new(
            channels as u32,
            time as u32,
            steps as u32,
            outputs as u32,
            self.padding.0 as u32,
            self.cut as u32,
        );
        let weight = buffer(&self.weight, VECTOR);
        let bias = buffer(self.bias.as_ref().unwrap_or(&self.weight), VECTOR);
        let alpha = buffer(alpha.unwrap_or(&x), 1);
        let residual = buffer(residual.as_ref().unwrap_or(&x), 1);
        let (x, result) = (buffer(&x, 1), buffer(&out, 1));
        // SAFETY: the indices stay within the buffers, whose sizes were checked.
        unsafe {
            match self.weight.dtype {
                DType::BF16 => conv1d::launch_unchecked::<bf16>(
                    &client, cubes, dim, VECTOR, x, weight, bias, alpha, residual, result, layout, slope, shape,
                ),
                _ => conv1d::launch_unchecked::<f32>(
                    &client, cubes, dim, VECTOR, x, weight, bias, alpha, residual, result, layout, slope, shape,
                ),
            }
        }
        Some(from_cube(out))
    }
}

/// Numbers of an input channel that a cube sees.
const fn width(steps: usize, stride: usize, kernel: usize, dilation: usize) -> usize {
    (steps * LANES - 1) * stride + (kernel - 1) * dilation + 1
}

/// Lengths of a call.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Layout {
    channels: u32,
    time: u32,
    steps: u32,
    outputs: u32,
    /// Zeros before the input.
    padding: u32,
    /// Outputs left out at the start.
    cut: u32,
}

#[cube(launch_unchecked)]
fn conv1d<W: Float, N: Size>(
    x: &[f32],
    weight: &[Vector<W, N>],
    bias: &[Vector<f32, N>],
    alpha: &[f32],
    residual: &[f32],
    out: &mut [f32],
    layout: Layout,
    slope: f32,
    #[comptime] shape: Shape,
) {
    let chunk = comptime!(shape.chunk);
    let kernel = comptime!(shape.kernel);
    let stride = comptime!(shape.stride);
    let dilation = comptime!(shape.dilation);
    let rate = comptime!(shape.rate);
    let wide = comptime!(width(shape.steps, stride, kernel, dilation));
    let block = comptime!(BLOCK / VECTOR);
    let thread = UNIT_POS as usize;
    let lane = thread % LANES;
    let group = thread / LANES;
    let first = CUBE_POS_X as usize * comptime!(shape.steps * LANES);
    let sample = CUBE_POS_Z as usize;
    let time = layout.time as usize;
    let channels = layout.channels as usize;

    let mut inputs = Shared::<[f32]>::new_slice(comptime!(chunk * wide));
    let mut weights = Shared::<[Vector<f32, N>]>::new_slice(comptime!(chunk * kernel * block));
    let mut acc = Array::<Vector<f32, N>>::new(comptime!(shape.steps * HELD));
    #[unroll]
    for i in 0..comptime!(shape.steps * HELD) {
        acc[i] = Vector::new(0f32);
    }

    let mut from = 0usize;
    while from < comptime!(shape.input) {
        let mut i = thread;
        while i < comptime!(chunk * wide) {
            let channel = from + i / wide;
            // Counted from the zeros before the input; beyond them all is above the length.
            let place = first * stride + i % wide;
            let mut value = 0f32;
            if channel < channels && place >= layout.padding as usize {
                let at = place - layout.padding as usize;
                if at < time {
                    value = x[(sample * channels + channel) * time + at];
                    if comptime!(shape.before == Kind::Snake) {
                        value = snaked(value, alpha[channel]);
                    }
                    if comptime!(shape.before == Kind::Leaky) {
                        value = select(value < 0f32, value * slope, value);
                    }
                }
            }
            inputs[i] = value;
            i += THREADS;
        }
        let start = (CUBE_POS_Y as usize * comptime!(shape.input) + from) * comptime!(kernel * block);
        let mut i = thread;
        while i < comptime!(chunk * kernel * block) {
            weights[i] = Vector::cast_from(weight[start + i]);
            i += THREADS;
        }
        sync_cube();
        for channel in 0..chunk {
            #[unroll(kernel <= UNROLLED)]
            for tap in 0..kernel {
                let at = (channel * kernel + tap) * block + group * HELD;
                let near = weights[at];
                let far = weights[at + 1];
                let at = channel * wide + lane * stride + tap * dilation;
                #[unroll]
                for step in 0..shape.steps {
                    let value = Vector::new(inputs[at + step * comptime!(LANES * stride)]);
                    acc[step * HELD] += value * near;
                    acc[step * HELD + 1] += value * far;
                }
            }
        }
        sync_cube();
        from += chunk;
    }

    let outputs = layout.outputs as usize;
    let cut = layout.cut as usize;
    #[unroll]
    for held in 0..HELD {
        let vector = CUBE_POS_Y as usize * block + group * HELD + held;
        let mut shift = Vector::<f32, N>::new(0f32);
        if comptime!(shape.bias) {
            shift = bias[vector];
        }
        #[unroll]
        for step in 0..shape.steps {
            let sums = acc[step * HELD + held] + shift;
            let place = first + lane + comptime!(step * LANES);
            #[unroll]
            for i in 0..VECTOR {
                let channel = (vector * VECTOR + i) / rate;
                // Where it would be if nothing were cut.
                let long = place * rate + (vector * VECTOR + i) % rate;
                if channel < comptime!(shape.output) && place < layout.steps as usize && long >= cut {
                    let mut y = sums.extract(i);
                    if comptime!(shape.after == After::Elu) {
                        y = select(y < 0f32, y.exp() - 1f32, y);
                    }
                    let row = (sample * comptime!(shape.output) + channel) * outputs;
                    let at = long - cut + comptime!(usize::from(shape.extend));
                    if at < outputs {
                        put(out, residual, row + at, y, shape.residual);
                    }
                    if comptime!(shape.extend) {
                        if at == 2 {
                            put(out, residual, row, y, shape.residual);
                        }
                    }
                }
            }
        }
    }
}

/// Writes `y`, or its sum with what is there in `residual`.
#[cube]
fn put(out: &mut [f32], residual: &[f32], at: usize, y: f32, #[comptime] adds: bool) {
    if comptime!(adds) {
        out[at] = y + residual[at];
    } else {
        out[at] = y;
    }
}

#[cfg(all(test, feature = "vulkan"))]
mod tests {
    use super::*;
    use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
    use burn::tensor::{Device, DeviceKind, Distribution, activation, module};

    fn gpu() -> Device {
        Device::vulkan(DeviceKind::DefaultDevice)
    }

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn close(name: &str, got: Option<Tensor<3>>, want: Tensor<3>) {
        let got = got.unwrap();
        assert_eq!(got.dims(), want.dims(), "{name}");
        let got: Vec<f32> = got.into_data().iter().collect();
        let want: Vec<f32> = want.into_data().iter().collect();
        for (got, want) in got.into_iter().zip(want) {
            assert!((got - want).abs() <= 2e-5 * (1.0 + want.abs()), "{name}: {got}, not {want}");
        }
    }

    fn snake(x: Tensor<3>, alpha: &Tensor<1>) -> Tensor<3> {
        let alpha: Tensor<3> = alpha.clone().reshape([1, alpha.dims()[0], 1]);
        let sine = (x.clone() * alpha.clone()).sin();
        x + sine.clone() * sine / (alpha + 1e-9)
    }

    /// Protects lengths about the edges of a cube, channels that no block divides, padding of one
    /// side, dilation, strides, and every combination of what comes before and after.
    #[test]
    fn equals_plain_operations() {
        let shapes = [
            // batch, in, out, time, kernel, stride, dilation, padding
            (1, 1, 1, 1, 1, 1, 1, (0, 0)),
            (1, 32, 32, 128, 3, 1, 1, (1, 1)),
            (2, 18, 33, 129, 7, 1, 1, (3, 3)),
            (1, 64, 64, 257, 11, 1, 5, (25, 25)),
            (1, 64, 18, 100, 7, 1, 1, (3, 3)),
            (1, 20, 256, 65, 3, 1, 3, (3, 3)),
            (3, 80, 512, 33, 3, 1, 1, (1, 1)),
            (1, 18, 256, 961, 30, 15, 1, (7, 7)),
            (1, 18, 128, 300, 6, 3, 1, (1, 1)),
            (1, 18, 64, 70, 1, 1, 1, (0, 0)),
            (1, 5, 40, 90, 3, 2, 1, (1, 1)),
            (1, 8, 12, 20, 5, 1, 2, (8, 0)),
        ];
        for (batch, input, output, time, kernel, stride, dilation, padding) in shapes {
            let name = format!("{input} to {output}, kernel {kernel}");
            let weight = random([output, input, kernel]) / (input * kernel) as f64;
            let (bias, x): (Tensor<1>, _) = (random([output]), random([batch, input, time]));
            let alpha: Tensor<1> = Tensor::random([input], Distribution::Uniform(0.1, 3.0), &Device::flex());
            let options = ConvOptions::new_with_padding([stride], [padding], [dilation], 1);
            let plain = |x, bias| module::conv1d(x, weight.clone(), bias, options.clone());
            let there = |x: &Tensor<3>| x.clone().to_device(&gpu());
            let conv = |bias: Option<Tensor<1>>| {
                let bias = bias.map(|bias| bias.to_device(&gpu()));
                Conv1d::new(there(&weight), bias, stride, padding, dilation).unwrap()
            };
            let (with, without) = (conv(Some(bias.clone())), conv(None));
            let a = into_cube(alpha.clone().to_device(&gpu())).unwrap();

            let got = without.forward(there(&x), Before::None, After::None, None, false);
            close(&name, got, plain(x.clone(), None));
            let got = with.forward(there(&x), Before::Leaky(0.1), After::Elu, None, false);
            let leaky = activation::leaky_relu(x.clone(), 0.1);
            close(&name, got, activation::elu(plain(leaky, Some(bias.clone())), 1.0));
            let want = plain(snake(x.clone(), &alpha), Some(bias));
            let sum = random(want.dims());
            let got = with.forward(there(&x), Before::Snake(&a), After::None, Some(there(&sum)), false);
            close(&name, got, sum + want);
        }
    }

    /// Protects rates that do and do not divide the kernel, cuts, and the reflected frame.
    #[test]
    fn transposed_equals_burns() {
        let shapes = [
            // batch, in, out, time, kernel, rate, cut
            (1, 1, 1, 1, 1, 1, 0),
            (1, 512, 256, 13, 16, 8, 4),
            (2, 256, 128, 33, 11, 5, 3),
            (1, 128, 64, 200, 7, 3, 2),
            (1, 18, 1, 481, 16, 4, 8),
            (1, 4, 3, 9, 2, 3, 0),
        ];
        for (batch, input, output, time, kernel, rate, cut) in shapes {
            let name = format!("{input} to {output}, kernel {kernel}, rate {rate}");
            let weight = random([input, output, kernel]) / input as f64;
            let (bias, x): (Tensor<1>, _) = (random([output]), random([batch, input, time]));
            let there = |x: &Tensor<3>| x.clone().to_device(&gpu());
            let conv = Conv1d::transposed(there(&weight), Some(bias.clone().to_device(&gpu())), rate, cut);
            let conv = conv.unwrap();
            let leaky = activation::leaky_relu(x.clone(), 0.1);
            let options = ConvTransposeOptions::new([rate], [cut], [0], [1], 1);
            let want = module::conv_transpose1d(leaky, weight, Some(bias), options);
            let got = conv.forward(there(&x), Before::Leaky(0.1), After::None, None, false);
            close(&name, got, want.clone());
            if want.dims()[2] > 1 {
                let want = want.pad([(1, 0)], PadMode::Reflect);
                let sum = random(want.dims());
                let got = conv.forward(there(&x), Before::Leaky(0.1), After::None, Some(there(&sum)), true);
                close(&name, got, want + sum);
            }
        }
    }

    /// Weights may be bf16: the sums are those of the rounded weights.
    #[test]
    fn weights_may_be_short() {
        let (weight, x) = (random([40, 24, 3]) / 24.0, random([1, 24, 77]));
        let weight = weight.cast(DType::BF16);
        let options = ConvOptions::new_with_padding([1], [(1, 1)], [1], 1);
        let want = module::conv1d(x.clone(), weight.clone().cast(DType::F32), None, options);
        let conv = Conv1d::new(weight.to_device(&gpu()), None, 1, (1, 1), 1).unwrap();
        close("bf16", conv.forward(x.to_device(&gpu()), Before::None, After::None, None, false), want);
    }
}
