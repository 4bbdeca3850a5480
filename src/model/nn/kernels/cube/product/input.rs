//! The rows of a product: where they lie in tensors of other shapes.

use super::super::{VECTOR, activations, empty, from_cube, into_cube};
use burn::tensor::Tensor;
use burn_cubecl::tensor::CubeTensor;
use std::cell::Cell;

/// Where windows begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Before {
    pub(super) channels: usize,
    /// Frames before the first.
    pub(super) frames: usize,
    /// Whether they are known; they are zeros otherwise.
    pub(super) known: bool,
    /// Whether the last of all, as many, are kept.
    pub(super) kept: bool,
}

/// Where the frames before the first are, and where the last are kept, in elements.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) past: Option<CubeTensor>,
    pub(super) next: Option<CubeTensor>,
    /// From a batch to the next, and to the first.
    pub(super) stride: usize,
    pub(super) first: usize,
}

/// The last frames that many convolutions have seen, side by side: those of the call before, and
/// those of this one, which the convolutions write as they go. They are told apart by the order in
/// which they are called, which must be the same every time.
#[derive(Debug)]
pub(crate) struct Tails {
    /// `[rows, width]`
    past: Option<CubeTensor>,
    next: CubeTensor,
    width: usize,
    /// Elements of a row that are taken.
    taken: Cell<usize>,
}

impl Tails {
    /// Room for `width` elements of every row beside `x`, which go on from `past` `[rows, width]`,
    /// or begin. None where `x` is not on a device of ours.
    pub fn new(x: &Tensor<3>, width: usize, past: Option<Tensor<2>>) -> Option<Self> {
        let [rows, ..] = x.dims();
        let beside = into_cube(x.clone())?;
        let past = past.map(|past| {
            assert_eq!(past.dims(), [rows, width], "what is gone on from");
            activations(past)
        });
        let next = empty(&beside.client, &beside.device, [rows, width]);
        Some(Self { past, next, width, taken: Cell::new(0) })
    }

    /// What this call has kept, `[rows, width]`.
    pub fn finish(self) -> Tensor<2> {
        from_cube(self.next)
    }
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
    pub(super) before: Option<(Before, Places)>,
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
        let [batches, _, channels] = x.dims();
        if let Some(past) = &past {
            assert_eq!(past.dims(), [batches, kernel - 1, channels], "frames before the first");
        }
        let stride = (kernel - 1) * channels;
        let past = past.map(activations);
        Self::behind(x, kernel, Places { past, next: None, stride, first: 0 })
    }

    /// [`Self::causal_windows`] that go on from `tails`, where the last frames are kept in turn.
    pub fn going_on(x: Tensor<3>, kernel: usize, tails: &Tails) -> Self {
        let [_, _, channels] = x.dims();
        let first = tails.taken.get();
        let taken = first + (kernel - 1) * channels;
        assert!(taken <= tails.width && tails.width.is_multiple_of(VECTOR), "room for the tails");
        tails.taken.set(taken);
        let (past, next) = (tails.past.clone(), Some(tails.next.clone()));
        Self::behind(x, kernel, Places { past, next, stride: tails.width, first })
    }

    fn behind(x: Tensor<3>, kernel: usize, places: Places) -> Self {
        let [_, frames, channels] = x.dims();
        let all = Self::windows(x, 1);
        if kernel == 1 {
            return all;
        }
        let (known, kept) = (places.past.is_some(), places.next.is_some());
        let before = Before { channels, frames: kernel - 1, known, kept };
        Self { per_batch: frames, before: Some((before, places)), ..all }
    }
}
