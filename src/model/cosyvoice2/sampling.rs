//! Choosing the next speech token from log-probabilities.
//!
//! Repetition-aware sampling (RAS, VALL-E 2, Chen et al. 2024) in the form of the original
//! implementation: a nucleus draw and, if the pick was drawn lately, one draw from everything else.

use super::config::SamplingConfig;
use crate::model::nn::Draw;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// Why no token can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SamplingError {
    #[error("the language model's scores are not numbers")]
    NotANumber,
    #[error("no token is left to draw")]
    NoCandidates,
}

/// How tokens are chosen. Each session owns one.
#[derive(Debug, Clone)]
pub enum Sampler {
    /// The most probable id, the lowest of equals.
    Greedy,
    Ras(Ras),
}

impl Sampler {
    /// Draws an id. `logp` are log-probabilities up to a constant, minus infinity for what must
    /// not be drawn; it is used as scratch. `history` are the ids generated before.
    pub fn sample(&mut self, logp: &mut [f32], history: &[u32]) -> Result<u32, SamplingError> {
        match self {
            Self::Greedy => argmax(logp),
            Self::Ras(ras) => ras.sample(logp, history),
        }
    }

    /// What the next draw depends on besides the scores, for a device that draws where they are
    /// and in the same way, but for the last bits. None where the host has to.
    pub(crate) fn draw<'a>(&self, history: &'a [u32], masked: &'a [u32]) -> Option<Draw<'a>> {
        match self {
            Self::Greedy => None,
            Self::Ras(ras) => ras.elsewhere(history, masked),
        }
    }

    /// A device has drawn, with so many random numbers.
    pub(crate) fn drawn(&mut self, numbers: usize) {
        if let Self::Ras(ras) = self {
            (0..numbers).for_each(|_| _ = ras.rng.next_u64());
        }
    }
}

/// What a request may change about the choice of tokens. What it leaves open is the model's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingOptions {
    /// Divides the scores: above 1 evens them out, below 1 sharpens them.
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<usize>,
    /// Multiplies the log-probability of ids that were drawn before (Keskar et al. 2019); 1 changes
    /// nothing.
    pub repetition_penalty: Option<f32>,
    /// Most speech tokens of one utterance, 25 a second.
    pub max_speech_tokens: Option<usize>,
}

/// Repetition-aware sampling with its own random numbers: equal seeds give equal draws on every
/// machine.
#[derive(Debug, Clone)]
pub struct Ras {
    config: SamplingConfig,
    options: SamplingOptions,
    rng: Xoshiro256PlusPlus,
}

