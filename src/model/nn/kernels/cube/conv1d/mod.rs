//! One-dimensional convolution, plain and transposed, with the activation before it and the sum
//! after it: one launch in place of up to ten, and nothing to be tuned when a length is new.
//!
//! A cube of threads makes some steps of 32 output channels of a sample. Inputs come to shared
//! memory a few channels at a time, past the activation, with the zeros around them; their weights
//! lie beside them. A thread holds eight channels of some steps, so that a number read from shared
//! memory is used many times. The order in which a sum is added up depends on the weights alone: a
//! sample's result is the same in any batch.

use super::snake::{Alpha, snaked};
use super::{VECTOR, activations, buffer, empty, from_cube, into_cube};
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
/// Most numbers of the input, and most taps of all its channels, that are in shared memory at a
/// time where there are more channels than one; and most numbers with the weights: 32 KiB.
const INPUTS: usize = 3072;
const TAPS: usize = 96;
const SHARED: usize = 8192;
/// Loops over more taps than this stay loops.
const UNROLLED: usize = 16;

/// What is done to the input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Before<'a> {
    None,
    Snake(&'a Alpha),
    /// Leaky ReLU of a slope.
    Leaky(f32),
}

/// What is done to the sums. Tensors have the shape of the result.
#[derive(Debug)]
pub(crate) enum After {
    None,
    /// Exponential linear unit: `e^x - 1` where `x` is negative.
    Elu,
    /// Adds a tensor.
    Add(Tensor<3>),
    /// Adds two tensors and multiplies that by a number.
    AddTwo(Tensor<3>, Tensor<3>, f32),
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
    /// Input channels in shared memory at a time.
    chunk: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Outputs of a step: 1 but for transposed convolutions.
    rate: usize,
    /// Steps of a thread.
    steps: usize,
    before: Kind,
    bias: bool,
    elu: bool,
    /// Tensors that are added.
    added: usize,
    /// The second output once more before the first.
    extend: bool,
}

/// The weights of a convolution on a device of ours.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
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

