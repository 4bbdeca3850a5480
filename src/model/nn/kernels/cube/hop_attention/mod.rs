//! Attention of a hop of frames over itself and all that was kept before it, which also keeps the
//! hop's own keys and values: one launch for all sessions in place of some tens for each.
//!
//! What is kept lies in pages, `[layers, 2, heads, positions, head_dim]` each: keys, values.

mod kernel;
#[cfg(test)]
mod on_a_gpu;
mod softmax;
mod tiles;

use super::pages::{HopPages, PageMemory, PageShape};
use super::{VECTOR, buffer, element, empty, from_cube, into_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::server::Handle;
use burn_cubecl::tensor::CubeTensor;
use kernel::{NumbersLaunch, QUERIES, THREADS, hop_attention};
use tiles::HEADER;

/// Most elements of a head, and most where positions are relative: they are in shared memory.
const MOST_DIM: usize = 128;
const MOST_RELATIVE_DIM: usize = 64;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    heads: usize,
    dim: usize,
    /// Whether there are pages; of them, positions and layers.
    paged: bool,
    page: usize,
    layers: usize,
    relative: bool,
}

/// Scores by distance, which are added to those by content.
#[derive(Debug)]
pub(crate) struct RelativePositions {
    /// What is added to the queries for the scores by content, and for those by distance,
    /// `[2, heads, head_dim]`.
    biases: CubeTensor,
    /// `[distances, heads, head_dim]`
    distances: CubeTensor,
    /// Distances of the table.
    count: usize,
    /// Where in the table the last query of a hop finds the distance to the first key.
    first: usize,
}

/// Whether there is a kernel for heads of a size, and, where `relative`, one that adds scores by
/// distance.
pub(crate) fn attends_hops(head_dim: usize, relative: bool) -> bool {
    let most = if relative { MOST_RELATIVE_DIM } else { MOST_DIM };
    (1..=most).contains(&head_dim) && head_dim.is_multiple_of(VECTOR)
}

/// The attention of a hop of some sequences, ready for each layer.
#[derive(Debug)]
pub(crate) struct HopStep {
    memory: CubeTensor,
    shape: PageShape,
    /// For every sequence as many numbers: see [`HEADER`].
    table: Handle,
    stride: usize,
    sequences: usize,
    /// Rows of a sequence, one after another.
    group: usize,
    frames: usize,
    /// Most positions that a sequence sees, its own included.
    seen: usize,
    /// Layers of a hop.
    layers: usize,
}

impl PageMemory {
    /// Prepares the attention of a hop of `frames`, and of `layers` layers, of some sequences of
    /// `group` rows each: row `r` of layer `l` has layer `l * group + r` of its sequence's pages,
    /// counted from [`HopPages::layer`].
    ///
    /// None where a sequence has not the pages for that, or a page is not in this memory.
    pub fn hop(
        &self,
        sequences: &[HopPages],
        frames: usize,
        group: usize,
        layers: usize,
    ) -> Option<HopStep> {
        let PageShape { positions, layers: held, heads, kv_heads, head_dim } = self.shape;
        let valid = |s: &HopPages| {
            s.first <= s.len
                && s.len + frames <= s.pages.len() * positions
                && s.layer + layers * group <= held
                && s.pages.iter().all(|page| (*page as usize) < self.pages)
        };
        if frames == 0
            || group == 0
            || heads != kv_heads
            || !attends_hops(head_dim, false)
            || !sequences.iter().all(valid)
        {
            return None;
        }
        let stride = HEADER + sequences.iter().map(|s| s.pages.len()).max()?;
        let mut table = Vec::with_capacity(sequences.len() * stride);
        for (i, sequence) in sequences.iter().enumerate() {
            table.extend([sequence.len, sequence.first, sequence.layer].map(|n| n as u32));
            table.extend_from_slice(&sequence.pages);
            table.resize((i + 1) * stride, 0);
        }
        let bytes: Vec<u8> = table.iter().flat_map(|number| number.to_ne_bytes()).collect();
        Some(HopStep {
            memory: self.memory.clone(),
            shape: self.shape,
            table: self.memory.client.create_from_slice(&bytes),
            stride,
            sequences: sequences.len(),
            group,
            frames,
            seen: frames + sequences.iter().map(|s| s.len - s.first).max()?,
            layers,
        })
    }
}

