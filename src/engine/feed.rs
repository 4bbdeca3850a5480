//! From a session's text to the segments its model speaks one after the other.
//!
//! A segment is what the language model sees as one utterance. Whole text is split into segments
//! at once. A stream's segment grows while it is spoken and ends with a sentence that makes it
//! long enough, with a flush, or with the stream.

use crate::text;
use std::collections::VecDeque;

/// A stream's segment goes on past a sentence end until it has this many tokens: very short
/// utterances sound abrupt.
const MIN_SEGMENT_TOKENS: usize = 24;
/// And is cut between words at this many, so that the model's context stays bounded.
pub const MAX_SEGMENT_TOKENS: usize = 160;

/// Text of one utterance of the language model.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Segment {
    /// Text tokens not yet handed to the model.
    pub tokens: Vec<u32>,
    /// The same text, to be taken likewise.
    pub text: String,
    /// No more text will be added.
    pub complete: bool,
    /// Flushes that are answered when it is spoken.
    pub flushes: usize,
}

/// Segments of one session, first to be spoken first.
#[derive(Debug, Default)]
pub struct Feed {
    segments: VecDeque<Segment>,
    /// Tokens given to the last segment so far, including those already taken.
    last_len: usize,
    /// Text of the last segment holds something to speak.
    last_speakable: bool,
    /// Text of the last segment that has nothing to speak yet, such as an opening quote.
    withheld: Vec<u32>,
    withheld_text: String,
    closed: bool,
    /// All tokens so far.
    pub total_tokens: usize,
}

impl Feed {
    /// Segments of a text known in full.
    pub fn whole(text: &str, encode: impl Fn(&str) -> Vec<u32>) -> Self {
        let pieces = text::prepare(text, |piece| encode(piece).len());
        let segments: VecDeque<Segment> = pieces
            .iter()
            .map(|piece| Segment {
                tokens: encode(piece),
                text: piece.clone(),
                complete: true,
                flushes: 0,
            })
            .filter(|segment| !segment.tokens.is_empty())
            .collect();
        let total_tokens = segments.iter().map(|s| s.tokens.len()).sum();
        Self { segments, closed: true, total_tokens, ..Self::default() }
    }

    /// Adds text of a stream, made of whole words.
    pub fn append(&mut self, text: &str, encode: impl Fn(&str) -> Vec<u32>) {
        for sentence in sentences(text) {
            for piece in pieces(sentence.text, &encode) {
                let tokens = encode(piece);
                if self.last_len + tokens.len() > MAX_SEGMENT_TOKENS {
                    self.end_segment();
                }
                self.add(tokens, piece);
            }
            if sentence.ends && self.last_len >= MIN_SEGMENT_TOKENS {
                self.end_segment();
            }
        }
    }

    fn add(&mut self, tokens: Vec<u32>, text: &str) {
        self.total_tokens += tokens.len();
        self.last_len += tokens.len();
        self.withheld.extend(tokens);
        self.withheld_text += text;
        self.last_speakable |= !text::is_only_punctuation(text.trim());
        if !self.last_speakable {
            return;
        }
        if self.segments.back().is_none_or(|segment| segment.complete) {
            self.segments.push_back(Segment::default());
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.tokens.append(&mut self.withheld);
            segment.text += &std::mem::take(&mut self.withheld_text);
        }
    }

    /// Ends the segment in progress: all of its text is to be spoken now.
    pub fn end_segment(&mut self) {
        if let Some(segment) = self.segments.back_mut() {
            segment.complete = true;
        }
        self.withheld.clear();
        self.withheld_text.clear();
        self.last_len = 0;
        self.last_speakable = false;
    }

    /// Ends the segment in progress, and has its end answer a flush. False where nothing is left to
    /// speak before the flush, so that it can be answered at once.
    pub fn flush(&mut self) -> bool {
        self.end_segment();
        self.segments.back_mut().is_some_and(|segment| {
            segment.flushes += 1;
            true
        })
    }

    /// No more text will come.
    pub fn close(&mut self) {
        self.end_segment();
        self.closed = true;
    }

    /// Nothing left to speak, now or later.
    pub fn is_exhausted(&self) -> bool {
        self.closed && self.segments.is_empty()
    }

    /// A segment that has text and waits for more of it.
    pub fn is_open(&self) -> bool {
        self.segments.back().is_some_and(|segment| !segment.complete)
    }

    /// The segment being spoken or to be spoken next. Take its tokens; [`Self::pop`] it when it
    /// is spoken.
    pub fn front_mut(&mut self) -> Option<&mut Segment> {
        self.segments.front_mut()
    }

    pub fn pop(&mut self) {
        self.segments.pop_front();
    }
}

struct Sentence<'a> {
    text: &'a str,
    /// Whether it ends with a sentence's end.
    ends: bool,
}

