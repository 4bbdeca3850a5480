//! The kernel of the attention of a hop.
//!
//! A cube of threads makes a few queries of one head, over tiles of keys with a running maximum and
//! sum (Milakov & Gimelshein 2018), as in FlashAttention (Dao et al. 2022). Four threads share a
//! key's score; then the threads split the tile's values among them, so that every key and value is
//! read from memory once per cube, and straight into registers: those of the next tile are on their
//! way while this one is worked on.

use super::super::VECTOR;
use super::Shape;
use super::softmax::{Softmax, UNSEEN, mix, weigh};
use super::tiles::{Run, clamp_to, load_keys, load_values, settle};
use burn_cubecl::cubecl;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

/// Threads of a cube.
pub(super) const THREADS: usize = 256;
/// Queries of a cube.
pub(super) const QUERIES: usize = 8;
/// Keys of a tile.
pub(super) const TILE: usize = 128;
/// Threads that share a key's score.
pub(super) const SHARES: usize = 4;
/// Keys that a thread scores a share of.
pub(super) const KEYS: usize = TILE * SHARES / THREADS;
/// Elements from a share's scores of a query to the next one's, so that the shares of a few keys
/// lie in different banks.
pub(super) const STRIDE: usize = TILE + THREADS / SHARES / 8;
/// Threads that share a query's weights.
pub(super) const PARTS: usize = THREADS / QUERIES;
/// Queries whose mixtures are exchanged at a time.
const EXCHANGED: usize = 2;

/// Numbers of a page in `places`: its positions, those that are skipped, those after them that are
/// seen, and those that are added.
pub(super) const PLACE: usize = 4;
pub(super) const CAPACITY: usize = 0;
pub(super) const SKIPPED: usize = 1;
pub(super) const SEEN: usize = 2;
const ADDED: usize = 3;

/// What changes from call to call.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Numbers {
    /// Frames of the hop.
    frames: u32,
    /// Row of the batch that is the first of the pages.
    row: u32,
    /// The first distance of the table that is of use.
    distance: u32,
}

/// What a cube works on.
#[derive(CubeType, Clone, Copy)]
struct Work {
    /// Row of the pages.
    sample: usize,
    head: usize,
    /// Frames of the hop, and the first of the cube.
    frames: usize,
    first: usize,
    /// The head's queries of the row's first frame.
    own: usize,
}

#[cube(launch_unchecked)]
pub(super) fn hop_attention<W: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    mut pages: Sequence<Box<[Vector<W, N>]>>,
    places: Sequence<u32>,
    biases: &[Vector<f32, N>],
    distances: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    numbers: Numbers,
    #[comptime] shape: Shape,
    #[define(W)] _kept: ElemType,
) {
    // Vectors of a head, those of each share of a score, and of a frame.
    let lanes = comptime!(shape.dim / VECTOR);
    let share = comptime!(lanes.div_ceil(SHARES));
    let padded = comptime!(share * SHARES);
    let width = comptime!(3 * shape.heads * lanes);
    // Threads side by side that mix the values of the same keys, and how many those are.
    let groups = comptime!(THREADS / lanes);
    let each = comptime!(TILE.div_ceil(groups));

    let thread = UNIT_POS as usize;
    let head = CUBE_POS_Y as usize;
    let sample = CUBE_POS_Z as usize;
    let rows = CUBE_COUNT_Z as usize;
    let frames = numbers.frames as usize;
    let first = CUBE_POS_X as usize * QUERIES;
    // The first frame of the row, and in it the head's queries.
    let row = (numbers.row as usize + sample) * frames;
    let own = row * width + head * lanes;
    let work = Work { sample, head, frames, first, own };

    let mut queries = Shared::<[Vector<f32, N>]>::new_slice(comptime!(QUERIES * padded));
    let mut by_distance = Shared::<[Vector<f32, N>]>::new_slice(comptime!(if shape.relative {
        QUERIES * padded
    } else {
        1
    }));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(QUERIES * SHARES * STRIDE));
    let mut partial = Shared::<[f32]>::new_slice(THREADS);
    let mut scales = Shared::<[f32]>::new_slice(QUERIES);
    let mut mixed = Shared::<[Vector<f32, N>]>::new_slice(comptime!(EXCHANGED * THREADS));

    load_queries(qkv, biases, &mut queries, &mut by_distance, &work, shape);
    if comptime!(shape.pages > 0) {
        keep::<W, N>(qkv, &mut pages, &places, rows, &work, shape);
    }

    // The share of a score, and the keys, that are the thread's.
    let part = thread % SHARES;
    let slot = thread / SHARES;
    // The query whose weights the thread makes some of.
    let asked = thread / PARTS;
    let member = thread % PARTS;
    // The values that it mixes.
    let lane = thread % lanes;
    let group = thread / lanes;

    let mut softmax = Softmax { most: f32::new(UNSEEN), sum: 0f32 };
    let mut mixture = Array::<Vector<f32, N>>::new(QUERIES);
    #[unroll]
    for q in 0..QUERIES {
        mixture[q] = Vector::new(0f32);
    }
    let mut keys = Array::<Vector<f32, N>>::new(comptime!(KEYS * share));
    let mut values = Array::<Vector<f32, N>>::new(each);

    let mut run = Run { index: 0, length: numbers.frames, done: 0, before: 0 };
    if comptime!(shape.pages > 0) {
        run.length = places[SEEN];
    }
    settle(&mut run, &places, numbers.frames, shape);
    load_keys::<W, N>(&run, &pages, &places, qkv, own, slot, part, &mut keys, shape);

    sync_cube();
    while run.done < run.length {
        let seen = run.length - run.done;
        load_values::<W, N>(&run, &pages, &places, qkv, own, rows, group, lane, &mut values, shape);

        #[unroll]
        for q in 0..QUERIES {
            #[unroll]
            for k in 0..KEYS {
                let mut score = Vector::new(0f32);
                #[unroll]
                for i in 0..share {
                    score +=
                        queries[q * padded + i * SHARES + part] * keys[comptime!(k * share + i)];
                }
                if comptime!(shape.relative) {
                    let key = slot + k * comptime!(THREADS / SHARES);
                    let key = clamp_to(key, seen as usize) + (run.done + run.before) as usize;
                    let query = clamp_to(first + q, frames);
                    let distance = numbers.distance as usize + frames - 1 - query + key;
                    let start = (distance * shape.heads + head) * lanes;
                    #[unroll]
                    for i in 0..share {
                        score += by_distance[q * padded + i * SHARES + part]
                            * distances[start + clamp_to(i * SHARES + part, lanes)];
                    }
                }
                let place = comptime!(q * SHARES * STRIDE + k * (THREADS / SHARES));
                scores[place + part * STRIDE + slot] = score.vector_sum();
            }
        }
        // The next tile's keys, while this one's weights are made.
        run.done += TILE as u32;
        settle(&mut run, &places, numbers.frames, shape);
        if run.done < run.length {
            load_keys::<W, N>(&run, &pages, &places, qkv, own, slot, part, &mut keys, shape);
        }
        sync_cube();
        weigh(&mut softmax, &mut scores, &mut partial, &mut scales, seen, asked, member);
        sync_cube();
        mix(&mut mixture, &values, &scores, &scales, group, lanes);
        sync_cube();
    }

    // The sums and the mixtures of all threads come together.
    partial[thread] = softmax.sum;
    #[unroll]
    for round in 0..comptime!(QUERIES / EXCHANGED) {
        #[unroll]
        for q in 0..EXCHANGED {
            mixed[q * THREADS + thread] = mixture[comptime!(round * EXCHANGED + q)];
        }
        sync_cube();
        if thread < comptime!(EXCHANGED * lanes) {
            let q = thread / lanes;
            let query = comptime!(round * EXCHANGED) + q;
            if first + query < frames {
                let mut sum = 0f32;
                for i in 0..PARTS {
                    sum += partial[query * PARTS + i];
                }
                let mut total = Vector::new(0f32);
                for g in 0..groups {
                    total += mixed[q * THREADS + g * lanes + lane];
                }
                let place = (row + first + query) * comptime!(shape.heads * lanes) + head * lanes;
                out[place + lane] = total / Vector::new(sum);
            }
        }
        sync_cube();
    }
}