impl HopStep {
    /// Most positions that a sequence sees, its own included.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Of `qkv` `[rows, frames, 3 * heads * head_dim]`, queries (scaled), keys and values of the
    /// rows of all sequences: the mixtures `[rows, frames, heads * head_dim]`. Keys and values are
    /// kept.
    pub fn attend(
        &self,
        qkv: &Tensor<3>,
        layer: usize,
        relative: Option<&RelativePositions>,
    ) -> Tensor<3> {
        let PageShape { positions, layers, heads, head_dim, .. } = self.shape;
        let rows = self.sequences * self.group;
        assert_eq!(qkv.dims(), [rows, self.frames, 3 * heads * head_dim], "rows of the hop");
        assert!(layer < self.layers, "a layer of the hop");
        let Some(qkv) = float(qkv.clone()) else { unreachable!("on the device of the pages") };
        let relative_to = relative.is_some();
        let shape = Shape {
            heads,
            dim: head_dim,
            paged: true,
            page: positions,
            layers,
            relative: relative_to,
        };
        let (group, stride) = (self.group as u32, self.stride as u32);
        let numbers = [group, stride, layer as u32];
        // SAFETY: as many numbers were uploaded.
        let table =
            unsafe { BufferArg::from_raw_parts(self.table.clone(), self.sequences * self.stride) };
        launch(&qkv, (&self.memory, table), relative, self.seen, numbers, shape)
    }
}

/// The attention of whole sequences over themselves, of which nothing is kept: `qkv` `[rows, frames,
/// 3 * heads * head_dim]` to `[rows, frames, heads * head_dim]`. None where it is not on a device of
/// ours, or its sizes are not for the kernel.
pub(crate) fn attend_whole(
    qkv: &Tensor<3>,
    heads: usize,
    relative: Option<&RelativePositions>,
) -> Option<Tensor<3>> {
    let [_, frames, width] = qkv.dims();
    let dim = width / (3 * heads).max(1);
    let fits = attends_hops(dim, relative.is_some());
    if !fits || width != 3 * heads * dim || frames == 0 {
        return None;
    }
    let qkv = float(qkv.clone())?;
    let shape =
        Shape { heads, dim, paged: false, page: 1, layers: 1, relative: relative.is_some() };
    // Neither is read.
    let memory = empty(&qkv.client, &qkv.device, [VECTOR]);
    let table = buffer(&memory, 1);
    Some(launch(&qkv, (&memory, table), relative, frames, [1, 0, 0], shape))
}

fn launch(
    qkv: &CubeTensor,
    (memory, table): (&CubeTensor, BufferArg),
    relative: Option<&RelativePositions>,
    seen: usize,
    [group, stride, layer]: [u32; 3],
    shape: Shape,
) -> Tensor<3> {
    let dims = qkv.meta.shape();
    let (rows, frames) = (dims[0], dims[1]);
    if let Some(relative) = relative {
        assert!(shape.dim <= MOST_RELATIVE_DIM, "a kernel for scores by distance");
        assert!(relative.first + seen + frames - 1 <= relative.count, "distances of all keys");
    }
    let out = empty(&qkv.client, &qkv.device, [rows, frames, shape.heads * shape.dim]);
    let distance = relative.map_or(0, |relative| relative.first as u32);
    let biases = buffer(relative.map_or(qkv, |relative| &relative.biases), VECTOR);
    let distances = buffer(relative.map_or(qkv, |relative| &relative.distances), VECTOR);
    // SAFETY: the indices stay within the buffers, whose sizes were checked.
    unsafe {
        hop_attention::launch_unchecked(
            &qkv.client,
            CubeCount::Static(frames.div_ceil(QUERIES) as u32, shape.heads as u32, rows as u32),
            CubeDim::new_1d(THREADS as u32),
            VECTOR,
            buffer(qkv, VECTOR),
            buffer(memory, VECTOR),
            table,
            biases,
            distances,
            buffer(&out, VECTOR),
            NumbersLaunch::new(frames as u32, group, stride, layer, distance),
            shape,
            element(memory.dtype),
        );
    }
    from_cube(out)
}

impl RelativePositions {
    /// `biases` `[2, heads, head_dim]`; `distances` `[distances, heads * head_dim]`, of which row
    /// `first + queries - 1 - i + j` is for the query `i` and the key `j`. None where they are not
    /// on a device of ours.
    pub fn new(biases: Tensor<3>, distances: Tensor<2>, first: usize) -> Option<Self> {
        let [count, _] = distances.dims();
        let (biases, distances) = (float(biases)?, float(distances)?);
        Some(Self { biases, distances, count, first })
    }
}

fn float<const D: usize>(x: Tensor<D>) -> Option<CubeTensor> {
    (x.dtype() == DType::F32).then(|| into_cube(x)).flatten()
}
