//! What a text should be in speech: about how long it takes, and whether it repeats itself.

use super::words::weight;
use crate::model::cosyvoice2::Expectation;
use crate::text::{WordSplitter, letters};
use std::ops::RangeInclusive;

/// Speech tokens for a weight of 1, for voices of whose prompt nothing is known: about what the
/// bundled voices take.
const PACE: f64 = 1.5;
/// What a prompt can say about it. A transcript that is not that of its recording gives anything.
const PACES: RangeInclusive<f64> = 0.75..=3.0;

/// Speech tokens of the silence before and after an utterance, and of a pause within.
const ENDS: f64 = 10.0;
const PAUSE: f64 = 5.0;

/// Words of the longest phrase that is looked for again right after itself.
const PHRASE: usize = 4;

/// Follows the text of one segment, which is short.
#[derive(Debug)]
pub struct Expected {
    /// Speech tokens for a weight of 1.
    pace: f64,
    text: String,
}

impl Expected {
    /// In a voice whose prompt says `transcript` in `speech_tokens`; both are nothing where the
    /// transcript is not known.
    pub fn new(transcript: &str, speech_tokens: usize) -> Self {
        let prompt = Reading::of(transcript);
        let pace = match prompt.weight > 0.0 && speech_tokens > 0 {
            true => (speech_tokens as f64 - prompt.silent()) / prompt.weight,
            false => PACE,
        };
        Self { pace: pace.clamp(*PACES.start(), *PACES.end()), text: String::new() }
    }

    /// More of the text. What all of it so far should be.
    pub fn push(&mut self, text: &str) -> Expectation {
        self.text += text;
        let reading = Reading::of(&self.text);
        let tokens = match reading.weight > 0.0 {
            true => reading.silent() + self.pace * reading.weight,
            false => 0.0,
        };
        Expectation { tokens, copies: reading.copies }
    }
}

/// What matters of a text for the length of its speech.
struct Reading {
    weight: f64,
    pauses: usize,
    /// The most times that a phrase comes one after the other.
    copies: usize,
}

impl Reading {
    fn of(text: &str) -> Self {
        let mut splitter = WordSplitter::default();
        let mut words = splitter.push_plain(text);
        words.extend(splitter.close());
        let pauses = words.iter().skip(1).filter(|word| word.after_pause).count();
        let words: Vec<Vec<char>> = words.iter().map(|word| lower(&word.text)).collect();
        Self {
            weight: words.iter().map(|word| weight(word)).sum(),
            pauses,
            copies: (1..=PHRASE).map(|length| copies(&words, length)).max().unwrap_or(1),
        }
    }

    /// Speech tokens without speech.
    fn silent(&self) -> f64 {
        ENDS + PAUSE * self.pauses as f64
    }
}

fn lower(word: &str) -> Vec<char> {
    letters(&word.to_lowercase())
}

/// The most times that a phrase of so many words comes one after the other.
fn copies(words: &[Vec<char>], length: usize) -> usize {
    let (mut run, mut longest) = (0, 0);
    for (word, before) in words.iter().skip(length).zip(words) {
        run = if word == before { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    1 + longest / length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cosyvoice2::{Fault, Remedy};
    use crate::telemetry::metrics::{GUARD_ACTIONS, GUARD_REASONS};

    fn expected(text: &str) -> Expectation {
        Expected::new("", 0).push(text)
    }

    /// Tokens that the bundled voice took, the median of three seeds.
    #[test]
    fn expectations_are_near_what_is_spoken() {
        for (text, spoken) in [
            ("Good morning, this is our neighbour.", 68.0),
            ("The new teacher sat quietly on the top floor.", 95.0),
            ("If you follow the path, their grandmother will check the list.", 89.0),
        ] {
            let tokens = expected(text).tokens;
            assert!((spoken / 1.3..spoken * 1.3).contains(&tokens), "{text} {tokens}");
        }
        let chinese = expected("今天天气很好，我们去公园吧。").tokens / 25.0;
        assert!((2.0..4.5).contains(&chinese), "{chinese} s");
    }

    /// What is counted is shown before it happens first.
    #[test]
    fn metrics_know_all_reasons_and_actions() {
        assert_eq!(Fault::ALL.map(Fault::name), GUARD_REASONS);
        assert_eq!(Remedy::ALL.map(Remedy::name), GUARD_ACTIONS);
    }

    #[test]
    fn a_prompt_sets_the_pace_unless_it_makes_no_sense() {
        let text = "The new teacher sat quietly on the top floor.";
        let with = |transcript: &str, tokens| Expected::new(transcript, tokens).push(text).tokens;
        let usual = expected(text).tokens;
        let own = usual.round() as usize;
        assert!((with(text, own) - usual).abs() < 2.0);
        assert!(with(text, own * 3 / 2) > 1.3 * usual && with(text, own * 2 / 3) < 0.8 * usual);
        assert_eq!(with("", 0), usual);
        assert_eq!(with("...", 100), usual);
        for (transcript, tokens) in [("Yes.", 700), (text, 1)] {
            let odd = with(transcript, tokens);
            assert!((usual / 2.0..usual * 2.0).contains(&odd), "{transcript} {tokens}: {odd}");
        }
    }

    #[test]
    fn text_in_pieces_is_text() {
        let text = "When the nurse heard, she laughed: ha ha ha, ha!";
        let whole = expected(text);
        let mut pieces = Expected::new("", 0);
        let last = text.split_inclusive(' ').map(|piece| pieces.push(piece)).last();
        assert_eq!(last, Some(whole));
        assert_eq!(whole.copies, 4);
    }

    #[test]
    fn what_the_text_says_again_is_counted() {
        for (text, copies) in [
            ("One two three.", 1),
            ("No, no! NO.", 3),
            ("Row, row, row your boat.", 3),
            ("He said so and he said so and went.", 2),
            ("To be or not to be.", 1),
            ("", 1),
        ] {
            assert_eq!(expected(text).copies, copies, "{text}");
        }
        assert_eq!(expected("?!").tokens, 0.0);
    }
}
