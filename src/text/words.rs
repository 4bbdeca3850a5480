//! The words of a text as its writer sees them, with their places.

use super::chars::stands_alone;
use super::normalize::Piece;
use super::numbers::spell_out_numbers;

/// A word, or an ideograph of a script that is written without spaces, or several words that are
/// read as one thing, such as a number with its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As it was written, without the punctuation around it.
    pub text: String,
    /// Where it begins, in characters of the text.
    pub from: usize,
    /// Where it ends, exclusive.
    pub to: usize,
    /// Whether punctuation stands before it at which speakers pause.
    pub after_pause: bool,
    /// The letters that it is spoken as.
    pub spoken: Vec<char>,
}

impl Word {
    /// Letters that the word may be spoken as: as it was read, and with its digits as English
    /// words.
    pub fn spellings(&self) -> [Vec<char>; 2] {
        [self.spoken.clone(), letters(&spell_out_numbers(&self.text))]
    }
}

/// Splits a text that comes in pieces. What it finds does not depend on where the text was cut.
#[derive(Debug, Default)]
pub struct WordSplitter {
    current: Vec<Written>,
    spoken: Vec<char>,
    /// Characters so far.
    at: usize,
    paused: bool,
}

/// A character of a word.
#[derive(Debug, Clone, Copy)]
struct Written {
    char: char,
    at: usize,
    /// Whether it is spoken, rather than punctuation.
    is_spoken: bool,
}

impl WordSplitter {
    /// Takes the next piece of a text that was read; gives the words that are complete with it.
    pub fn push(&mut self, piece: &Piece) -> Vec<Word> {
        self.at = piece.source.start;
        if piece.rule.is_none() {
            return self.push_plain(&piece.written);
        }
        let spoken = letters(&piece.spoken);
        let parts = |text: &str| text.contains(char::is_whitespace);
        if spoken.is_empty() && (parts(&piece.spoken) || parts(&piece.written)) {
            // Such as a dash, which is spoken as a pause.
            let word = self.close();
            self.paused |= piece.spoken.contains(is_pause);
            self.at = piece.source.end;
            return word.into_iter().collect();
        }
        for char in piece.written.chars() {
            let is_spoken = !spoken.is_empty() && !char.is_whitespace();
            self.current.push(Written { char, at: self.at, is_spoken });
            self.at += 1;
        }
        self.spoken.extend(spoken);
        vec![]
    }

    /// Takes the next piece of a text that is spoken as it is written.
    pub fn push_plain(&mut self, text: &str) -> Vec<Word> {
        let mut out = Vec::new();
        for char in text.chars() {
            let written = Written { char, at: self.at, is_spoken: char.is_alphanumeric() };
            self.at += 1;
            if char.is_whitespace() || is_dash(char) {
                out.extend(self.close());
                self.paused |= char == '\n' || is_dash(char);
                continue;
            }
            out.extend(self.close_if(stands_alone(char)));
            self.current.push(written);
            self.spoken.extend(Some(char).filter(|c| c.is_alphanumeric()));
            out.extend(self.close_if(stands_alone(char)));
        }
        out
    }

    fn close_if(&mut self, is: bool) -> Option<Word> {
        if is { self.close() } else { None }
    }

    /// Takes what has come for complete.
    pub fn close(&mut self) -> Option<Word> {
        let written = std::mem::take(&mut self.current);
        let spoken = std::mem::take(&mut self.spoken);
        let pauses = |part: &[Written]| part.iter().any(|w| !w.is_spoken && is_pause(w.char));
        let (Some(first), Some(last)) =
            (written.iter().position(|w| w.is_spoken), written.iter().rposition(|w| w.is_spoken))
        else {
            self.paused |= pauses(&written);
            return None;
        };
        let word = Word {
            text: written[first..=last].iter().map(|w| w.char).collect(),
            from: written[first].at,
            to: written[last].at + 1,
            after_pause: self.paused || pauses(&written[..first]),
            spoken,
        };
        self.paused = pauses(&written[last + 1..]);
        Some(word)
    }
}

fn is_dash(c: char) -> bool {
    matches!(c, '—' | '–' | '…')
}

fn is_pause(c: char) -> bool {
    matches!(c, ',' | '.' | ';' | ':' | '!' | '?' | '，' | '。' | '；' | '：' | '！' | '？' | '、')
}

/// The letters of a text that are spoken, in the order they are: what remains equal of a word
/// whatever is done to the punctuation and the spaces around it.
pub fn letters(text: &str) -> Vec<char> {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pieces: &[&str]) -> Vec<Word> {
        let mut splitter = WordSplitter::default();
        let mut out: Vec<Word> = pieces.iter().flat_map(|p| splitter.push_plain(p)).collect();
        out.extend(splitter.close());
        out
    }

    #[test]
    fn places_are_those_of_the_writer() {
        let text = "\"Well,\" she said — don't go, 3.5 times: 你好。Ok";
        let chars: Vec<char> = text.chars().collect();
        let found = words(&[text]);
        let texts: Vec<&str> = found.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(texts, ["Well", "she", "said", "don't", "go", "3.5", "times", "你", "好", "Ok"]);
        for word in &found {
            assert_eq!(chars[word.from..word.to].iter().collect::<String>(), word.text);
        }
        let paused: Vec<&str> =
            found.iter().filter(|w| w.after_pause).map(|w| w.text.as_str()).collect();
        assert_eq!(paused, ["she", "don't", "3.5", "你", "Ok"]);
    }

    #[test]
    fn cuts_do_not_matter() {
        let text = "One, two (three)! 你好 four-five.";
        let whole = words(&[text]);
        for (cut, _) in text.char_indices() {
            assert_eq!(words(&[&text[..cut], &text[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn punctuation_alone_is_no_word() {
        assert_eq!(words(&["... - ?! 😀"]), []);
    }

    /// Numbers with their units are one word, what is not spoken is none.
    #[test]
    fn what_is_read_otherwise_keeps_its_place() {
        let piece = |written: &str, spoken: &str, from: usize, rule| Piece {
            spoken: spoken.into(),
            written: written.into(),
            source: from..from + written.chars().count(),
            rule,
        };
        let mut splitter = WordSplitter::default();
        let mut found = Vec::new();
        for piece in [
            piece("It costs (", "It costs (", 0, None),
            piece("$5 million", "five million dollars", 10, Some("money")),
            piece("), ", "), ", 20, None),
            piece("**", "", 23, Some("emphasis")),
            piece("b", "b", 25, None),
            piece("**", "", 26, Some("emphasis")),
            piece("old", "old", 28, None),
            piece(" — ", ", ", 31, Some("dash")),
            piece("new.", "new.", 34, None),
        ] {
            found.extend(splitter.push(&piece));
        }
        found.extend(splitter.close());
        let texts: Vec<&str> = found.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(texts, ["It", "costs", "$5 million", "b**old", "new"]);
        assert_eq!((found[2].from, found[2].to), (10, 20));
        assert_eq!(found[2].spoken, letters("five million dollars"));
        assert_eq!((found[3].from, found[3].to, found[3].after_pause), (25, 31, true));
        assert_eq!((found[4].from, found[4].to, found[4].after_pause), (34, 37, true));
    }

    #[test]
    fn digits_are_spoken_as_either() {
        let [written, spelled] = words(&["1,000"])[0].spellings();
        assert_eq!(written.iter().collect::<String>(), "1000");
        assert_eq!(spelled.iter().collect::<String>(), "onezero");
    }
}
