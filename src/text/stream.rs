//! The unfinished end of a text that arrives in pieces.

use super::chars::{is_chinese, stands_alone};
use super::numbers::{digit, spell_out_numbers};

/// Most characters that are held back.
const MAX_HELD: usize = 200;

/// Lets text through word by word, however it was cut on its way.
///
/// A word leaves when the space after it has come, and the space leaves with the next word: so the
/// releases, tokenised one by one, give the tokens of the whole (byte-pair encodings put a space
/// in front of a word, and look no further). Ideographs and kana leave at once. As long as no
/// Chinese has come, digits leave as English words.
///
/// The text is taken character by character, so what is released, and between which characters
/// releases may end, depends on the text alone and not on how it was cut.
#[derive(Debug, Default)]
pub struct TextStream {
    held: String,
    /// Characters in `held`.
    count: usize,
    /// Whether anything but white space has come: before it, white space is dropped.
    started: bool,
    chinese: bool,
}

impl TextStream {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece; returns what is now safe to speak, often nothing.
    pub fn push(&mut self, piece: &str) -> String {
        let mut out = String::new();
        piece.chars().for_each(|c| self.take(c, &mut out));
        out
    }

    /// Releases the word that is held: a space follows, but may not be there yet.
    pub fn end_word(&mut self) -> String {
        let mut out = String::new();
        if self.held.chars().next_back().is_some_and(|last| !last.is_whitespace()) {
            self.release(self.held.len(), &mut out);
        }
        out
    }

    /// Releases all that is held, as at the end of the text or at a pause in it. White space at
    /// the end stays for the word that may follow.
    pub fn flush(&mut self) -> String {
        let mut out = String::new();
        self.release(self.held.trim_end().len(), &mut out);
        out
    }

    /// Whether nothing waits for [`flush`](Self::flush).
    pub fn is_empty(&self) -> bool {
        self.held.trim_end().is_empty()
    }

    fn take(&mut self, c: char, out: &mut String) {
        self.started |= !c.is_whitespace();
        // A stretch of white space says nothing more by being longer.
        let idle = c.is_whitespace() && self.count + 1 >= MAX_HELD && self.is_empty();
        if !self.started || idle {
            return;
        }
        self.chinese |= is_chinese(c);
        // No token reaches from a word over the space after it, or from line breaks into a word.
        let boundary = self.held.chars().next_back().is_some_and(|last| {
            let next_word = c == ' ' && !last.is_whitespace();
            let next_line = matches!(last, '\n' | '\r') && !c.is_whitespace();
            next_word || next_line
        });
        if boundary {
            self.release(self.held.len(), out);
        }
        self.held.push(c);
        self.count += 1;
        if stands_alone(c) {
            self.release(self.held.len(), out);
        } else if self.count >= MAX_HELD {
            self.release(self.best_cut(), out);
        }
    }

    /// Where to cut a word that does not end: after its last punctuation, not inside a number.
    fn best_cut(&self) -> usize {
        let chars: Vec<(usize, char)> = self.held.char_indices().collect();
        let number = |c: char| digit(c).is_some();
        let cut = chars.windows(3).rev().find_map(|window| {
            let [(_, before), (_, mark), (at, after)] = window else { return None };
            let inside_number = number(*before) && number(*after);
            let pause = !mark.is_alphanumeric() && after.is_alphanumeric() && !inside_number;
            pause.then_some(*at)
        });
        // Else before a number at the end.
        let digits = || Some(self.held.trim_end_matches(number).len()).filter(|at| *at > 0);
        cut.or_else(digits).unwrap_or(self.held.len())
    }

    fn release(&mut self, to: usize, out: &mut String) {
        let rest = self.held.split_off(to);
        let piece = std::mem::replace(&mut self.held, rest);
        self.count = self.held.chars().count();
        if self.chinese {
            out.push_str(&piece);
        } else {
            out.push_str(&spell_out_numbers(&piece));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 9] = [
        "Streaming works, doesn't it? Yes: 3.5 times of 1,000 (or 2024).",
        "  leading,  double   spaces\tand tabs \n\n lines\nof text. ",
        "收到好友从远方寄来的生日礼物，价格3.5元，2024年。ok good！",
        "I have 3 apples 和 5 个梨 and 7 plums",
        "<strong>Really</strong> [laughter] 20%\u{a0}off — $5… \u{201c}quoted\u{201d}",
        "Ünïcödé cafe\u{301} 😀🎉 한국어 123 テスト",
        "12345678901234567890 10:30 555-1234",
        "a\r\nb\r\n\r\n  c",
        "",
    ];

    fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a str>) -> String {
        let mut stream = TextStream::new();
        let mut out: String = pieces.into_iter().map(|piece| stream.push(piece)).collect();
        out += &stream.flush();
        out
    }

