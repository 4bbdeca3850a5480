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
use super::tiles::{clamp_to, keep, load_keys, load_values, past};
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

/// What changes from call to call.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Numbers {
    /// Frames of the hop.
    frames: u32,
    /// Rows of a sequence, one after another.
    group: u32,
    /// Numbers of the table from a sequence to the next.
    stride: u32,
    /// Of the layers of the hop.
    layer: u32,
    /// The first distance of the table that is of use.
    distance: u32,
}

#[cube(launch_unchecked)]
pub(super) fn hop_attention<W: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    memory: &mut [Vector<W, N>],
    table: &[u32],
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
    let frames = numbers.frames as usize;
    let first = CUBE_POS_X as usize * QUERIES;
    // The first frame of the row, and in it the head's queries.
    let row = CUBE_POS_Z as usize * frames;
    let own = row * width + head * lanes;
    let past = past(
        table,
        numbers.stride as usize,
        numbers.layer as usize,
        numbers.group as usize,
        CUBE_POS_Z as usize,
        head,
        own,
        frames,
        shape,
    );

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

    load_queries(qkv, biases, &mut queries, &mut by_distance, own, head, frames, first, shape);
    if comptime!(shape.paged) {
        keep::<W, N>(qkv, memory, table, &past, frames, first, shape);
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

    let mut done = 0usize;
    load_keys::<W, N>(qkv, &*memory, table, &past, done, slot, part, &mut keys, shape);

    sync_cube();
    while done < past.all {
        let left = past.all - done;
        load_values::<W, N>(qkv, &*memory, table, &past, done, group, lane, &mut values, shape);

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
                    let key = clamp_to(done + slot + k * comptime!(THREADS / SHARES), past.all);
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
        done += TILE;
        if done < past.all {
            load_keys::<W, N>(qkv, &*memory, table, &past, done, slot, part, &mut keys, shape);
        }
        sync_cube();
        weigh(&mut softmax, &mut scores, &mut partial, &mut scales, left as u32, asked, member);
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
    own: usize,
    head: usize,
    frames: usize,
    first: usize,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.dim / VECTOR);
    let padded = comptime!(lanes.next_multiple_of(SHARES));
    let width = comptime!(3 * shape.heads * lanes);
    let mut at = UNIT_POS as usize;
    while at < comptime!(QUERIES * padded) {
        let frame = first + at / padded;
        let lane = at % padded;
        let mut query = Vector::new(0f32);
        let mut other = Vector::new(0f32);
        if frame < frames && lane < lanes {
            query = qkv[own + frame * width + lane];
            if comptime!(shape.relative) {
                other = query + biases[(shape.heads + head) * lanes + lane];
                query = query + biases[head * lanes + lane];
            }
        }
        queries[at] = query;
        if comptime!(shape.relative) {
            by_distance[at] = other;
        }
        at += THREADS;
    }
}