/// Cuts text after each sentence end: a terminator (with the closing quotes behind it) that is
/// followed by white space, by the end of the text, or that needs no space (Chinese).
fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((_, c)) = chars.next() {
        let wide = matches!(c, '。' | '！' | '？' | '…');
        if !(wide || matches!(c, '.' | '!' | '?' | '\n')) {
            continue;
        }
        while chars
            .next_if(|(_, c)| matches!(c, '"' | '\'' | '”' | '’' | ')' | '）' | '」'))
            .is_some()
        {}
        let end = chars.peek().map_or(text.len(), |(i, _)| *i);
        if wide || c == '\n' || chars.peek().is_none_or(|(_, next)| next.is_whitespace()) {
            out.push(Sentence { text: &text[start..end], ends: true });
            start = end;
        }
    }
    if start < text.len() {
        out.push(Sentence { text: &text[start..], ends: false });
    }
    out
}

/// Halves a text, at white space where there is some near the middle, until every part fits into
/// a segment.
fn pieces<'a>(text: &'a str, encode: &impl Fn(&str) -> Vec<u32>) -> Vec<&'a str> {
    if text.chars().nth(1).is_none() || encode(text).len() <= MAX_SEGMENT_TOKENS / 2 {
        return vec![text];
    }
    let middle = text.len() / 2;
    let boundaries = text.char_indices().skip(1);
    let nearest = |spaces_only: bool| {
        let fits = |c: &(usize, char)| !spaces_only || c.1.is_whitespace();
        boundaries.clone().filter(fits).map(|(i, _)| i).min_by_key(|i| i.abs_diff(middle))
    };
    let Some(cut) = nearest(true).or_else(|| nearest(false)) else { return vec![text] };
    let (head, tail) = text.split_at(cut);
    let mut parts = pieces(head, encode);
    parts.extend(pieces(tail, encode));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One token per character.
    fn encode(text: &str) -> Vec<u32> {
        text.chars().map(u32::from).collect()
    }

    fn drain(feed: &mut Feed) -> Vec<String> {
        let mut out = vec![];
        while let Some(segment) = feed.front_mut() {
            out.push(segment.tokens.iter().filter_map(|t| char::from_u32(*t)).collect());
            feed.pop();
        }
        out
    }

    #[test]
    fn a_stream_speaks_every_character_once_and_in_order() {
        let text = "First sentence is here. Second one, longer than that! 第三句。And a \"fourth.\" 3.5 is a number";
        let mut feed = Feed::default();
        for word in text.split_inclusive(' ') {
            feed.append(word, encode);
        }
        feed.close();
        assert_eq!(drain(&mut feed).concat(), text);
    }

    #[test]
    fn segments_end_with_sentences_that_are_long_enough() {
        let mut feed = Feed::default();
        feed.append("Hi. This sentence is long enough to end. More", encode);
        assert!(feed.is_open());
        feed.close();
        assert_eq!(drain(&mut feed), ["Hi. This sentence is long enough to end.", " More"]);
        assert!(feed.is_exhausted());
    }

    #[test]
    fn an_endless_sentence_is_cut_before_the_limit() {
        let mut feed = Feed::default();
        for _ in 0..200 {
            feed.append(" word", encode);
        }
        feed.close();
        assert!(
            drain(&mut feed).iter().all(|s| s.len() <= MAX_SEGMENT_TOKENS && s.ends_with("word"))
        );
    }

    /// A client may send its whole limit in one frame, with or without spaces.
    #[test]
    fn one_long_fragment_is_cut_too() {
        for text in ["many words ".repeat(90), "x".repeat(1000), "长".repeat(1000)] {
            let mut feed = Feed::default();
            feed.append(&text, encode);
            feed.close();
            let segments = drain(&mut feed);
            assert!(segments.iter().all(|s| s.chars().count() <= MAX_SEGMENT_TOKENS));
            assert_eq!(segments.concat(), text);
        }
    }

    #[test]
    fn flushes_are_answered_by_the_segment_before_them() {
        let mut feed = Feed::default();
        assert!(!feed.flush());
        feed.append("Hello there", encode);
        assert!(feed.flush() && feed.flush());
        feed.append(" and more", encode);
        let flushes: Vec<usize> = feed.segments.iter().map(|s| s.flushes).collect();
        assert_eq!(flushes, [2, 0]);
    }

    #[test]
    fn segments_keep_their_text() {
        let mut feed = Feed::default();
        for word in ["(", "One", " and", " two."] {
            feed.append(word, encode);
        }
        assert_eq!(feed.front_mut().map(|s| s.text.clone()).as_deref(), Some("(One and two."));
    }

    #[test]
    fn punctuation_alone_is_not_a_segment() {
        let mut feed = Feed::default();
        feed.append("...", encode);
        feed.append(" \"", encode);
        assert!(!feed.is_open());
        feed.append("Yes", encode);
        feed.close();
        assert_eq!(drain(&mut feed), ["... \"Yes"]);
        let mut feed = Feed::default();
        feed.append("?!", encode);
        feed.close();
        assert!(feed.is_exhausted());
    }
}
