//! The kernel of the sampler: a cube of threads has a row, whose scores are in shared memory.

use super::nucleus::nucleus;
use super::{
    CANDIDATES, HEADER, MASKED, NEEDED, NO_CANDIDATES, NOT_A_NUMBER, RECENT, SCALE, THREADS, UNITS,
};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Scores of what must not be drawn, and those below which nothing is drawn: finite, so that every
/// compiler can spell them. Scores above the highest are not numbers.
const LOWEST: f32 = -3e38;
const NOTHING: f32 = -1e38;
const HIGHEST: f32 = 3.4e38;

#[cube(launch_unchecked)]
pub(super) fn sample_rows(
    logits: &[f32],
    parameters: &[u32],
    out: &mut [u32],
    stride: u32,
    #[comptime] ids: usize,
) {
    let thread = UNIT_POS as usize;
    let row = CUBE_POS_X as usize;
    let at = row * stride as usize;

    let mut scores = Shared::<[f32]>::new_slice(ids);
    // What threads tell each other: the best of each, its id, a sum.
    let mut values = Shared::<[f32]>::new_slice(THREADS);
    let mut places = Shared::<[u32]>::new_slice(THREADS);
    let mut candidates = Shared::<[u32]>::new_slice(CANDIDATES);
    let mut shares = Shared::<[f32]>::new_slice(CANDIDATES);
    // What one thread tells all: the pick, and whether it is to be drawn again.
    let mut told = Shared::<[u32]>::new_slice(2usize);

    load_scores(logits, parameters, &mut scores, row, at, ids);
    let masked = parameters[at + MASKED] as usize;
    mask(parameters, &mut scores, at, masked, ids);
    let bad = is_bad(&scores, &mut places, &mut told, ids);
    let most = maximum(&mut values, &scores, ids);
    if bad != 0 {
        if thread == 0 {
            out[2 * row] = NOT_A_NUMBER;
            out[2 * row + 1] = 0u32;
        }
    } else if most < NOTHING {
        if thread == 0 {
            out[2 * row] = NO_CANDIDATES;
            out[2 * row + 1] = 0u32;
        }
    } else {
        let count = nucleus(
            parameters,
            &scores,
            &mut values,
            &mut places,
            &mut candidates,
            &mut shares,
            at,
            most,
            ids,
        );
        sync_cube();
        if thread == 0 {
            let pick = draw(parameters, &candidates, &shares, at, count);
            let again = is_repeated(parameters, at, masked, pick);
            if again {
                scores[pick as usize] = f32::new(LOWEST);
            }
            told[0] = pick;
            told[1] = select(again, 1u32, 0u32);
        }
        sync_cube();
        let pick = told[0];
        let again = told[1];

        if again == 0 {
            if thread == 0 {
                out[2 * row] = pick;
                out[2 * row + 1] = 1u32;
            }
        } else {
            let most = maximum(&mut values, &scores, ids);
            if most < NOTHING {
                // Nothing else may be said.
                if thread == 0 {
                    out[2 * row] = pick;
                    out[2 * row + 1] = 1u32;
                }
            } else {
                sum_parts(&scores, &mut values, most, ids);
                sync_cube();
                if thread == 0 {
                    out[2 * row] = draw_again(parameters, &scores, &values, at, most, pick, ids);
                    out[2 * row + 1] = 2u32;
                }
            }
        }
    }
}

/// The row's scores by temperature.
#[cube]
fn load_scores(
    logits: &[f32],
    parameters: &[u32],
    scores: &mut [f32],
    row: usize,
    at: usize,
    #[comptime] ids: usize,
) {
    let thread = UNIT_POS as usize;
    let scale = f32::reinterpret(parameters[at + SCALE]);
    let mut i = thread;
    while i < ids {
        scores[i] = logits[row * ids + i] * scale;
        i += THREADS;
    }
    sync_cube();
}

/// The lowest score for ids that must not be drawn.
#[cube]
fn mask(parameters: &[u32], scores: &mut [f32], at: usize, masked: usize, #[comptime] ids: usize) {
    let mut i = UNIT_POS as usize;
    while i < masked {
        let id = parameters[at + HEADER + i] as usize;
        if id < ids {
            scores[id] = f32::new(LOWEST);
        }
        i += THREADS;
    }
    sync_cube();
}

