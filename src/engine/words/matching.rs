//! Which of the client's words a segment speaks.

use super::align::{Unit, weight};
use crate::text::{Word, letters};
use std::collections::VecDeque;

/// How many letters that nobody wrote are searched for the word after them.
const STRAY: usize = 200;

/// Compares what the model is given with what the client wrote, letter by letter: the two differ
/// in punctuation, in spaces, and in numbers that were spelled out.
#[derive(Debug, Default)]
pub struct Matcher {
    letters: Vec<char>,
    /// Letters that belong to words already.
    taken: usize,
}

impl Matcher {
    pub fn push(&mut self, text: &str) {
        self.letters.extend(letters(text));
    }

    /// Moves the words that the letters so far spell to `out`. When they are `complete`, none is
    /// left over.
    pub fn take(&mut self, words: &mut VecDeque<Word>, complete: bool, out: &mut Vec<Unit>) {
        while let Some(word) = words.front() {
            let rest = &self.letters[self.taken..];
            if rest.is_empty() {
                return;
            }
            let spellings = word.spellings();
            let length = match spellings.iter().find(|letters| rest.starts_with(letters)) {
                Some(letters) => letters.len(),
                None if !complete && rest.len() < STRAY => return,
                None => self.stray(words),
            };
            let weight = weight(&self.letters[self.taken..self.taken + length]);
            self.taken += length;
            if let Some(word) = words.pop_front() {
                out.push(Unit { word, weight });
            }
        }
    }

    /// Letters up to the next word that can be recognised, or all: a symbol may be spoken as a word
    /// that is not written, and a word that is too long for one segment in several.
    fn stray(&self, words: &VecDeque<Word>) -> usize {
        let rest = &self.letters[self.taken..];
        let next = words.get(1).map(Word::spellings);
        let found = next.and_then(|spellings| {
            let begins = |at: &usize| spellings.iter().any(|l| rest[*at..].starts_with(l));
            (0..rest.len().min(STRAY)).find(begins)
        });
        found.unwrap_or(rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Normalizer, WordSplitter};

    fn matched(written: &str, spoken: &[&str]) -> Vec<Vec<String>> {
        let mut splitter = WordSplitter::default();
        let mut words: VecDeque<Word> = splitter.push_plain(written).into();
        words.extend(splitter.close());
        let segments = spoken.iter().map(|text| {
            let (mut matcher, mut out) = (Matcher::default(), Vec::new());
            matcher.push(text);
            matcher.take(&mut words, true, &mut out);
            out.into_iter().map(|unit| unit.word.text).collect()
        });
        segments.collect()
    }

    #[test]
    fn words_go_to_the_segment_that_speaks_them() {
        let written = "I have 21 apples (green). You, 3.5!";
        let spoken = ["I have twenty-one apples (green).", " You, three.five!"];
        let expected = [vec!["I", "have", "21", "apples", "green"], vec!["You", "3.5"]];
        assert_eq!(matched(written, &spoken), expected);
        assert_eq!(matched("价格3.5元。", &["价格3.5元。"])[0], ["价", "格", "3.5", "元"]);
    }

    /// Words that were read by rules are known by what they are spoken as.
    #[test]
    fn words_are_found_as_they_were_read() {
        let written = "Dr. Wu paid $3.50 for 5 km on 3/4, ok?";
        let mut splitter = WordSplitter::default();
        let pieces = Normalizer::default().pieces(written);
        let mut words: VecDeque<Word> = pieces.iter().flat_map(|p| splitter.push(p)).collect();
        words.extend(splitter.close());
        let expected: Vec<Word> = words.iter().cloned().collect();
        let spoken: String = pieces.iter().map(|piece| piece.spoken.as_str()).collect();
        let (mut matcher, mut out) = (Matcher::default(), Vec::new());
        matcher.push(&spoken);
        matcher.take(&mut words, true, &mut out);
        assert_eq!(out.into_iter().map(|unit| unit.word).collect::<Vec<Word>>(), expected);
        assert!(words.is_empty());
    }

    #[test]
    fn what_is_spoken_otherwise_costs_one_word() {
        assert_eq!(matched("5 m² is it", &["5m平方is it"])[0], ["5", "m²", "is", "it"]);
        let long = "x".repeat(30);
        let spoken = [&long[..20], &format!("{} end", &long[..10])];
        let expected = [vec![long.clone()], vec!["end".into()]];
        assert_eq!(matched(&format!("{long} end"), &spoken), expected);
    }
}
