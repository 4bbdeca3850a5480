//! Repetition-aware sampling where the scores are, so that a step reads one id per row and not a
//! row of scores.
//!
//! It is the sampler of `cosyvoice2/sampling.rs` in f32: a nucleus draw and, if the pick was drawn
//! lately, one draw from everything else. A cube has a row. Its candidates are found one after
//! another, each the first after the one before it in the order of the nucleus, until they hold
//! enough.

use super::{Draw, Picked, activations, buffer};
use burn::tensor::{DType, Int, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Threads of a cube.
const THREADS: usize = 256;
/// Most scores of a row: they are in shared memory.
const MOST: usize = 7000;
/// Most candidates of a nucleus.
const CANDIDATES: usize = 128;

/// Numbers that a row's parameters begin with; then come the masked ids and the latest ones.
const UNITS: usize = 0;
const SCALE: usize = 2;
const TOP_P: usize = 3;
const TOP_K: usize = 4;
const NEEDED: usize = 5;
const MASKED: usize = 6;
const RECENT: usize = 7;
const HEADER: usize = 8;

/// Scores of what must not be drawn, and those below which nothing is drawn: finite, so that every
/// compiler can spell them. Scores above the highest are not numbers.
const LOWEST: f32 = -3e38;
const NOTHING: f32 = -1e38;
const HIGHEST: f32 = 3.4e38;

/// What is written where no id can be drawn.
const NOT_A_NUMBER: u32 = u32::MAX;
const NO_CANDIDATES: u32 = u32::MAX - 1;

/// An id for every row of `logits` `[rows, ids]`. None where they are not f32 on a device of ours,
/// there are too many ids, or more candidates are asked for than the kernel can hold.
pub(crate) fn sample(logits: &Tensor<2>, rows: &[Draw]) -> Option<Vec<Picked>> {
    let [count, ids] = logits.dims();
    let holds = rows.iter().all(|row| row.top_k <= CANDIDATES);
    if !super::is_cube(&logits.device())
        || logits.dtype() != DType::F32
        || count != rows.len()
        || !(1..=MOST).contains(&ids)
        || !holds
    {
        return None;
    }
    if count == 0 {
        return Some(Vec::new());
    }
    let lists = rows.iter().map(|row| row.masked.len() + row.recent.len()).max().unwrap_or(0);
    let stride = HEADER + lists;
    let mut parameters = vec![0u32; count * stride];
    for (row, parameters) in rows.iter().zip(parameters.chunks_mut(stride)) {
        parameters[UNITS] = row.units[0].to_bits();
        parameters[UNITS + 1] = row.units[1].to_bits();
        parameters[SCALE] = row.temperature.recip().to_bits();
        parameters[TOP_P] = row.top_p.to_bits();
        parameters[TOP_K] = row.top_k.max(1) as u32;
        parameters[NEEDED] = row.repetitions.to_bits();
        parameters[MASKED] = row.masked.len() as u32;
        parameters[RECENT] = row.recent.len() as u32;
        let lists = row.masked.iter().chain(row.recent);
        parameters[HEADER..].iter_mut().zip(lists).for_each(|(p, id)| *p = *id);
    }
    let x = activations(logits.clone());
    let bytes: Vec<u8> = parameters.iter().flat_map(|p| p.to_ne_bytes()).collect();
    let parameters_handle = x.client.create_from_slice(&bytes);
    let handle = x.client.empty(2 * count * size_of::<u32>());
    let out = CubeTensor::new_contiguous(
        x.client.clone(),
        x.device.clone(),
        [count, 2].into(),
        handle,
        DType::U32,
    );
    // SAFETY: lists are within their row, ids within the scores or not used, and the cube of a row
    // writes its own two numbers.
    unsafe {
        let parameters = BufferArg::from_raw_parts(parameters_handle, parameters.len());
        sample_rows::launch_unchecked(
            &x.client,
            CubeCount::Static(count as u32, 1, 1),
            CubeDim::new_1d(THREADS as u32),
            buffer(&x, 1),
            parameters,
            buffer(&out, 1),
            stride as u32,
            ids,
        );
    }
    let out = Tensor::<2, Int>::from_primitive::<burn_cubecl::CubeBackend>(out);
    let picked: Vec<u32> = out.into_data().iter().collect();
    let picked = picked.as_chunks::<2>().0.iter().map(|[id, draws]| match *id {
        NOT_A_NUMBER => Picked::NotANumber,
        NO_CANDIDATES => Picked::NoCandidates,
        id => Picked::Id(id, *draws as usize),
    });
    Some(picked.collect())
}

#[cube(launch_unchecked)]
fn sample_rows(
    logits: &[f32],
    parameters: &[u32],
    out: &mut [u32],
    stride: u32,
    #[comptime] ids: usize,
) {
    let share = comptime!(ids.div_ceil(THREADS));
    let thread = UNIT_POS as usize;
    let row = CUBE_POS_X as usize;
    let at = row * stride as usize;

    let mut scores = Shared::<[f32]>::new_slice(ids);
    // What threads tell each other: the best of each, its id, a sum.
    let mut values = Shared::<[f32]>::new_slice(THREADS);
    let mut places = Shared::<[u32]>::new_slice(THREADS);
    let mut candidates = Shared::<[u32]>::new_slice(CANDIDATES);
    let mut shares = Shared::<[f32]>::new_slice(CANDIDATES);
    let mut repeated = Shared::<[u32]>::new_slice(2usize);

    let scale = f32::reinterpret(parameters[at + SCALE]);
    let mut i = thread;
    while i < ids {
        scores[i] = logits[row * ids + i] * scale;
        i += THREADS;
    }
    sync_cube();
    let masked = parameters[at + MASKED] as usize;
    let mut i = thread;
    while i < masked {
        let id = parameters[at + HEADER + i] as usize;
        if id < ids {
            scores[id] = f32::new(LOWEST);
        }
        i += THREADS;
    }
    sync_cube();

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
        repeated[1] = bad;
    }
    sync_cube();
    bad = repeated[1];

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

        // The nucleus: in every round the threads' best that are not in it yet.
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
        sync_cube();

        if thread == 0 {
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
            let recent = parameters[at + RECENT] as usize;
            let mut times = 0u32;
            for i in 0..recent {
                if parameters[at + HEADER + masked + i] == pick {
                    times += 1u32;
                }
            }
            let needed = f32::reinterpret(parameters[at + NEEDED]);
            let again = needed > 0f32 && f32::cast_from(times) >= needed;
            if again {
                scores[pick as usize] = f32::new(LOWEST);
            }
            repeated[0] = pick;
            repeated[1] = select(again, 1u32, 0u32);
        }
        sync_cube();
        let pick = repeated[0];
        let again = repeated[1];

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
                // A thread has neighbouring ids, as the draw goes through them in order.
                let mut sum = 0f32;
                for i in 0..share {
                    let id = thread * share + i;
                    if id < ids {
                        sum += (scores[id] - most).exp();
                    }
                }
                values[thread] = sum;
                sync_cube();
                if thread == 0 {
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
                    out[2 * row] = drawn;
                    out[2 * row + 1] = 2u32;
                }
            }
        }
    }
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

