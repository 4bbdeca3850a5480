//! Letters with full stops between, and initials of names.

use super::abbreviation::{begins_word, capitalised, with_dot};
use super::around::{begins_sentences, ends_hour, is_digit, is_end, word_at, word_before};
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// "U.S.", "e.g.", "a.m.", "Ph.D.": letters with full stops between.
pub fn initials(look: &Look, _: &Context) -> Option<Reading> {
    if !begins_word(look) || is_digit(look.back(0)) {
        return None;
    }
    for (written, spoken) in [
        ("E.g", "For example"),
        ("I.e", "That is"),
        ("Ph.D", "P H D"),
        ("M.Sc", "M S C"),
        ("B.Sc", "B S C"),
        ("Ed.D", "Ed D"),
        ("et al", "et al"),
    ] {
        if look.peek(0) == written.chars().next() && look.is(0, written) {
            let len = written.len();
            if !is_end(look.peek(len)) {
                return None;
            }
            let dotted = look.peek(len) == Some('.');
            return if dotted {
                with_dot(look, len, spoken, true)
            } else {
                Reading::say(len, spoken)
            };
        }
    }
    let letter = |n: usize| look.peek(n).filter(char::is_ascii_alphabetic);
    let mut letters = String::new();
    letters.push(letter(0)?);
    if look.peek(1)? != '.' {
        return None;
    }
    let mut len = 1;
    while look.peek(len) == Some('.') && letters.len() < 10 {
        let same = |c: &char| letters.ends_with(|l: char| l.is_uppercase() == c.is_uppercase());
        let Some(c) = letter(len + 1).filter(|_| is_end(look.peek(len + 2))).filter(same) else {
            break;
        };
        letters.push(c);
        len += 2;
    }
    if letters.len() < 2 {
        return single(look);
    }
    let dotted = look.peek(len) == Some('.');
    let lower = letters.to_ascii_lowercase();
    let spoken = match lower.as_str() {
        "eg" | "ie" => {
            let name = if lower == "eg" { "for example" } else { "that is" };
            let name = if letters.starts_with(|c: char| c.is_ascii_uppercase()) {
                capitalised(name)
            } else {
                name.into()
            };
            return Reading::say(len + usize::from(dotted), name);
        }
        "aka" => "also known as".to_string(),
        _ => spaced(&letters),
    };
    let hour = matches!(lower.as_str(), "am" | "pm");
    match (dotted, hour) {
        (false, _) => Reading::say(len, spoken),
        (true, false) => with_dot(look, len, &spoken, true),
        (true, true) => Reading::say(len + usize::from(!ends_hour(look, len + 1)), spoken),
    }
}

/// Letters by their names.
pub fn spaced(letters: &str) -> String {
    let mut out = String::with_capacity(2 * letters.len());
    for c in letters.chars() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

/// The initial of a name: "J. Smith", "John F. Kennedy".
fn single(look: &Look) -> Option<Reading> {
    let initial = look.peek(0).filter(char::is_ascii_uppercase)?;
    if look.peek(2)? != ' ' || !look.peek(3)?.is_uppercase() {
        return None;
    }
    let (before, _) = word_before(look, 0);
    let first = before.len() == 0 && look.back(0).is_none_or(|c| matches!(c, '\n' | '"' | '“'));
    let named = before.is_capitalised() && !is_label(before.as_str());
    let initials = look.back(0) == Some(' ') && look.back(1) == Some('.')
        || before.len() == 1 && before.is_capitalised() && initial != 'I';
    let by = matches!(before.as_str(), "by" | "and" | "by:" | "with" | "of");
    let next = word_at(look, 3);
    let name = next.len() != 1 || look.peek(4) == Some('.');
    let is_initial = (named || initials || by || first) && initial != 'I' && name;
    (is_initial && !begins_sentences(next.as_str()))
        .then(|| Reading::Say { len: 2, spoken: initial.to_string() })
}

/// Words before a letter that is no initial, as in "Plan B".
fn is_label(word: &str) -> bool {
    [
        "Plan",
        "Vitamin",
        "Option",
        "Part",
        "Type",
        "Section",
        "Class",
        "Grade",
        "Group",
        "Team",
        "Hepatitis",
        "Appendix",
        "Figure",
        "Table",
        "Answer",
        "Exhibit",
        "Point",
        "Room",
        "Block",
        "Building",
        "Level",
    ]
    .contains(&word)
}
