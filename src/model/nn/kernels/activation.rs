//! Activations that are dear on the CPU, where Burn computes them one `exp` or `erf` at a time, and
//! on GPUs, where it launches a kernel for each step.
//!
//! On the Flex backend they run here, in place when the tensor is not shared, over loops that the
//! compiler turns into vector code; on GPUs they are one kernel, elsewhere Burn's own.

use super::cube::{self, Map};
use super::{CHUNK, into_flex, is_ours, vectorised};
use burn::backend::Flex;
use burn::tensor::{Tensor, activation};
use burn_flex::FlexTensor;
use rayon::prelude::*;

/// Gaussian error linear unit, by the error function: `x Φ(x)`.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    map(x, gelu_all, Map::Gelu, activation::gelu)
}

/// `x sigmoid(x)`.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    map(x, silu_all, Map::Silu, activation::silu)
}

/// `x tanh(softplus(x))` (Misra 2019).
pub fn mish<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    map(x, mish_all, Map::Mish, activation::mish)
}

/// Softmax over the last dimension of parts that lie side by side in it, as if they were one
/// tensor. All other dimensions are equal.
pub fn softmax<const D: usize>(parts: Vec<Tensor<D>>) -> Vec<Tensor<D>> {
    let widths: Vec<usize> = parts.iter().map(|part| part.dims()[D - 1]).collect();
    if widths.contains(&0) || !parts.iter().all(is_ours) {
        let whole = activation::softmax(Tensor::cat(parts, D - 1), D - 1);
        return whole.split_with_sizes(widths, D - 1);
    }
    let mut parts: Vec<FlexTensor> = parts.into_iter().map(into_flex).collect();
    let rows = (CHUNK / widths.iter().sum::<usize>()).max(1);
    let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
    for (part, width) in parts.iter_mut().zip(&widths) {
        for (i, piece) in part.storage_mut().chunks_mut(rows * width).enumerate() {
            match tasks.get_mut(i) {
                Some(task) => task.push(piece),
                None => tasks.push(vec![piece]),
            }
        }
    }
    match tasks.as_mut_slice() {
        [task] => softmax_rows(task, &widths),
        tasks => tasks.par_iter_mut().for_each(|task| softmax_rows(task, &widths)),
    }
    parts.into_iter().map(Tensor::from_primitive::<Flex>).collect()
}

fn map<const D: usize>(
    x: Tensor<D>,
    kernel: fn(&mut [f32]),
    gpu: Map,
    elsewhere: fn(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    if !is_ours(&x) {
        return cube::map(x, gpu).unwrap_or_else(elsewhere);
    }
    let mut x = into_flex(x);
    let values: &mut [f32] = x.storage_mut();
    if values.len() < 2 * CHUNK {
        kernel(values);
    } else {
        values.par_chunks_mut(CHUNK).for_each(kernel);
    }
    Tensor::from_primitive::<Flex>(x)
}

vectorised!(
    /// `x` where it is positive, else `slope x`, in place.
    pub(crate) leaky_relu_row, leaky_relu_body(x: &mut [f32], slope: f32)
);
vectorised!(gelu_all, gelu_body(x: &mut [f32]));
vectorised!(silu_all, silu_body(x: &mut [f32]));
vectorised!(mish_all, mish_body(x: &mut [f32]));
vectorised!(softmax_rows, softmax_body(parts: &mut [&mut [f32]], widths: &[usize]));

#[inline(always)]
fn leaky_relu_body(x: &mut [f32], slope: f32) {
    for x in x {
        // Stored in every case: a store that depends on the sign is no vector code.
        let scaled = *x * slope;
        *x = if *x < 0.0 { scaled } else { *x };
    }
}

/// The error function by formula 7.1.26 of Abramowitz & Stegun: within 1.5e-7.
#[inline(always)]
fn gelu_body(x: &mut [f32]) {
    for x in x {
        let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.327_591_1 * z);
        let series = 1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4);
        let tail = t * (0.254_829_6 + t * (-0.284_496_72 + t * series)) * exp(-z * z);
        // Φ(x) is tail / 2 on the left and 1 - tail / 2 on the right.
        let half = 0.5 * tail;
        *x *= if *x < 0.0 { half } else { 1.0 - half };
    }
}

#[inline(always)]
fn silu_body(x: &mut [f32]) {
    for x in x {
        *x /= 1.0 + exp(-*x);
    }
}

/// `tanh(ln(1 + e))` is `e (e + 2) / (e (e + 2) + 2)`, which is 1 in f32 from 20 on.
#[inline(always)]
fn mish_body(x: &mut [f32]) {
    for x in x {
        let e = exp(if *x > 20.0 { 20.0 } else { *x });
        let n = e * (e + 2.0);
        *x *= n / (n + 2.0);
    }
}

/// Accumulators that fill a vector register or two.
const LANES: usize = 16;

#[inline(always)]
fn softmax_body(parts: &mut [&mut [f32]], widths: &[usize]) {
    let rows = parts.iter().zip(widths).map(|(part, width)| part.len() / width).min().unwrap_or(0);
    for r in 0..rows {
        let row = |width: &usize| r * width..(r + 1) * width;
        let mut most = f32::NEG_INFINITY;
        for (part, width) in parts.iter().zip(widths) {
            most = larger(most, maximum(&part[row(width)]));
        }
        let mut sum = 0.0;
        for (part, width) in parts.iter_mut().zip(widths) {
            sum += exponentiate(&mut part[row(width)], most);
        }
        let scale = 1.0 / sum;
        for (part, width) in parts.iter_mut().zip(widths) {
            part[row(width)].iter_mut().for_each(|x| *x *= scale);
        }
    }
}

