//! Attention of one new position per sequence, on the CPU.
//!
//! The general path makes a dozen small tensors and two small matrix products per sequence and
//! layer, which costs several times the arithmetic. Here the rows of a batch are one loop over
//! the cached memory itself.

use super::tile::{Isa, Strided, TILE};
use super::{from_values, into_flex, is_ours, vectorised};
use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

/// Multiply-adds of a call from which its heads are shared among threads.
const PARALLEL_FROM: usize = 1 << 18;

/// Keys and values of one sequence and layer.
pub(crate) struct Sequence<'a> {
    /// `[1, kv_heads, head_dim, capacity]`
    pub keys: &'a mut Tensor<4>,
    /// `[1, kv_heads, capacity, head_dim]`
    pub values: &'a mut Tensor<4>,
    /// Positions filled; there is room for one more.
    pub len: usize,
}

/// Writes the new position of every sequence behind those filled, and attends to all of them.
///
/// Row `i` of `qkv` `[n, heads + 2 kv_heads, head_dim]` is queries (scaled already), keys and
/// values of sequence `i`; the key-value heads are shared by groups of query heads.
///
/// Returns `[n, heads * head_dim]`, or `None`, with nothing written, where the tensors are not f32
/// in host memory. A row depends neither on the other rows nor on the capacity of its sequence.
pub(crate) fn decode_attention(
    qkv: &Tensor<3>,
    heads: usize,
    sequences: &mut [Sequence],
) -> Option<Tensor<2>> {
    let [n, all_heads, dim] = qkv.dims();
    let kv_heads = (all_heads - heads) / 2;
    if !is_ours(qkv) || !sequences.iter().all(|s| is_ours(s.keys) && is_ours(s.values)) {
        return None;
    }
    let qkv = into_flex(qkv.clone());
    let row = |i: usize| {
        let row = &qkv.storage::<f32>()[i * all_heads * dim..][..all_heads * dim];
        let (queries, keys_values) = row.split_at(heads * dim);
        (queries, keys_values.split_at(kv_heads * dim))
    };
    for (i, sequence) in sequences.iter_mut().enumerate() {
        let (_, (keys, values)) = row(i);
        sequence.write(keys, values);
    }
    let past: Vec<_> = sequences
        .iter()
        .map(|s| (into_flex(s.keys.clone()), into_flex(s.values.clone()), s.len + 1))
        .collect();
    let past: Vec<Past> = past.iter().map(|(k, v, len)| Past::new(k, v, *len)).collect();

    let mut output = vec![0f32; n * heads * dim];
    let (size, isa) = (heads / kv_heads * dim, Isa::detect());
    let attend = |(i, output): (usize, &mut [f32])| {
        let (row, head) = (row(i / kv_heads).0, i % kv_heads);
        past[i / kv_heads].attend(head, &row[head * size..][..size], isa, output);
    };
    let work: usize = past.iter().map(|past| 2 * past.len * heads * dim).sum();
    if work >= PARALLEL_FROM {
        output.par_chunks_exact_mut(size).enumerate().for_each(attend);
    } else {
        output.chunks_exact_mut(size).enumerate().for_each(attend);
    }
    Some(from_values(output, [n, heads * dim]))
}

impl Sequence<'_> {
    /// `keys` and `values`, `[kv_heads * head_dim]` each, become those of position `len`.
    fn write(&mut self, keys: &[f32], values: &[f32]) {
        let [_, _, dim, capacity] = self.keys.dims();
        let at = self.len;
        assert!(at < capacity, "room for one more position");
        self.keys.inplace(|t| {
            let mut t = into_flex(t);
            let places = t.storage_mut::<f32>().iter_mut().skip(at).step_by(capacity);
            places.zip(keys).for_each(|(place, key)| *place = *key);
            Tensor::from_primitive::<Flex>(t)
        });
        self.values.inplace(|t| {
            let mut t = into_flex(t);
            let heads = t.storage_mut::<f32>().chunks_exact_mut(capacity * dim);
            for (head, values) in heads.zip(values.chunks_exact(dim)) {
                head[at * dim..][..dim].copy_from_slice(values);
            }
            Tensor::from_primitive::<Flex>(t)
        });
    }
}