#[cfg(test)]
mod on_a_gpu {
    use super::super::test_device;
    use super::*;
    use burn::tensor::TensorData;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{Rng, SeedableRng};

    /// Uniform random numbers.
    struct Random(Xoshiro256PlusPlus);

    impl Random {
        fn new(seed: u64) -> Self {
            Self(Xoshiro256PlusPlus::seed_from_u64(seed))
        }

        fn unit(&mut self) -> f32 {
            (self.0.next_u64() >> 40) as f32 / (1u64 << 24) as f32
        }

        fn below(&mut self, end: usize) -> usize {
            (self.0.next_u64() % end as u64) as usize
        }
    }

    fn probabilities(scores: &[f64]) -> Vec<f64> {
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let p: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
        let sum: f64 = p.iter().sum();
        p.iter().map(|p| p / sum).collect()
    }

    /// The place of the weight that a draw falls on.
    fn draw(weights: &[f64], unit: f64) -> usize {
        let mut left = unit * weights.iter().sum::<f64>();
        let mut last = 0;
        for (i, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            left -= weight;
            last = i;
            if left < 0.0 {
                break;
            }
        }
        last
    }

    /// The sampler of the CPU in f64, its borders moved by a little.
    fn reference(scores: &[f32], row: &Draw, nudge: f64) -> Picked {
        let scale = f64::from(row.temperature).recip();
        let mut scores: Vec<f64> = scores.iter().map(|s| f64::from(*s) * scale).collect();
        for id in row.masked {
            scores[*id as usize] = f64::NEG_INFINITY;
        }
        if scores.iter().any(|s| s.is_nan() || *s == f64::INFINITY) {
            return Picked::NotANumber;
        }
        if scores.iter().all(|s| *s == f64::NEG_INFINITY) {
            return Picked::NoCandidates;
        }
        let p = probabilities(&scores);
        let mut ids: Vec<usize> = (0..p.len()).collect();
        ids.sort_by(|a, b| p[*b].total_cmp(&p[*a]).then(a.cmp(b)));
        let mut sum = 0.0;
        let within = |id: &usize| {
            let before = sum;
            sum += p[*id];
            before == 0.0 || (before < f64::from(row.top_p) + nudge && p[*id] > 0.0)
        };
        let nucleus: Vec<usize> =
            ids.into_iter().take(row.top_k.max(1)).take_while(within).collect();
        let shares: Vec<f64> = nucleus.iter().map(|id| p[*id]).collect();
        let unit = |i: usize| f64::from(row.units[i]) + nudge;
        let pick = nucleus[draw(&shares, unit(0))];
        let times = row.recent.iter().filter(|id| **id as usize == pick).count();
        if row.repetitions <= 0.0 || (times as f32) < row.repetitions {
            return Picked::Id(pick as u32, 1);
        }
        scores[pick] = f64::NEG_INFINITY;
        if scores.iter().all(|s| *s == f64::NEG_INFINITY) {
            return Picked::Id(pick as u32, 1);
        }
        Picked::Id(draw(&probabilities(&scores), unit(1)) as u32, 2)
    }