impl Convolution {
    /// From `weight` `[out, in, kernel]`, kept in its type (f32 or bf16), and `bias` `[out]`. None
    /// where they are not on a device of ours.
    pub fn new(
        weight: &Tensor<3>,
        bias: Option<&Tensor<1>>,
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
        let most = (INPUTS / width).min(TAPS / kernel).clamp(1, 16);
        // Rounds of like size.
        let chunk = input.div_ceil(input.div_ceil(most));
        if chunk * (width + kernel * BLOCK) > SHARED {
            return None;
        }
        let blocks = output.div_ceil(BLOCK);
        let channels = input.next_multiple_of(chunk);
        let pad = [(0, blocks * BLOCK - output), (0, channels - input), (0, 0)];
        let weight = weight.clone().pad(pad, PadMode::Constant(0.0));
        let weight = weight.reshape([blocks, BLOCK, channels, kernel]).permute([0, 2, 3, 1]);
        let bias = match bias {
            Some(bias) => {
                let bias = bias.clone().reshape([1, output]).cast(DType::F32);
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
        weight: &Tensor<3>,
        bias: Option<&Tensor<1>>,
        rate: usize,
        cut: usize,
    ) -> Option<Self> {
        let [input, output, kernel] = weight.dims();
        if !super::is_cube(&weight.device()) || rate == 0 || kernel == 0 || output == 0 {
            return None;
        }
        // Output `q * rate + r` sees input `q - m` by tap `m * rate + r`.
        let taps = kernel.div_ceil(rate);
        let weight = weight.clone().pad([(0, taps * rate - kernel)], PadMode::Constant(0.0));
        let weight = weight.reshape([input, output, taps, rate]).permute([1, 3, 0, 2]).flip([3]);
        let bias = bias.map(|bias| {
            bias.clone().reshape([output, 1]).repeat_dim(1, rate).reshape([output * rate])
        });
        let weight = weight.reshape([output * rate, input, taps]);
        let conv = Self::new(&weight, bias.as_ref(), 1, (taps - 1, taps - 1), 1)?;
        Some(Self { rate, taps: kernel, cut, output, ..conv })
    }

    /// Steps and outputs of an input of `time`, none where it is too short.
    fn length(&self, time: usize) -> (usize, usize) {
        let padded = time + self.padding.0 + self.padding.1;
        let span = (self.kernel - 1) * self.dilation + 1;
        let steps = padded.checked_sub(span).map_or(0, |rest| rest / self.stride + 1);
        let outputs = match self.taps {
            0 => steps,
            _ if time == 0 => 0,
            taps => ((time - 1) * self.rate + taps).saturating_sub(2 * self.cut),
        };
        (steps, outputs)
    }

    /// BCT to BCT. With `extend` the result has its second element once more at its start, as a
    /// reflection has.
    pub fn forward(&self, x: Tensor<3>, before: Before, after: After, extend: bool) -> Tensor<3> {
        let [batch, channels, time] = x.dims();
        assert_eq!(channels, self.input, "channels");
        let (steps, outputs) = self.length(time);
        assert!(!extend || outputs > 1, "one element has no second");
        let outputs = outputs + usize::from(extend);
        let shape = [batch, self.output, outputs];
        let elu = matches!(after, After::Elu);
        let (added, scale) = match after {
            After::None | After::Elu => (Vec::new(), 1.0),
            After::Add(sum) => (vec![sum], 1.0),
            After::AddTwo(sum, other, scale) => (vec![sum, other], scale),
        };
        assert!(added.iter().all(|sum| sum.dims() == shape), "what is added");
        let added: Vec<CubeTensor> = added.into_iter().map(activations).collect();
        assert!(time > 0 || shape.contains(&0), "convolution of nothing");
        let x = activations(x);
        let out = empty(&x.client, &x.device, shape);
        if shape.contains(&0) {
            return from_cube(out);
        }
        let (kind, alpha, slope) = match before {
            Before::None => (Kind::None, None, 0.0),
            Before::Snake(alpha) => (Kind::Snake, Some(alpha.values()), 0.0),
            Before::Leaky(slope) => (Kind::Leaky, None, slope),
        };
        let shape = Shape {
            chunk: self.chunk,
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            rate: self.rate,
            steps: self.steps,
            before: kind,
            bias: self.bias.is_some(),
            elu,
            added: added.len(),
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
            channels.next_multiple_of(self.chunk) as u32,
            time as u32,
            self.output as u32,
            steps as u32,
            outputs as u32,
            self.padding.0 as u32,
            self.cut as u32,
        );
        let weight = buffer(&self.weight, VECTOR);
        let bias = buffer(self.bias.as_ref().unwrap_or(&self.weight), VECTOR);
        let alpha = buffer(alpha.unwrap_or(&x), 1);
        let [sum, other] = [0, 1].map(|i| buffer(added.get(i).unwrap_or(&x), 1));
        let (x, result) = (buffer(&x, 1), buffer(&out, 1));
        // SAFETY: the indices stay within the buffers, whose sizes were checked.
        unsafe {
            match self.weight.dtype {
                DType::BF16 => conv1d::launch_unchecked::<bf16>(
                    &client, cubes, dim, VECTOR, x, weight, bias, alpha, sum, other, result,
                    layout, slope, scale, shape,
                ),
                _ => conv1d::launch_unchecked::<f32>(
                    &client, cubes, dim, VECTOR, x, weight, bias, alpha, sum, other, result,
                    layout, slope, scale, shape,
                ),
            }
        }
        from_cube(out)
    }
}

/// Numbers of an input channel that a cube sees.
const fn width(steps: usize, stride: usize, kernel: usize, dilation: usize) -> usize {
    (steps * LANES - 1) * stride + (kernel - 1) * dilation + 1
}

/// Lengths of a call.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Layout {
    /// Input channels, and those that there are weights for.
    channels: u32,
    padded: u32,
    time: u32,
    /// Output channels.
    output: u32,
    steps: u32,
    /// Elements of an output channel.
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
    sum: &[f32],
    other: &[f32],
    out: &mut [f32],
    layout: Layout,
    slope: f32,
    scale: f32,
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
    let channels = layout.channels as usize;
    let padded = layout.padded as usize;
    let output = layout.output as usize;

    let mut inputs = Shared::<[f32]>::new_slice(comptime!(chunk * wide));
    let mut weights = Shared::<[Vector<f32, N>]>::new_slice(comptime!(chunk * kernel * block));
    let mut acc = Array::<Vector<f32, N>>::new(comptime!(shape.steps * HELD));
    #[unroll]
    for i in 0..comptime!(shape.steps * HELD) {
        acc[i] = Vector::new(0f32);
    }

    // What comes to shared memory next is read before the sums of what is there, so that nobody
    // waits for it.
    let loads = comptime!((chunk * wide).div_ceil(THREADS));
    let weight_loads = comptime!((chunk * kernel * block).div_ceil(THREADS));
    let mut read = Array::<f32>::new(loads);
    let mut read_weights = Array::<Vector<f32, N>>::new(weight_loads);
    let start = Start {
        row: sample * channels,
        // Counted from the zeros before the input.
        place: first * stride,
        weight: CUBE_POS_Y as usize * layout.padded as usize * comptime!(kernel * block),
    };
    load_inputs(x, &mut read, &layout, &start, 0usize, shape);
    load_weights::<W, N>(weight, &mut read_weights, &start, 0usize, shape);

    let mut from = 0usize;
    while from < padded {
        #[unroll]
        for i in 0..loads {
            let at = thread + comptime!(i * THREADS);
            if at < comptime!(chunk * wide) {
                let mut value = read[i];
                if comptime!(shape.before == Kind::Snake) {
                    let channel = min(from + at / wide, channels - 1);
                    value = snaked(value, alpha[channel]);
                }
                if comptime!(shape.before == Kind::Leaky) {
                    value = select(value < 0f32, value * slope, value);
                }
                inputs[at] = value;
            }
        }
        #[unroll]
        for i in 0..weight_loads {
            let at = thread + comptime!(i * THREADS);
            if at < comptime!(chunk * kernel * block) {
                weights[at] = read_weights[i];
            }
        }
        sync_cube();
        from += chunk;
        if from < padded {
            load_inputs(x, &mut read, &layout, &start, from, shape);
            load_weights::<W, N>(weight, &mut read_weights, &start, from, shape);
        }
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
                if channel < output && place < layout.steps as usize && long >= cut {
                    let mut y = sums.extract(i);
                    if comptime!(shape.elu) {
                        y = select(y < 0f32, y.exp() - 1f32, y);
                    }
                    let row = (sample * output + channel) * outputs;
                    let at = long - cut + comptime!(usize::from(shape.extend));
                    if at < outputs {
                        out[row + at] = add(y, sum, other, row + at, scale, shape.added);
                    }
                    if comptime!(shape.extend) {
                        if at == 2 {
                            out[row] = add(y, sum, other, row, scale, shape.added);
                        }
                    }
                }
            }
        }
    }
}

