//! The kernels that write to pages: a step's keys and values, and whole pages.

use super::{PAGE, Shape, THREADS};
use burn_cubecl::cubecl;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

/// What changes from call to call.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Place {
    pub(super) rows: u32,
    /// Numbers of the tables from a sequence's pages to the next one's.
    pub(super) stride: u32,
    pub(super) layer: u32,
}

/// Vector `lane` of a head that begins at `start`, turned to the angles of a position, whose begin
/// at `angle`. The first half of the sines is negative.
#[cube]
pub(super) fn turned<N: Size>(
    x: &[Vector<f32, N>],
    cos: &[Vector<f32, N>],
    sin: &[Vector<f32, N>],
    start: usize,
    angle: usize,
    lane: usize,
    #[comptime] lanes: usize,
) -> Vector<f32, N> {
    let other = (lane + comptime!(lanes / 2)) % lanes;
    x[start + lane] * cos[angle + lane] + x[start + other] * sin[angle + lane]
}

/// Where the keys of a head begin in a page; the values follow them.
#[cube]
pub(super) fn head_start(page: u32, layer: u32, head: usize, #[comptime] shape: Shape) -> usize {
    page as usize * shape.page
        + (layer as usize * shape.kv_heads + head) * comptime!(2 * PAGE * shape.lanes)
}

/// Turned queries into `queries` `[rows, heads, head_dim]`; turned keys, and values, into the pages.
#[cube(launch_unchecked)]
pub(super) fn store<W: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    cos: &[Vector<f32, N>],
    sin: &[Vector<f32, N>],
    tables: &[u32],
    memory: &mut [Vector<W, N>],
    queries: &mut [Vector<f32, N>],
    place: Place,
    #[comptime] shape: Shape,
    #[define(W)] _kept: ElemType,
) {
    let lanes = comptime!(shape.lanes);
    let heads = comptime!(shape.heads);
    let kv_heads = comptime!(shape.kv_heads);
    let all = comptime!(shape.heads + 2 * shape.kv_heads);
    let rows = place.rows as usize;
    let mut i = ABSOLUTE_POS;
    while i < rows * comptime!(all * lanes) {
        let lane = i % lanes;
        let head = (i / lanes) % all;
        let row = i / comptime!(all * lanes);
        let start = i - lane;
        let position = tables[2 * row + 1] as usize;
        let angle = position * lanes;
        if head < heads {
            queries[(row * heads + head) * lanes + lane] =
                turned::<N>(qkv, cos, sin, start, angle, lane, lanes);
        } else {
            let pages = 2 * rows + tables[2 * row] as usize * place.stride as usize;
            let page = tables[pages + position / PAGE];
            let slot = position % PAGE;
            if head < comptime!(heads + kv_heads) {
                let keys = head_start(page, place.layer, head - heads, shape);
                let key = turned::<N>(qkv, cos, sin, start, angle, lane, lanes);
                memory[keys + lane * PAGE + slot] = Vector::cast_from(key);
            } else {
                let keys = head_start(page, place.layer, head - comptime!(heads + kv_heads), shape);
                memory[keys + comptime!(PAGE * lanes) + slot * lanes + lane] =
                    Vector::cast_from(qkv[i]);
            }
        }
        i += CUBE_COUNT * THREADS;
    }
}
