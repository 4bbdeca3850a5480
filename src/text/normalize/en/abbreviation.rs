//! Abbreviations, and the full stops behind them.

use super::abbreviations::{self, Kind};
use super::around::{
    begins_sentences, ends_sentence, is_digit, is_end, is_letter, is_word_char, space, word_at,
    word_before,
};
use super::calendar;
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Whether a word begins at the place, rather than goes on.
pub fn begins_word(look: &Look) -> bool {
    let apostrophe = matches!(look.back(0), Some('\'' | '’'));
    let inside = apostrophe && look.back(1).is_some_and(is_word_char);
    !look.back(0).is_some_and(is_letter) && !inside
}

/// One word and its full stop, if it has one.
pub fn word(look: &Look, context: &Context) -> Option<Reading> {
    let word = word_at(look, 0);
    if word.len() == 0 || !begins_word(look) || is_digit(look.back(0)) {
        return None;
    }
    let len = word.len();
    let next = look.peek(len);
    let dotted = next == Some('.');
    if !dotted && len > 6 || next.is_some_and(is_word_char) {
        return None;
    }
    match word.as_str() {
        "St" => return street_or(look, len, "Saint", "Street"),
        "Dr" => return street_or(look, len, "Doctor", "Drive"),
        _ => {}
    }
    if let Some(name) = calendar::weekday(word.as_str()) {
        return weekday(look, len, name);
    }
    if let Some((month, false)) = calendar::month(word.as_str()).filter(|_| dotted) {
        return with_dot(look, len, calendar::name(month)?, false);
    }
    let (spoken, kind) = abbreviations::find(word.as_str())?;
    let capital = word.is_capitalised() && spoken != "number";
    let spoken = if capital { capitalised(spoken) } else { spoken.to_string() };
    match kind {
        Kind::Title => {
            let dot = usize::from(dotted);
            let name = look.peek(len + dot) == Some(' ')
                && look.peek(len + dot + 1).is_some_and(char::is_uppercase);
            let sure = dotted && matches!(word.as_str(), "Mr" | "Mrs" | "Ms" | "Prof");
            let name = name && (dotted || is_title_alone(word.as_str()));
            if name || sure { Reading::say(len + dot, spoken) } else { None }
        }
        Kind::Numbered => {
            let start = len + usize::from(dotted);
            if dotted && word.as_str() == "No" && look.is(start, " of ") {
                return Reading::say(start, "Number");
            }
            let digit = dotted && is_digit(look.peek(start + space(look, start)));
            // "The vol. was high": surely no end of a sentence.
            let volume = matches!(word.as_str(), "vol" | "Vol");
            if volume && dotted && !digit && !ends_sentence(look, len + 1, false) {
                return Reading::say(len + 1, spoken);
            }
            if !digit || context.language(look) == Language::Chinese {
                return None;
            }
            Reading::say(start, spoken)
        }
        Kind::Any | Kind::Dotted if dotted && never_ends(word.as_str()) => {
            Reading::say(len + 1, spoken)
        }
        Kind::Dotted if dotted => match word.as_str() {
            // A temp, and other short forms that are words at the end of a sentence.
            "temp" | "Temp" | "temps" | "Temps" | "cont" | "med"
                if ends_sentence(look, len + 1, false) =>
            {
                None
            }
            "al" if word_before(look, 0).0.as_str() != "et" => None,
            // "Min." of nothing, or a name: "Max. He".
            "Max" | "Min" | "Co" | "Sq" | "Ln" if ends_sentence(look, len + 1, false) => {
                if matches!(word.as_str(), "Co" | "Sq" | "Ln") {
                    Reading::say(len, spoken)
                } else {
                    None
                }
            }
            "est" | "Est" if year_follows(look, len + 1) => {
                Reading::say(len + 1, if capital { "Established" } else { "established" })
            }
            _ => with_dot(look, len, &spoken, false),
        },
        Kind::Dotted => None,
        Kind::Any if dotted => with_dot(look, len, &spoken, false),
        // "Inc" and the like are also other words in capitals or small letters.
        Kind::Any => is_end(next).then_some(Reading::Say { len, spoken }),
    }
}

/// Titles that are also written without a full stop.
fn is_title_alone(word: &str) -> bool {
    ["Mr", "Mrs", "Ms", "Prof", "Capt", "Sgt", "Lt", "Mt"].contains(&word)
}

/// Abbreviations that something always follows.
fn never_ends(word: &str) -> bool {
    [
        "vs", "Vs", "VS", "approx", "Approx", "cf", "Cf", "viz", "incl", "Incl", "excl", "avg",
        "Avg", "Fig", "fig", "Figs", "figs",
    ]
    .contains(&word)
}

