//! The snake activation in one launch.

use super::elementwise::result;
use super::{activations, buffer, from_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Threads of a cube, and elements of each.
const THREADS: usize = 256;
const EACH: usize = 4;

/// The `a` of every channel on a device of ours: `x + sin(a x)^2 / (a + 1e-9)`.
#[derive(Debug, Clone)]
pub(crate) struct Alpha {
    /// `[channels]`
    values: CubeTensor,
}

impl Alpha {
    /// From `a` `[channels]`. None where it is not on a device of ours.
    pub fn new(alpha: &Tensor<1>) -> Option<Self> {
        if !super::is_cube(&alpha.device()) {
            return None;
        }
        Some(Self { values: activations(alpha.clone().cast(DType::F32)) })
    }

    /// `[channels]`
    pub(super) fn values(&self) -> &CubeTensor {
        &self.values
    }

    /// BCT to the same shape, in place where nobody else holds `x`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let shape @ [batch, channels, time] = x.dims();
        assert_eq!(channels, self.values.meta.num_elements(), "channels");
        if shape.contains(&0) {
            return x;
        }
        let x = activations(x);
        let blocks = time.div_ceil(THREADS * EACH) as u32;
        let cubes = CubeCount::Static(blocks, channels as u32, batch as u32);
        let (out, input, output) = result(x, shape, 1);
        let dim = CubeDim::new_1d(THREADS as u32);
        let alpha = buffer(&self.values, 1);
        let (time, channels) = (time as u32, channels as u32);
        // SAFETY: a thread's elements are its own and within the time of a row.
        unsafe {
            snake::launch_unchecked(&out.client, cubes, dim, input, output, alpha, time, channels);
        }
        from_cube(out)
    }
}

#[cube(launch_unchecked)]
fn snake(x: &[f32], out: &mut [f32], alpha: &[f32], time: u32, channels: u32) {
    let row = CUBE_POS_Z as usize * channels as usize + CUBE_POS_Y as usize;
    let a = alpha[CUBE_POS_Y as usize];
    let first = CUBE_POS_X as usize * comptime!(THREADS * EACH) + UNIT_POS as usize;
    #[unroll]
    for i in 0..EACH {
        let at = first + i * THREADS;
        if at < time as usize {
            let at = row * time as usize + at;
            out[at] = snaked(x[at], a);
        }
    }
}

/// The activation of a number.
#[cube]
pub(super) fn snaked(x: f32, a: f32) -> f32 {
    let sine = (a * x).sin();
    x + sine * sine / (a + 1e-9f32)
}

#[cfg(test)]
mod on_a_gpu {
    use super::super::testing::{assert_each_close, random, there, uniform};
    use super::*;

    /// Protects the way from a row to its channel, in batches and about the edges of a cube, and
    /// others who hold the tensor.
    #[test]
    fn equals_plain_operations() {
        for shape in [[1, 1, 1], [1, 3, 7], [2, 5, 1023], [3, 64, 1025], [2, 2, 0]] {
            let (alpha, x) = (uniform([shape[1]], 0.05, 8.0), random(shape) * 3.0);
            let a = Alpha::new(&there(&alpha)).unwrap();
            let held = there(&x);
            let shared = a.forward(held.clone());
            let alone = a.forward(held);
            let alpha: Tensor<3> = alpha.reshape([1, shape[1], 1]);
            let sine = (x.clone() * alpha.clone()).sin();
            let want = x + sine.clone() * sine / (alpha + 1e-9);
            for got in [shared, alone] {
                assert_each_close(&format!("{shape:?}"), got, want.clone(), 2e-5);
            }
        }
    }
}
