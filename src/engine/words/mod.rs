//! When each word of a session is spoken.
//!
//! The model does not say which sound belongs to which letter, so words are placed by their length
//! among the sound of their segment, between the pauses that can be heard in it (`align`). While a
//! segment is being made its length is not known: until then words are announced where the pace of
//! the segments before it puts them.

mod align;
mod matching;

use super::WordTime;
use crate::text::{Piece, Word, WordSplitter};
pub use align::weight;
use align::{Envelope, Unit};
use matching::Matcher;
use std::collections::VecDeque;

/// How long before its audio an estimate leaves at least, in seconds: speech may be faster than it
/// was so far.
const AHEAD: f64 = 0.3;

/// What an estimate counts for punctuation at which speakers pause, in seconds.
const PAUSE: f64 = 0.25;

/// Silence before a segment's first word, as an estimate has it.
const LEAD: f64 = 0.1;

/// Seconds for a weight of 1, before anything was heard.
const PACE: f64 = 0.07;

/// Follows one session's words from its text to its sound.
#[derive(Debug)]
pub struct WordTimes {
    splitter: WordSplitter,
    /// Complete words that no segment has yet.
    words: VecDeque<Word>,
    segment: Option<Segment>,
    /// Seconds for a weight of 1.
    pace: f64,
}

/// The segment being spoken.
#[derive(Debug)]
struct Segment {
    /// Where it begins in the session's audio, in seconds.
    start: f64,
    matcher: Matcher,
    words: Vec<Unit>,
    envelope: Envelope,
    /// Words whose estimates have left.
    announced: usize,
    /// Up to where estimates go already: they never go back.
    frontier: f64,
}

impl WordTimes {
    pub fn new() -> Self {
        Self {
            splitter: WordSplitter::default(),
            words: VecDeque::new(),
            segment: None,
            pace: PACE,
        }
    }

    /// Text as the client sends it, and as it is read.
    pub fn push(&mut self, piece: &Piece) {
        self.words.extend(self.splitter.push(piece));
    }

    /// The word in progress is complete: the text ends, or is to be spoken as it is.
    pub fn close(&mut self) {
        self.words.extend(self.splitter.close());
    }

    /// A segment begins `start` seconds into the audio.
    pub fn begin(&mut self, start: f64) {
        self.segment = Some(Segment {
            start,
            matcher: Matcher::default(),
            words: Vec::new(),
            envelope: Envelope::default(),
            announced: 0,
            frontier: start,
        });
    }

    /// More of the segment's text, as the model gets it, and whether that is all of it.
    pub fn spoken(&mut self, text: &str, complete: bool) {
        let Some(segment) = &mut self.segment else { return };
        segment.matcher.push(text);
        if complete && self.words.is_empty() {
            // A word so long that it is spoken in pieces.
            self.words.extend(self.splitter.close());
        }
        segment.matcher.take(&mut self.words, complete, &mut segment.words);
    }

    /// Samples of the segment in the order of their playing, before they leave. Gives estimates for
    /// the words that are expected in them.
    pub fn heard(&mut self, samples: &[f32], rate: u32) -> Vec<WordTime> {
        let Some(segment) = &mut self.segment else { return vec![] };
        segment.envelope.push(samples, rate);
        let until = segment.start + segment.envelope.seconds() + AHEAD;
        let mut at = segment.start + LEAD;
        let mut out = Vec::new();
        for (i, unit) in segment.words.iter().enumerate() {
            let pause = if i > 0 && unit.word.after_pause { PAUSE } else { 0.0 };
            let start = at + pause;
            at = start + unit.weight * self.pace;
            if i < segment.announced {
                continue;
            }
            let start = start.max(segment.frontier);
            if start > until {
                break;
            }
            let end = at.max(start);
            segment.frontier = end;
            segment.announced = i + 1;
            out.push(unit.word.at(start, end));
        }
        out
    }

    /// The segment's sound is complete. Gives all of its words; nothing if they were given before.
    pub fn settle(&mut self) -> Vec<WordTime> {
        let Some(segment) = self.segment.take() else { return vec![] };
        let (spans, pace) = align::place(&segment.words, &segment.envelope);
        if let Some(pace) = pace {
            self.pace = pace;
        }
        let words = segment.words.iter().zip(spans);
        words.map(|(unit, (a, b))| unit.word.at(segment.start + a, segment.start + b)).collect()
    }
}

impl Word {
    fn at(&self, start: f64, end: f64) -> WordTime {
        WordTime { text: self.text.clone(), start, end, from: self.from, to: self.to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Normalizer;

    const RATE: u32 = 24_000;

    fn push(times: &mut WordTimes, text: &str) {
        Normalizer::default().pieces(text).iter().for_each(|piece| times.push(piece));
    }

    fn noise(seconds: f64, loud: bool) -> Vec<f32> {
        let sample = |i: usize| if loud { ((i * 7919) % 200) as f32 / 200.0 - 0.5 } else { 0.0 };
        (0..(seconds * f64::from(RATE)) as usize).map(sample).collect()
    }

    /// Streams in any pieces, numbers, a quote that is no word: every word once and in order.
    #[test]
    fn every_word_has_its_time_once() {
        let mut times = WordTimes::new();
        let text = "He said: \"take 12 apples\" — now. Then";
        push(&mut times, text);
        times.begin(1.0);
        times.spoken("He said: \"take twelve", false);
        let early = times.heard(&noise(0.5, true), RATE);
        assert_eq!(early.first().map(|w| w.text.as_str()), Some("He"));
        times.spoken(" apples\" — now.", true);
        let later = times.heard(&noise(2.0, true), RATE);
        let settled = times.settle();
        let texts: Vec<&str> = settled.iter().map(|w| w.text.as_str()).collect();
        assert_eq!(texts, ["He", "said", "take", "12", "apples", "now"]);
        assert!(early.len() + later.len() <= settled.len());
        let mut last = 1.0;
        for word in &settled {
            assert!(word.start >= last && word.end > word.start && word.end <= 3.5, "{word:?}");
            last = word.end;
            let place: String = text.chars().skip(word.from).take(word.to - word.from).collect();
            assert_eq!(place, word.text);
        }
        assert_eq!(times.settle(), []);

        times.close();
        times.begin(3.5);
        times.spoken(" Then", true);
        times.heard(&noise(0.4, true), RATE);
        assert_eq!(times.settle().len(), 1);
    }

    #[test]
    fn estimates_never_go_back_and_come_once() {
        let mut times = WordTimes::new();
        push(&mut times, "one two three four five six seven eight nine ten ");
        times.begin(0.0);
        times.spoken("one two three four five six seven eight nine ten", true);
        let mut heard = Vec::new();
        for _ in 0..40 {
            heard.extend(times.heard(&noise(0.1, true), RATE));
        }
        assert_eq!(heard.len(), 10);
        assert!(heard.windows(2).all(|w| w[0].end <= w[1].start));
    }

    /// The pause that is heard is where the comma stands.
    #[test]
    fn pauses_are_found_at_punctuation() {
        let mut times = WordTimes::new();
        let text = "extraordinarily, go now";
        push(&mut times, text);
        times.close();
        times.begin(0.0);
        times.spoken(text, true);
        let sound = [(0.1, false), (0.9, true), (0.3, false), (0.4, true), (0.2, false)];
        for (seconds, loud) in sound {
            times.heard(&noise(seconds, loud), RATE);
        }
        let settled = times.settle();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 0.03, "{settled:?}");
        near(settled[0].start, 0.1);
        near(settled[0].end, 1.0);
        near(settled[1].start, 1.3);
        near(settled[2].end, 1.7);
    }
}
