//! Years, decades, ordinals.

use super::around::{Word, is_digit, is_end, is_letter, space, word_at, word_before};
use super::calendar;
use super::date::ordinal_suffix;
use super::numeral::{Numeral, whole};
use super::spell;
use super::suffix;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// "1st", "22nd", "1,000th".
pub fn ordinal(look: &Look, _: &Context) -> Option<Reading> {
    let number = Numeral::read(look, 0)?;
    let suffix = ordinal_suffix(look, number.len);
    let value = number.value().filter(|_| suffix > 0)?;
    Reading::say(number.len + suffix, spell::ordinal(value))
}

/// "1980s", "the 80s", "'90s", "2000's".
pub fn decade(look: &Look, _: &Context) -> Option<Reading> {
    let quoted = matches!(look.peek(0)?, '\'' | '’' | '‘');
    let start = usize::from(quoted);
    let digits = look.count(start, 5, |c| c.is_ascii_digit());
    let apostrophe = usize::from(matches!(look.peek(start + digits), Some('\'' | '’')));
    let end = start + digits + apostrophe + 1;
    if look.peek(end - 1) != Some('s') || !is_end(look.peek(end)) {
        return None;
    }
    let (value, _) = whole(look, start, digits, digits)?;
    if value % 10 != 0 {
        return None;
    }
    let name = match digits {
        4 if (1000..2200).contains(&value) => spell::year(value),
        2 if value >= 20 && (quoted || apostrophe > 0 || names_decades(look)) => {
            spell::cardinal(value)
        }
        _ => return None,
    };
    Reading::say(end, spell::plural(&name))
}

/// "'99".
pub fn short_year(look: &Look, _: &Context) -> Option<Reading> {
    if !matches!(look.peek(0)?, '\'' | '’' | '‘') || look.back(0).is_some_and(is_letter) {
        return None;
    }
    let (value, _) = whole(look, 1, 2, 2)?;
    // "'12'" is quoted, "'30:" a number of something else.
    let after = look.peek(3);
    let quoted = matches!(after, Some('\'' | '’' | '"' | '%' | ':'));
    if !is_end(after) || quoted || after == Some('.') && is_digit(look.peek(4)) {
        return None;
    }
    let oh = if value < 10 { "oh " } else { "" };
    Reading::say(3, format!("{oh}{}", spell::cardinal(value)))
}

/// Whether the word before goes with decades, so that "30s" are no seconds.
fn names_decades(look: &Look) -> bool {
    let back = usize::from(matches!(look.back(0), Some('-' | '–')));
    // "the 1920s-30s".
    if back == 1 && look.back(1) == Some('s') && is_digit(look.back(2)) {
        return true;
    }
    let (before, _) = word_before(look, back);
    ["the", "early", "late", "mid", "his", "her", "their", "my", "your", "our", "in", "and", "or"]
        .contains(&before.lower().as_str())
}

/// Years and ranges of years.
pub fn year(look: &Look, _: &Context) -> Option<Reading> {
    let (value, len) = whole(look, 0, 4, 4)?;
    if !(1000..2200).contains(&value) || look.back(0) == Some('#') {
        return None;
    }
    if let Some((last, end)) = last_year(look, value) {
        let spoken = format!("{} to {last}", spell::year(value));
        return if counts(look, end) { None } else { Reading::say(end, spoken) };
    }
    let after = look.peek(len);
    let goes_on =
        matches!(after, Some('.' | ',' | ':' | '/' | '-' | '–')) && is_digit(look.peek(len + 1));
    if !is_end(after) || goes_on || matches!(after, Some('%' | '°')) {
        return None;
    }
    let era = matches!(era(look, len), "BC" | "AD" | "BCE" | "CE");
    let is_year = era || behind_quarter(look) || {
        let back = usize::from(look.back(0) == Some('-'));
        // "c. 1450".
        let dot = usize::from(look.back(0) == Some(' ') && look.back(1) == Some('.'));
        let (before, _) = word_before(look, back.max(2 * dot));
        let sure = goes_before_years(&before);
        match value {
            1900..2200 if sure => !counts_unit(look, len),
            1900..2100 => !counts_before(&before) && !counts(look, len),
            _ => sure && !counts(look, len) && stands_alone(look, len),
        }
    };
    if is_year { Reading::say(len, spell::year(value)) } else { None }
}

