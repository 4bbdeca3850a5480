//! What describes pages of keys and values, in binaries with and without GPUs.

/// Positions of a page of a decoder.
pub(crate) const PAGE: usize = 64;

/// What keys and values look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PageShape {
    /// Of a page.
    pub positions: usize,
    pub layers: usize,
    /// Of the queries, a multiple of the next.
    pub heads: usize,
    pub kv_heads: usize,
    /// Even.
    pub head_dim: usize,
}

/// New rows of one sequence.
#[derive(Debug)]
#[cfg_attr(not(feature = "cube"), expect(dead_code, reason = "only kernels read it"))]
pub(crate) struct PageRows {
    /// Numbers of its pages, with room for the new rows.
    pub pages: Vec<u32>,
    /// Positions filled before the new rows.
    pub len: usize,
    pub rows: usize,
}

/// Where a sequence stands that goes on by a hop.
#[derive(Debug)]
#[cfg_attr(not(feature = "cube"), expect(dead_code, reason = "only kernels read it"))]
pub(crate) struct HopPages {
    /// Numbers of its pages, with room for the hop.
    pub pages: Vec<u32>,
    /// Positions filled before the hop, and the first of them that it sees.
    pub len: usize,
    pub first: usize,
    /// The layer of the pages that is the hop's first.
    pub layer: usize,
}
