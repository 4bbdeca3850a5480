//! A text that comes in pieces.

use super::Normalizer;
use super::context::{Context, Language};
use super::look::{AHEAD, BEHIND, Look};
use super::reading::{Piece, Reading, Rule};
use super::width;
use super::{en, markdown, markup, special, zh};
use crate::text::chars::{is_chinese, stands_alone};

/// Reads one text as it comes. What it gives does not depend on where the text was cut; see
/// [`Look`].
#[derive(Debug, Default)]
pub struct NormalStream {
    normalizer: Normalizer,
    context: Context,
    /// The last characters that were read, then those that were not; full-width forms as their
    /// ASCII twins.
    chars: Vec<char>,
    /// The same characters as they were written.
    written: Vec<char>,
    /// How many of them were read.
    read: usize,
    /// Place of the first of them in the text.
    offset: usize,
    /// Whether the last character spoken came from a rule.
    after_reading: bool,
    /// Whether the last that was read is not spoken.
    after_nothing: bool,
}

impl NormalStream {
    pub fn new(normalizer: Normalizer) -> Self {
        let context = Context::new(normalizer.language, normalizer.emoji);
        Self { normalizer, context, ..Self::default() }
    }

    /// Takes the next piece of the text; gives what can be said of it now, often nothing. What may
    /// still change is held, [`AHEAD`] characters at most.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        self.written.extend(text.chars());
        self.chars.extend(text.chars().map(width::narrow));
        self.read(false)
    }

    /// Gives all that is held, as if the text ended here. More may follow.
    pub fn finish(&mut self) -> Vec<Piece> {
        self.read(true)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.read == self.chars.len()
    }

    /// Whether what is held begins with a space, so that the word before it is complete.
    pub fn holds_space(&self) -> bool {
        self.chars.get(self.read) == Some(&' ')
    }

    fn read(&mut self, complete: bool) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        while self.read < self.chars.len() {
            let look = Look::new(&self.chars, self.read, complete);
            let (reading, rule) = self.step(&look);
            if look.is_open() {
                break;
            }
            self.take(reading, rule, &mut pieces);
        }
        // What rules may see behind them stays.
        let drop = self.read.saturating_sub(BEHIND);
        self.chars.drain(..drop);
        self.written.drain(..drop);
        self.read -= drop;
        self.offset += drop;
        pieces
    }

    /// What becomes of the characters at the place, and by which rule.
    fn step(&self, look: &Look) -> (Reading, Option<&'static str>) {
        let Some(first) = look.peek(0) else { return (Reading::Keep(0), None) };
        if let Some(reading) = self.normalizer.lexicon.read(look, &self.context) {
            return (reading, Some("lexicon"));
        }
        let find = |rules: &[Rule]| {
            rules.iter().find_map(|rule| {
                (rule.read)(look, &self.context).map(|reading| (reading, Some(rule.name)))
            })
        };
        if let Some(found) = find(markup::RULES).or_else(|| find(markdown::RULES)) {
            return found;
        }
        let script = script_of(first);
        let of_both = match script {
            Script::Chinese => &[],
            Script::Letters => special::WORDS,
            Script::Space => special::SPACES,
            Script::Other => special::SIGNS,
        };
        if let Some(found) = find(of_both) {
            return found;
        }
        let rules = match script {
            Script::Chinese => zh::RULES,
            Script::Letters => match find(zh::WORDS) {
                Some(found) => return found,
                None => en::WORDS,
            },
            Script::Space => en::SPACES,
            Script::Other => match self.context.language(look) {
                Language::Chinese => zh::RULES,
                Language::English => en::RULES,
            },
        };
        let left = match script {
            Script::Other => special::LEFT,
            _ => &[],
        };
        find(rules).or_else(|| find(left)).unwrap_or_else(|| {
            let word = look.count(0, AHEAD, |c| script_of(c) == Script::Letters);
            (Reading::Keep(word.max(1)), None)
        })
    }

    /// Adds what was read to the pieces.
    fn take(&mut self, reading: Reading, rule: Option<&'static str>, pieces: &mut Vec<Piece>) {
        let len = reading.len().clamp(1, self.chars.len() - self.read);
        let range = self.read..self.read + len;
        let source = self.offset + range.start..self.offset + range.end;
        self.read = range.end;
        let chars = &self.chars[range.clone()];
        let written = self.written[range].iter();
        chars.iter().for_each(|c| self.context.pass(*c));
        let before = self.context.spoken;
        let mut spoken = match reading {
            Reading::Keep(_) => chars.iter().collect(),
            Reading::Say { spoken, .. } => spoken,
        };
        // Of two spaces around what is not spoken one stays.
        if self.after_nothing && spoken == " " && before.is_none_or(char::is_whitespace) {
            spoken.clear();
        }
        self.after_nothing = spoken.is_empty();
        // What is read otherwise stays a word of its own.
        let apart = (rule.is_some() || self.after_reading) && joins(before, spoken.chars().next());
        if !spoken.is_empty() {
            self.after_reading = rule.is_some();
            self.context.spoken = spoken.chars().next_back();
        }
        if apart {
            spoken.insert(0, ' ');
        }
        match pieces.last_mut() {
            Some(piece) if piece.rule.is_none() && rule.is_none() => {
                piece.spoken += &spoken;
                piece.written.extend(written);
                piece.source.end = source.end;
            }
            _ => pieces.push(Piece { spoken, written: written.collect(), source, rule }),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Chinese,
    /// Of scripts that write words.
    Letters,
    Space,
    Other,
}

fn script_of(c: char) -> Script {
    match c {
        'a'..='z' | 'A'..='Z' => Script::Letters,
        ' ' | '\n' | '\t' | '\r' => Script::Space,
        _ if c.is_ascii() => Script::Other,
        _ if is_chinese(c) => Script::Chinese,
        _ if c.is_alphabetic() && !stands_alone(c) => Script::Letters,
        _ if c.is_whitespace() => Script::Space,
        _ => Script::Other,
    }
}

/// Whether two characters would grow into one word.
fn joins(before: Option<char>, next: Option<char>) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && !stands_alone(c));
    letter(before) && letter(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of a text that comes as `parts`, neighbours that are spoken as written joined.
    fn pieces<'a>(parts: impl IntoIterator<Item = &'a str>) -> Vec<Piece> {
        let mut stream = NormalStream::default();
        let mut all: Vec<Piece> = parts.into_iter().flat_map(|part| stream.push(part)).collect();
        all.extend(stream.finish());
        let mut out: Vec<Piece> = Vec::new();
        for piece in all {
            match out.last_mut() {
                Some(last) if last.rule.is_none() && piece.rule.is_none() => {
                    last.spoken += &piece.spoken;
                    last.written += &piece.written;
                    last.source.end = piece.source.end;
                }
                _ => out.push(piece),
            }
        }
        out
    }

    const TEXTS: [&str; 6] = [
        "<p>Hello <strong>there</strong>, see [the page](https://example.com/a_b) now.</p>",
        "# Title\n\n* one **bold** item\n* two `code`\n\n---\n> quoted _words_ 3*4 snake_case",
        "他说<break time=\"1s\"/>I have 3 apples，价格１２.5元。<|en|>Hi[laughter]！",
        "a < b > c <!-- no --> d <unclosed e [x](y) ![i](./a.png)",
        "カタカナ and ﬁne ＡＢＣ cafe\u{301} 😀",
        "",
    ];

    /// Cut at every place, at two places, and into characters.
    #[test]
    fn what_is_spoken_does_not_depend_on_the_cuts() {
        let long = format!("{} [{}](http {}", "x".repeat(450), "y".repeat(120), "<a".repeat(150));
        for text in TEXTS.into_iter().chain([long.as_str()]) {
            let whole = pieces([text]);
            for (cut, _) in text.char_indices() {
                assert_eq!(pieces([&text[..cut], &text[cut..]]), whole, "{text:?} cut at {cut}");
            }
            let chars: Vec<String> = text.chars().map(String::from).collect();
            assert_eq!(pieces(chars.iter().map(String::as_str)), whole, "{text:?} in characters");
        }
    }

    /// Every character of the source is in one piece, in order.
    #[test]
    fn pieces_cover_the_text() {
        for text in TEXTS {
            let pieces = pieces([text]);
            let written: String = pieces.iter().map(|piece| piece.written.as_str()).collect();
            assert_eq!(written, text);
            let mut at = 0;
            for piece in &pieces {
                assert_eq!(piece.source.start, at);
                at = piece.source.end;
            }
            assert_eq!(at, text.chars().count());
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut stream = NormalStream::default();
        for c in ["x", "<", "[", "1", "中", "*", " "] {
            for _ in 0..1000 {
                stream.push(c);
                assert!(stream.chars.len() - stream.read <= AHEAD, "{c}");
                assert!(stream.chars.len() <= AHEAD + BEHIND + 1);
            }
        }
    }

    #[test]
    fn marks_for_the_eye_are_not_spoken() {
        let spoken = |text: &str| -> String {
            pieces([text]).into_iter().map(|piece| piece.spoken).collect()
        };
        assert_eq!(spoken(TEXTS[0]), "Hello <strong>there</strong>, see the page now.");
        assert_eq!(spoken("a < b and <b>c</b>"), "a is less than b and c");
        assert_eq!(spoken("## Title\n- one\n- **two**"), "Title.\none.\ntwo");
        assert_eq!(spoken("Ｈｉ"), "Hi");
    }
}
