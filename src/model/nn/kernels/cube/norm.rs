//! Normalisation of rows, with what follows it, in one launch.
//!
//! A row is read once: its numbers stay in the registers of a team of threads while the moments
//! are summed up, in an order that depends on the row's length alone.

use super::elementwise::{mish, result};
use super::{VECTOR, activations, buffer, from_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Threads of a cube.
const THREADS: usize = 128;
/// Longest row.
const LONGEST: usize = 16 * THREADS * VECTOR;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    /// Vectors of a row.
    vectors: usize,
    /// Threads of a row, a power of two.
    team: usize,
    /// Layer normalisation, with a shift; else root-mean-square normalisation.
    layer: bool,
    mish: bool,
    /// Whether something is added after that.
    plus: bool,
}

/// What follows the normalisation: `x tanh(softplus(x))`, and the sum of that and a row `[size]`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mish<'a> {
    Alone,
    Plus(&'a Tensor<1>),
}

/// Layer normalisation over the last dimension, times `gain` plus `shift` `[size]`, and what follows
/// it. Gives `x` back where it is not f32 on a device of ours or the size is not a
/// multiple of four.
pub(crate) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gain: &Tensor<1>,
    shift: &Tensor<1>,
    eps: f64,
    mish: Option<Mish>,
) -> Result<Tensor<D>, Tensor<D>> {
    normalise(x, gain, Some(shift), eps, mish)
}

/// Root-mean-square normalisation over the last dimension, times `gain` `[size]`. Gives `x` back
/// where [`layer_norm`] does.
pub(crate) fn rms_norm<const D: usize>(
    x: Tensor<D>,
    gain: &Tensor<1>,
    eps: f64,
) -> Result<Tensor<D>, Tensor<D>> {
    normalise(x, gain, None, eps, None)
}

fn normalise<const D: usize>(
    x: Tensor<D>,
    gain: &Tensor<1>,
    shift: Option<&Tensor<1>>,
    eps: f64,
    mish: Option<Mish>,
) -> Result<Tensor<D>, Tensor<D>> {
    let shape = x.dims();
    let size = gain.dims()[0];
    let rows = shape.iter().product::<usize>().checked_div(size).unwrap_or(0);
    if !super::is_cube(&x.device())
        || x.dtype() != DType::F32
        || rows == 0
        || shape.last() != Some(&size)
        || !size.is_multiple_of(VECTOR)
        || size > LONGEST
    {
        return Err(x);
    }
    let gain = activations(gain.clone());
    let shift = shift.map(|shift| activations(shift.clone()));
    let plus = match mish {
        Some(Mish::Plus(row)) => {
            assert_eq!(row.dims(), [size], "what is added");
            Some(activations(row.clone()))
        }
        _ => None,
    };
    let x = activations(x);
    let vectors = size / VECTOR;
    // A thread has some vectors: the fewer threads a row has, the cheaper is a sum over them.
    let team = vectors.div_ceil(2).next_power_of_two().clamp(8, THREADS);
    let shape_of_kernel =
        Shape { vectors, team, layer: shift.is_some(), mish: mish.is_some(), plus: plus.is_some() };
    let cubes = CubeCount::Static(rows.div_ceil(THREADS / team) as u32, 1, 1);
    let (out, input, output) = result(x, shape, VECTOR);
    let dim = CubeDim::new_1d(THREADS as u32);
    let shift = buffer(shift.as_ref().unwrap_or(&gain), VECTOR);
    let plus = buffer(plus.as_ref().unwrap_or(&gain), VECTOR);
    let gain = buffer(&gain, VECTOR);
    // SAFETY: a team writes its own row, within the buffer, after it has read it.
    unsafe {
        norm::launch_unchecked(
            &out.client,
            cubes,
            dim,
            VECTOR,
            input,
            output,
            gain,
            shift,
            plus,
            rows as u32,
            eps as f32,
            shape_of_kernel,
        );
    }
    Ok(from_cube(out))
}

