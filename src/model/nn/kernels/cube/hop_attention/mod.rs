//! Attention of a hop of frames over itself and all that was kept before it, which also keeps the
//! hop's own keys and values: one launch per session in place of some tens.

mod kernel;
#[cfg(test)]
mod on_a_gpu;
mod pages;
mod softmax;
mod tiles;

pub(crate) use pages::HopPage;

use super::{VECTOR, buffer, element, empty, from_cube, into_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;
use kernel::{NumbersLaunch, QUERIES, THREADS, TILE, hop_attention};

/// Most elements of a head, and most where positions are relative: they are in shared memory.
const MOST_DIM: usize = 128;
const MOST_RELATIVE_DIM: usize = 64;
/// Positions of a page are a multiple of this.
const PAGE: usize = TILE;

/// Most pages that one call can see.
pub(crate) const MOST_HOP_PAGES: usize = 16;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    heads: usize,
    dim: usize,
    /// Pages, the hop's own positions not counted.
    pages: usize,
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

/// A batch of hops on its way through an attention.
#[derive(Debug)]
pub(crate) struct HopAttention {
    /// `[rows, frames, 3 * heads * head_dim]`: queries (scaled), keys, values.
    qkv: CubeTensor,
    /// `[rows, frames, heads * head_dim]`
    out: CubeTensor,
    heads: usize,
    dim: usize,
    frames: usize,
    /// Type of new pages.
    kept: DType,
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

impl HopAttention {
    /// Of `qkv` `[rows, frames, 3 * heads * head_dim]`: queries (scaled), keys and values. None
    /// where it is not on a device of ours, or its sizes are not for the kernel.
    pub fn new(qkv: &Tensor<3>, heads: usize) -> Option<Self> {
        let [rows, frames, width] = qkv.dims();
        let dim = width / (3 * heads).max(1);
        let fits = dim > 0 && dim.is_multiple_of(VECTOR) && dim <= MOST_DIM;
        if !fits || width != 3 * heads * dim || frames == 0 {
            return None;
        }
        let qkv = float(qkv.clone())?;
        let out = empty(&qkv.client, &qkv.device, [rows, frames, heads * dim]);
        Some(Self { qkv, out, heads, dim, frames, kept: DType::F32 })
    }

    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Whether there is a kernel that adds scores by distance, too.
    pub fn can_be_relative(&self) -> bool {
        self.dim <= MOST_RELATIVE_DIM
    }

    /// Keeps keys and values in bf16: half the memory.
    #[cfg(test)]
    fn halved(self) -> Self {
        Self { kept: DType::BF16, ..self }
    }

    /// A page without positions for `rows` rows, with room for at least `capacity`.
    pub fn page(&self, rows: usize, capacity: usize) -> HopPage {
        let capacity = capacity.max(1).next_multiple_of(PAGE);
        let shape = [rows, self.heads, capacity, self.dim];
        HopPage::new(&self.qkv.client, &self.qkv.device, shape, self.kept)
    }

    /// Whether a page is of the same kind as those of this attention.
    pub fn takes(&self, page: &HopPage, rows: usize) -> bool {
        let [_, held, heads, _, dim] = page.dims();
        (held, heads, dim) == (rows, self.heads, self.dim)
    }

    /// The attention of `rows` rows from `first` on over the positions of `pages`, but the first
    /// `skipped`, and over one another. Their keys and values are added to the pages, as far as
    /// there is room; at most [`MOST_HOP_PAGES`] of them.
    pub fn run<'a>(
        &mut self,
        first: usize,
        rows: usize,
        pages: impl IntoIterator<Item = &'a mut HopPage>,
        skipped: usize,
        relative: Option<&RelativePositions>,
    ) {
        let (frames, client) = (self.frames, self.qkv.client.clone());
        let mut runs = Vec::with_capacity(MOST_HOP_PAGES);
        let (mut left, mut unseen) = (frames, skipped);
        for page in pages {
            assert!(self.takes(page, rows), "a page of another attention");
            let added = left.min(page.room());
            if added > 0 {
                page.own();
            }
            let numbers = [page.capacity(), unseen, page.filled - unseen, added];
            runs.push((page.memory.clone(), numbers));
            page.filled += added;
            (left, unseen) = (left - added, 0);
        }
        assert!(runs.len() <= MOST_HOP_PAGES, "more pages than a kernel can see");
        // A few kernels serve all numbers of pages.
        let count = if runs.is_empty() { 0 } else { runs.len().next_power_of_two() };
        while let Some((memory, _)) = runs.first().filter(|_| runs.len() < count) {
            runs.push((memory.clone(), [0; 4]));
        }
        let kept = runs.first().map_or(DType::F32, |(memory, _)| memory.dtype);
        let keys: usize = frames + runs.iter().map(|(_, [_, _, held, _])| held).sum::<usize>();
        if let Some(relative) = relative {
            assert!(self.can_be_relative() && relative.first + keys + frames - 1 <= relative.count);
        }
        let shape =
            Shape { heads: self.heads, dim: self.dim, pages: count, relative: relative.is_some() };
        let cubes =
            CubeCount::Static(frames.div_ceil(QUERIES) as u32, self.heads as u32, rows as u32);
        let threads = CubeDim::new_1d(THREADS as u32);
        let qkv = buffer(&self.qkv, VECTOR);
        let biases = buffer(relative.map_or(&self.qkv, |relative| &relative.biases), VECTOR);
        let distances = buffer(relative.map_or(&self.qkv, |relative| &relative.distances), VECTOR);
        let distance = relative.map_or(0, |relative| relative.first);
        let out = buffer(&self.out, VECTOR);
        let numbers = NumbersLaunch::new(frames as u32, first as u32, distance as u32);
        let pages = runs.iter().map(|(memory, _)| buffer(memory, VECTOR)).collect();
        let places = runs.iter().flat_map(|(_, numbers)| numbers.map(|n| n as u32)).collect();
        // SAFETY: the indices stay within the buffers, whose sizes were checked.
        unsafe {
            hop_attention::launch_unchecked(
                &client,
                cubes,
                threads,
                VECTOR,
                qkv,
                pages,
                places,
                biases,
                distances,
                out,
                numbers,
                shape,
                element(kept),
            );
        }
    }

    /// The mixtures `[rows, frames, heads * head_dim]` of all rows that were run.
    pub fn finish(self) -> Tensor<3> {
        from_cube(self.out)
    }
}
