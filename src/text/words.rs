//! The words of a text as its writer sees them, with their places.

use super::chars::stands_alone;
use super::numbers::spell_out_numbers;

/// A word, or an ideograph of a script that is written without spaces.
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
}

/// Splits a text that comes in pieces. What it finds does not depend on where the text was cut.
#[derive(Debug, Default)]
pub struct WordSplitter {
    current: Vec<char>,
    /// Characters so far.
    at: usize,
    paused: bool,
}

impl WordSplitter {
    /// Takes the next piece; gives the words that are complete with it.
    pub fn push(&mut self, piece: &str) -> Vec<Word> {
        let mut out = Vec::new();
        for c in piece.chars() {
            if c.is_whitespace() || is_dash(c) {
                out.extend(self.close());
                self.paused |= c == '\n' || is_dash(c);
                self.at += 1;
            } else if stands_alone(c) {
                out.extend(self.close());
                self.current.push(c);
                self.at += 1;
                out.extend(self.close());
            } else {
                self.current.push(c);
                self.at += 1;
            }
        }
        out
    }

    /// Takes what has come for complete.
    pub fn close(&mut self) -> Option<Word> {
        let chars = std::mem::take(&mut self.current);
        let end = self.at;
        let spoken = |c: &char| c.is_alphanumeric();
        let (Some(first), Some(last)) =
            (chars.iter().position(spoken), chars.iter().rposition(spoken))
        else {
            self.paused |= chars.iter().any(|c| is_pause(*c));
            return None;
        };
        let word = Word {
            text: chars[first..=last].iter().collect(),
            from: end - chars.len() + first,
            to: end - chars.len() + last + 1,
            after_pause: self.paused || chars[..first].iter().any(|c| is_pause(*c)),
        };
        self.paused = chars[last + 1..].iter().any(|c| is_pause(*c));
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

/// The letters that a word may be spoken as: as it is written, and with its digits as English
/// words.
pub fn spoken_letters(word: &str) -> [Vec<char>; 2] {
    [letters(word), letters(&spell_out_numbers(word))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pieces: &[&str]) -> Vec<Word> {
        let mut splitter = WordSplitter::default();
        let mut out: Vec<Word> = pieces.iter().flat_map(|piece| splitter.push(piece)).collect();
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

    #[test]
    fn digits_are_spoken_as_either() {
        let [written, spelled] = spoken_letters("1,000");
        assert_eq!(written.iter().collect::<String>(), "1000");
        assert_eq!(spelled.iter().collect::<String>(), "onezero");
    }
}
