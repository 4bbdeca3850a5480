//! Activations of single numbers, each in one launch, in place where nobody else holds the tensor.

use super::{VECTOR, activations, buffer, empty, from_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Threads of a cube.
const THREADS: usize = 256;
/// Cubes of a launch's first dimension.
const CUBES: usize = 1 << 15;

/// What becomes of a number `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Map {
    /// `x Φ(x)`, by the error function.
    Gelu,
    /// `x sigmoid(x)`.
    Silu,
    /// `x tanh(softplus(x))`.
    Mish,
}

/// The map of every element. Gives the tensor back where it is not f32 on a device of ours.
pub(crate) fn map<const D: usize>(x: Tensor<D>, map: Map) -> Result<Tensor<D>, Tensor<D>> {
    let shape = x.dims();
    let count = shape.iter().product::<usize>();
    if !super::is_cube(&x.device()) || x.dtype() != DType::F32 || count == 0 {
        return Err(x);
    }
    let x = activations(x);
    let vector = if count.is_multiple_of(VECTOR) { VECTOR } else { 1 };
    let units = count / vector;
    let blocks = units.div_ceil(THREADS);
    let cubes = CubeCount::Static(blocks.min(CUBES) as u32, blocks.div_ceil(CUBES) as u32, 1);
    let (out, input, output) = result(x, shape, vector);
    let dim = CubeDim::new_1d(THREADS as u32);
    // SAFETY: every thread but those beyond the count has its own element in both buffers.
    unsafe {
        map_all::launch_unchecked(
            &out.client,
            cubes,
            dim,
            vector,
            input,
            output,
            units as u32,
            map,
        );
    }
    Ok(from_cube(out))
}

/// Where to write what becomes of contiguous `x`, itself if nobody else holds it; and both as
/// arguments, `x` the first.
pub(super) fn result<const D: usize>(
    x: CubeTensor,
    shape: [usize; D],
    vector: usize,
) -> (CubeTensor, BufferArg, BufferArg) {
    if x.can_mut() {
        let length = x.meta.num_elements() / vector;
        let input = buffer(&x, vector);
        (x, input, BufferArg::alias(0, length))
    } else {
        let out = empty(&x.client, &x.device, shape);
        let arguments = (buffer(&x, vector), buffer(&out, vector));
        (out, arguments.0, arguments.1)
    }
}

#[cube(launch_unchecked)]
fn map_all<N: Size>(
    x: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    count: u32,
    #[comptime] map: Map,
) {
    let cube = CUBE_POS_Y as usize * CUBES + CUBE_POS_X as usize;
    let i = cube * THREADS + UNIT_POS as usize;
    if i < count as usize {
        let value = x[i];
        if comptime!(map == Map::Gelu) {
            let area = (value * Vector::new(std::f32::consts::FRAC_1_SQRT_2)).erf();
            out[i] = value * Vector::new(0.5f32) * (Vector::new(1f32) + area);
        }
        if comptime!(map == Map::Silu) {
            out[i] = silu::<N>(value);
        }
        if comptime!(map == Map::Mish) {
            out[i] = mish::<N>(value);
        }
    }
}

/// [`Map::Silu`] of a vector.
#[cube]
pub(super) fn silu<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    x / (Vector::new(1f32) + (Vector::new(0f32) - x).exp())
}

/// `tanh(ln(1 + e))` is `e (e + 2) / (e (e + 2) + 2)`, which is 1 in f32 from 20 on.
#[cube]
pub(super) fn mish<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let e = min(x, Vector::new(20f32)).exp();
    let n = e * (e + Vector::new(2f32));
    x * (n / (n + Vector::new(2f32)))
}

#[cfg(test)]
mod on_a_gpu {
    use super::super::testing::{assert_each_close, there, uniform};
    use super::*;
    use burn::tensor::activation;

    /// Protects the formulas over the whole range, counts that no vector divides, views whose
    /// elements lie apart, and others who hold the tensor.
    #[test]
    fn equals_burns() {
        for shape in [[1, 1], [3, 5], [7, 1000], [40, 256]] {
            let x = uniform(shape, -40.0, 40.0);
            let kinds: [(Map, fn(Tensor<2>) -> Tensor<2>); 3] = [
                (Map::Gelu, activation::gelu),
                (Map::Silu, activation::silu),
                (Map::Mish, activation::mish),
            ];
            for (kind, burns) in kinds {
                let close = |got: Tensor<2>, want: Tensor<2>| {
                    assert_each_close(&format!("{kind:?}"), got, want, 1e-5);
                };
                let held = there(&x);
                close(map(held.clone(), kind).unwrap(), burns(x.clone()));
                close(map(held.clone().transpose(), kind).unwrap(), burns(x.clone().transpose()));
                close(held.clone(), x.clone());
                close(map(held, kind).unwrap(), burns(x.clone()));
            }
        }
    }
}