/// Filled keys and values of one sequence, in the memory of the cache.
struct Past<'a> {
    len: usize,
    dim: usize,
    capacity: usize,
    keys: &'a [f32],
    values: &'a [f32],
}

impl<'a> Past<'a> {
    fn new(keys: &'a FlexTensor, values: &'a FlexTensor, len: usize) -> Self {
        let [_, _, dim, capacity] = keys.layout().shape().dims::<4>();
        Self { len, dim, capacity, keys: keys.storage(), values: values.storage() }
    }

    /// The query heads that share key-value head `head`: `queries` and `output`
    /// `[group, head_dim]`.
    fn attend(&self, head: usize, queries: &[f32], isa: Isa, output: &mut [f32]) {
        let Self { len, dim, capacity, .. } = *self;
        let group = queries.len() / dim;
        let keys = Strided { values: &self.keys[head * dim * capacity..], stride: capacity };
        let values = Strided { values: &self.values[head * capacity * dim..], stride: dim };

        let mut scores = vec![0f32; group * len];
        product(isa, Strided { values: queries, stride: dim }, keys, dim, len, &mut scores);
        let mut scales = vec![0f32; group];
        for (scores, scale) in scores.chunks_exact_mut(len).zip(&mut scales) {
            exponentiate(scores, scale);
        }
        product(isa, Strided { values: &scores, stride: len }, values, len, dim, output);
        for (output, scale) in output.chunks_exact_mut(dim).zip(scales) {
            output.iter_mut().for_each(|o| *o *= scale);
        }
    }
}

/// `result` `[n, width]` is `x` `[n, depth]` times `matrix` `[depth, width]`.
fn product(
    isa: Isa,
    x: Strided<f32>,
    matrix: Strided<f32>,
    depth: usize,
    width: usize,
    result: &mut [f32],
) {
    let columns = isa.columns();
    // A tile may read on behind the end of a row, into the next one or the room after the last.
    let mut packed = Vec::new();
    for from in (0..width).step_by(columns) {
        let now = columns.min(width - from);
        let mut part = Strided { values: &matrix.values[from..], stride: matrix.stride };
        if part.values.len() < (depth - 1) * part.stride + columns {
            packed.resize(depth * columns, 0.0);
            for (k, packed) in packed.chunks_exact_mut(columns).enumerate() {
                packed[..now].copy_from_slice(&part.values[k * part.stride..][..now]);
            }
            part = Strided { values: &packed, stride: columns };
        }
        for (i, rows) in result.chunks_mut(isa.rows() * width).enumerate() {
            let mut sums = [0.0; TILE];
            let sums = &mut sums[..rows.len() / width * columns];
            let x = Strided { values: &x.values[i * isa.rows() * x.stride..], stride: x.stride };
            isa.tile(part, x, depth, sums);
            for (row, sums) in rows.chunks_exact_mut(width).zip(sums.chunks_exact(columns)) {
                row[from..from + now].copy_from_slice(&sums[..now]);
            }
        }
    }
}

vectorised!(exponentiate, exponentiate_body(scores: &mut [f32], scale: &mut f32));

/// Sums that fill a vector register or two.
const LANES: usize = 16;