impl Ras {
    /// With `options` in place of what `config` says. Values that are no numbers, or of which
    /// there is none so small, are as if not given.
    pub fn new(config: SamplingConfig, options: SamplingOptions, seed: u64) -> Self {
        let config = SamplingConfig {
            top_p: options.top_p.filter(|p| *p > 0.0).unwrap_or(config.top_p),
            top_k: options.top_k.filter(|k| *k > 0).unwrap_or(config.top_k),
            ..config
        };
        Self { config, options, rng: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    fn sample(&mut self, logp: &mut [f32], history: &[u32]) -> Result<u32, SamplingError> {
        self.adjust(logp, history);
        let nucleus = Nucleus::new(logp, self.config.top_p, self.config.top_k)?;
        let pick = nucleus.ids[self.draw(&nucleus.probabilities)];
        if !is_repetition(&self.config, history, pick) {
            return Ok(pick);
        }
        match without(logp, pick) {
            Ok(rest) => Ok(self.draw(&rest) as u32),
            // Nothing else may be said.
            Err(SamplingError::NoCandidates) => Ok(pick),
            Err(e) => Err(e),
        }
    }

    fn elsewhere<'a>(&self, history: &'a [u32], masked: &'a [u32]) -> Option<Draw<'a>> {
        if given(self.options.repetition_penalty).is_some() {
            return None;
        }
        let SamplingConfig { top_p, top_k, win_size, tau_r } = self.config;
        let mut rng = self.rng.clone();
        // The leading bits of what `draw` takes.
        let mut unit = || (rng.next_u64() >> 40) as f32 / (1u64 << 24) as f32;
        Some(Draw {
            units: [unit(), unit()],
            temperature: given(self.options.temperature).unwrap_or(1.0),
            top_p,
            top_k,
            recent: &history[history.len().saturating_sub(win_size)..],
            repetitions: win_size as f32 * tau_r,
            masked,
        })
    }

    /// Applies penalty and temperature.
    fn adjust(&self, logp: &mut [f32], history: &[u32]) {
        if let Some(penalty) = given(self.options.repetition_penalty) {
            let mut seen = history.to_vec();
            seen.sort_unstable();
            seen.dedup();
            // The penalty is of probabilities, so the scores must be logarithms of them.
            let max = logp.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = logp.iter().map(|l| (l - max).exp()).sum();
            let norm = max + sum.ln();
            logp.iter_mut().for_each(|l| *l -= norm);
            for id in seen {
                if let Some(l) = logp.get_mut(id as usize) {
                    *l *= penalty;
                }
            }
        }
        if let Some(temperature) = given(self.options.temperature) {
            logp.iter_mut().for_each(|l| *l /= temperature);
        }
    }

    /// An index with probability proportional to its weight. Some weight is positive.
    fn draw(&mut self, weights: &[f32]) -> usize {
        let total: f64 = weights.iter().copied().map(f64::from).sum();
        let unit = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let mut left = unit * total;
        let mut last = 0;
        for (i, weight) in weights.iter().enumerate() {
            if *weight > 0.0 {
                left -= f64::from(*weight);
                last = i;
                if left < 0.0 {
                    break;
                }
            }
        }
        last
    }
}

/// A factor that changes something.
fn given(value: Option<f32>) -> Option<f32> {
    value.filter(|v| *v > 0.0 && v.is_finite() && *v != 1.0)
}

/// The candidates of a nucleus draw, most probable first.
#[derive(Debug, Clone, PartialEq)]
pub struct Nucleus {
    pub ids: Vec<u32>,
    /// Shares of the full distribution; they need not add up to one.
    pub probabilities: Vec<f32>,
}

impl Nucleus {
    /// The most probable ids, lower ids first among equals, until their probabilities add up to
    /// `top_p` (the one that reaches it is kept) or there are `top_k`; at least one.
    pub fn new(logp: &[f32], top_p: f32, top_k: usize) -> Result<Self, SamplingError> {
        let probabilities = softmax(logp)?;
        let p = |id: u32| probabilities[id as usize];
        let order = |a: &u32, b: &u32| p(*b).total_cmp(&p(*a)).then(a.cmp(b));
        let mut ids: Vec<u32> = (0..probabilities.len() as u32).collect();
        let keep = top_k.clamp(1, ids.len());
        if keep < ids.len() {
            ids.select_nth_unstable_by(keep - 1, order);
            ids.truncate(keep);
        }
        ids.sort_unstable_by(order);
        let mut sum = 0f32;
        let mut count = 0;
        for id in &ids {
            // A zero can only follow candidates that already hold all the mass.
            if count > 0 && (sum >= top_p || p(*id) <= 0.0) {
                break;
            }
            sum += p(*id);
            count += 1;
        }
        ids.truncate(count);
        let probabilities = ids.iter().map(|id| p(*id)).collect();
        Ok(Self { ids, probabilities })
    }
}

/// Whether `pick` fills at least the share `tau_r` of the window of latest ids.
pub fn is_repetition(config: &SamplingConfig, history: &[u32], pick: u32) -> bool {
    let window = &history[history.len().saturating_sub(config.win_size)..];
    let count = window.iter().filter(|id| **id == pick).count();
    config.win_size > 0 && count as f32 >= config.win_size as f32 * config.tau_r
}

/// The distribution of the second draw: everything but `pick`. Sets `logp[pick]` to minus
/// infinity.
pub fn without(logp: &mut [f32], pick: u32) -> Result<Vec<f32>, SamplingError> {
    if let Some(l) = logp.get_mut(pick as usize) {
        *l = f32::NEG_INFINITY;
    }
    softmax(logp)
}

/// The first of the largest.
fn argmax(logp: &[f32]) -> Result<u32, SamplingError> {
    let (mut best, mut max) = (0, f32::NEG_INFINITY);
    for (id, l) in logp.iter().enumerate() {
        if l.is_nan() || *l == f32::INFINITY {
            return Err(SamplingError::NotANumber);
        }
        if *l > max {
            (best, max) = (id, *l);
        }
    }
    if max == f32::NEG_INFINITY {
        return Err(SamplingError::NoCandidates);
    }
    Ok(best as u32)
}

fn softmax(logp: &[f32]) -> Result<Vec<f32>, SamplingError> {
    let max = logp[argmax(logp)? as usize];
    let mut p: Vec<f32> = logp.iter().map(|l| (l - max).exp()).collect();
    let sum = p.iter().copied().map(f64::from).sum::<f64>() as f32;
    p.iter_mut().for_each(|p| *p /= sum);
    Ok(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: SamplingConfig =
        SamplingConfig { top_p: 0.8, top_k: 25, win_size: 10, tau_r: 0.1 };

    fn logs(p: &[f32]) -> Vec<f32> {
        p.iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn the_candidate_that_crosses_top_p_is_kept_and_equals_come_in_order_of_id() {
        let logp = logs(&[0.1, 0.3, 0.05, 0.3, 0.25]);
        assert_eq!(Nucleus::new(&logp, 0.8, 25).unwrap().ids, [1, 3, 4]);
        assert_eq!(Nucleus::new(&logp, 0.55, 25).unwrap().ids, [1, 3]);
        assert_eq!(Nucleus::new(&logp, 0.8, 1).unwrap().ids, [1]);
        assert_eq!(Nucleus::new(&logp, 0.0, 0).unwrap().ids, [1]);
        assert_eq!(Nucleus::new(&logp, 2.0, 25).unwrap().ids, [1, 3, 4, 0, 2]);
    }

    #[test]
    fn masked_ids_are_never_candidates() {
        let logp = [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
        assert_eq!(Nucleus::new(&logp, 2.0, 25).unwrap().ids, [1]);
    }

    #[test]
    fn scores_that_are_not_numbers_are_an_error() {
        for bad in [f32::NAN, f32::INFINITY] {
            for mut sampler in
                [Sampler::Greedy, Sampler::Ras(Ras::new(CONFIG, SamplingOptions::default(), 1))]
            {
                let result = sampler.sample(&mut [0.0, bad, 1.0], &[]);
                assert_eq!(result, Err(SamplingError::NotANumber));
            }
        }
        let nothing = &mut [f32::NEG_INFINITY; 3];
        assert_eq!(Sampler::Greedy.sample(nothing, &[]), Err(SamplingError::NoCandidates));
        assert_eq!(Sampler::Greedy.sample(&mut [], &[]), Err(SamplingError::NoCandidates));
    }

    #[test]
    fn a_repeated_pick_is_replaced_unless_it_is_the_only_one_left() {
        let mut sampler = Sampler::Ras(Ras::new(CONFIG, SamplingOptions::default(), 7));
        for _ in 0..20 {
            let pick = sampler.sample(&mut logs(&[0.01, 0.98, 0.01]), &[9, 1, 9]).unwrap();
            assert_ne!(pick, 1);
        }
        let only = &mut [f32::NEG_INFINITY, 0.0];
        assert_eq!(sampler.sample(only, &[1, 1]), Ok(1));
    }

    /// Draws follow the weights and, because the generator is a named algorithm, are the same
    /// everywhere: the ids are pinned.
    #[test]
    fn equal_seeds_give_equal_draws_with_the_right_shares() {
        let config = SamplingConfig { win_size: 0, ..CONFIG };
        let logp = logs(&[0.2, 0.5, 0.3]);
        let run = |seed| {
            let mut sampler = Sampler::Ras(Ras::new(
                SamplingConfig { top_p: 1.5, ..config },
                SamplingOptions::default(),
                seed,
            ));
            (0..4000).map(|_| sampler.sample(&mut logp.clone(), &[]).unwrap()).collect::<Vec<u32>>()
        };
        let draws = run(42);
        assert_eq!(draws, run(42));
        assert_ne!(draws, run(43));
        assert_eq!(draws[..12], PINNED);
        for (id, share) in [(0, 0.2), (1, 0.5), (2, 0.3)] {
            let count = draws.iter().filter(|d| **d == id).count() as f64;
            assert!((count / 4000.0 - share).abs() < 0.03, "{id}: {count}");
        }
    }

    /// From an independent xoshiro256++ seeded by SplitMix64.
    const PINNED: [u32; 12] = [0, 1, 0, 2, 2, 2, 1, 2, 1, 0, 2, 0];

    /// What a request asks for is obeyed, and nonsense changes nothing.
    #[test]
    fn options_bend_the_distribution() {
        let scores = [2.0f32, 1.5, 0.0, -1.0];
        let count = |options: SamplingOptions, history: &[u32], id: u32| {
            let mut sampler = Sampler::Ras(Ras::new(CONFIG, options, 5));
            let draws = (0..400).map(|_| sampler.sample(&mut scores.to_vec(), history));
            draws.filter(|draw| *draw == Ok(id)).count()
        };
        let none = SamplingOptions::default();
        let plain = count(none, &[], 0);
        assert_eq!(count(SamplingOptions { top_k: Some(1), ..none }, &[], 0), 400);
        assert!(count(SamplingOptions { temperature: Some(0.2), ..none }, &[], 0) > plain + 40);
        assert!(count(SamplingOptions { temperature: Some(5.0), ..none }, &[], 0) + 40 < plain);
        // Drawn before the window that repetitions are searched in.
        let mut old = [3; 30];
        old[0] = 0;
        let penalised = SamplingOptions { repetition_penalty: Some(3.0), ..none };
        assert!(count(penalised, &old, 0) + 40 < count(none, &old, 0));
        for nonsense in [0.0, -1.0, f32::NAN] {
            let options = SamplingOptions {
                temperature: Some(nonsense),
                top_p: Some(nonsense),
                repetition_penalty: Some(nonsense),
                top_k: Some(0),
                max_speech_tokens: None,
            };
            assert_eq!(count(options, &[], 0), plain);
        }
    }
}