/// Where a cube begins.
#[derive(CubeType, Clone, Copy)]
struct Start {
    /// Row of the input's first channel.
    row: usize,
    /// Place within a row, counted from the zeros before it.
    place: usize,
    /// Vector of the weights.
    weight: usize,
}

/// Reads a thread's share of some channels of the input; zero around them. All three activations
/// leave zero as it is.
#[cube]
fn load_inputs(
    x: &[f32],
    read: &mut Array<f32>,
    layout: &Layout,
    start: &Start,
    from: usize,
    #[comptime] shape: Shape,
) {
    let wide = comptime!(width(shape.steps, shape.stride, shape.kernel, shape.dilation));
    let time = layout.time as usize;
    #[unroll]
    for i in 0..comptime!((shape.chunk * wide).div_ceil(THREADS)) {
        let at = UNIT_POS as usize + comptime!(i * THREADS);
        let channel = at / wide;
        let place = start.place + at % wide;
        let inside = channel < comptime!(shape.chunk)
            && from + channel < layout.channels as usize
            && place >= layout.padding as usize
            && place < layout.padding as usize + time;
        let mut value = 0f32;
        if inside {
            let row = start.row + from + channel;
            value = x[row * time + place - layout.padding as usize];
        }
        read[i] = value;
    }
}

