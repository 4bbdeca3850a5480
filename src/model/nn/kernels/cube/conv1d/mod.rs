//! One-dimensional convolution, plain and transposed, with the activation before it and the sum
//! after it: one launch in place of up to ten, and nothing to be tuned when a length is new.

mod kernel;
#[cfg(test)]
mod on_a_gpu;

use super::snake::Alpha;
use super::{VECTOR, activations, buffer, element, empty, from_cube, into_cube};
use burn::tensor::ops::PadMode;
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;
use kernel::{BLOCK, LANES, LayoutLaunch, THREADS, conv1d};

/// Most numbers of the input, and most taps of all its channels, that are in shared memory at a
/// time where there are more channels than one; and most numbers with the weights: 32 KiB.
const INPUTS: usize = 3072;
const TAPS: usize = 96;
const SHARED: usize = 8192;

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

impl Shape {
    /// Numbers of an input channel that a cube sees.
    const fn width(self) -> usize {
        (self.steps * LANES - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
    }
}

/// The weights of a convolution on a device of ours.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    /// `[blocks, in, kernel, BLOCK]`, zero beyond the channels.
    weight: CubeTensor,
    /// `[blocks, BLOCK]`
    bias: Option<CubeTensor>,
    /// With nothing before and after it.
    shape: Shape,
    input: usize,
    output: usize,
    /// Zeros before and after the input.
    padding: (usize, usize),
    /// Taps of the transposed convolution, and outputs cut at both ends; see [`Self::length`].
    taps: usize,
    cut: usize,
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
        let mut shape = Shape {
            chunk: 1,
            kernel,
            stride,
            dilation,
            rate: 1,
            steps,
            before: Kind::None,
            bias: bias.is_some(),
            elu: false,
            added: 0,
            extend: false,
        };
        let width = shape.width();
        let most = (INPUTS / width).min(TAPS / kernel).clamp(1, 16);
        // Rounds of like size.
        shape.chunk = input.div_ceil(input.div_ceil(most));
        if shape.chunk * (width + kernel * BLOCK) > SHARED {
            return None;
        }
        let blocks = output.div_ceil(BLOCK);
        let channels = input.next_multiple_of(shape.chunk);
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
        Some(Self { weight, bias, shape, input, output, padding, taps: 0, cut: 0 })
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
        let shape = Shape { rate, ..conv.shape };
        Some(Self { shape, taps: kernel, cut, output, ..conv })
    }

    /// Steps and outputs of an input of `time`, none where it is too short.
    fn length(&self, time: usize) -> (usize, usize) {
        let padded = time + self.padding.0 + self.padding.1;
        let span = (self.shape.kernel - 1) * self.shape.dilation + 1;
        let steps = padded.checked_sub(span).map_or(0, |rest| rest / self.shape.stride + 1);
        let outputs = match self.taps {
            0 => steps,
            _ if time == 0 => 0,
            taps => ((time - 1) * self.shape.rate + taps).saturating_sub(2 * self.cut),
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
        let shape = Shape { before: kind, elu, added: added.len(), extend, ..self.shape };
        let cubes = CubeCount::Static(
            steps.div_ceil(LANES * shape.steps) as u32,
            (self.output * shape.rate).div_ceil(BLOCK) as u32,
            batch as u32,
        );
        let dim = CubeDim::new_1d(THREADS as u32);
        let client = x.client.clone();
        let layout = LayoutLaunch::new(
            channels as u32,
            channels.next_multiple_of(shape.chunk) as u32,
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
            conv1d::launch_unchecked(
                &client,
                cubes,
                dim,
                VECTOR,
                x,
                weight,
                bias,
                alpha,
                sum,
                other,
                result,
                layout,
                slope,
                scale,
                shape,
                element(self.weight.dtype),
            );
        }
        from_cube(out)
    }
}
