//! The keys and values that a hop attends to: those that its sequence's pages keep, then its own;
//! and how the hop's are kept.

use super::super::VECTOR;
use super::Shape;
use super::kernel::{KEYS, QUERIES, SHARES, THREADS, TILE};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Numbers of a sequence in the table, before those of its pages: positions that are filled, the
/// first that is seen, the layer of the pages that is the hop's first.
pub(super) const HEADER: usize = 3;

/// Where a cube finds the keys and values of its head in its row.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Past {
    /// Where the sequence's pages begin in the table.
    pages: usize,
    /// The first position that is seen, and how many before the hop are.
    first: usize,
    pub(super) seen: usize,
    layer: usize,
    head: usize,
    /// Vectors from the beginning of the batch to the head's queries of the row's first frame.
    own: usize,
    /// All positions that are seen, the hop's own included.
    pub(super) all: usize,
}

/// The past of row `row` of a batch in which every sequence has `group` rows.
#[cube]
pub(super) fn past(
    table: &[u32],
    stride: usize,
    block: usize,
    group: usize,
    row: usize,
    head: usize,
    own: usize,
    frames: usize,
    #[comptime] shape: Shape,
) -> Past {
    let mut result = Past { pages: 0, first: 0, seen: 0, layer: 0, head, own, all: frames };
    if comptime!(shape.paged) {
        let at = row / group * stride;
        result.pages = at + HEADER;
        result.first = table[at + 1] as usize;
        result.seen = table[at] as usize - result.first;
        result.layer = table[at + 2] as usize + block * group + row % group;
        result.all = result.seen + frames;
    }
    result
}

/// Vectors from the beginning of the memory to those of a position, of the keys or, with `kind` 1,
/// of the values.
#[cube]
fn place(
    table: &[u32],
    past: &Past,
    position: usize,
    kind: usize,
    #[comptime] shape: Shape,
) -> usize {
    let lanes = comptime!(shape.dim / VECTOR);
    let page = table[past.pages + position / shape.page] as usize;
    let start = (page * shape.layers + past.layer) * 2 + kind;
    ((start * shape.heads + past.head) * shape.page + position % shape.page) * lanes
}

/// Vector `lane` of a key or value. `at` counts from the first position that is seen.
#[cube]
fn read<W: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    memory: &[Vector<W, N>],
    table: &[u32],
    past: &Past,
    at: usize,
    kind: usize,
    lane: usize,
    #[comptime] shape: Shape,
) -> Vector<f32, N> {
    let inner = comptime!(shape.heads * shape.dim / VECTOR);
    let mut result = Vector::new(0f32);
    if comptime!(shape.paged) {
        if at < past.seen {
            let start = place(table, past, past.first + at, kind, shape);
            result = Vector::cast_from(memory[start + lane]);
        }
    }
    if at >= past.seen {
        let frame = at - past.seen;
        result = qkv[past.own + (1 + kind) * inner + frame * comptime!(3 * inner) + lane];
    }
    result
}

/// The index, or the last of so many.
#[cube]
pub(super) fn clamp_to(index: usize, count: usize) -> usize {
    let mut result = index;
    if index >= count {
        result = count - 1;
    }
    result
}

/// [`clamp_to`], which costs nothing where the shares of a score are equal.
#[cube]
fn clamp_lane(lane: usize, #[comptime] lanes: usize) -> usize {
    let mut result = lane;
    if comptime!(!lanes.is_multiple_of(SHARES)) {
        result = clamp_to(lane, lanes);
    }
    result
}

/// The thread's share of its keys of the tile that begins at `from`. Where there are no more, the
/// last: the scores will not count.
#[cube]
pub(super) fn load_keys<W: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    memory: &[Vector<W, N>],
    table: &[u32],
    past: &Past,
    from: usize,
    slot: usize,
    part: usize,
    keys: &mut Array<Vector<f32, N>>,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.dim / VECTOR);
    let share = comptime!(lanes.div_ceil(SHARES));
    #[unroll]
    for k in 0..KEYS {
        let at = clamp_to(from + slot + comptime!(k * (THREADS / SHARES)), past.all);
        #[unroll]
        for i in 0..share {
            let lane = clamp_lane(i * SHARES + part, lanes);
            keys[comptime!(k * share + i)] =
                read::<W, N>(qkv, memory, table, past, at, 0, lane, shape);
        }
    }
}

/// The thread's values of the tile that begins at `from`. Where there are no more, the last: it will
/// have no weight.
#[cube]
pub(super) fn load_values<W: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    memory: &[Vector<W, N>],
    table: &[u32],
    past: &Past,
    from: usize,
    group: usize,
    lane: usize,
    values: &mut Array<Vector<f32, N>>,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.dim / VECTOR);
    let each = comptime!(TILE.div_ceil(THREADS / lanes));
    #[unroll]
    for i in 0..each {
        let at = clamp_to(from + group * each + i, past.all);
        values[i] = read::<W, N>(qkv, memory, table, past, at, 1, lane, shape);
    }
}

/// Keeps the keys and values of the frames from `first` on whose queries the cube makes.
#[cube]
pub(super) fn keep<W: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    memory: &mut [Vector<W, N>],
    table: &[u32],
    past: &Past,
    frames: usize,
    first: usize,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.dim / VECTOR);
    let inner = comptime!(shape.heads * lanes);
    let mut at = UNIT_POS as usize;
    while at < comptime!(2 * QUERIES * lanes) {
        let lane = at % lanes;
        let frame = first + at / lanes % QUERIES;
        let kind = at / comptime!(lanes * QUERIES);
        if frame < frames {
            let value = qkv[past.own + (1 + kind) * inner + frame * comptime!(3 * inner) + lane];
            let start = place(table, past, past.first + past.seen + frame, kind, shape);
            memory[start + lane] = Vector::cast_from(value);
        }
        at += THREADS;
    }
}
