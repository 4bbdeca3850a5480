//! The kernel against the sampler of the CPU.

use super::super::testing::test_device;
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
    let nucleus: Vec<usize> = ids.into_iter().take(row.top_k.max(1)).take_while(within).collect();
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
    let rows = scores.len() / ids;
    Tensor::from_data(TensorData::new(scores, [rows, ids]), &test_device())
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
            let masked: Vec<u32> = (0..random.below(4)).map(|_| random.below(ids) as u32).collect();
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
    let scores = [
        [0.0, f32::NAN, 0.0, 0.0],
        [0.0, 0.0, f32::INFINITY, 0.0],
        [no, no, no, no],
        [0.0, f32::NAN, 0.0, 0.0],
        [no, 1.0, no, no],
        [2.0, 1.0, 2.0, 2.0],
    ];
    let masked = Draw { masked: &[1], ..row.clone() };
    let repeated = Draw { recent: &[1, 1], ..row.clone() };
    let rows = [row.clone(), row.clone(), row.clone(), masked, repeated, row.clone()];
    let got = sample(&on_gpu(scores.concat(), 4), &rows).unwrap();
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
