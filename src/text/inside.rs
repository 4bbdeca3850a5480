//! Places in a text where a sentence does not end, whatever mark stands there.

use std::ops::Range;

/// Longest quotation that stays in one piece, in characters.
const LONGEST: usize = 80;

/// Short forms whose dot ends no sentence, in small letters.
const ABBREVIATIONS: [&str; 30] = [
    "approx", "ave", "bros", "capt", "cf", "col", "dept", "dr", "e.g", "est", "gen", "gov", "i.e",
    "jr", "lt", "mr", "mrs", "ms", "mt", "ph.d", "prof", "rep", "rev", "sen", "sgt", "sr", "st",
    "vol", "vs", "viz",
];

/// Where in one text nothing may be cut: quotations and what stands in brackets.
#[derive(Debug)]
pub(super) struct Inside<'a> {
    text: &'a str,
    /// In bytes, first to last.
    quoted: Vec<Range<usize>>,
}

impl<'a> Inside<'a> {
    pub fn of(text: &'a str) -> Self {
        let mut quoted: Vec<Range<usize>> = Vec::new();
        let mut open: Option<(char, usize, usize)> = None;
        let mut before = None;
        for (count, (at, c)) in text.char_indices().enumerate() {
            match open {
                Some((end, from, _)) if c == end => {
                    quoted.push(from..at + c.len_utf8());
                    open = None;
                }
                // One that is not closed soon was none.
                Some((.., begun)) if count - begun > LONGEST || c == '\n' => open = None,
                Some(_) => {}
                None => open = closing(c, before).map(|end| (end, at, count)),
            }
            before = Some(c);
        }
        Self { text, quoted }
    }

    /// Whether the place, in bytes, is within a quotation, a number, an abbreviation or an address.
    pub fn contains(&self, at: usize) -> bool {
        let quoted = self.quoted.partition_point(|range| range.end <= at);
        if self.quoted.get(quoted).is_some_and(|range| range.start < at) {
            return true;
        }
        let (Some(before), Some(after)) = (self.text.get(..at), self.text.get(at..)) else {
            return false;
        };
        let Some(mark) = before.chars().next_back().filter(char::is_ascii_punctuation) else {
            return false;
        };
        let letter = |c: char| c.is_ascii_alphanumeric();
        let word = &before[..before.len() - mark.len_utf8()];
        after.starts_with(letter) && word.ends_with(letter)
            || mark == '.' && is_abbreviation(word, after)
    }
}

/// The mark that ends what `c` begins.
fn closing(c: char, before: Option<char>) -> Option<char> {
    match c {
        '“' => Some('”'),
        '「' => Some('」'),
        '『' => Some('』'),
        '《' => Some('》'),
        '（' => Some('）'),
        '(' => Some(')'),
        '"' if before.is_none_or(|c| !c.is_alphanumeric()) => Some('"'),
        _ => None,
    }
}

/// Likewise, before a number.
const BEFORE_NUMBERS: [&str; 4] = ["no", "fig", "vol", "pp"];

/// Whether the text before a dot ends with a short form or an initial.
fn is_abbreviation(text: &str, after: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '.';
    let word = &text[text.trim_end_matches(letter).len()..];
    // Longer words cost nothing to look at.
    if word.is_empty() || word.len() > 6 {
        return false;
    }
    let initial = word.len() == 1 && word != "I" && word.starts_with(|c: char| c.is_uppercase());
    let number = after.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let word = word.to_ascii_lowercase();
    let known = |list: &[&str]| list.contains(&word.as_str());
    initial || known(&ABBREVIATIONS) || number && known(&BEFORE_NUMBERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places after each sign that could end a sentence, of which those inside are told.
    fn inside(text: &str) -> Vec<bool> {
        let inside = Inside::of(text);
        text.char_indices()
            .filter(|(_, c)| ".?!:;。？！".contains(*c))
            .map(|(at, c)| inside.contains(at + c.len_utf8()))
            .collect()
    }

    #[test]
    fn numbers_abbreviations_and_addresses_are_whole() {
        assert_eq!(inside("It is 3.5 at 10:30. Ok"), [true, true, false]);
        assert_eq!(inside("Dr. Wu vs. J. Li. No. 5"), [true, true, true, false, true]);
        assert_eq!(inside("See a.com/b. And I. End"), [true, false, false]);
        assert_eq!(inside("她说e.g. 这样。好。"), [true, true, false, false]);
    }

    #[test]
    fn quotations_are_whole() {
        assert_eq!(inside("He said \"No. Never!\" Then left."), [true, true, false]);
        assert_eq!(inside("他说：“不。不行！”走了。"), [true, true, false]);
        assert_eq!(inside("（一。二。）三。"), [true, true, false]);
    }

    /// A quote that nobody closes does not swallow the text.
    #[test]
    fn open_quotations_are_none() {
        let text = format!("\"No. {} Yes. ", "x".repeat(100));
        assert_eq!(inside(&text), [false, false]);
        assert_eq!(inside("5\" wide. Yes."), [false, false]);
    }
}
