//! Attention of one new position per sequence, on the CPU.
//!
//! The general path makes a dozen small tensors and two small matrix products per sequence and
//! layer, which costs several times the arithmetic. Here the rows of a batch are one loop over
//! the cached memory itself.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

/// Multiply-adds of a call from which its rows are shared among threads.
const PARALLEL_FROM: usize = 1 << 20;

/// Grouped-query attention of `queries` `[n, heads, head_dim]` (scaled already), row `i` over the
/// `i`th pair of keys `[1, kv_heads, head_dim, len]` and values `[1, kv_heads, len, head_dim]`.
///
/// Returns `[n, heads * head_dim]`, or `None` where the tensors are not f32 in host memory.
pub(crate) fn decode_attention(
    queries: &Tensor<3>,
    past: &[(Tensor<4>, Tensor<4>)],
) -> Option<Tensor<2>> {
    let [n, heads, dim] = queries.dims();
    let queries = on_host(queries)?.to_contiguous();
    let queries = queries.as_slice::<f32>()?;
    let past: Vec<_> =
        past.iter().map(|(k, v)| Some((on_host(k)?, on_host(v)?))).collect::<Option<_>>()?;
    let rows: Vec<Past> = past.iter().map(|(k, v)| Past::new(k, v)).collect::<Option<Vec<_>>>()?;

    let mut output = vec![0f32; n * heads * dim];
    let row = |(output, (query, past)): (&mut [f32], (&[f32], &Past))| {
        dispatch(query, past, heads, output);
    };
    let inputs = || queries.chunks_exact(heads * dim).zip(&rows);
    let work: usize = rows.iter().map(|past| 2 * past.len * heads * dim).sum();
    if work >= PARALLEL_FROM && n > 1 {
        let inputs: Vec<_> = inputs().collect();
        output.par_chunks_exact_mut(heads * dim).zip(inputs).for_each(row);
    } else {
        output.chunks_exact_mut(heads * dim).zip(inputs()).for_each(row);
    }
    let bytes = burn::tensor::Bytes::from_elems(output);
    let layout = Layout::contiguous([n, heads * dim].into());
    Some(Tensor::from_primitive::<Flex>(FlexTensor::new(bytes, layout, DType::F32)))
}

fn on_host<const D: usize>(tensor: &Tensor<D>) -> Option<FlexTensor> {
    let tensor = tensor.clone().try_into_primitive::<Flex>().ok()?;
    (tensor.dtype() == DType::F32).then_some(tensor)
}

/// Keys and values of one sequence and layer, in the memory of the cache.
struct Past<'a> {
    kv_heads: usize,
    len: usize,
    dim: usize,
    keys: &'a [f32],
    /// From a head, and from a dimension, to the next.
    key_strides: (usize, usize),
    values: &'a [f32],
    /// From a head, and from a position, to the next.
    value_strides: (usize, usize),
}

impl<'a> Past<'a> {
    fn new(keys: &'a FlexTensor, values: &'a FlexTensor) -> Option<Self> {
        let part = |t: &'a FlexTensor| {
            let stride = |d: usize| usize::try_from(*t.layout().strides().get(d)?).ok();
            let data = t.storage::<f32>().get(t.layout().start_offset()..)?;
            (stride(3)? == 1).then_some((data, (stride(1)?, stride(2)?)))
        };
        let [_, kv_heads, dim, len] = keys.layout().shape().dims::<4>();
        let ((keys, key_strides), (values, value_strides)) = (part(keys)?, part(values)?);
        Some(Self { kv_heads, len, dim, keys, key_strides, values, value_strides })
    }
}