/// Reads a thread's share of the weights of some channels of the input.
#[cube]
fn load_weights<W: Float, N: Size>(
    weight: &[Vector<W, N>],
    read: &mut Array<Vector<f32, N>>,
    start: &Start,
    from: usize,
    #[comptime] shape: Shape,
) {
    let each = comptime!(shape.kernel * BLOCK / VECTOR);
    let count = comptime!(shape.chunk * each);
    let first = start.weight + from * each;
    #[unroll]
    for i in 0..comptime!(count.div_ceil(THREADS)) {
        let at = UNIT_POS as usize + comptime!(i * THREADS);
        if at < count {
            read[i] = Vector::cast_from(weight[first + at]);
        }
    }
}

/// `y` and what is added to it there.
#[cube]
fn add(y: f32, sum: &[f32], other: &[f32], at: usize, scale: f32, #[comptime] added: usize) -> f32 {
    let mut y = y;
    if comptime!(added > 0) {
        y += sum[at];
    }
    if comptime!(added > 1) {
        y = (y + other[at]) * scale;
    }
    y
}

#[cfg(test)]
mod on_a_gpu {
    use super::super::test_device;
    use super::*;
    use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
    use burn::tensor::{Device, Distribution, activation, module};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn close(name: &str, got: Tensor<3>, want: Tensor<3>) {
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
            let alpha: Tensor<1> =
                Tensor::random([input], Distribution::Uniform(0.1, 3.0), &Device::flex());
            let options = ConvOptions::new_with_padding([stride], [padding], [dilation], 1);
            let plain = |x, bias| module::conv1d(x, weight.clone(), bias, options.clone());
            let there = |x: &Tensor<3>| x.clone().to_device(&test_device());
            let conv = |bias: Option<Tensor<1>>| {
                let bias = bias.map(|bias| bias.to_device(&test_device()));
                Convolution::new(&there(&weight), bias.as_ref(), stride, padding, dilation).unwrap()
            };
            let (with, without) = (conv(Some(bias.clone())), conv(None));
            let a = Alpha::new(&alpha.clone().to_device(&test_device())).unwrap();

            let got = without.forward(there(&x), Before::None, After::None, false);
            close(&name, got, plain(x.clone(), None));
            let got = with.forward(there(&x), Before::Leaky(0.1), After::Elu, false);
            let leaky = activation::leaky_relu(x.clone(), 0.1);
            close(&name, got, activation::elu(plain(leaky, Some(bias.clone())), 1.0));
            let want = plain(snake(x.clone(), &alpha), Some(bias));
            let sum = random(want.dims());
            let got = with.forward(there(&x), Before::Snake(&a), After::Add(there(&sum)), false);
            close(&name, got, sum.clone() + want.clone());
            let other = random(want.dims());
            let after = After::AddTwo(there(&sum), there(&other), 0.25);
            let got = with.forward(there(&x), Before::Snake(&a), after, false);
            close(&name, got, (sum + other + want) * 0.25);
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
            let there = |x: &Tensor<3>| x.clone().to_device(&test_device());
            let conv = Convolution::transposed(
                &there(&weight),
                Some(&bias.clone().to_device(&test_device())),
                rate,
                cut,
            );
            let conv = conv.unwrap();
            let leaky = activation::leaky_relu(x.clone(), 0.1);
            let options = ConvTransposeOptions::new([rate], [cut], [0], [1], 1);
            let want = module::conv_transpose1d(leaky, weight, Some(bias), options);
            let got = conv.forward(there(&x), Before::Leaky(0.1), After::None, false);
            close(&name, got, want.clone());
            if want.dims()[2] > 1 {
                let want = want.pad([(1, 0)], PadMode::Reflect);
                let sum = random(want.dims());
                let got =
                    conv.forward(there(&x), Before::Leaky(0.1), After::Add(there(&sum)), true);
                close(&name, got, want + sum);
            }
        }
    }
}