/// A word with its full stop, which stays where it ends a sentence.
pub fn with_dot(look: &Look, len: usize, spoken: &str, surely: bool) -> Option<Reading> {
    let dot = usize::from(!ends_sentence(look, len + 1, surely));
    Reading::say(len + dot, spoken)
}

fn year_follows(look: &Look, n: usize) -> bool {
    look.count(n + space(look, n), 4, |c| c.is_ascii_digit()) == 4
}

pub fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |c| c.to_ascii_uppercase().to_string() + chars.as_str())
}

/// "St." and "Dr.": before a name one thing, behind the name of a street another.
fn street_or(look: &Look, len: usize, title: &str, street: &str) -> Option<Reading> {
    let dot = usize::from(look.peek(len) == Some('.'));
    let end = len + dot;
    let capital = look.peek(end) == Some(' ') && look.peek(end + 1).is_some_and(char::is_uppercase);
    let (before, start) = word_before(look, 0);
    let named = before.is_capitalised() && !begins_sentences(before.as_str())
        || matches!(look.back(0), Some(' '))
            && matches!(look.back(1), Some('h' | 'd' | 't'))
            && is_digit(look.back(3));
    let next = if capital { word_at(look, end + 1) } else { before };
    let is_name = capital && (abbreviations::is_saint(next.as_str()) || !named)
        || capital && title == "Doctor" && !is_address(look, start);
    let is_name = is_name && !(named && begins_sentences(next.as_str()));
    if is_name {
        return Reading::say(end, title);
    }
    if !named || is_name {
        return (dot == 1 && !named && title == "Saint").then(|| Reading::Say {
            len: end - usize::from(ends_sentence(look, end, false)),
            spoken: street.to_lowercase(),
        });
    }
    if dot == 1 { with_dot(look, len, street, false) } else { Reading::say(len, street) }
}

/// Whether a house number stands before the name of a street that begins `n` places back.
fn is_address(look: &Look, n: usize) -> bool {
    look.back(n) == Some(' ') && is_digit(look.back(n + 1))
}

/// A weekday's abbreviation beside a date, an hour or another weekday.
fn weekday(look: &Look, len: usize, name: &str) -> Option<Reading> {
    let dot = usize::from(look.peek(len) == Some('.'));
    let sign = look.peek(len + dot);
    if matches!(sign, Some('-' | '–' | '/')) {
        // In "Mon-Fri" the other one is said too.
        let start = len + dot + 1;
        let last = word_at(look, start);
        let other = calendar::weekday(last.as_str())?;
        let end = start + last.len();
        let dotted = look.peek(end) == Some('.') && !ends_sentence(look, end + 1, false);
        let to = if sign == Some('/') { "and" } else { "to" };
        return Reading::say(end + usize::from(dotted), format!("{name} {to} {other}"));
    }
    if dot == 1 {
        let (before, _) = word_before(look, 0);
        let beside = [
            "from", "on", "to", "through", "until", "by", "every", "next", "last", "this", "other",
        ]
        .contains(&before.lower().as_str());
        // "(closed Sun.)".
        let closes = look.peek(len + 1) == Some(')');
        if beside || closes {
            return with_dot(look, len, name, false);
        }
    }
    let comma = usize::from(sign == Some(',') || dot == 1 && look.peek(len + 1) == Some(','));
    if look.peek(len + dot + comma) != Some(' ') {
        return None;
    }
    let start = len + dot + comma + 1;
    let date = is_digit(look.peek(start))
        || dot + comma > 0 && calendar::month(word_at(look, start).as_str()).is_some();
    if date { Reading::say(len + dot, name) } else { None }
}

/// "w/", "w/o", "b/c", "c/o", "n/a".
pub fn slashed(look: &Look, _: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    if !matches!(first, 'w' | 'b' | 'c' | 'n' | 'y' | 'q')
        || look.peek(1)? != '/'
        || !begins_word(look)
    {
        return None;
    }
    let (len, spoken) = match (first, look.peek(2)) {
        ('w', Some('o')) if is_end(look.peek(3)) => (3, "without"),
        ('w', Some('o')) if look.is(3, "ut") => (5, "without"),
        ('w', Some(' ' | 'a'..='z' | 'A'..='Z' | '0'..='9')) => (2, "with"),
        ('b', Some('c')) if is_end(look.peek(3)) => (3, "because"),
        ('c', Some('o')) if is_end(look.peek(3)) => (3, "care of"),
        ('y', Some('y')) if is_end(look.peek(3)) => (3, "year over year"),
        ('q', Some('q')) if is_end(look.peek(3)) => (3, "quarter over quarter"),
        ('n', Some('a')) if is_end(look.peek(3)) => (3, "not applicable"),
        _ => return None,
    };
    Reading::say(len, spoken)
}