    fn on_gpu(scores: Vec<f32>, ids: usize) -> Tensor<2> {
        let gpu = test_device();
        let rows = scores.len() / ids;
        Tensor::from_data(TensorData::new(scores, [rows, ids]), &gpu)
    }

    /// Protects the agreement with the CPU on distributions from flat to all but certain, with
    /// every parameter at work: an id may differ only where a random number lies within rounding of
    /// a border.
    #[test]
    fn picks_what_the_cpu_picks() {
        let mut random = Random::new(1);
        for (rows, ids) in [(1500, 6564), (500, 300), (200, 7)] {
            let mut scores = Vec::new();
            let mut lists = Vec::new();
            for _ in 0..rows {
                let sharpness = 12.0 * random.unit();
                let row: Vec<f32> = (0..ids)
                    .map(|_| sharpness * ((0..4).map(|_| random.unit()).sum::<f32>() - 2.0) * 2.0)
                    .collect();
                let best = (0..ids).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap() as u32;
                let recent: Vec<u32> = (0..random.below(11))
                    .map(|_| if random.below(2) == 0 { best } else { random.below(ids) as u32 })
                    .collect();
                let masked: Vec<u32> =
                    (0..random.below(4)).map(|_| random.below(ids) as u32).collect();
                scores.extend(row);
                lists.push((recent, masked));
            }
            let parameters: Vec<Draw> = lists
                .iter()
                .map(|(recent, masked)| Draw {
                    units: [random.unit(), random.unit()],
                    temperature: 0.5 + random.unit(),
                    top_p: 0.3 + random.unit(),
                    top_k: 1 + random.below(50),
                    recent,
                    repetitions: random.below(4) as f32,
                    masked,
                })
                .collect();
            let picked = sample(&on_gpu(scores.clone(), ids), &parameters).unwrap();
            assert_eq!(picked.len(), rows);
            let (mut differ, mut again) = (0, 0);
            for ((got, row), scores) in picked.iter().zip(&parameters).zip(scores.chunks(ids)) {
                again += usize::from(matches!(got, Picked::Id(_, 2)));
                if *got != reference(scores, row, 0.0) {
                    let near = [-1e-5, 1e-5].map(|nudge| reference(scores, row, nudge));
                    assert!(near.contains(got), "{got:?}, not {near:?}");
                    differ += 1;
                }
            }
            assert!(differ * 100 <= rows, "{differ} of {rows}");
            assert!(again > rows / 10, "{again} of {rows}");
        }
    }

    /// Protects what a row says of itself when no id can be drawn, beside rows that are well, and
    /// the order of equals.
    #[test]
    fn odd_rows_say_so() {
        let row = Draw {
            units: [0.999, 0.5],
            temperature: 1.0,
            top_p: 0.25,
            top_k: 25,
            recent: &[],
            repetitions: 1.0,
            masked: &[],
        };
        let no = f32::NEG_INFINITY;
        let scores = vec![
            0.0,
            f32::NAN,
            0.0,
            0.0, //
            0.0,
            0.0,
            f32::INFINITY,
            0.0, //
            no,
            no,
            no,
            no, //
            0.0,
            f32::NAN,
            0.0,
            0.0, //
            no,
            1.0,
            no,
            no, //
            2.0,
            1.0,
            2.0,
            2.0, //
        ];
        let masked = Draw { masked: &[1], ..row.clone() };
        let repeated = Draw { recent: &[1, 1], ..row.clone() };
        let rows = [row.clone(), row.clone(), row.clone(), masked, repeated, row.clone()];
        let got = sample(&on_gpu(scores, 4), &rows).unwrap();
        let want = [
            Picked::NotANumber,
            Picked::NotANumber,
            Picked::NoCandidates,
            // Three equals of a third each: one is enough.
            Picked::Id(0, 1),
            Picked::Id(1, 1),
            Picked::Id(0, 1),
        ];
        assert_eq!(got, want);
        let too_many = Draw { top_k: CANDIDATES + 1, ..row };
        assert!(sample(&on_gpu(vec![0.0; 4], 4), &[too_many]).is_none());
    }
}
