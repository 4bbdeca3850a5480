//! Snake activation in one pass with a polynomial sine.

use super::{from_host, host, supported};
use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;
use std::f32::consts::{FRAC_1_PI, PI};

/// Kept from zero by this in the division.
const EPSILON: f32 = 1e-9;
/// Elements below which a second thread costs more than it brings.
const SERIAL: usize = 8_192;

/// `x + sin(a x)^2 / (a + 1e-9)` (Ziyin et al. 2020): x `[batch, channels, n]`, a
/// `[1, channels, 1]`.
pub fn snake(x: Tensor<3>, alpha: &Tensor<3>) -> Tensor<3> {
    let shape = x.dims();
    let fits = supported() && alpha.dims() == [1, shape[1], 1] && shape.iter().all(|&n| n > 0);
    let (Some(values), Some(slopes)) =
        (fits.then(|| host(x.clone())).flatten(), fits.then(|| host(alpha.clone())).flatten())
    else {
        return portable(x, alpha);
    };
    drop(x);
    match slopes.as_slice::<f32>() {
        Some(slopes) => on_host(values, slopes, shape),
        None => portable(Tensor::from_primitive::<Flex>(values), alpha),
    }
}

fn portable(x: Tensor<3>, alpha: &Tensor<3>) -> Tensor<3> {
    let sine = (x.clone() * alpha.clone()).sin();
    x + sine.clone() * sine / (alpha.clone() + EPSILON)
}

/// In place where nobody else holds the values.
fn on_host(mut values: FlexTensor, slopes: &[f32], shape: [usize; 3]) -> Tensor<3> {
    let n = shape[2];
    let whole = values.as_slice::<f32>().map(<[f32]>::len) == Some(values.storage::<f32>().len());
    if whole && let Some(x) = values.try_storage_mut::<f32>() {
        each_row(x, slopes, n);
        return Tensor::from_primitive::<Flex>(values);
    }
    let mut copy = values.as_slice::<f32>().unwrap_or_default().to_vec();
    each_row(&mut copy, slopes, n);
    from_host(copy, shape)
}

fn each_row(x: &mut [f32], slopes: &[f32], n: usize) {
    let row = |(i, x): (usize, &mut [f32])| row(x, slopes[i % slopes.len()]);
    if x.len() < SERIAL {
        x.chunks_mut(n).enumerate().for_each(row);
    } else {
        x.par_chunks_mut(n).enumerate().for_each(row);
    }
}

fn row(x: &mut [f32], slope: f32) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn vectorised(x: &mut [f32], slope: f32) {
            apply(x, slope);
        }
        // SAFETY: `snake` comes here only where `supported` has found both features.
        unsafe { vectorised(x, slope) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    apply(x, slope);
}

#[inline(always)]
fn apply(x: &mut [f32], slope: f32) {
    let scale = 1.0 / (slope + EPSILON);
    for x in x {
        let sine = sine_up_to_sign(*x * slope);
        *x = (sine * sine).mul_add(scale, *x);
    }
}

/// `sin(x)` or `-sin(x)`: its square is what is asked for, and that has the period pi.
///
/// The argument is brought to within a quarter turn by subtracting a multiple of pi given in two
/// parts, then Taylor's polynomial of degree 11 is within 6e-8.
#[inline(always)]
fn sine_up_to_sign(x: f32) -> f32 {
    const PI_REST: f32 = -8.742_278e-8;
    let turns = (x * FRAC_1_PI).round_ties_even();
    let r = turns.mul_add(-PI_REST, turns.mul_add(-PI, x));
    let square = r * r;
    let tail = [1.0 / 362_880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0, 1.0];
    let sum = tail.iter().fold(-1.0 / 39_916_800.0, |sum: f32, c| sum.mul_add(square, *c));
    sum * r
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn agrees_with_its_portable_twin() {
        let device = Device::flex();
        for (shape, range) in [([1, 5, 7], 1.0), ([2, 16, 3000], 20.0), ([1, 3, 9000], 300.0)] {
            let x = Tensor::<3>::random(shape, Distribution::Normal(0.0, range), &device);
            let alpha = Tensor::random([1, shape[1], 1], Distribution::Uniform(0.1, 3.0), &device);
            let want = portable(x.clone(), &alpha);
            // Shared and unshared values take different ways.
            let shared = snake(x.clone(), &alpha);
            let view = snake(x.clone().swap_dims(1, 2).swap_dims(1, 2), &alpha);
            let owned = snake(x.clone() * 1.0, &alpha);
            for got in [shared, view, owned] {
                let error = (got - want.clone()).abs().max().into_scalar::<f32>();
                assert!(error < 1e-4 * range.max(1.0) as f32, "{shape:?}: {error}");
            }
        }
    }

    #[test]
    fn sine_is_exact_to_f32() {
        for i in -200_000..200_000 {
            let x = i as f32 * 1e-3;
            let want = f64::from(x).sin().powi(2) as f32;
            let got = sine_up_to_sign(x).powi(2);
            assert!((got - want).abs() < 5e-7, "{x}: {got} {want}");
        }
    }

    #[test]
    fn not_a_number_stays_one() {
        let x = Tensor::<3>::full([1, 1, 9], f32::NAN, &Device::flex());
        let y = snake(x, &Tensor::ones([1, 1, 1], &Device::flex()));
        assert!(y.into_data().iter::<f32>().all(f32::is_nan));
    }
}
