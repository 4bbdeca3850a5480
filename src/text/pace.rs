//! How many syllables a text has, near enough to tell whether it fits a recording.

use super::chars::{is_chinese, stands_alone};
use std::ops::RangeInclusive;

/// Characters of the longest tag. What stands between brackets and is longer is text.
const LONGEST_TAG: usize = 40;

/// The fewest and the most syllables that the text may be read with; None for a blank one.
///
/// Chinese characters, kana and Hangul are a syllable each, words of Latin, Greek and Cyrillic
/// letters have one for every group of vowels. Numbers, symbols, abbreviations and other scripts
/// are read in too many ways to say, so the two ends are far apart.
pub fn syllables(text: &str) -> Option<RangeInclusive<f64>> {
    if text.trim().is_empty() {
        return None;
    }
    let (mut least, mut most) = (0.0, 0.0);
    let mut add = |fewest: f64, highest: f64| {
        least += fewest;
        most += highest;
    };
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = after_tag(rest) {
            // A laugh, a breath, or nothing.
            add(0.0, 2.0);
            rest = after;
            continue;
        }
        let word = rest.find(|c| !is_letter(c) && c != '\'' && c != '’').unwrap_or(rest.len());
        if is_letter(c) {
            let (fewest, highest) = word_syllables(&rest[..word]);
            add(fewest, highest);
            rest = &rest[word..];
            continue;
        }
        match c {
            // `10000` is "ten thousand", `777` is nine syllables and more.
            _ if c.is_ascii_digit() || ('０'..='９').contains(&c) => add(0.4, 3.5),
            _ if is_chinese(c) || is_hangul(c) => add(1.0, 1.0),
            _ if stands_alone(c) && c.is_alphabetic() => add(0.5, 1.0),
            '%' | '$' | '€' | '£' | '¥' | '+' | '=' | '&' | '@' | '°' | '#' | '℃' | '／' | '/' =>
            {
                add(0.0, 3.0);
            }
            _ if c.is_alphanumeric() => add(0.0, 1.5),
            _ => {}
        }
        rest = &rest[c.len_utf8()..];
    }
    Some(least..=most)
}

/// What follows the tag that the text begins with, as `[laughter]` or `<strong>`.
fn after_tag(text: &str) -> Option<&str> {
    let close = match text.as_bytes().first()? {
        b'[' => ']',
        b'<' => '>',
        _ => return None,
    };
    let (end, _) = text.char_indices().take(LONGEST_TAG).find(|(_, c)| *c == close)?;
    Some(&text[end + 1..])
}

/// Letters of the scripts whose vowels are known.
fn is_letter(c: char) -> bool {
    c.is_alphabetic()
        && matches!(c, 'A'..='z' | '\u{AA}'..='\u{24F}' | '\u{370}'..='\u{52F}' | '\u{1E00}'..='\u{1FFF}')
}

fn is_hangul(c: char) -> bool {
    ('\u{AC00}'..='\u{D7A3}').contains(&c)
}

/// The fewest and the most syllables of a word.
fn word_syllables(word: &str) -> (f64, f64) {
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let lower: Vec<char> = word.to_lowercase().chars().collect();
    let groups = lower.split(|c| !is_vowel(*c)).filter(|group| !group.is_empty());
    let (count, vowels) =
        groups.fold((0, 0), |(count, vowels), group| (count + 1, vowels + group.len()));
    // The last letter of `made` is silent.
    let silent = usize::from(count > 1 && lower.last() == Some(&'e'));
    let spelled = letters > 1 && word.chars().filter(|c| c.is_alphabetic()).all(char::is_uppercase);
    let most = match spelled {
        // `WWW` has nine.
        true => 3 * letters,
        // `create` has two vowels side by side, `rhythm` one that is not written.
        false => vowels.max(count + 1),
    };
    ((count - silent).max(1) as f64, most as f64)
}

fn is_vowel(c: char) -> bool {
    const VOWELS: &str = "aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýÿāēīōūœ\
                          аеёиоуыэюяіїєαεηιουωάέήίόύώ";
    VOWELS.contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn holds(text: &str, count: f64) {
        let range = syllables(text).expect("a text");
        assert!(range.contains(&count), "{text}: {count} is not in {range:?}");
        // Not so wide that it says nothing.
        assert!(range.end() <= &(3.0 * range.start() + 2.0), "{text}: {range:?}");
    }

    #[test]
    fn the_true_number_is_in_the_range() {
        for (text, count) in [
            ("It is easy to find fault, if one has that disposition.", 16.0),
            ("Keep cool and say nice things to the machine.", 10.0),
            ("Don't create a rhythm.", 6.0),
            ("今天的公交车因为大雨晚点了。", 13.0),
            ("我们用 Rust 写代码。", 7.0),
            ("안녕하세요", 5.0),
            ("Я не знаю, где он.", 7.0),
            ("<strong>Good</strong> morning.", 3.0),
        ] {
            holds(text, count);
        }
    }

    /// A warning must not depend on how a number or an abbreviation is read.
    #[test]
    fn what_can_be_read_in_many_ways_has_a_wide_range() {
        for (text, few, many) in [
            ("777", 3.0, 10.0),
            ("1000000", 3.0, 20.0),
            ("HTTP SQL", 3.0, 14.0),
            ("[laughter]", 0.0, 2.0),
            ("50%", 3.0, 7.0),
            ("مرحبا", 0.0, 5.0),
        ] {
            let range = syllables(text).expect("a text");
            assert!(range.contains(&few) && range.contains(&many), "{text}: {range:?}");
        }
    }

    #[test]
    fn texts_without_words() {
        assert_eq!(syllables(" \n"), None);
        assert_eq!(syllables("…!?"), Some(0.0..=0.0));
        // Brackets that close nowhere near are no tags.
        assert_eq!(syllables("[你好"), Some(2.0..=2.0));
        assert_eq!(syllables(&format!("<{}>", "好".repeat(50))), Some(50.0..=50.0));
    }
}
