//! The small operations between a decoder's matrix products, each one pass over rows that do not
//! depend on one another.
//!
//! `None` where the tensors are not within reach; Burn's operations are the other way.

use super::activation::exp;
use super::{from_values, into_flex, is_ours, vectorised};
use burn::backend::Flex;
use burn::tensor::Tensor;

/// Root-mean-square normalisation of `x` `[.., size]`, times `weight` `[size]`.
pub(crate) fn rms_norm<const D: usize>(
    x: &Tensor<D>,
    weight: &Tensor<1>,
    eps: f32,
) -> Option<Tensor<D>> {
    if !is_ours(x) || !is_ours(weight) {
        return None;
    }
    let (mut x, weight) = (into_flex(x.clone()), into_flex(weight.clone()));
    normalise(x.storage_mut(), weight.storage(), eps);
    Some(Tensor::from_primitive::<Flex>(x))
}

/// `silu(gate) * up` of `gate_up` `[n, gate and up]`.
pub(crate) fn gated_silu(gate_up: &Tensor<2>) -> Option<Tensor<2>> {
    if !is_ours(gate_up) {
        return None;
    }
    let [n, inner] = [gate_up.dims()[0], gate_up.dims()[1] / 2];
    let gate_up = into_flex(gate_up.clone());
    let mut gated = vec![0.0; n * inner];
    gate(gate_up.storage(), inner, &mut gated);
    Some(from_values(gated, [n, inner]))
}

/// Turns the first `heads` heads of each row of `x` `[n, all heads, head_dim]` by the angles
/// whose cosines and signed sines are `cos` and `sin`, `[n, 1, head_dim]`.
pub(crate) fn rotate(
    x: &Tensor<3>,
    heads: usize,
    cos: &Tensor<3>,
    sin: &Tensor<3>,
) -> Option<Tensor<3>> {
    if ![x, cos, sin].into_iter().all(is_ours) {
        return None;
    }
    let [_, all, dim] = x.dims();
    let (cos, sin) = (into_flex(cos.clone()), into_flex(sin.clone()));
    let mut x = into_flex(x.clone());
    turn(x.storage_mut(), [all, heads, dim], cos.storage(), sin.storage());
    Some(Tensor::from_primitive::<Flex>(x))
}

/// Seen as `rows` rows each, copies the first `count` elements of every row of `from` over those of
/// `to`, in its memory. Tells whether it could.
pub(crate) fn copy_row_starts(
    to: &mut Tensor<4>,
    from: &Tensor<4>,
    rows: usize,
    count: usize,
) -> bool {
    if rows == 0 || !is_ours(to) || !is_ours(from) {
        return false;
    }
    let from = into_flex(from.clone());
    let from: &[f32] = from.storage();
    to.inplace(|t| {
        let mut t = into_flex(t);
        let values = t.storage_mut::<f32>();
        let width = (values.len() / rows).max(1);
        for (to, from) in values.chunks_mut(width).zip(from.chunks((from.len() / rows).max(1))) {
            to[..count].copy_from_slice(&from[..count]);
        }
        Tensor::from_primitive::<Flex>(t)
    });
    true
}

vectorised!(normalise, normalise_body(x: &mut [f32], weight: &[f32], eps: f32));
vectorised!(gate, gate_body(gate_up: &[f32], inner: usize, gated: &mut [f32]));
vectorised!(turn, turn_body(x: &mut [f32], shape: [usize; 3], cos: &[f32], sin: &[f32]));

/// Sums that fill a vector register or two.
const LANES: usize = 16;

#[inline(always)]
fn normalise_body(x: &mut [f32], weight: &[f32], eps: f32) {
    for row in x.chunks_exact_mut(weight.len()) {
        let (lanes, rest) = row.as_chunks::<LANES>();
        let mut sums = [0f32; LANES];
        for lane in lanes {
            sums.iter_mut().zip(lane).for_each(|(sum, x)| *sum += x * x);
        }
        let sum = sums.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>();
        let scale = 1.0 / (sum / weight.len() as f32 + eps).sqrt();
        row.iter_mut().zip(weight).for_each(|(x, weight)| *x = *x * scale * weight);
    }
}

#[inline(always)]
fn gate_body(gate_up: &[f32], inner: usize, gated: &mut [f32]) {
    for (gated, row) in gated.chunks_exact_mut(inner).zip(gate_up.chunks_exact(2 * inner)) {
        let (gate, up) = row.split_at(inner);
        for ((gated, gate), up) in gated.iter_mut().zip(gate).zip(up) {
            *gated = gate / (1.0 + exp(-gate)) * up;
        }
    }
}

#[inline(always)]
fn turn_body(x: &mut [f32], [all, heads, dim]: [usize; 3], cos: &[f32], sin: &[f32]) {
    let angles = cos.chunks_exact(dim).zip(sin.chunks_exact(dim));
    for (row, (cos, sin)) in x.chunks_exact_mut(all * dim).zip(angles) {
        for head in row.chunks_exact_mut(dim).take(heads) {
            let half = dim / 2;
            let (first, second) = head.split_at_mut(half);
            let (cos, sin) = (cos.split_at(half), sin.split_at(half));
            for (i, (a, b)) in first.iter_mut().zip(second).enumerate() {
                (*a, *b) = (*a * cos.0[i] + *b * sin.0[i], *b * cos.1[i] + *a * sin.1[i]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, activation};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 2.0), &Device::flex())
    }

    fn assert_close<const D: usize>(got: Tensor<D>, want: Tensor<D>) {
        assert_eq!(got.dims(), want.dims());
        let error = (got - want).abs().max().into_scalar::<f32>();
        assert!(error < 2e-6, "{error:e}");
    }

    /// Widths below, at and between whole vectors, against the formula; the input stays as it was.
    #[test]
    fn rms_norm_is_by_rows() {
        for size in [3, 16, 37, 256] {
            let (x, weight) = (random([5, size]), random([size]) / 4.0);
            let got = rms_norm(&x, &weight, 1e-3).unwrap();
            let mean_square = (x.clone() * x.clone()).mean_dim(1);
            assert_close(got, x / (mean_square + 1e-3).sqrt() * weight.unsqueeze());
        }
    }

    #[test]
    fn the_first_half_is_the_gate() {
        for inner in [3, 16, 37] {
            let x = random([4, 2 * inner]);
            let want =
                activation::silu(x.clone().narrow(1, 0, inner)) * x.clone().narrow(1, inner, inner);
            assert_close(gated_silu(&x).unwrap() / 8.0, want / 8.0);
        }
    }

    /// Protects the promise that a row does not depend on those beside it, to the last bit.
    #[test]
    fn rows_are_the_same_alone_and_among_others() {
        let (x, weight) = (random([9, 74]), random([74]));
        let of = |x: Tensor<2>| {
            let norm = rms_norm(&x, &weight, 1e-6).unwrap();
            let gated = gated_silu(&x).unwrap();
            let read = |t: Tensor<2>| t.into_data().iter::<f32>().collect::<Vec<_>>();
            (read(norm), read(gated))
        };
        let all = of(x.clone());
        for row in 0..9 {
            let (norm, gated) = of(x.clone().narrow(0, row, 1));
            assert!(all.0[row * 74..][..74] == norm && all.1[row * 37..][..37] == gated);
        }
    }
}
