//! The kernel by which rows attend to their sequences.
//!
//! A cube makes the query heads of one row that share a key-value head, so that their past is read
//! once. It goes over the past in blocks and keeps the softmax's maximum and sum as it goes, so a
//! row's result depends neither on the rows beside it nor on where its pages are.

use super::store::{Place, head_start, turned};
use super::{PAGE, Shape, THREADS};
use burn_cubecl::cubecl;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

/// The score of a position that a row does not see.
const UNSEEN: f32 = -1e30;

/// What a cube works on.
#[derive(CubeType, Clone, Copy)]
struct Work {
    row: usize,
    /// The key-value head.
    head: usize,
    layer: u32,
    /// Of the row in its sequence.
    position: usize,
    /// Where the pages of the sequence are in the tables.
    pages: usize,
}

/// The softmax of a head so far.
#[derive(CubeType)]
struct Softmax {
    most: f32,
    /// Of the thread's share.
    total: f32,
}

/// `source` is `queries` of `store`, or where the rows are `alone` its `qkv`.
#[cube(launch_unchecked)]
pub(super) fn attend<W: Float, N: Size>(
    source: &[Vector<f32, N>],
    cos: &[Vector<f32, N>],
    sin: &[Vector<f32, N>],
    tables: &[u32],
    memory: &mut [Vector<W, N>],
    out: &mut [Vector<f32, N>],
    place: Place,
    #[comptime] shape: Shape,
    #[define(W)] _kept: ElemType,
) {
    let lanes = comptime!(shape.lanes);
    let group = comptime!(shape.heads / shape.kv_heads);
    let team = comptime!(shape.team);
    let thread = UNIT_POS as usize;
    let head = CUBE_POS_X as usize;
    let row = CUBE_POS_Y as usize;
    let position = tables[2 * row + 1] as usize;
    let pages = 2 * place.rows as usize + tables[2 * row] as usize * place.stride as usize;
    let work = Work { row, head, layer: place.layer, position, pages };

    let mut queries = Shared::<[Vector<f32, N>]>::new_slice(comptime!(group * lanes));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(group * THREADS));
    let mut shares = Shared::<[f32]>::new_slice(comptime!(group * team));
    let mut scales = Shared::<[f32]>::new_slice(group);
    let mut sums = Shared::<[Vector<f32, N>]>::new_slice(comptime!(shape.exchanged * THREADS));
    // Of the row itself, where it is not in the pages yet: as they will be there.
    let mut own = Shared::<[Vector<f32, N>]>::new_slice(comptime!(2 * lanes));

    if comptime!(shape.alone) {
        take_in::<W, N>(source, cos, sin, tables, memory, &mut queries, &mut own, &work, shape);
    } else {
        let start = (row * comptime!(shape.heads) + head * group) * lanes;
        let mut i = thread;
        while i < comptime!(group * lanes) {
            queries[i] = source[start + i];
            i += THREADS;
        }
    }
    sync_cube();

    // Of the head whose softmax the thread shares.
    let asked = thread / team;
    let member = thread % team;
    let mut softmax = Softmax { most: f32::new(UNSEEN), total: 0f32 };

    // Of the columns whose sums the thread shares.
    let lane = thread % lanes;
    let part = thread / lanes;
    // As many as are exchanged in whole rounds.
    let padded = comptime!(group.next_multiple_of(shape.exchanged));
    let mut acc = Array::<Vector<f32, N>>::new(padded);
    #[unroll]
    for g in 0..padded {
        acc[g] = Vector::new(0f32);
    }

    let mut from = 0usize;
    while from <= position {
        score::<W, N>(tables, &*memory, &queries, &own, &mut scores, from, &work, shape);
        sync_cube();
        weigh(&mut softmax, &mut scores, &mut shares, &mut scales, asked, member, shape);
        sync_cube();
        mix::<W, N>(
            tables, &*memory, &own, &scores, &scales, &mut acc, from, lane, part, &work, shape,
        );
        sync_cube();
        from += THREADS;
    }

    if asked < group {
        shares[asked * team + member] = softmax.total;
    }
    // The sums of the parts come together, some heads at a time.
    let exchanged = comptime!(shape.exchanged);
    #[unroll]
    for round in 0..comptime!(padded / shape.exchanged) {
        #[unroll]
        for e in 0..exchanged {
            sums[e * THREADS + thread] = acc[round * exchanged + e];
        }
        sync_cube();
        let mut i = thread;
        while i < comptime!(exchanged * lanes) {
            let lane = i % lanes;
            let e = i / lanes;
            let g = round * exchanged + e;
            if g < group {
                let mut total = 0f32;
                for k in 0..team {
                    total += shares[g * team + k];
                }
                let mut sum = Vector::<f32, N>::new(0f32);
                for k in 0..comptime!(THREADS / lanes) {
                    sum += sums[e * THREADS + k * lanes + lane];
                }
                out[(row * comptime!(shape.heads) + head * group + g) * lanes + lane] =
                    sum / Vector::new(total);
            }
            i += THREADS;
        }
        sync_cube();
    }
}