#[cube(launch_unchecked)]
fn norm<N: Size>(
    x: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    gain: &[Vector<f32, N>],
    shift: &[Vector<f32, N>],
    plus: &[Vector<f32, N>],
    rows: u32,
    eps: f32,
    #[comptime] shape: Shape,
) {
    let vectors = comptime!(shape.vectors);
    let team = comptime!(shape.team);
    let each = comptime!(shape.vectors.div_ceil(shape.team));
    let size = comptime!((shape.vectors * VECTOR) as f32);
    let thread = UNIT_POS as usize;
    let member = thread % team;
    let row = CUBE_POS_X as usize * comptime!(THREADS / shape.team) + thread / team;
    let known = row < rows as usize;
    let start = row * vectors;

    let mut sums = Shared::<[f32]>::new_slice(THREADS);
    let mut values = Array::<Vector<f32, N>>::new(each);
    #[unroll]
    for i in 0..each {
        values[i] = Vector::new(0f32);
        if known && member + i * team < vectors {
            values[i] = x[start + member + i * team];
        }
    }
    let mut mean = 0f32;
    if comptime!(shape.layer) {
        let mut sum = 0f32;
        #[unroll]
        for i in 0..each {
            sum += values[i].vector_sum();
        }
        mean = total(&mut sums, sum, team) / size;
    }
    let mut sum = 0f32;
    #[unroll]
    for i in 0..each {
        if member + i * team < vectors {
            values[i] -= Vector::new(mean);
            sum += (values[i] * values[i]).vector_sum();
        }
    }
    let scale = 1f32 / (total(&mut sums, sum, team) / size + eps).sqrt();
    #[unroll]
    for i in 0..each {
        let place = member + i * team;
        if known && place < vectors {
            let mut y = values[i] * Vector::new(scale) * gain[place];
            if comptime!(shape.layer) {
                y += shift[place];
            }
            if comptime!(shape.mish) {
                y = mish::<N>(y);
            }
            if comptime!(shape.plus) {
                y += plus[place];
            }
            out[start + place] = y;
        }
    }
}

/// The sum of what the threads of a team have.
#[cube]
fn total(sums: &mut [f32], mine: f32, #[comptime] team: usize) -> f32 {
    let thread = UNIT_POS as usize;
    let member = thread % team;
    sums[thread] = mine;
    sync_cube();
    #[unroll]
    for level in 0..comptime!(team.ilog2()) {
        let half = comptime!(team >> (level + 1));
        if member < half {
            let other = sums[thread + half];
            sums[thread] += other;
        }
        sync_cube();
    }
    let sum = sums[thread - member];
    // The next sum comes to the same place.
    sync_cube();
    sum
}

#[cfg(test)]
mod on_a_gpu {
    use super::super::testing::{assert_each_close, random, test_device, there};
    use super::*;
    use burn::tensor::{Device, activation, module};

    /// Protects rows of fewer and of more vectors than threads, counts of rows that fill no cube,
    /// and rows whose mean is far from zero.
    #[test]
    fn equals_plain_operations() {
        for (rows, size) in [(1, 4), (1, 896), (3, 256), (57, 512), (5, 1280), (2, 4864)] {
            let x = random([rows, size]) * 2.0 + 5.0;
            let (gain, shift) = (random([size]) * 2.0 + 1.0, random([size]) * 2.0);
            let (held, g, s) = (there(&x), there(&gain), there(&shift));
            let layer = module::layer_norm(x.clone(), gain.clone(), Some(shift), 1e-5);
            let square = (x.clone() * x.clone()).mean_dim(1);
            let rms = x.clone() / (square + 1e-6).sqrt() * gain.clone().unsqueeze::<2>();
            let mish = activation::mish(layer.clone());
            let pairs = [
                (layer_norm(held.clone(), &g, &s, 1e-5, None), layer.clone()),
                (layer_norm(held.clone(), &g, &s, 1e-5, Some(Mish::Alone)), mish.clone()),
                (
                    layer_norm(held.clone(), &g, &s, 1e-5, Some(Mish::Plus(&g))),
                    mish + gain.clone().unsqueeze::<2>(),
                ),
                (rms_norm(held, &g, 1e-6), rms),
            ];
            for (got, want) in pairs {
                assert_each_close(&format!("{rows} x {size}"), got.unwrap(), want, 1e-5);
            }
        }
    }

    /// Protects a size that is no multiple of four and other devices: Burn's own serve them.
    #[test]
    fn declines_what_it_cannot_do() {
        let ones = |size: usize, device: &Device| Tensor::<1>::ones([size], device);
        let gpu = test_device();
        let x: Tensor<2> = Tensor::ones([2, 7], &gpu);
        assert!(rms_norm(x, &ones(7, &gpu), 1e-6).is_err());
        let x: Tensor<2> = Tensor::ones([2, 8], &Device::flex());
        assert!(rms_norm(x, &ones(8, &Device::flex()), 1e-6).is_err());
    }
}