/// The last year of a range that begins with `first`, spoken, and where it ends.
fn last_year(look: &Look, first: u64) -> Option<(String, usize)> {
    let gap = space(look, 4);
    matches!(look.peek(4 + gap)?, '-' | '–' | '—').then_some(())?;
    let start = 5 + 2 * gap;
    let digits = look.count(start, 5, |c| c.is_ascii_digit());
    let (value, _) = whole(look, start, digits, digits)?;
    let end = start + digits;
    let more =
        matches!(look.peek(end), Some('-' | '.' | '/' | ',')) && is_digit(look.peek(end + 1));
    if !is_end(look.peek(end)) || more {
        return None;
    }
    match digits {
        4 if (first + 1..2100).contains(&value) => Some((spell::year(value), end)),
        2 if value > first % 100 && first >= 1100 => Some((spell::cardinal(value), end)),
        _ => None,
    }
}

/// Whether the word before is a quarter or half of a year: "Q3 2024".
fn behind_quarter(look: &Look) -> bool {
    look.back(0) == Some(' ')
        && matches!(look.back(1), Some('1'..='4'))
        && matches!(look.back(2), Some('Q' | 'H'))
        && is_end(look.back(3))
}

fn era(look: &Look, n: usize) -> &'static str {
    if look.peek(n) != Some(' ') {
        return "";
    }
    match word_at(look, n + 1).as_str() {
        "BC" => "BC",
        "AD" => "AD",
        "BCE" => "BCE",
        "CE" => "CE",
        _ => "",
    }
}

fn goes_before_years(word: &Word) -> bool {
    calendar::month(word.as_str()).is_some()
        || [
            "in",
            "since",
            "by",
            "circa",
            "year",
            "from",
            "until",
            "till",
            "during",
            "before",
            "after",
            "early",
            "late",
            "mid",
            "pre",
            "post",
            "fiscal",
            "fy",
            "spring",
            "summer",
            "autumn",
            "fall",
            "winter",
            "copyright",
            "est",
            "b",
            "d",
            "c",
            "ca",
            "born",
            "died",
            "between",
        ]
        .contains(&word.lower().as_str())
}

/// Words before a number that counts.
fn counts_before(word: &Word) -> bool {
    [
        "than",
        "about",
        "over",
        "under",
        "nearly",
        "almost",
        "some",
        "only",
        "exactly",
        "another",
        "approximately",
        "roughly",
        "least",
        "most",
        "times",
        "plus",
        "minus",
        "equals",
    ]
    .contains(&word.lower().as_str())
}

/// Whether something countable follows a number that ends at `n`.
fn counts(look: &Look, n: usize) -> bool {
    if counts_unit(look, n) {
        return true;
    }
    if look.peek(n) != Some(' ') {
        return false;
    }
    let word = word_at(look, n + 1);
    let word = word.as_str();
    let plural = word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.ends_with('s')
        && !word.ends_with("ss")
        && !["is", "was", "as", "has", "its", "this", "us", "does", "sees"].contains(&word);
    let (before, _) = word_before(look, 0);
    let of_year = match before.lower().as_str() {
        "the" => true,
        // "our 2024 goals", but "our 2000 customers".
        "our" | "my" | "your" | "his" | "her" | "its" | "their" => !look.is(2, "00"),
        _ => false,
    };
    plural && !of_year || matches!(word, "people" | "men" | "women" | "children" | "of")
}

fn counts_unit(look: &Look, n: usize) -> bool {
    suffix::read(look, n).len > 0
}

/// Whether a number that ends at `n` does not go with a noun behind it.
fn stands_alone(look: &Look, n: usize) -> bool {
    let noun = look.peek(n) == Some(' ') && look.peek(n + 1).is_some_and(char::is_lowercase);
    !noun
        || matches!(
            word_at(look, n + 1).as_str(),
            "a" | "after"
                | "an"
                | "and"
                | "as"
                | "at"
                | "but"
                | "by"
                | "for"
                | "had"
                | "he"
                | "in"
                | "is"
                | "it"
                | "on"
                | "or"
                | "she"
                | "that"
                | "the"
                | "there"
                | "they"
                | "we"
                | "through"
                | "to"
                | "until"
                | "was"
                | "were"
                | "when"
                | "which"
                | "who"
                | "with"
        )
}
