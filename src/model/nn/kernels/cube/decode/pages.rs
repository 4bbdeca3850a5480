//! What describes a decoder's pages of keys and values, in binaries with and without GPUs.

/// Positions of a page.
pub(crate) const PAGE: usize = 64;

/// What a decoder's keys and values look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PageShape {
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