/// What `store` does, of a row that is alone: its queries come to shared
/// memory, its key and its value to the page and to `own`.
#[cube]
fn take_in<W: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    cos: &[Vector<f32, N>],
    sin: &[Vector<f32, N>],
    tables: &[u32],
    memory: &mut [Vector<W, N>],
    queries: &mut [Vector<f32, N>],
    own: &mut [Vector<f32, N>],
    work: &Work,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.lanes);
    let group = comptime!(shape.heads / shape.kv_heads);
    let thread = UNIT_POS as usize;
    let start = work.row * comptime!((shape.heads + 2 * shape.kv_heads) * lanes);
    let angle = work.position * lanes;
    let mut i = thread;
    while i < comptime!(group * lanes) {
        let lane = i % lanes;
        let query = start + work.head * comptime!(group * lanes) + i - lane;
        queries[i] = turned::<N>(qkv, cos, sin, query, angle, lane, lanes);
        i += THREADS;
    }
    if thread < lanes {
        let page = tables[work.pages + work.position / PAGE];
        let keys = head_start(page, work.layer, work.head, shape);
        let slot = work.position % PAGE;
        let key = start + comptime!(shape.heads * lanes) + work.head * lanes;
        let value = key + comptime!(shape.kv_heads * lanes);
        let key = Vector::<W, N>::cast_from(turned::<N>(qkv, cos, sin, key, angle, thread, lanes));
        let value = Vector::<W, N>::cast_from(qkv[value + thread]);
        memory[keys + thread * PAGE + slot] = key;
        memory[keys + comptime!(PAGE * lanes) + slot * lanes + thread] = value;
        own[thread] = Vector::cast_from(key);
        own[lanes + thread] = Vector::cast_from(value);
    }
}

/// Scores of the block that begins at `from`: the thread has one position, for all heads.
#[cube]
fn score<W: Float, N: Size>(
    tables: &[u32],
    memory: &[Vector<W, N>],
    queries: &[Vector<f32, N>],
    own: &[Vector<f32, N>],
    scores: &mut [f32],
    from: usize,
    work: &Work,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.lanes);
    let group = comptime!(shape.heads / shape.kv_heads);
    let thread = UNIT_POS as usize;
    let mine = from + thread;
    let mut products = Array::<Vector<f32, N>>::new(group);
    #[unroll]
    for g in 0..group {
        products[g] = Vector::new(0f32);
    }
    if mine <= work.position {
        let page = tables[work.pages + mine / PAGE];
        let keys = head_start(page, work.layer, work.head, shape) + mine % PAGE;
        for k in 0..lanes {
            let mut key = own[k];
            if comptime!(!shape.alone) || mine != work.position {
                key = Vector::cast_from(memory[keys + k * PAGE]);
            }
            #[unroll]
            for g in 0..group {
                products[g] += key * queries[g * lanes + k];
            }
        }
    }
    #[unroll]
    for g in 0..group {
        let mut score = f32::new(UNSEEN);
        if mine <= work.position {
            score = products[g].vector_sum();
        }
        scores[g * THREADS + thread] = score;
    }
}

/// Weights in place of a block's scores, and in `scales` what the sums before are worth beside
/// them. `asked` is the thread's head, `member` its place among those that share it.
#[cube]
fn weigh(
    softmax: &mut Softmax,
    scores: &mut [f32],
    shares: &mut [f32],
    scales: &mut [f32],
    asked: usize,
    member: usize,
    #[comptime] shape: Shape,
) {
    let group = comptime!(shape.heads / shape.kv_heads);
    let team = comptime!(shape.team);
    if asked < group {
        let mut largest = f32::new(UNSEEN);
        for i in 0..comptime!(THREADS / team) {
            largest = larger(largest, scores[asked * THREADS + i * team + member]);
        }
        shares[asked * team + member] = largest;
    }
    sync_cube();
    if asked < group {
        let mut largest = softmax.most;
        for i in 0..team {
            largest = larger(largest, shares[asked * team + i]);
        }
        let scale = (softmax.most - largest).exp();
        softmax.most = largest;
        softmax.total = softmax.total * scale;
        for i in 0..comptime!(THREADS / team) {
            let at = asked * THREADS + i * team + member;
            let weight = (scores[at] - largest).exp();
            scores[at] = weight;
            softmax.total += weight;
        }
        if member == 0 {
            scales[asked] = scale;
        }
    }
}

/// Adds the values of the block that begins at `from`, by their weights: the thread has column
/// `lane` of all heads, of the positions that are its `part`.
#[cube]
fn mix<W: Float, N: Size>(
    tables: &[u32],
    memory: &[Vector<W, N>],
    own: &[Vector<f32, N>],
    weights: &[f32],
    scales: &[f32],
    acc: &mut Array<Vector<f32, N>>,
    from: usize,
    lane: usize,
    part: usize,
    work: &Work,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.lanes);
    let group = comptime!(shape.heads / shape.kv_heads);
    // Threads that share a column, and positions of a page that each of them takes.
    let parts = comptime!(THREADS / shape.lanes);
    let reads = comptime!(PAGE.div_ceil(THREADS / shape.lanes));
    if part < parts {
        #[unroll]
        for g in 0..group {
            acc[g] = acc[g] * Vector::new(scales[g]);
        }
        for i in 0..comptime!(THREADS / PAGE) {
            let first = from + i * PAGE;
            if first <= work.position {
                let page = tables[work.pages + first / PAGE];
                let values =
                    head_start(page, work.layer, work.head, shape) + comptime!(PAGE * lanes) + lane;
                // So many rounds whatever the length: a compiler can have all reads of a page
                // under way at once.
                for j in 0..reads {
                    let slot = j * parts + part;
                    let at = first + slot;
                    let mut value = Vector::new(0f32);
                    if slot < PAGE && at <= work.position {
                        value = own[lanes + lane];
                        if comptime!(!shape.alone) || at != work.position {
                            value = Vector::cast_from(memory[values + slot * lanes]);
                        }
                    }
                    let weight = i * PAGE + slot % PAGE;
                    #[unroll]
                    for g in 0..group {
                        acc[g] += value * Vector::new(weights[g * THREADS + weight]);
                    }
                }
            }
        }
    }
}

#[cube]
fn larger(a: f32, b: f32) -> f32 {
    select(b > a, b, a)
}