/// The cube's queries, and where positions are relative those for the scores by distance, come to
/// shared memory; zeros past the hop and past the head.
#[cube]
fn load_queries<N: Size>(
    qkv: &[Vector<f32, N>],
    biases: &[Vector<f32, N>],
    queries: &mut [Vector<f32, N>],
    by_distance: &mut [Vector<f32, N>],
    work: &Work,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.dim / VECTOR);
    let padded = comptime!(lanes.next_multiple_of(SHARES));
    let width = comptime!(3 * shape.heads * lanes);
    let mut at = UNIT_POS as usize;
    while at < comptime!(QUERIES * padded) {
        let frame = work.first + at / padded;
        let lane = at % padded;
        let mut query = Vector::new(0f32);
        let mut other = Vector::new(0f32);
        if frame < work.frames && lane < lanes {
            query = qkv[work.own + frame * width + lane];
            if comptime!(shape.relative) {
                other = query + biases[(shape.heads + work.head) * lanes + lane];
                query = query + biases[work.head * lanes + lane];
            }
        }
        queries[at] = query;
        if comptime!(shape.relative) {
            by_distance[at] = other;
        }
        at += THREADS;
    }
}

/// The cube keeps the keys and values of the frames whose queries it makes.
#[cube]
fn keep<W: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    pages: &mut Sequence<Box<[Vector<W, N>]>>,
    places: &Sequence<u32>,
    rows: usize,
    work: &Work,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.dim / VECTOR);
    let inner = comptime!(shape.heads * lanes);
    let mut at = UNIT_POS as usize;
    while at < comptime!(2 * QUERIES * lanes) {
        let lane = at % lanes;
        let frame = work.first + at / lanes % QUERIES;
        let kind = at / comptime!(lanes * QUERIES);
        if frame < work.frames {
            let value = Vector::<W, N>::cast_from(
                qkv[work.own + frame * comptime!(3 * inner) + (1 + kind) * inner + lane],
            );
            let mut from = 0usize;
            #[unroll]
            for p in 0..shape.pages {
                let added = places[comptime!(PLACE * p + ADDED)] as usize;
                if frame >= from && frame < from + added {
                    let capacity = places[comptime!(PLACE * p + CAPACITY)] as usize;
                    let filled = (places[comptime!(PLACE * p + SKIPPED)]
                        + places[comptime!(PLACE * p + SEEN)])
                        as usize;
                    let place = ((kind * rows + work.sample) * shape.heads + work.head) * capacity
                        + filled
                        + frame
                        - from;
                    write::<W, N>(pages.index_mut(p), place * lanes + lane, value);
                }
                from += added;
            }
        }
        at += THREADS;
    }
}

/// Of a page, which is an element of a sequence.
#[cube]
fn write<W: Float, N: Size>(page: &mut [Vector<W, N>], at: usize, value: Vector<W, N>) {
    page[at] = value;
}
