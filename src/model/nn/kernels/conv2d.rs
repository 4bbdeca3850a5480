//! Convolution over rows and time, by the kernel of the one over time: a row of the output is one
//! of its outputs, the rows that it sees are further input.

use super::conv1d::{LANES, Layout, Packed};
use super::{CHUNK, from_values, into_flex};
use burn::tensor::Tensor;
use rayon::prelude::*;

/// How the convolution slides: a square kernel of odd size, padded by half of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    pub kernel: usize,
    /// Over rows; over time it is 1.
    pub stride: usize,
}

impl Packed {
    /// `[batch, in, rows, time]` to `[batch, out, rows / stride, time]`, rounded up. The weights
    /// were packed from `[out, in, kernel * kernel]`.
    pub fn forward_rows(&self, x: Tensor<4>, window: Rows) -> Tensor<4> {
        let Rows { kernel, stride } = window;
        let ([batch, input, rows, time], half) = (x.dims(), kernel / 2);
        assert_eq!([input, kernel * kernel], self.shape(), "channels and taps");
        let row = time.next_multiple_of(LANES) + kernel - 1;
        let channel = (rows + kernel - 1) * row;
        let taps = (0..input).flat_map(|i| (0..kernel * kernel).map(move |tap| (i, tap)));
        let taps = taps.map(|(i, tap)| (i * channel + tap / kernel * row + tap % kernel) as u32);
        let layout = Layout {
            outputs: time,
            rows: rows.div_ceil(stride),
            step: stride * row,
            channel,
            taps: taps.collect(),
        };
        let shape = [batch, self.outputs(), layout.rows, time];
        if shape.contains(&0) {
            return from_values(Vec::new(), shape);
        }
        let x = into_flex(x);
        let x: &[f32] = x.storage();
        let mut padded = vec![0.0; batch * input * channel];
        let fill = |(plane, rows): (&mut [f32], &[f32])| {
            let places = plane.chunks_mut(row).skip(half);
            for (place, row) in places.zip(rows.chunks(time)) {
                place[half..][..time].copy_from_slice(row);
            }
        };
        let planes = padded.par_chunks_mut(channel).zip(x.par_chunks(rows * time));
        planes.with_min_len(CHUNK.div_ceil(channel)).for_each(fill);
        from_values(self.run(&padded, batch, &layout), shape)
    }
}
