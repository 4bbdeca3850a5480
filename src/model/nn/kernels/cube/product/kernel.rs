//! The kernel of the product.
//!
//! Few rows, as when a decoder steps or a hop of mel is made, leave such a product bound by the
//! memory of its weights and by launches, not by arithmetic. A cube of threads makes some rows of
//! some columns: its threads share the sum over the inputs, each reading four columns at a time, so
//! that a weight is read once for all rows of the cube. The order in which a sum is added up
//! depends on the matrix alone: a row's result is the same however many rows are beside it.

use super::super::VECTOR;
use super::super::elementwise::silu;
use super::{Activation, Norm, Shape};
use burn_cubecl::cubecl;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

/// Threads of a cube.
pub(super) const THREADS: usize = 128;
/// Inputs of a row that are in shared memory at a time.
const CHUNK: usize = 512;
/// Most rows of a cube.
pub(super) const ROWS: usize = 8;
/// Threads that add up the moments of a row: no more than there are where a cube has most rows.
const TEAM: usize = THREADS / ROWS;

/// Where rows lie, in vectors.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Layout {
    rows: u32,
    per_batch: u32,
    row_stride: u32,
    batch_stride: u32,
    /// From the frames before a batch's first to the next batch's, and to the first batch's.
    past_stride: u32,
    past_first: u32,
}

#[cube(launch_unchecked)]
pub(super) fn product<W: Float, N: Size>(
    x: &[Vector<f32, N>],
    past: &[Vector<f32, N>],
    next: &mut [Vector<f32, N>],
    weight: &[Vector<W, N>],
    bias: &[Vector<f32, N>],
    gain: &[Vector<f32, N>],
    shift: &[Vector<f32, N>],
    residual: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    layout: Layout,
    eps: f32,
    #[comptime] shape: Shape,
    #[define(W)] _weights: ElemType,
) {
    let depth = comptime!(shape.depth / VECTOR);
    let width = comptime!(shape.width / VECTOR);
    let chunk = comptime!(CHUNK / VECTOR);
    // Vectors of columns of a cube, threads that share each one's sums, and those that share a
    // row's normalisation.
    let lanes = comptime!(shape.columns / VECTOR);
    let groups = comptime!(THREADS / lanes);
    let team = comptime!(THREADS / shape.rows);

    let thread = UNIT_POS as usize;
    let lane = thread % lanes;
    let group = thread / lanes;
    let column = CUBE_POS_X as usize * lanes + lane;
    let first = CUBE_POS_Y as usize * shape.rows;

    // The inputs of some rows; at the end, what each thread has summed up.
    let mut shared = Shared::<[Vector<f32, N>]>::new_slice(comptime!(
        shape.rows * if chunk > THREADS { chunk } else { THREADS }
    ));

    // Of the row that the thread helps to load.
    let row = thread / team;
    let member = thread % team;
    let place = first + row;
    let known = place < layout.rows as usize;
    let place = place % layout.rows as usize;
    let start = (place / layout.per_batch as usize) * layout.batch_stride as usize
        + (place % layout.per_batch as usize) * layout.row_stride as usize;

    if comptime!(shape.before.is_some()) {
        if comptime!(shape.before.unwrap().kept) {
            keep(x, past, next, &layout, shape);
        }
    }

    let mut mean = 0f32;
    let mut scale = 1f32;
    if comptime!(shape.norm.is_some()) {
        let mut moments = Shared::<[f32]>::new_slice(comptime!(shape.rows * TEAM));
        if comptime!(shape.norm == Some(Norm::Layer)) {
            mean = moment(x, &mut moments, start, row, member, 0f32, false, shape);
            sync_cube();
        }
        let variance = moment(x, &mut moments, start, row, member, mean, true, shape);
        scale = 1f32 / (variance + eps).sqrt();
    }

    let mut acc = Array::<Vector<f32, N>>::new(shape.rows);
    #[unroll]
    for r in 0..shape.rows {
        acc[r] = Vector::new(0f32);
    }
    let inside = column < width;
    let mut from = 0usize;
    while from < depth {
        let mut k = member;
        while k < chunk {
            if from + k < depth {
                let mut value = Vector::new(0f32);
                if known {
                    if comptime!(shape.before.is_some()) {
                        value = of_window(x, past, &layout, place, from + k, shape);
                    } else {
                        value = x[start + from + k];
                    }
                    if comptime!(shape.norm == Some(Norm::Layer)) {
                        value = (value - Vector::new(mean)) * Vector::new(scale) * gain[from + k]
                            + shift[from + k];
                    }
                    if comptime!(shape.norm == Some(Norm::Rms)) {
                        value = value * Vector::new(scale) * gain[from + k];
                    }
                }
                shared[row * chunk + k] = value;
            }
            k += team;
        }
        sync_cube();
        if inside {
            let mut k = group;
            while k < chunk && from + k < depth {
                let at = (from + k) * VECTOR * width + column;
                let w0 = Vector::<f32, N>::cast_from(weight[at]);
                let w1 = Vector::<f32, N>::cast_from(weight[at + width]);
                let w2 = Vector::<f32, N>::cast_from(weight[at + 2 * width]);
                let w3 = Vector::<f32, N>::cast_from(weight[at + 3 * width]);
                #[unroll]
                for r in 0..shape.rows {
                    let value = shared[r * chunk + k];
                    acc[r] += Vector::new(value.extract(0usize)) * w0
                        + Vector::new(value.extract(1usize)) * w1
                        + Vector::new(value.extract(2usize)) * w2
                        + Vector::new(value.extract(3usize)) * w3;
                }
                k += groups;
            }
        }
        sync_cube();
        from += chunk;
    }

    #[unroll]
    for r in 0..shape.rows {
        shared[r * THREADS + thread] = acc[r];
    }
    sync_cube();
    // An output, or four, is summed up by one thread.
    let mut i = thread;
    while i < lanes * shape.rows {
        let mine = i % lanes;
        let r = i / lanes;
        let column = CUBE_POS_X as usize * lanes + mine;
        let row = first + r;
        if column < width && row < layout.rows as usize {
            if comptime!(shape.activation == Activation::Gated) {
                if mine % 2 == 0 {
                    let gate = total::<N>(&shared, r * THREADS + mine, lanes, groups);
                    let up = total::<N>(&shared, r * THREADS + mine + 1, lanes, groups);
                    out[row * (width / 2) + column / 2] = silu(gate) * up;
                }
            } else {
                let mut y = total::<N>(&shared, r * THREADS + mine, lanes, groups);
                if comptime!(shape.bias) {
                    y += bias[column];
                }
                if comptime!(shape.activation == Activation::Gelu) {
                    y = y
                        * Vector::new(0.5f32)
                        * (Vector::new(1f32)
                            + (y * Vector::new(std::f32::consts::FRAC_1_SQRT_2)).erf());
                }
                if comptime!(shape.activation == Activation::Silu) {
                    y = silu(y);
                }
                if comptime!(shape.residual) {
                    y += residual[row * width + column];
                }
                out[row * width + column] = y;
            }
        }
        i += THREADS;
    }
}

