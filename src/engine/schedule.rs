//! What the engine does next: the most urgent session decides, others join where that costs little.
//!
//! A session's deadline is when its client's playback runs dry. Earliest deadline first, with the
//! sessions that have not been heard yet before those that play, unless one of these would run dry
//! while it waits.

use std::time::{Duration, Instant};

/// Which of two sessions waits. Lower is more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Plays, and runs dry then, before another hop could be squeezed in.
    Drying(Instant),
    /// Has not been heard, since then.
    Unheard(Instant),
    /// Plays until then.
    Playing(Instant),
}

impl Urgency {
    /// Of a session that plays until `dry`, where making a hop takes `hop`.
    pub fn playing(dry: Instant, hop: Duration, now: Instant) -> Self {
        if dry < now + hop * 2 { Self::Drying(dry) } else { Self::Playing(dry) }
    }
}

/// The next piece of work on a session's way to its next packet. `S` tells which pieces of
/// token-to-wave work can share a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<S> {
    /// A part of its voice.
    Voice,
    /// A part of its prompt through the language model.
    Prefill,
    /// A speech token.
    Token,
    /// A step of token-to-wave.
    Wave(S),
}

/// A session that can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<S> {
    /// Of the session.
    pub index: usize,
    pub urgency: Urgency,
    pub need: Need<S>,
    /// Whether it can take part in a step of the language model, needed or ahead of need.
    pub takes_token: bool,
}

/// One step of the engine, for sessions by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    Voice(usize),
    Prefill(usize),
    /// One language-model step of all these.
    Tokens(Vec<usize>),
    /// One token-to-wave step of all these, most urgent first.
    Wave(Vec<usize>),
}

/// Sessions that share a step of token-to-wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Where the first of them has not been heard, or runs dry.
    pub urgent: usize,
    /// Where there is time.
    pub relaxed: usize,
    /// Sessions that came within so long of each other are brought to their first packets
    /// together.
    pub gather: Duration,
}

impl Batching {
    /// On a CPU a batch is no faster than its parts one after the other, and delays the first of
    /// them; but where there is time, a thread for each session wastes less than threads that
    /// share one.
    pub fn cpu(threads: usize) -> Self {
        Self { urgent: 1, relaxed: threads.max(1), gather: Duration::ZERO }
    }

    /// A GPU computes a batch in little more than the time of one, so that it pays to wait for
    /// those who are nearly as far.
    pub fn gpu() -> Self {
        Self { urgent: 32, relaxed: 32, gather: Duration::from_millis(50) }
    }
}

/// The next step, or None when no session can go on.
pub fn plan<S: Copy + PartialEq>(candidates: &[Candidate<S>], batching: Batching) -> Option<Plan> {
    let first = candidates.iter().min_by_key(|c| (c.urgency, c.index))?;
    let first = behind(first, candidates, batching.gather);
    Some(match first.need {
        Need::Voice => Plan::Voice(first.index),
        Need::Prefill => Plan::Prefill(first.index),
        Need::Token => {
            let rows = candidates.iter().filter(|c| c.takes_token || c.index == first.index);
            Plan::Tokens(rows.map(|c| c.index).collect())
        }
        Need::Wave(shape) => {
            let mut rows: Vec<_> =
                candidates.iter().filter(|c| c.need == Need::Wave(shape)).collect();
            rows.sort_by_key(|c| (c.urgency, c.index));
            let relaxed = matches!(first.urgency, Urgency::Playing(_));
            rows.truncate(if relaxed { batching.relaxed } else { batching.urgent });
            Plan::Wave(rows.iter().map(|c| c.index).collect())
        }
    })
}