/// 1 where a score is not a number, else 0.
#[cube]
fn is_bad(scores: &[f32], places: &mut [u32], told: &mut [u32], #[comptime] ids: usize) -> u32 {
    let thread = UNIT_POS as usize;
    let mut bad = 0u32;
    let mut i = thread;
    while i < ids {
        let score = scores[i];
        // Written so that it is true of what is not a number.
        if !(score <= HIGHEST) {
            bad = 1u32;
        }
        i += THREADS;
    }
    places[thread] = bad;
    sync_cube();
    if thread == 0 {
        for i in 1..THREADS {
            bad |= places[i];
        }
        told[1] = bad;
    }
    sync_cube();
    told[1]
}

/// The candidate that the first random number falls on.
#[cube]
fn draw(parameters: &[u32], candidates: &[u32], shares: &[f32], at: usize, count: usize) -> u32 {
    let mut whole = 0f32;
    for i in 0..count {
        whole += shares[i];
    }
    let mut left = f32::reinterpret(parameters[at + UNITS]) * whole;
    let mut pick = candidates[0];
    let mut i = 0usize;
    while i < count {
        let share = shares[i];
        if share > 0f32 {
            left -= share;
            pick = candidates[i];
            if left < 0f32 {
                i = count;
            }
        }
        i += 1;
    }
    pick
}

/// Whether a pick was drawn so often lately that it is drawn again.
#[cube]
fn is_repeated(parameters: &[u32], at: usize, masked: usize, pick: u32) -> bool {
    let recent = parameters[at + RECENT] as usize;
    let mut times = 0u32;
    for i in 0..recent {
        if parameters[at + HEADER + masked + i] == pick {
            times += 1u32;
        }
    }
    let needed = f32::reinterpret(parameters[at + NEEDED]);
    needed > 0f32 && f32::cast_from(times) >= needed
}

/// What each thread's ids weigh. They are neighbours, as the draw goes through them in order.
#[cube]
fn sum_parts(scores: &[f32], values: &mut [f32], most: f32, #[comptime] ids: usize) {
    let share = comptime!(ids.div_ceil(THREADS));
    let thread = UNIT_POS as usize;
    let mut sum = 0f32;
    for i in 0..share {
        let id = thread * share + i;
        if id < ids {
            sum += (scores[id] - most).exp();
        }
    }
    values[thread] = sum;
}

/// The id that the second random number falls on, among all but `pick`, which is the answer where no
/// other has a weight.
#[cube]
fn draw_again(
    parameters: &[u32],
    scores: &[f32],
    values: &[f32],
    at: usize,
    most: f32,
    pick: u32,
    #[comptime] ids: usize,
) -> u32 {
    let share = comptime!(ids.div_ceil(THREADS));
    let mut whole = 0f32;
    for i in 0..THREADS {
        whole += values[i];
    }
    let mut left = f32::reinterpret(parameters[at + UNITS + 1]) * whole;
    // The part that the draw ends in, or the last that has something.
    let mut part = 0usize;
    let mut before = left;
    let mut i = 0usize;
    while i < THREADS {
        let sum = values[i];
        if sum > 0f32 {
            part = i;
            before = left;
            left -= sum;
            if left < 0f32 {
                i = THREADS;
            }
        }
        i += 1;
    }
    left = before;
    let mut drawn = pick;
    let mut i = 0usize;
    while i < share {
        let id = part * share + i;
        if id < ids {
            let p = (scores[id] - most).exp();
            if p > 0f32 {
                drawn = id as u32;
                left -= p;
                if left < 0f32 {
                    i = share;
                }
            }
        }
        i += 1;
    }
    drawn
}

/// The largest of the scores.
#[cube]
fn maximum(values: &mut [f32], scores: &[f32], #[comptime] ids: usize) -> f32 {
    let thread = UNIT_POS as usize;
    let mut most = f32::new(LOWEST);
    let mut i = thread;
    while i < ids {
        most = max(most, scores[i]);
        i += THREADS;
    }
    values[thread] = most;
    sync_cube();
    for i in 0..THREADS {
        most = max(most, values[i]);
    }
    // Other values come to the same place.
    sync_cube();
    most
}
