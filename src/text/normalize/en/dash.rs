//! Minus signs, hyphens, dashes and bars.

use super::around::{is_digit, is_letter, is_word_char, word_at, word_before};
use super::calendar;
use super::currencies;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Minus signs, hyphens and dashes.
pub fn dash(look: &Look, context: &Context) -> Option<Reading> {
    let sign = look.peek(0)?;
    if !matches!(sign, '-' | '−' | '–' | '—' | '‒' | '―') {
        return None;
    }
    let before = look.back(0);
    let next = look.peek(1);
    let number = is_digit(next)
        || next == Some('.') && is_digit(look.peek(2))
        || next.is_some_and(|c| currencies::of_sign(c).is_some()) && is_digit(look.peek(2));
    if number && sign != '—' {
        return before_number(look, before);
    }
    let letter = |c: Option<char>| c.is_some_and(is_word_char);
    let month = || calendar::month(word_at(look, 1).as_str()).is_some();
    let behind_month = || {
        let dot = usize::from(before == Some('.'));
        calendar::month(word_before(look, dot).0.as_str()).is_some()
    };
    if matches!(sign, '-' | '–')
        && before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.')
        && next.is_some_and(|c| c.is_ascii_uppercase())
        && (is_digit(before) || behind_month())
        && month()
    {
        // "Jan 1–Feb 5".
        return Reading::say(1, "to");
    }
    if matches!(sign, '-' | '−') && next != Some('-') {
        let stray = sign == '-' && !letter(before) && next == Some(' ');
        return if stray { pause(1, context) } else { None };
    }
    if sign == '–' && letter(before) && letter(next) {
        // "the London–Paris train".
        return Reading::say(1, "-");
    }
    pause(look.count(0, 8, |c| c == sign), context)
}

/// A dash before a number: a sign, a range, or the hyphen of a name.
fn before_number(look: &Look, before: Option<char>) -> Option<Reading> {
    match before {
        Some('.') if matches!(look.back(1), Some('m' | 'M')) => Reading::say(1, "to"),
        Some(c) if c.is_ascii_digit() && is_attached(look, 0) => Reading::say(1, ""),
        Some(c) if c.is_ascii_digit() || matches!(c, '%' | '°' | '"' | '\'') => {
            Reading::say(1, "to")
        }
        Some(c) if is_letter(c) => {
            let (word, start) = word_before(look, 0);
            match word.as_str() {
                "s" | "st" | "nd" | "rd" | "th" if is_digit(look.back(start)) => {
                    Reading::say(1, "to")
                }
                "UTC" | "GMT" => Reading::say(1, "minus"),
                "am" | "pm" | "AM" | "PM" | "m"
                    if is_digit(look.back(start)) || is_digit(look.back(start + 1)) =>
                {
                    Reading::say(1, "to")
                }
                month if calendar::month(month).is_some() => Reading::say(1, "to"),
                name if name.ends_with(|c: char| c.is_ascii_uppercase()) => Reading::say(1, ""),
                _ => None,
            }
        }
        Some(')' | ']' | '_') => None,
        _ => Reading::say(1, "minus"),
    }
}

/// Whether the digits that end `n` places back touch a letter before them, as in "i7".
pub fn is_attached(look: &Look, n: usize) -> bool {
    let digits = (0..6).take_while(|i| is_digit(look.back(n + i))).count();
    digits > 0 && look.back(n + digits).is_some_and(|c| c.is_ascii_alphabetic())
}

/// A comma where something was spoken and no sign of a pause behind it.
pub fn pause(len: usize, context: &Context) -> Option<Reading> {
    let pause = if context.spoken.is_some_and(is_word_char) { ", " } else { "" };
    Reading::say(len, pause)
}

/// A dash between spaces, from the space before it.
pub fn spaced_dash(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)? != ' ' || !matches!(look.peek(1)?, '-' | '–' | '—' | '―') {
        return None;
    }
    let dashes = look.count(1, 4, |c| matches!(c, '-' | '–' | '—' | '―'));
    if look.peek(1 + dashes)? != ' ' || context.is_chinese_sentence() {
        return None;
    }
    let pause = match context.spoken {
        Some(c) if c.is_alphanumeric() || matches!(c, ')' | '"' | '”' | '\'') => ", ",
        Some('\n') | None => return None,
        _ => " ",
    };
    Reading::say(2 + dashes, pause)
}

/// A bar of a table, from the space before it.
pub fn spaced_bar(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)? != ' ' || look.peek(1)? != '|' || context.is_chinese_sentence() {
        return None;
    }
    let line = look.count(0, 120, |c| matches!(c, '|' | '-' | ':' | ' '));
    match look.peek(line) {
        None | Some('\n' | '\r') => Reading::say(line, ""),
        _ => pause(2 + usize::from(look.peek(2) == Some(' ')), context),
    }
}
