//! What a solver does between two calls of the estimator, under classifier-free guidance: a launch
//! each for what would be five.

use super::{VECTOR, activations, buffer, empty, from_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Threads of a cube.
const THREADS: usize = 256;

fn fits(tensors: &[&Tensor<3>]) -> bool {
    tensors.iter().all(|x| {
        let [_, frames, channels] = x.dims();
        super::is_cube(&x.device())
            && x.dtype() == DType::F32
            && frames > 0
            && channels > 0
            && channels.is_multiple_of(VECTOR)
    })
}

fn everywhere(vectors: usize) -> (CubeCount, CubeDim) {
    let cubes = CubeCount::Static(vectors.div_ceil(THREADS) as u32, 1, 1);
    (cubes, CubeDim::new_1d(THREADS as u32))
}

/// The inputs of an estimator for members that each have `x` `[1, frames, mel]` and the condition
/// `[rows, frames, width]`: `x` beside every row of its condition, `[members * rows, frames, mel +
/// width]`. None where they are not f32 on a device of ours, or of sizes that are no multiples of
/// four, or not alike.
pub(crate) fn beside(members: &[(Tensor<3>, Tensor<3>)]) -> Option<Tensor<3>> {
    let (x, condition) = members.first()?;
    let ([_, frames, mel], [rows, _, width]) = (x.dims(), condition.dims());
    let alike = |(x, condition): &(Tensor<3>, Tensor<3>)| {
        fits(&[x, condition])
            && x.dims() == [1, frames, mel]
            && condition.dims() == [rows, frames, width]
    };
    if !members.iter().all(alike) {
        return None;
    }
    let members: Vec<_> = members
        .iter()
        .map(|(x, condition)| (activations(x.clone()), activations(condition.clone())))
        .collect();
    let (x, _) = members.first()?;
    let out = empty(&x.client, &x.device, [members.len() * rows, frames, mel + width]);
    let vectors = rows * frames * (mel + width) / VECTOR;
    for (i, (x, condition)) in members.iter().enumerate() {
        let (cubes, dim) = everywhere(vectors);
        let (mel, width) = (mel / VECTOR, width / VECTOR);
        // SAFETY: a thread writes its own vector, if there is one, of the member's part.
        unsafe {
            join::launch_unchecked(
                &x.client,
                cubes,
                dim,
                VECTOR,
                buffer(x, VECTOR),
                buffer(condition, VECTOR),
                buffer(&out, VECTOR),
                frames as u32,
                vectors as u32,
                (i * vectors) as u32,
                mel,
                width,
            );
        }
    }
    Some(from_cube(out))
}

/// `x + length * ((1 + guidance) * given - guidance * dropped)`, where `given` and `dropped` are the
/// rows `2 * member` and `2 * member + 1` of `velocity` `[rows, frames, mel]`, and `x` is `[1,
/// frames, mel]`. None where they are not f32 on a device of ours, or of a size that is no multiple
/// of four.
pub(crate) fn guided_step(
    x: &Tensor<3>,
    velocity: &Tensor<3>,
    member: usize,
    guidance: f32,
    length: f32,
) -> Option<Tensor<3>> {
    let ([one, frames, mel], [rows, of, bins]) = (x.dims(), velocity.dims());
    if !fits(&[x, velocity]) || one != 1 || (of, bins) != (frames, mel) || rows < 2 * member + 2 {
        return None;
    }
    let (x, velocity) = (activations(x.clone()), activations(velocity.clone()));
    let out = empty(&x.client, &x.device, [1, frames, mel]);
    let vectors = frames * mel / VECTOR;
    let (cubes, dim) = everywhere(vectors);
    // SAFETY: a thread writes its own vector, if there is one; both rows are within `velocity`.
    unsafe {
        guide::launch_unchecked(
            &x.client,
            cubes,
            dim,
            VECTOR,
            buffer(&x, VECTOR),
            buffer(&velocity, VECTOR),
            buffer(&out, VECTOR),
            vectors as u32,
            (2 * member * vectors) as u32,
            guidance,
            length,
        );
    }
    Some(from_cube(out))
}

#[cube(launch_unchecked)]
fn join<N: Size>(
    x: &[Vector<f32, N>],
    condition: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    frames: u32,
    vectors: u32,
    first: u32,
    #[comptime] mel: usize,
    #[comptime] width: usize,
) {
    let all = comptime!(mel + width);
    let i = ABSOLUTE_POS;
    if i < vectors as usize {
        let lane = i % all;
        let row = i / all;
        let place = first as usize + i;
        if lane < mel {
            out[place] = x[row % frames as usize * mel + lane];
        } else {
            out[place] = condition[row * width + lane - mel];
        }
    }
}

#[cube(launch_unchecked)]
fn guide<N: Size>(
    x: &[Vector<f32, N>],
    velocity: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    vectors: u32,
    first: u32,
    guidance: f32,
    length: f32,
) {
    let i = ABSOLUTE_POS;
    if i < vectors as usize {
        let given = velocity[first as usize + i] * Vector::new(1f32 + guidance);
        let dropped = velocity[(first + vectors) as usize + i] * Vector::new(guidance);
        out[i] = x[i] + (given - dropped) * Vector::new(length);
    }
}

#[cfg(test)]
mod on_a_gpu {
    use super::super::testing::{assert_each_close, random, there};
    use super::*;

    /// Protects every number's place, in each member's part.
    #[test]
    fn inputs_lie_beside_each_other() {
        let members: Vec<_> = (0..3).map(|_| (random([1, 7, 12]), random([2, 7, 20]))).collect();
        let given: Vec<_> = members.iter().map(|(x, c)| (there(x), there(c))).collect();
        let want = members
            .iter()
            .map(|(x, c)| Tensor::cat(vec![x.clone().repeat_dim(0, 2), c.clone()], 2));
        let want = Tensor::cat(want.collect(), 0);
        let got = beside(&given).unwrap();
        assert_eq!(got.into_data(), want.into_data());
        assert!(beside(&[(there(&random([1, 7, 6])), there(&random([2, 7, 20])))]).is_none());
    }

    /// Protects the formula and the member's rows.
    #[test]
    fn steps_by_the_guided_velocity() {
        let (x, velocity) = (random([1, 33, 80]), random([6, 33, 80]));
        let row = |i: usize| velocity.clone().narrow(0, i, 1);
        for member in 0..3 {
            let got = guided_step(&there(&x), &there(&velocity), member, 0.7, 0.05).unwrap();
            let guided = row(2 * member) * 1.7 - row(2 * member + 1) * 0.7;
            assert_each_close("step", got, x.clone() + guided * 0.05, 1e-6);
        }
        assert!(guided_step(&there(&x), &there(&velocity), 3, 0.7, 0.05).is_none());
    }
}