/// The one who is furthest from a packet among those who have waited nearly as long for their first
/// as `first`: what it needs next, it may then need together with the others. That holds nobody up
/// for longer than the ones who came within `gather` take.
fn behind<'a, S>(
    first: &'a Candidate<S>,
    candidates: &'a [Candidate<S>],
    gather: Duration,
) -> &'a Candidate<S> {
    let Urgency::Unheard(since) = first.urgency else { return first };
    let stage = |need: &Need<S>| match need {
        Need::Prefill => Some(0),
        Need::Token => Some(1),
        Need::Wave(_) => Some(2),
        // Takes longer than all of the rest.
        Need::Voice => None,
    };
    let near = |c: &&Candidate<S>| match c.urgency {
        Urgency::Unheard(came) => came.saturating_duration_since(since) <= gather,
        _ => false,
    };
    let found = candidates
        .iter()
        .filter(|_| !gather.is_zero() && stage(&first.need).is_some())
        .filter(near)
        .filter_map(|c| Some((stage(&c.need)?, c.urgency, c.index, c)))
        .min_by_key(|(stage, urgency, index, _)| (*stage, *urgency, *index));
    found.map_or(first, |(.., c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(index: usize, urgency: Urgency, need: Need<u8>) -> Candidate<u8> {
        Candidate { index, urgency, need, takes_token: need == Need::Token }
    }

    const CPU: Batching = Batching { urgent: 1, relaxed: 2, gather: Duration::ZERO };

    /// Protects the first packet from those who have time, and playback from the first packet.
    #[test]
    fn unheard_before_playing_oldest_first_unless_one_runs_dry() {
        let now = Instant::now();
        let later = |ms| now + Duration::from_millis(ms);
        let hop = Duration::from_millis(100);
        let playing = candidate(0, Urgency::playing(later(900), hop, now), Need::Wave(1));
        let young = candidate(1, Urgency::Unheard(later(5)), Need::Prefill);
        let old = candidate(2, Urgency::Unheard(now), Need::Voice);
        assert_eq!(plan(&[playing, young, old], CPU), Some(Plan::Voice(2)));
        let drying = candidate(3, Urgency::playing(later(150), hop, now), Need::Wave(1));
        assert_eq!(plan(&[playing, young, old, drying], CPU), Some(Plan::Wave(vec![3])));
        assert_eq!(plan(&[playing], CPU), Some(Plan::Wave(vec![0])));
        assert_eq!(plan::<u8>(&[], CPU), None);
    }

    /// One step of the language model serves everyone who can use it.
    #[test]
    fn tokens_are_for_all_who_take_them() {
        let now = Instant::now();
        let ahead = Candidate {
            takes_token: true,
            ..candidate(0, Urgency::Playing(now + Duration::from_secs(3)), Need::Wave(1))
        };
        let full = candidate(1, Urgency::Playing(now + Duration::from_secs(4)), Need::Wave(1));
        let urgent = candidate(2, Urgency::Unheard(now), Need::Token);
        assert_eq!(plan(&[ahead, full, urgent], CPU), Some(Plan::Tokens(vec![0, 2])));
    }

    /// A batch has one shape, is bounded, and takes those with the least time.
    #[test]
    fn waves_are_batched_by_shape() {
        let now = Instant::now();
        let at = |s| Urgency::Playing(now + Duration::from_secs(s));
        let all = [
            candidate(0, at(9), Need::Wave(1)),
            candidate(1, at(2), Need::Wave(1)),
            candidate(2, at(3), Need::Wave(2)),
            candidate(3, at(5), Need::Wave(1)),
        ];
        assert_eq!(plan(&all, CPU), Some(Plan::Wave(vec![1, 3])));
        assert_eq!(plan(&all, Batching::gpu()), Some(Plan::Wave(vec![1, 3, 0])));
    }

    /// On a GPU those who came together are heard together; who came later, or has to have a voice
    /// made, or plays, keeps nobody waiting. On a CPU the first is heard first.
    #[test]
    fn a_gpu_gathers_those_who_came_together() {
        let now = Instant::now();
        let came = |ms| Urgency::Unheard(now + Duration::from_millis(ms));
        let gpu = Batching::gpu();
        let wave = candidate(0, came(0), Need::Wave(1));
        let token = candidate(1, came(10), Need::Token);
        let prefill = candidate(2, came(20), Need::Prefill);
        let late = candidate(3, came(60), Need::Prefill);
        let voice = candidate(4, came(5), Need::Voice);
        let playing = candidate(5, Urgency::Playing(now), Need::Token);
        let all = [wave, token, prefill, late, voice, playing];
        assert_eq!(plan(&all, gpu), Some(Plan::Prefill(2)));
        assert_eq!(plan(&[wave, token, late, voice], gpu), Some(Plan::Tokens(vec![1])));
        let other = Candidate { index: 1, ..wave };
        assert_eq!(plan(&[wave, other, late, voice, playing], gpu), Some(Plan::Wave(vec![0, 1])));
        assert_eq!(plan(&all, CPU), Some(Plan::Wave(vec![0])));
        let drying = candidate(6, Urgency::Drying(now), Need::Wave(2));
        assert_eq!(plan(&[prefill, drying], gpu), Some(Plan::Wave(vec![6])));
    }
}
