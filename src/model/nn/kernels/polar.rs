//! Spectra from logarithms of magnitudes and sines' arguments of phases.

use super::activation::exp;
use super::sine::sine;
use super::{CHUNK, into_flex, is_ours, vectorised};
use burn::backend::Flex;
use burn::tensor::Tensor;
use rayon::prelude::*;
use std::f32::consts::FRAC_PI_2;

/// `[batch, 2 * bins, frames]`, the logarithms of magnitudes and then the arguments `p` of phases
/// `sin p`, to real and imaginary parts of the same shape. Magnitudes above `most` are cut.
pub(crate) fn polar(x: Tensor<3>, most: f32) -> Tensor<3> {
    let [batch, rows, frames] = x.dims();
    if !is_ours(&x) || batch * rows * frames == 0 {
        return portable(x, most);
    }
    let half = rows / 2 * frames;
    let mut x = into_flex(x);
    let values: &mut [f32] = x.storage_mut();
    for sample in values.chunks_mut(rows * frames) {
        let (magnitudes, phases) = sample.split_at_mut(half);
        let pieces = magnitudes.par_chunks_mut(CHUNK).zip(phases.par_chunks_mut(CHUNK));
        pieces.for_each(|(magnitudes, phases)| to_parts(magnitudes, phases, most));
    }
    Tensor::from_primitive::<Flex>(x)
}

fn portable(x: Tensor<3>, most: f32) -> Tensor<3> {
    let bins = x.dims()[1] / 2;
    let magnitude = x.clone().narrow(1, 0, bins).exp().clamp_max(most);
    let phase = x.narrow(1, bins, bins).sin();
    Tensor::cat(vec![magnitude.clone() * phase.clone().cos(), magnitude * phase.sin()], 1)
}

vectorised!(to_parts, to_parts_body(magnitudes: &mut [f32], phases: &mut [f32], most: f32));

#[inline(always)]
fn to_parts_body(magnitudes: &mut [f32], phases: &mut [f32], most: f32) {
    for (real, imaginary) in magnitudes.iter_mut().zip(phases) {
        let magnitude = exp(*real);
        let magnitude = if magnitude > most { most } else { magnitude };
        let phase = sine(*imaginary);
        *real = magnitude * sine(phase + FRAC_PI_2);
        *imaginary = magnitude * sine(phase);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    /// Protects the way from a bin to its phase, in batches and in pieces, and the cut.
    #[test]
    fn equals_plain_operations() {
        for shape in [[1, 2, 1], [2, 18, 37], [1, 18, 9000], [1, 4, 0]] {
            let spread = Distribution::Normal(0.0, 4.0);
            let x: Tensor<3> = Tensor::random(shape, spread, &Device::flex());
            let (got, want) = (polar(x.clone(), 100.0), portable(x, 100.0));
            assert_eq!(got.dims(), want.dims());
            let got: Vec<f32> = got.into_data().iter().collect();
            let want: Vec<f32> = want.into_data().iter().collect();
            for (got, want) in got.into_iter().zip(want) {
                assert!((got - want).abs() <= 1e-4 && got.abs() <= 100.001, "{got}, not {want}");
            }
        }
    }
}
