//! The snake activation in one launch.

use super::elementwise::result;
use super::{buffer, from_cube, into_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Threads of a cube, and elements of each.
const THREADS: usize = 256;
const EACH: usize = 4;

/// `x + sin(a x)^2 / (a + 1e-9)` of `x` BCT and `a` `[channels]`, in place where nobody else holds
/// `x`. None where they are not f32 on a device of ours or do not fit.
pub(crate) fn snake(x: Tensor<3>, alpha: &CubeTensor) -> Option<Tensor<3>> {
    let shape @ [batch, channels, time] = x.dims();
    if x.dtype() != DType::F32 || channels != alpha.meta.num_elements() {
        return None;
    }
    let x = into_cube(x)?;
    if shape.contains(&0) {
        return Some(from_cube(x));
    }
    let blocks = time.div_ceil(THREADS * EACH) as u32;
    let cubes = CubeCount::Static(blocks, channels as u32, batch as u32);
    let (out, input, output) = result(x, shape, 1);
    let dim = CubeDim::new_1d(THREADS as u32);
    // SAFETY: a thread's elements are its own and within the time of a row.
    unsafe {
        snake_all::launch_unchecked(
            &out.client,
            cubes,
            dim,
            input,
            output,
            buffer(alpha, 1),
            time as u32,
            channels as u32,
        );
    }
    Some(from_cube(out))
}

#[cube(launch_unchecked)]
fn snake_all(x: &[f32], out: &mut [f32], alpha: &[f32], time: u32, channels: u32) {
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

#[cfg(all(test, feature = "vulkan"))]
mod tests {
    use super::*;
    use burn::tensor::{Device, DeviceKind, Distribution};

    /// Protects the way from a row to its channel, in batches and about the edges of a cube, and
    /// others who hold the tensor.
    #[test]
    fn equals_plain_operations() {
        let gpu = Device::vulkan(DeviceKind::DefaultDevice);
        for shape in [[1, 1, 1], [1, 3, 7], [2, 5, 1023], [3, 64, 1025], [2, 2, 0]] {
            let alpha: Tensor<1> =
                Tensor::random([shape[1]], Distribution::Uniform(0.05, 8.0), &Device::flex());
            let x: Tensor<3> = Tensor::random(shape, Distribution::Normal(0.0, 3.0), &Device::flex());
            let a = into_cube(alpha.clone().to_device(&gpu)).unwrap();
            let there = x.clone().to_device(&gpu);
            let shared = snake(there.clone(), &a).unwrap();
            let alone = snake(there, &a).unwrap();
            let alpha: Tensor<3> = alpha.reshape([1, shape[1], 1]);
            let sine = (x.clone() * alpha.clone()).sin();
            let want: Vec<f32> =
                (x + sine.clone() * sine / (alpha + 1e-9)).into_data().iter().collect();
            for got in [shared, alone] {
                assert_eq!(got.dims(), shape);
                let got: Vec<f32> = got.into_data().iter().collect();
                for (got, want) in got.into_iter().zip(&want) {
                    assert!((got - want).abs() <= 2e-5 * (1.0 + want.abs()), "{got}, not {want}");
                }
            }
        }
    }
}
