//! Speech tokens that come again and again.

/// Periods of a loop that are looked for, in tokens: 0.24 to 2 s. Shorter ones are a sound that
/// does not change.
const PERIODS: std::ops::RangeInclusive<usize> = 6..=50;
/// What a mismatch takes off the matches of a period: a loop is sampled too, and is not exact.
const MISMATCH: u16 = 2;
/// Matches below which no loop is seen, and below which none is suspected.
const LOOP: usize = 30;
const SUSPECT: usize = 15;

/// A stretch of no more different tokens than this is one sound, a silence, or hardly more. Two
/// seconds of right speech of the bundled voice have 6 at least, and 14 mostly.
const FEW: usize = 5;
/// Tokens (2 s) after which one sound is a fault, and those after which it is suspect.
const STUCK: usize = 50;
const STEADY: usize = 25;

/// What the latest tokens look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Clear,
    Suspect,
    Loop,
}

/// The tokens of an utterance, and how the latest of them repeat.
#[derive(Debug, Clone, Default)]
pub struct Repetition {
    tokens: Vec<u32>,
    /// For each of [`PERIODS`], matches of the latest tokens with those a period before, less what
    /// mismatches take.
    matches: Vec<u16>,
    /// Where the longest end of few different tokens begins, and how often it has each of them.
    steady_from: usize,
    steady: Vec<(u32, usize)>,
}

impl Repetition {
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    pub fn push(&mut self, token: u32) {
        let now = self.tokens.len();
        self.matches.resize(PERIODS.count(), 0);
        for (period, matches) in PERIODS.zip(&mut self.matches) {
            let before = now.checked_sub(period).map(|place| self.tokens[place]);
            *matches = match before == Some(token) {
                true => matches.saturating_add(1),
                false => matches.saturating_sub(MISMATCH),
            };
        }
        self.tokens.push(token);
        match self.steady.iter_mut().find(|(id, _)| *id == token) {
            Some((_, count)) => *count += 1,
            None => self.steady.push((token, 1)),
        }
        while self.steady.len() > FEW {
            let first = self.tokens[self.steady_from];
            self.steady_from += 1;
            self.steady.retain_mut(|(id, count)| {
                *count -= usize::from(*id == first);
                *count > 0
            });
        }
    }

    /// Of a text that says the same `copies` times one after the other. Speech is in a loop when
    /// it does so twice more, 3 times where the text does not repeat itself.
    pub fn verdict(&self, copies: usize) -> Verdict {
        let steady = self.tokens.len() - self.steady_from;
        let again = |factor: usize, least: usize| {
            // A period of one sound is no period: pauses have their own bound.
            let mut periods = PERIODS.zip(&self.matches).filter(|(period, _)| *period > steady);
            periods.any(|(period, matches)| usize::from(*matches) >= (factor * period).max(least))
        };
        let copies = copies.max(1);
        if steady >= STUCK || again(copies + 1, LOOP) {
            Verdict::Loop
        } else if steady >= STEADY || again(copies, SUSPECT) {
            Verdict::Suspect
        } else {
            Verdict::Clear
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict after each token.
    fn verdicts(tokens: impl IntoIterator<Item = u32>, copies: usize) -> Vec<Verdict> {
        let mut repetition = Repetition::default();
        let verdict = |token| {
            repetition.push(token);
            repetition.verdict(copies)
        };
        tokens.into_iter().map(verdict).collect()
    }

    fn is_loop(tokens: impl IntoIterator<Item = u32>, copies: usize) -> bool {
        verdicts(tokens, copies).contains(&Verdict::Loop)
    }

    /// Different tokens, each of which is held for a while, as in speech.
    fn speech(count: u32) -> impl Iterator<Item = u32> {
        (0..count).map(|i| i / 4 * 37 % 6561)
    }

    #[test]
    fn speech_is_no_loop() {
        assert!(verdicts(speech(2000), 1).iter().all(|verdict| *verdict == Verdict::Clear));
    }

    #[test]
    fn the_same_three_times_is_a_loop_whatever_its_length() {
        for period in [6, 17, 50] {
            let tokens = || speech(40).chain((0..300).map(move |i| 4000 + i % period));
            let verdicts = verdicts(tokens(), 1);
            let found = verdicts.iter().position(|v| *v == Verdict::Loop).expect("a loop") as u32;
            let three = 40 + (3 * period).max(LOOP as u32 + period);
            assert_eq!(found + 1, three);
            let suspected = verdicts.iter().position(|v| *v != Verdict::Clear).expect("suspicion");
            assert!((suspected as u32) < found);
        }
        assert!(!is_loop(speech(40).chain((0..100).map(|i| 4000 + i % 51)), 1));
    }

    /// The sampler draws another token now and then.
    #[test]
    fn a_loop_need_not_be_exact() {
        let tokens = (0..200u32).map(|i| if i % 23 == 0 { 6000 + i } else { i % 16 });
        assert!(is_loop(tokens, 1));
    }

    /// "No, no, no, no!"
    #[test]
    fn a_text_that_repeats_itself_may_be_spoken_so() {
        let four = || (0..44).map(|i| i % 11).chain(speech(40));
        assert!(is_loop(four(), 1) && !is_loop(four(), 4));
        assert!(is_loop((0..200).map(|i| i % 11), 4));
    }

    /// A pause between sentences is no fault, two seconds of the same sound are.
    #[test]
    fn a_sound_that_does_not_change_is_a_loop_after_two_seconds() {
        let pause =
            |tokens: u32| speech(60).chain((0..tokens).map(|i| 6000 + i % 3)).chain(speech(60));
        assert!(!is_loop(pause(40), 1) && is_loop(pause(50), 1));
        let short = verdicts(pause(15), 1);
        assert!(short.iter().all(|verdict| *verdict == Verdict::Clear));
        assert_eq!(verdicts(pause(30), 1).last(), Some(&Verdict::Clear));
    }
}
