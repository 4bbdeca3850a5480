//! The rows of a product: where they lie in tensors of other shapes.

use super::super::activations;
use burn::tensor::Tensor;
use burn_cubecl::tensor::CubeTensor;

/// Where windows begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Before {
    pub(super) channels: usize,
    /// Frames before the first.
    pub(super) frames: usize,
    /// Whether they are known; they are zeros otherwise.
    pub(super) known: bool,
}

/// Rows that lie in memory at equal distances, in some batches.
#[derive(Debug)]
pub(crate) struct ProductInput {
    pub(super) x: CubeTensor,
    pub(super) batches: usize,
    pub(super) per_batch: usize,
    /// Elements from a row to the next, and from a batch to the next.
    pub(super) row_stride: usize,
    pub(super) batch_stride: usize,
    pub(super) before: Option<(Before, Option<CubeTensor>)>,
}

impl ProductInput {
    /// Every row of `x` `[rows, in]`.
    pub fn rows(x: Tensor<2>) -> Self {
        let [rows, depth] = x.dims();
        let x = activations(x);
        let batch_stride = rows * depth;
        Self { x, batches: 1, per_batch: rows, row_stride: depth, batch_stride, before: None }
    }

    /// Every run of `kernel` frames of `x` `[batch, frames, channels]` as a row of
    /// `kernel * channels`: `frames - kernel + 1` of them. `channels` is a multiple of four.
    pub fn windows(x: Tensor<3>, kernel: usize) -> Self {
        let [batches, frames, channels] = x.dims();
        Self {
            x: activations(x),
            batches,
            per_batch: (frames + 1).saturating_sub(kernel),
            row_stride: channels,
            batch_stride: frames * channels,
            before: None,
        }
    }

    /// As many rows as `x` `[batch, frames, channels]` has frames: every frame behind the `kernel -
    /// 1` before it. Before the first are those of `past` `[batch, kernel - 1, channels]`, or zeros.
    pub fn causal_windows(x: Tensor<3>, past: Option<Tensor<3>>, kernel: usize) -> Self {
        let [batches, frames, channels] = x.dims();
        let all = Self::windows(x, 1);
        if kernel == 1 {
            return all;
        }
        if let Some(past) = &past {
            assert_eq!(past.dims(), [batches, kernel - 1, channels], "frames before the first");
        }
        let before = Before { channels, frames: kernel - 1, known: past.is_some() };
        Self { per_batch: frames, before: Some((before, past.map(activations))), ..all }
    }
}
