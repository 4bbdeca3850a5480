//! Transposed convolution as one over the input's steps: each of the `rate` outputs between two
//! steps sees the same few inputs, with a kernel of its own.

use super::conv1d::{Packed, Window};
use super::{CHUNK, from_values, into_flex, is_ours};
use burn::tensor::Tensor;
use burn::tensor::ops::PadMode;
use rayon::prelude::*;

/// Weights of a transposed convolution, packed by the outputs between two steps.
#[derive(Debug)]
pub(crate) struct Transposed {
    packed: Packed,
    rate: usize,
    kernel: usize,
    /// Outputs cut at both ends.
    cut: usize,
}

impl Transposed {
    /// From `weight` `[in, out, kernel]` and `bias` `[out]`; `None` where only Burn's can be used.
    pub fn new(
        weight: &Tensor<3>,
        bias: Option<&Tensor<1>>,
        rate: usize,
        cut: usize,
    ) -> Option<Self> {
        let [input, output, kernel] = weight.dims();
        if !is_ours(weight) || kernel == 0 || rate == 0 {
            return None;
        }
        // Output `q * rate + r` sees input `q - m` by tap `m * rate + r`.
        let taps = kernel.div_ceil(rate);
        let weight = weight.clone().pad([(0, taps * rate - kernel)], PadMode::Constant(0.0));
        let weight = weight.reshape([input, output, taps, rate]).permute([1, 3, 0, 2]).flip([3]);
        let bias = bias.map(|bias| {
            bias.clone().reshape([output, 1]).repeat_dim(1, rate).reshape([output * rate])
        });
        let packed = Packed::new(&weight.reshape([output * rate, input, taps]), bias.as_ref())?;
        Some(Self { packed, rate, kernel, cut })
    }

    /// `[batch, in, time]` to `[batch, out, (time - 1) * rate + kernel - 2 * cut]`. Each row of the
    /// input, a channel, passes through `before` first.
    pub fn forward(&self, x: Tensor<3>, before: impl Fn(usize, &mut [f32]) + Sync) -> Tensor<3> {
        let Self { ref packed, rate, kernel, cut } = *self;
        let [batch, _, time] = x.dims();
        let channels = packed.outputs() / rate;
        let length = (time * rate + kernel).saturating_sub(rate + 2 * cut);
        if time == 0 || length == 0 {
            return from_values(Vec::new(), [batch, channels, 0]);
        }
        let edge = kernel.div_ceil(rate) - 1;
        let window = Window { stride: 1, padding: (edge, edge), dilation: 1 };
        let phases = packed.forward(x, window, before);
        let columns = phases.dims()[2];
        let phases = into_flex(phases);
        let phases: &[f32] = phases.storage();
        let mut output = vec![0.0; batch * channels * length];
        let interleave = |(output, phases): (&mut [f32], &[f32])| {
            for (r, phase) in phases.chunks(columns).enumerate() {
                let first = cut.saturating_sub(r).div_ceil(rate);
                let Some(output) = output.get_mut(first * rate + r - cut..) else { continue };
                let phase = phase.get(first..).unwrap_or_default();
                for (output, value) in output.iter_mut().step_by(rate).zip(phase) {
                    *output = *value;
                }
            }
        };
        let rows = output.par_chunks_mut(length).zip(phases.par_chunks(rate * columns));
        rows.with_min_len(CHUNK.div_ceil(length)).for_each(interleave);
        from_values(output, [batch, channels, length])
    }
}