/// Replaces the scores by `e^(score - maximum)`, and `scale` by the inverse of their sum.
#[inline(always)]
fn exponentiate_body(scores: &mut [f32], scale: &mut f32) {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (lanes, rest) = scores.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for lane in lanes {
        most.iter_mut().zip(lane).for_each(|(m, s)| *m = larger(*m, *s));
    }
    let most = most.iter().chain(rest).fold(f32::NEG_INFINITY, |m, s| larger(m, *s));
    let (lanes, rest) = scores.as_chunks_mut::<LANES>();
    let mut sums = [0.0; LANES];
    for lane in lanes {
        for (sum, s) in sums.iter_mut().zip(lane) {
            *s = exp(*s - most);
            *sum += *s;
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for s in rest {
        *s = exp(*s - most);
        sum += *s;
    }
    *scale = 1.0 / sum;
}

/// `e^x` for `x <= 0`, to 2 units in the last place (0 below -87): `2^n e^r` with `|r| <= ln 2 / 2`
/// and the series of `e^r` to the seventh power. Unlike the library's it becomes vectors. NaN
/// stays NaN.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// Adding and taking it away rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut series = 1.0 / 5040.0;
    for term in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = series * r + term;
    }
    // The low bits of `shifted` are `n` in two's complement; they go into the exponent.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.0 { 0.0 } else { series * power }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, activation::softmax};

    #[test]
    fn exponentials_are_those_of_the_library() {
        for i in 0..8700 {
            let x = -(i as f32) / 100.0;
            let error = (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs();
            assert!(error < 3e-7, "{x}: {error:e}");
        }
        assert_eq!((exp(0.0), exp(-200.0), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
    }

    /// Against the formula, for rows of different length in caches longer than what is filled or
    /// just long enough, shared heads, and sizes that no vector width divides; few and many enough
    /// for threads. And the capacity makes no difference to the last bit.
    #[test]
    fn equals_softmax_attention_of_every_row() {
        let device = Device::flex();
        for (heads, kv_heads, dim, lens) in [
            (6, 2, 10, vec![1, 37, 5]),
            (4, 4, 6, vec![9]),
            (14, 2, 64, vec![130, 64]),
            (4, 2, 64, vec![900; 5]),
        ] {
            let random = |shape: [usize; 4]| {
                Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device)
            };
            let n = lens.len();
            let all = heads + 2 * kv_heads;
            let qkv = random([1, n, all, dim]).reshape([n, all, dim]) / (dim as f32).sqrt();
            let past: Vec<_> = lens
                .iter()
                .map(|len| (random([1, kv_heads, dim, *len]), random([1, kv_heads, *len, dim])))
                .collect();
            let run = |spare: usize| {
                // The last position of `past` is overwritten by the new one.
                let mut caches: Vec<_> = past
                    .iter()
                    .map(|(k, v)| {
                        let room = random([1, kv_heads, dim, spare]);
                        let keys = Tensor::cat(vec![k.clone(), room.clone()], 3);
                        (keys, Tensor::cat(vec![v.clone(), room.swap_dims(2, 3)], 2))
                    })
                    .collect();
                let mut sequences: Vec<_> = caches
                    .iter_mut()
                    .zip(&lens)
                    .map(|((keys, values), len)| Sequence { keys, values, len: len - 1 })
                    .collect();
                let attended = decode_attention(&qkv, heads, &mut sequences).unwrap();
                (attended, caches)
            };
            let (got, caches) = run(3);
            let (tight, _) = run(0);
            assert_eq!(got.to_data(), tight.into_data());
            let part = |from: usize, heads: usize, i: usize| {
                qkv.clone().narrow(0, i, 1).narrow(1, from, heads)
            };
            for (i, (keys, values)) in caches.into_iter().enumerate() {
                let keys = keys.narrow(3, 0, lens[i]);
                let values = values.narrow(2, 0, lens[i]);
                let q = part(0, heads, i).reshape([kv_heads, heads / kv_heads, dim]);
                let new = keys.clone().narrow(3, lens[i] - 1, 1).reshape([1, kv_heads, dim]);
                assert_eq!(new.into_data(), part(heads, kv_heads, i).into_data());
                let new = values.clone().narrow(2, lens[i] - 1, 1).reshape([1, kv_heads, dim]);
                assert_eq!(new.into_data(), part(heads + kv_heads, kv_heads, i).into_data());
                let scores = q.unsqueeze::<4>().matmul(keys);
                let want = softmax(scores, 3).matmul(values).reshape([1, heads * dim]);
                let error = (got.clone().narrow(0, i, 1) - want).abs().max().into_scalar::<f32>();
                assert!(error < 2e-5, "{heads} heads, row {i}: {error:e}");
            }
        }
    }
}