#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[inline(always)]
pub(super) fn maximum(row: &[f32]) -> f32 {
    let (lanes, rest) = row.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for chunk in lanes {
        for (m, x) in most.iter_mut().zip(chunk) {
            *m = larger(*m, *x);
        }
    }
    most.iter().chain(rest).fold(f32::NEG_INFINITY, |m, x| larger(m, *x))
}

/// Replaces every `x` by `e^(x - most)`; gives their sum.
#[inline(always)]
pub(super) fn exponentiate(row: &mut [f32], most: f32) -> f32 {
    let (lanes, rest) = row.as_chunks_mut::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in lanes {
        for (s, x) in sums.iter_mut().zip(chunk) {
            *x = exp(*x - most);
            *s += *x;
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for x in rest {
        *x = exp(*x - most);
        sum += *x;
    }
    sum
}

/// `e^x` to a few units in the last place; below -87 the smallest normal number, above 88 about
/// 1.7e38, NaN for NaN. Without branches or calls, so that loops over it become vector code.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, the first exact in products with n.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let series = 8.333_452e-3 + r * (1.398_2e-3 + r * 1.987_569_1e-4);
    let series = 0.5 + r * (0.166_666_65 + r * (4.166_579_6e-2 + r * series));
    let fraction = 1.0 + r + r * r * series;
    // 2^n by adding n to the exponent.
    f32::from_bits(fraction.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn grid() -> Vec<f32> {
        (-1200..=1200).map(|i| i as f32 * 0.075).collect()
    }

    fn column(values: &[f32]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), &Device::flex())
    }

    fn read<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    #[test]
    fn exp_is_exact_to_a_few_units() {
        for x in grid().into_iter().filter(|x| x.abs() < 87.0) {
            let want = f64::from(x).exp();
            let relative = (f64::from(exp(x)) - want).abs() / want;
            assert!(relative < 3e-7, "{x}: {relative:e}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
    }

    /// Protects the formulas, over the whole range and for both signs, against Burn's and the
    /// definitions.
    #[test]
    fn activations_follow_their_definitions() {
        let x = grid();
        let close = |name: &str, got: Vec<f32>, want: Vec<f32>| {
            for ((x, got), want) in x.iter().zip(got).zip(want) {
                let error = (got - want).abs();
                assert!(error <= 1e-6 * (1.0 + want.abs()), "{name}({x}): {got}, not {want}");
            }
        };
        let of = |f: fn(f64) -> f64| x.iter().map(|x| f(f64::from(*x)) as f32).collect();
        close("gelu", read(gelu(column(&x))), read(activation::gelu(column(&x))));
        close("silu", read(silu(column(&x))), of(|x| x / (1.0 + (-x).exp())));
        close("mish", read(mish(column(&x))), of(|x| x * x.exp().ln_1p().tanh()));
    }

    /// Protects the row bounds: widths below, at and between whole vectors, rows in one part and
    /// in several, and enough of them to be split into tasks.
    #[test]
    fn softmax_is_by_rows() {
        let shapes: [(usize, &[usize]); 5] =
            [(3, &[1]), (2, &[5]), (3, &[16, 2]), (4, &[37, 40, 1]), (900, &[100, 50])];
        for (rows, widths) in shapes {
            let width = widths.iter().sum();
            let values: Vec<f32> = grid().into_iter().cycle().take(rows * width).collect();
            let data = TensorData::new(values, [rows, width]);
            let x: Tensor<2> = Tensor::from_data(data, &Device::flex());
            let want = read(activation::softmax(x.clone(), 1));
            let got = softmax(x.split_with_sizes(widths.to_vec(), 1));
            for (got, want) in read(Tensor::cat(got, 1)).into_iter().zip(want) {
                assert!((got - want).abs() < 1e-6, "{rows} x {widths:?}: {got}, not {want}");
            }
        }
    }

    /// Protects others who hold the tensor, and views whose elements lie apart.
    #[test]
    fn shared_and_strided_tensors_are_left_alone() {
        let all = grid();
        let x = column(&all).reshape([7, all.len() / 7]);
        let part = x.clone().transpose().narrow(0, 5, 7);
        let want = read(activation::silu(read_back(&part)));
        assert_eq!(read(x.clone()), grid());
        for (got, want) in read(silu(part)).into_iter().zip(want) {
            assert!((got - want).abs() <= 1e-6 * (1.0 + want.abs()));
        }
        assert_eq!(read(x), grid());
    }

    fn read_back(x: &Tensor<2>) -> Tensor<2> {
        Tensor::from_data(x.to_data(), &Device::flex())
    }

    #[test]
    fn nan_stays_nan() {
        let x = column(&[f32::NAN, 1.0]);
        for f in [gelu::<2>, silu::<2>, mish::<2>] {
            assert!(read(f(x.clone()))[0].is_nan());
        }
        let weights = softmax(vec![x.reshape([1, 2])]);
        assert!(read(weights[0].clone()).iter().all(|v| v.is_nan()));
    }
}
