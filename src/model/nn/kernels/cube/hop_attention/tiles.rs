//! The tiles of keys and values: where the next one is, among the runs of positions that the pages
//! and the hop itself are, and what a thread reads of it.

use super::super::VECTOR;
use super::Shape;
use super::kernel::{CAPACITY, KEYS, PLACE, SEEN, SHARES, SKIPPED, THREADS, TILE};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Keys or values that are on their way, of positions of one run.
#[derive(CubeType)]
pub(super) struct Run {
    /// Which page; their number for the hop itself.
    pub(super) index: u32,
    /// Positions of the run, and those of the tiles that are done.
    pub(super) length: u32,
    pub(super) done: u32,
    /// Positions of the runs before.
    pub(super) before: u32,
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

/// Moves on to the next run that has positions, where this one has none left. Past the last, which
/// is the hop itself, nothing is left.
#[cube]
pub(super) fn settle(run: &mut Run, places: &Sequence<u32>, frames: u32, #[comptime] shape: Shape) {
    #[unroll]
    for p in 0..shape.pages {
        if run.index == p as u32 && run.done >= run.length {
            run.before += run.length;
            run.index += 1;
            run.done = 0;
            if comptime!(p + 1 < shape.pages) {
                run.length = places[comptime!(PLACE * (p + 1) + SEEN)];
            } else {
                run.length = frames;
            }
        }
    }
}

/// The thread's share of its keys of the run's next tile. Where there are no more, the last: the
/// scores will not count.
#[cube]
pub(super) fn load_keys<W: Float, N: Size>(
    run: &Run,
    pages: &Sequence<Box<[Vector<W, N>]>>,
    places: &Sequence<u32>,
    qkv: &[Vector<f32, N>],
    own: usize,
    slot: usize,
    part: usize,
    keys: &mut Array<Vector<f32, N>>,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.dim / VECTOR);
    let share = comptime!(lanes.div_ceil(SHARES));
    let inner = comptime!(shape.heads * lanes);
    let batch = CUBE_POS_Z as usize * shape.heads + CUBE_POS_Y as usize;
    #[unroll]
    for p in 0..shape.pages {
        if run.index == p as u32 {
            let start = batch * places[comptime!(PLACE * p + CAPACITY)] as usize
                + places[comptime!(PLACE * p + SKIPPED)] as usize;
            #[unroll]
            for k in 0..KEYS {
                let key = run.done as usize + slot + comptime!(k * (THREADS / SHARES));
                let key = start + clamp_to(key, run.length as usize);
                #[unroll]
                for i in 0..share {
                    let lane = clamp_lane(i * SHARES + part, lanes);
                    keys[comptime!(k * share + i)] =
                        read::<W, N>(pages.index(p), key * lanes + lane);
                }
            }
        }
    }
    if run.index == comptime!(shape.pages as u32) {
        #[unroll]
        for k in 0..KEYS {
            let key = run.done as usize + slot + comptime!(k * (THREADS / SHARES));
            let key = clamp_to(key, run.length as usize);
            #[unroll]
            for i in 0..share {
                let lane = clamp_lane(i * SHARES + part, lanes);
                keys[comptime!(k * share + i)] =
                    qkv[own + inner + key * comptime!(3 * inner) + lane];
            }
        }
    }
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

/// The thread's values of the run's next tile. Where there are no more, the last: it will have no
/// weight.
#[cube]
pub(super) fn load_values<W: Float, N: Size>(
    run: &Run,
    pages: &Sequence<Box<[Vector<W, N>]>>,
    places: &Sequence<u32>,
    qkv: &[Vector<f32, N>],
    own: usize,
    rows: usize,
    group: usize,
    lane: usize,
    values: &mut Array<Vector<f32, N>>,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.dim / VECTOR);
    let each = comptime!(TILE.div_ceil(THREADS / lanes));
    let inner = comptime!(shape.heads * lanes);
    let batch = (rows + CUBE_POS_Z as usize) * shape.heads + CUBE_POS_Y as usize;
    #[unroll]
    for p in 0..shape.pages {
        if run.index == p as u32 {
            let start = batch * places[comptime!(PLACE * p + CAPACITY)] as usize
                + places[comptime!(PLACE * p + SKIPPED)] as usize;
            #[unroll]
            for i in 0..each {
                let key = clamp_to(run.done as usize + group * each + i, run.length as usize);
                values[i] = read::<W, N>(pages.index(p), (start + key) * lanes + lane);
            }
        }
    }
    if run.index == comptime!(shape.pages as u32) {
        #[unroll]
        for i in 0..each {
            let key = clamp_to(run.done as usize + group * each + i, run.length as usize);
            values[i] = qkv[own + comptime!(2 * inner) + key * comptime!(3 * inner) + lane];
        }
    }
}

/// Of a page, which is an element of a sequence.
#[cube]
fn read<W: Float, N: Size>(page: &[Vector<W, N>], at: usize) -> Vector<f32, N> {
    Vector::cast_from(page[at])
}