/// The mean of a row's inputs, or of the squares of their differences from `mean`.
#[cube]
fn moment<N: Size>(
    x: &[Vector<f32, N>],
    moments: &mut [f32],
    start: usize,
    row: usize,
    member: usize,
    mean: f32,
    #[comptime] squares: bool,
    #[comptime] shape: Shape,
) -> f32 {
    if member < TEAM {
        let mut sum = 0f32;
        let mut k = member;
        while k < comptime!(shape.depth / VECTOR) {
            if comptime!(squares) {
                let value = x[start + k] - Vector::new(mean);
                sum += (value * value).vector_sum();
            } else {
                sum += x[start + k].vector_sum();
            }
            k += TEAM;
        }
        moments[row * TEAM + member] = sum;
    }
    sync_cube();
    let mut total = 0f32;
    for i in 0..TEAM {
        total += moments[row * TEAM + i];
    }
    total / (shape.depth as f32)
}

/// Vector `at` of a window that begins before its sequence, which is row `place`.
#[cube]
fn of_window<N: Size>(
    x: &[Vector<f32, N>],
    past: &[Vector<f32, N>],
    layout: &Layout,
    place: usize,
    at: usize,
    #[comptime] shape: Shape,
) -> Vector<f32, N> {
    let before = comptime!(shape.before.unwrap());
    let channels = comptime!(before.channels / VECTOR);
    let (i, t) = (place / layout.per_batch as usize, place % layout.per_batch as usize);
    of_sequence(x, past, layout, i, t + at / channels, at % channels, shape)
}

/// Vector `channel` of a frame of batch `i`, counted from the first before its sequence.
#[cube]
fn of_sequence<N: Size>(
    x: &[Vector<f32, N>],
    past: &[Vector<f32, N>],
    layout: &Layout,
    i: usize,
    frame: usize,
    channel: usize,
    #[comptime] shape: Shape,
) -> Vector<f32, N> {
    let before = comptime!(shape.before.unwrap());
    let channels = comptime!(before.channels / VECTOR);
    let mut value = Vector::new(0f32);
    if frame >= before.frames {
        let frame = i * layout.per_batch as usize + frame - before.frames;
        value = x[frame * channels + channel];
    } else {
        if comptime!(before.known) {
            let start = layout.past_first as usize + i * layout.past_stride as usize;
            value = past[start + frame * channels + channel];
        }
    }
    value
}

/// The cubes of the first rows keep the last frames of every batch.
#[cube]
fn keep<N: Size>(
    x: &[Vector<f32, N>],
    past: &[Vector<f32, N>],
    next: &mut [Vector<f32, N>],
    layout: &Layout,
    #[comptime] shape: Shape,
) {
    let before = comptime!(shape.before.unwrap());
    let channels = comptime!(before.channels / VECTOR);
    let each = comptime!(before.frames * before.channels / VECTOR);
    if CUBE_POS_Y == 0 {
        let all = (layout.rows / layout.per_batch) as usize * each;
        let mut at = CUBE_POS_X as usize * THREADS + UNIT_POS as usize;
        while at < all {
            let i = at / each;
            let frame = layout.per_batch as usize + at % each / channels;
            let start = layout.past_first as usize + i * layout.past_stride as usize;
            next[start + at % each] = of_sequence(x, past, layout, i, frame, at % channels, shape);
            at += CUBE_COUNT_X as usize * THREADS;
        }
    }
}

/// The sum of `groups` vectors from `first`, `step` apart.
#[cube]
fn total<N: Size>(
    sums: &[Vector<f32, N>],
    first: usize,
    #[comptime] step: usize,
    #[comptime] groups: usize,
) -> Vector<f32, N> {
    let mut total = Vector::new(0f32);
    for group in 0..groups {
        total += sums[first + group * step];
    }
    total
}