/// One sequence: runs [`attend`] compiled for the widest vectors of this processor.
fn dispatch(query: &[f32], past: &Past, heads: usize, output: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f")]
        fn avx512(query: &[f32], past: &Past, heads: usize, output: &mut [f32]) {
            attend(query, past, heads, output);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(query: &[f32], past: &Past, heads: usize, output: &mut [f32]) {
            attend(query, past, heads, output);
        }
        // SAFETY: each is called only where the processor has what it was compiled for.
        if is_x86_feature_detected!("avx512f") {
            return unsafe { avx512(query, past, heads, output) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return unsafe { avx2(query, past, heads, output) };
        }
    }
    attend(query, past, heads, output);
}

/// `output` is zero. All inner loops run over memory in order and have no carried sum, so that
/// the compiler turns them into vectors.
#[inline(always)]
fn attend(query: &[f32], past: &Past, heads: usize, output: &mut [f32]) {
    let Past { kv_heads, len, dim, .. } = *past;
    let group = heads / kv_heads;
    let mut scores = vec![0f32; len];
    for (head, (q, out)) in query.chunks_exact(dim).zip(output.chunks_exact_mut(dim)).enumerate() {
        let kv = head / group;
        let keys = &past.keys[kv * past.key_strides.0..];
        let values = &past.values[kv * past.value_strides.0..];
        scores.fill(0.0);
        sum_rows(q, keys, past.key_strides.1, &mut scores);
        let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        scores.iter_mut().for_each(|s| *s = exp(*s - max));
        let sum: f32 = scores.iter().sum();
        sum_rows(&scores, values, past.value_strides.1, out);
        out.iter_mut().for_each(|o| *o /= sum);
    }
}

/// Adds to `output` each row of `rows`, `stride` apart, times its weight.
#[inline(always)]
fn sum_rows(weights: &[f32], rows: &[f32], stride: usize, output: &mut [f32]) {
    let n = output.len();
    let row = |i: usize| &rows[i * stride..][..n];
    // Four at a time, to load and store the output less often.
    let (fours, rest) = weights.as_chunks::<4>();
    for (i, [a, b, c, d]) in fours.iter().enumerate() {
        let (ra, rb, rc, rd) = (row(4 * i), row(4 * i + 1), row(4 * i + 2), row(4 * i + 3));
        for j in 0..n {
            output[j] += (a * ra[j] + b * rb[j]) + (c * rc[j] + d * rd[j]);
        }
    }
    for (i, a) in rest.iter().enumerate() {
        for (o, r) in output.iter_mut().zip(row(4 * fours.len() + i)) {
            *o += a * r;
        }
    }
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

    /// Against the formula, for rows of different length in caches longer than what is filled,
    /// shared heads, and sizes that no vector width divides; few and many enough for threads.
    #[test]
    fn equals_softmax_attention_of_every_row() {
        let device = Device::flex();
        for (heads, kv_heads, dim, lens) in
            [(6, 2, 10, vec![1, 37, 5]), (4, 4, 6, vec![9]), (4, 2, 64, vec![900; 5])]
        {
            let random = |shape: [usize; 4]| {
                Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device)
            };
            let n = lens.len();
            let queries = random([1, n, heads, dim]).reshape([n, heads, dim]) / (dim as f32).sqrt();
            let past: Vec<_> = lens
                .iter()
                .map(|len| {
                    let (keys, values) =
                        (random([1, kv_heads, dim, len + 3]), random([1, kv_heads, len + 3, dim]));
                    (keys.narrow(3, 0, *len), values.narrow(2, 0, *len))
                })
                .collect();
            let got = decode_attention(&queries, &past).unwrap();
            for (i, (keys, values)) in past.into_iter().enumerate() {
                let q = queries.clone().narrow(0, i, 1).reshape([kv_heads, heads / kv_heads, dim]);
                let scores = q.unsqueeze::<4>().matmul(keys);
                let want = softmax(scores, 3).matmul(values).reshape([1, heads * dim]);
                let error = (got.clone().narrow(0, i, 1) - want).abs().max().into_scalar::<f32>();
                assert!(error < 2e-5, "{heads} heads, row {i}: {error:e}");
            }
        }
    }
}
