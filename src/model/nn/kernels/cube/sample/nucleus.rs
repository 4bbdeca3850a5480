//! The nucleus of a row: its candidates, found one after another.
//!
//! Each is the first after the one before it in the order of the nucleus, and they are enough when
//! they hold so much of the probability, or are so many, as the row asks for.

use super::{THREADS, TOP_K, TOP_P};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// The candidates and their probabilities, and how many there are; at least one.
#[cube]
pub(super) fn nucleus(
    parameters: &[u32],
    scores: &[f32],
    values: &mut [f32],
    places: &mut [u32],
    candidates: &mut [u32],
    shares: &mut [f32],
    at: usize,
    most: f32,
    #[comptime] ids: usize,
) -> usize {
    let thread = UNIT_POS as usize;
    let total = sum_all(scores, values, most, ids);
    let top_p = f32::reinterpret(parameters[at + TOP_P]);
    let top_k = parameters[at + TOP_K] as usize;
    let mut count = 0usize;
    let mut held = 0f32;
    let mut last = 2f32;
    let mut last_id = 0u32;
    let mut goes_on = true;
    // Probabilities are not negative: these are of no candidate.
    let mut best = f32::new(-1f32);
    let mut best_id = 0u32;
    let mut mine = true;
    // In every round the threads' best that are not in it yet.
    while goes_on {
        // A thread whose candidate was not taken still has it.
        if mine {
            best = f32::new(-1f32);
            let mut i = thread;
            while i < ids {
                let p = (scores[i] - most).exp() / total;
                let id = i as u32;
                let after = p < last || (p == last && id > last_id);
                if after && p > best {
                    best = p;
                    best_id = id;
                }
                i += THREADS;
            }
        }
        values[thread] = best;
        places[thread] = best_id;
        sync_cube();
        find_best(values, places);
        let p = values[0];
        let id = places[0];
        sync_cube();
        if p < 0f32 || (count > 0 && p <= 0f32) {
            // A zero can only follow candidates that already hold all the mass.
            goes_on = false;
        } else {
            if thread == 0 {
                candidates[count] = id;
                shares[count] = p;
            }
            count += 1;
            held += p;
            last = p;
            last_id = id;
            mine = id == best_id;
            goes_on = count < top_k && held < top_p;
        }
    }
    count
}

/// The sum of what all ids weigh.
#[cube]
fn sum_all(scores: &[f32], values: &mut [f32], most: f32, #[comptime] ids: usize) -> f32 {
    let thread = UNIT_POS as usize;
    let mut sum = 0f32;
    let mut i = thread;
    while i < ids {
        sum += (scores[i] - most).exp();
        i += THREADS;
    }
    values[thread] = sum;
    sync_cube();
    let mut total = 0f32;
    for i in 0..THREADS {
        total += values[i];
    }
    sync_cube();
    total
}

/// The best of all threads' candidates comes to the first place; of equals that of the lower id.
#[cube]
fn find_best(values: &mut [f32], places: &mut [u32]) {
    let thread = UNIT_POS as usize;
    #[unroll]
    for level in 0..comptime!(THREADS.ilog2()) {
        let half = comptime!(THREADS >> (level + 1));
        if thread < half {
            let other = values[thread + half];
            let other_id = places[thread + half];
            let own = values[thread];
            if other > own || (other == own && other_id < places[thread]) {
                values[thread] = other;
                places[thread] = other_id;
            }
        }
        sync_cube();
    }
}
