//! The kernel of the convolution.
//!
//! A cube of threads makes some steps of 32 output channels of a sample. Inputs come to shared
//! memory a few channels at a time, past the activation, with the zeros around them; their weights
//! lie beside them. A thread holds eight channels of some steps, so that a number read from shared
//! memory is used many times. The order in which a sum is added up depends on the weights alone: a
//! sample's result is the same in any batch.

use super::super::VECTOR;
use super::super::snake::snaked;
use super::{Kind, Shape};
use burn_cubecl::cubecl;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

/// Threads that have neighbouring steps.
pub(super) const LANES: usize = 32;
/// Vectors of output channels of a thread.
const HELD: usize = 2;
/// Groups of threads by output channels.
const GROUPS: usize = 4;
pub(super) const THREADS: usize = LANES * GROUPS;
/// Output channels of a cube.
pub(super) const BLOCK: usize = GROUPS * HELD * VECTOR;
/// Loops over more taps than this stay loops.
const UNROLLED: usize = 16;

/// Lengths of a call.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Layout {
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
pub(super) fn conv1d<W: Float, N: Size>(
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
    #[define(W)] _weights: ElemType,
) {
    let chunk = comptime!(shape.chunk);
    let kernel = comptime!(shape.kernel);
    let stride = comptime!(shape.stride);
    let dilation = comptime!(shape.dilation);
    let rate = comptime!(shape.rate);
    let wide = comptime!(shape.width());
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
    let wide = comptime!(shape.width());
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
