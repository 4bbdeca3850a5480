//! Attention of a decoder over keys and values that lie in pages.
//!
//! A page is `[layers, kv_heads, 2, ..]`: keys `[head_dim / vector, PAGE, vector]`, then values
//! `[PAGE, head_dim]`. So keys are stored vector by vector (the first four numbers of all positions,
//! then the next four), values position by position: a thread that has a position of its own reads
//! the first as its neighbours do, and a thread that has some columns of the output reads the
//! second so.

mod attend;
#[cfg(test)]
mod on_a_gpu;
mod step;
mod store;

pub(crate) use step::{PageStep, decodes};

use super::pages::{PAGE, PageMemory, PageRows, PageShape, everywhere};

/// Threads of a cube, and positions of a block.
const THREADS: usize = 256;
/// Most threads that share one head's softmax.
const TEAM: usize = 32;
/// Most heads whose sums are exchanged at a time.
const EXCHANGED: usize = 4;
/// Bytes of shared memory that every device has.
const SHARED: usize = 32 << 10;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    /// Vectors of a head.
    lanes: usize,
    /// Vectors of a page.
    page: usize,
    /// Threads that share one head's softmax.
    team: usize,
    /// Heads whose sums are exchanged at a time.
    exchanged: usize,
    /// Whether `attend` is given what `store` is given, one row of each sequence, and does its work
    /// too.
    alone: bool,
}

impl PageShape {
    /// None where a cube would need more than a device has.
    fn compiled(self) -> Option<Shape> {
        let Self { positions, heads, kv_heads, head_dim, .. } = self;
        let (vector, group) = (self.vector(), heads.checked_div(kv_heads)?);
        let lanes = head_dim / vector;
        if positions != PAGE || lanes == 0 || lanes > THREADS || group == 0 || group > THREADS {
            return None;
        }
        let team = TEAM.min(1 << (THREADS / group).ilog2());
        let float = size_of::<f32>();
        let fits = |exchanged: usize| {
            let queries = (group + 2) * head_dim;
            let scores = group * (THREADS + team + 1);
            (queries + scores + exchanged * THREADS * vector) * float <= SHARED
        };
        let exchanged = [EXCHANGED, 2, 1].into_iter().find(|e| fits(*e))?.min(group);
        let page = self.vectors();
        Some(Shape { heads, kv_heads, lanes, page, team, exchanged, alone: false })
    }
}