    fn long_text() -> String {
        format!(
            "https://example.com/{}/12,345.67{}{}",
            "ab-c".repeat(60),
            "9".repeat(250),
            "x".repeat(450)
        )
    }

    /// Cut at every place, at every two places, and into characters.
    #[test]
    fn what_is_spoken_does_not_depend_on_the_cuts() {
        let long = long_text();
        for text in TEXTS.into_iter().chain([long.as_str()]) {
            let whole = in_pieces([text]);
            let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            for (i, &a) in cuts.iter().enumerate() {
                assert_eq!(in_pieces([&text[..a], &text[a..]]), whole, "cut at {a}");
                let b = cuts[(i * 7 + 3) % cuts.len()].max(a);
                assert_eq!(in_pieces([&text[..a], &text[a..b], &text[b..]]), whole);
            }
            let mut buffer = [0; 4];
            let mut stream = TextStream::new();
            let mut out = String::new();
            for c in text.chars() {
                out += &stream.push(c.encode_utf8(&mut buffer));
                assert!(stream.held.chars().count() <= MAX_HELD);
            }
            assert_eq!(out + &stream.flush(), whole, "in characters");
        }
    }

    /// Without digits the text itself comes out, less white space at its ends.
    #[test]
    fn nothing_is_lost() {
        for text in TEXTS.into_iter().filter(|text| !text.contains(|c| digit(c).is_some())) {
            assert_eq!(in_pieces([text]), text.trim());
        }
        let long = "ab-c/".repeat(300);
        assert_eq!(in_pieces([long.as_str()]), long);
    }

    /// English streams are normalised as whole texts are.
    #[test]
    fn numbers_are_spelled_out_as_in_whole_texts() {
        for text in TEXTS {
            if !super::super::contains_chinese(text) {
                assert_eq!(in_pieces([text]), super::super::original_rules(text));
            }
        }
        assert_eq!(in_pieces(["价格", "3", ".5元"]), "价格3.5元");
    }

    #[test]
    fn words_wait_for_their_end() {
        let mut stream = TextStream::new();
        let mut out = |piece: &str| stream.push(piece);
        assert_eq!(out("Stre"), "");
        assert_eq!(out("aming"), "");
        assert_eq!(out(" "), "Streaming");
        assert_eq!(out("1"), "");
        assert_eq!(out(",00"), "");
        assert_eq!(out("0.5"), "");
        assert_eq!(out(" kg"), " one,zero.five");
        assert_eq!(out(" 你"), " kg 你");
        assert_eq!(out("好"), "好");
        assert_eq!(stream.flush(), "");
    }

    #[test]
    fn a_flush_keeps_the_space_for_the_next_word() {
        let mut stream = TextStream::new();
        assert_eq!(stream.push("one two "), "one two");
        assert!(stream.is_empty());
        assert_eq!(stream.flush(), "");
        assert_eq!(stream.push("three"), "");
        assert!(!stream.is_empty());
        assert_eq!(stream.flush(), " three");
    }

    #[test]
    fn white_space_without_end_is_not_hoarded() {
        let mut stream = TextStream::new();
        assert_eq!(stream.push("a"), "");
        assert_eq!(stream.push(&" ".repeat(10_000)), "a");
        assert!(stream.held.len() < MAX_HELD);
        assert_eq!(stream.push("b ").trim(), "b");
    }

    /// A word without end is cut where it hurts least.
    #[test]
    fn words_without_end_are_cut_at_punctuation() {
        let mut stream = TextStream::new();
        let out = stream.push(&format!("{}/{}3.14159", "x".repeat(100), "y".repeat(92)));
        assert_eq!(out, format!("{}/", "x".repeat(100)));
    }
}
