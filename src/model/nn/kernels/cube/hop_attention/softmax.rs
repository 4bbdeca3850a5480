//! What becomes of a tile's scores: weights by a softmax that goes on from tile to tile, and the
//! values mixed by them.

use super::kernel::{PARTS, QUERIES, SHARES, STRIDE, THREADS, TILE};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// A score that gives no weight.
pub(super) const UNSEEN: f32 = -1e30;

/// The softmax of a query so far.
#[derive(CubeType)]
pub(super) struct Softmax {
    pub(super) most: f32,
    /// Of the thread's share.
    pub(super) sum: f32,
}

/// Weights in place of a tile's scores, and in `scales` what the mixtures before are worth beside
/// them. `asked` is the thread's query, `member` its place among those that share it.
#[cube]
pub(super) fn weigh(
    softmax: &mut Softmax,
    scores: &mut [f32],
    partial: &mut [f32],
    scales: &mut [f32],
    seen: u32,
    asked: usize,
    member: usize,
) {
    let mut weights = Array::<f32>::new(comptime!(TILE / PARTS));
    let start = asked * comptime!(SHARES * STRIDE) + member;
    let mut larger = softmax.most;
    #[unroll]
    for i in 0..comptime!(TILE / PARTS) {
        let mut score = 0f32;
        #[unroll]
        for s in 0..SHARES {
            score += scores[start + comptime!(s * STRIDE + i * PARTS)];
        }
        if (member + comptime!(i * PARTS)) as u32 >= seen {
            score = f32::new(UNSEEN);
        }
        weights[i] = score;
        larger = max(larger, score);
    }
    partial[UNIT_POS as usize] = larger;
    sync_cube();
    for i in 0..PARTS {
        larger = max(larger, partial[asked * PARTS + i]);
    }
    let scale = (softmax.most - larger).exp();
    softmax.sum *= scale;
    softmax.most = larger;
    #[unroll]
    for i in 0..comptime!(TILE / PARTS) {
        let weight = (weights[i] - larger).exp();
        softmax.sum += weight;
        // In place of the scores, which nobody else reads.
        scores[start + comptime!(i * PARTS)] = weight;
    }
    if member == 0 {
        scales[asked] = scale;
    }
}

/// Adds the thread's values, by their weights, to its share of every query's mixture.
#[cube]
pub(super) fn mix<N: Size>(
    mixture: &mut Array<Vector<f32, N>>,
    values: &Array<Vector<f32, N>>,
    weights: &[f32],
    scales: &[f32],
    group: usize,
    #[comptime] lanes: usize,
) {
    let groups = comptime!(THREADS / lanes);
    let each = comptime!(TILE.div_ceil(groups));
    let even = comptime!(groups * lanes == THREADS && groups * each == TILE);
    #[unroll]
    for q in 0..QUERIES {
        let mut result = mixture[q] * Vector::new(scales[q]);
        #[unroll]
        for i in 0..each {
            let key = group * each + i;
            if comptime!(even) {
                result += Vector::new(weights[q * comptime!(SHARES * STRIDE) + key]) * values[i];
            } else if key < TILE {
                result += Vector::new(weights[q * comptime!(SHARES * STRIDE) + key]) * values[i];
            }
        }
        mixture[q] = result;
    }
}
