//! Numbers that name things: codes, models, rooms.

use super::around::{is_digit, is_end, is_letter, word_at, word_before};
use super::numeral::Numeral;
use super::spell;
use super::suffix;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Most digits of a code that are read at once.
const MOST: usize = 40;

/// Digits that follow letters, "#", or a word that names a code; digits in several groups.
pub fn code(look: &Look, _: &Context) -> Option<Reading> {
    if !is_digit(look.peek(0)) {
        return None;
    }
    let digits = look.count(0, MOST, |c| c.is_ascii_digit());
    match look.back(0) {
        Some(c) if c.is_ascii_digit() => {
            return Reading::say(digits, spell::by_digit(&look.text(0, digits)));
        }
        Some('#') => return in_groups(look).or_else(|| short(look, digits)),
        Some(c) if is_letter(c) => return attached(look, digits),
        Some('-' | '‑') if super::dash::is_attached(look, 1) => return attached(look, digits),
        Some('-' | '‑') if look.back(1).is_some_and(is_letter) => {
            let (word, _) = word_before(look, 1);
            let capital = look.back(1).is_some_and(char::is_uppercase);
            return if capital && word.len() > 0 { attached(look, digits) } else { None };
        }
        _ => {}
    }
    // The zip code behind a state.
    if digits == 5 && is_end(look.peek(5)) && look.peek(5) != Some('%') {
        let (state, _) = word_before(look, 0);
        if state.len() == 2 && state.is_capitals() {
            return in_groups(look).or_else(|| short(look, digits));
        }
    }
    if look.is(0, "401(k)") {
        return Reading::say(6, "four oh one K");
    }
    if let Some(lines) = lines_of_screen(look, digits) {
        return Some(lines);
    }
    if digits < 4 && look.peek(digits) == Some(')') && look.peek(digits + 1) == Some(' ') {
        // "2) Mix" at the beginning of a line.
        let begins = (0..8).map(|n| look.back(n)).find(|c| *c != Some(' ')).flatten();
        if begins.is_none_or(|c| c == '\n') {
            return Reading::say(digits + 1, format!("{}.", spell::integer(&look.text(0, digits))));
        }
    }
    if digits == 2 && look.is(2, "ers") && is_end(look.peek(5)) {
        // "49ers".
        let number = spell::integer(&look.text(0, 2));
        return Reading::say(5, format!("{}ers", number.strip_suffix('e').unwrap_or(&number)));
    }
    if let Some(aircraft) = aircraft(look) {
        return Some(aircraft);
    }
    if digits >= 3 && names_code(look, counts(look, digits)) {
        return in_groups(look).or_else(|| short(look, digits));
    }
    cards(look).or_else(|| hyphens(look)).or_else(|| model(look, digits))
}

/// Up to two digits as a number, more digit by digit.
fn short(look: &Look, digits: usize) -> Option<Reading> {
    let number = Numeral::read(look, 0)?;
    if !number.is_plain() {
        return Reading::say(number.len, number.spoken());
    }
    let text = look.text(0, digits);
    let spoken = if digits <= 2 { spell::integer(&text) } else { spell::by_digit(&text) };
    Reading::say(digits, spoken)
}

/// Digits that touch letters before them: "MP3", "BA2490", "FY2024", "GPT-3.5".
fn attached(look: &Look, digits: usize) -> Option<Reading> {
    if digits == 4
        && let Ok(value @ 1950..2050) = look.text(0, 4).parse::<u64>()
    {
        // "CVE-2024-3094".
        let more = look.count(5, 8, |c| c.is_ascii_digit());
        if look.back(0) == Some('-') && look.peek(4) == Some('-') && (4..8).contains(&more) {
            let number = spell::by_digit(&look.text(5, more));
            return Reading::say(5 + more, format!("{}, {number}", spell::year(value)));
        }
        return Reading::say(4, spell::year(value));
    }
    if digits == 3 && look.is(1, "00") && look.peek(0) != Some('0') {
        return Reading::say(3, spell::integer(&look.text(0, 3)));
    }
    let after = look.peek(digits);
    if matches!(after, Some('s' | '\'' | '’')) && look.back(0) == Some('-') {
        return None;
    }
    short(look, digits)
}

/// "1080p".
fn lines_of_screen(look: &Look, digits: usize) -> Option<Reading> {
    if !(3..=4).contains(&digits) || !matches!(look.peek(digits), Some('p' | 'i')) {
        return None;
    }
    is_end(look.peek(digits + 1)).then_some(())?;
    let value = look.text(0, digits).parse().ok()?;
    let letter = if look.peek(digits) == Some('p') { "P" } else { "I" };
    Reading::say(digits + 1, format!("{} {letter}", spell::pairs(value)))
}

/// Whether the words before name what is read digit by digit. "Order" does not where the number
/// counts.
fn names_code(look: &Look, counts: bool) -> bool {
    let mut start = 0;
    for _ in 0..3 {
        let signs =
            (0..3).take_while(|i| matches!(look.back(start + i), Some(' ' | ':' | '.' | '#')));
        start += signs.count();
        let (word, next) = word_before(look, start);
        match word.lower().as_str() {
            "order" | "orders" => return !counts,
            "invoice" | "ticket" | "flight" | "pin" | "code" | "zip" | "zipcode" | "postcode"
            | "isbn" | "account" | "id" | "reference" | "ref" | "tracking" | "confirmation"
            | "serial" | "passport" | "license" | "licence" | "badge" | "room" | "apartment"
            | "apt" | "suite" | "bus" | "extension" | "ext" | "route" | "highway" | "otp"
            | "password" | "passcode" | "error" | "port" | "boeing" | "card" | "locker"
            | "gate" => return true,
            "number" | "no" | "is" | "was" | "num" => start = next,
            _ => return false,
        }
    }
    false
}

/// Whether a plural follows, so that the number counts ("order 500 pizzas").
fn counts(look: &Look, n: usize) -> bool {
    if look.peek(n) != Some(' ') || !look.peek(n + 1).is_some_and(|c| c.is_ascii_lowercase()) {
        return matches!(look.peek(n), Some(',' | '.')) && is_digit(look.peek(n + 1))
            || look.peek(n) == Some('%');
    }
    let word = word_at(look, n + 1);
    let word = word.as_str();
    word.ends_with('s') && !matches!(word, "is" | "was" | "has" | "as")
}

/// Groups of digits with hyphens or spaces between, a pause for each.
fn in_groups(look: &Look) -> Option<Reading> {
    let (groups, end) = groups(look, |c| matches!(c, '-' | ' '));
    if groups.len() < 2 {
        return None;
    }
    let spoken: Vec<String> = groups.iter().map(|group| spell::by_digit(group)).collect();
    Reading::say(end, spoken.join(", "))
}

/// The groups of digits at the place with single separators, and where they end.
fn groups(look: &Look, separates: impl Fn(char) -> bool) -> (Vec<String>, usize) {
    let mut groups = Vec::new();
    let mut at = 0;
    let mut end = 0;
    while groups.len() < 8 {
        let len = look.count(at, 20, |c| c.is_ascii_digit());
        if len == 0 {
            break;
        }
        groups.push(look.text(at, len));
        end = at + len;
        if !look.peek(end).is_some_and(&separates) {
            break;
        }
        at = end + 1;
    }
    (groups, end)
}

/// Cards: four groups of four digits.
fn cards(look: &Look) -> Option<Reading> {
    let four = |n: usize| look.count(n, 5, |c| c.is_ascii_digit()) == 4;
    if !four(0) || !matches!(look.peek(4), Some(' ' | '-')) || !four(5) || !four(10) || !four(15) {
        return None;
    }
    in_groups(look)
}

/// Three groups or more with hyphens: "123-45-6789".
fn hyphens(look: &Look) -> Option<Reading> {
    let (groups, end) = groups(look, |c| c == '-');
    if groups.len() < 3 || !is_end(look.peek(end)) {
        return None;
    }
    // A formation or a record: "4-4-2".
    if groups.iter().all(|group| group.len() < 3 && (group.len() == 1 || !group.starts_with('0'))) {
        let spoken: Vec<String> = groups.iter().map(|group| spell::integer(group)).collect();
        return Reading::say(end, spoken.join(" "));
    }
    let spoken: Vec<String> = groups.iter().map(|group| spell::by_digit(group)).collect();
    Reading::say(end, spoken.join(", "))
}

/// A model's number behind its letters, read in pairs: "RTX 4090", "HTTP 404".
fn model(look: &Look, digits: usize) -> Option<Reading> {
    if !(3..=4).contains(&digits) || look.back(0)? != ' ' {
        return None;
    }
    let (word, _) = word_before(look, 0);
    let after = look.peek(digits);
    let goes_on = matches!(after, Some('.' | ',' | ':' | '/' | '-' | '–' | '%'))
        && (after == Some('%') || is_digit(look.peek(digits + 1)));
    if !word.is_capitals() || word.len() > 4 || goes_on || !is_end(after) {
        return None;
    }
    let value: u64 = look.text(0, digits).parse().ok()?;
    let year = (1900..2100).contains(&value);
    if year || value < 100 || counts(look, digits) || suffix::read(look, digits).len > 0 {
        return None;
    }
    Reading::say(digits, spell::pairs(value))
}

/// "737-800", "787-9", "777-300ER": an aircraft and its series.
fn aircraft(look: &Look) -> Option<Reading> {
    if look.peek(0)? != '7' || look.peek(2)? != '7' || look.peek(3)? != '-' {
        return None;
    }
    let series = look.count(4, 4, |c| c.is_ascii_digit());
    let end = 4 + series;
    let suffix = look.count(end, 3, |c| c.is_ascii_uppercase());
    let plain = matches!(series, 1 | 3) && is_end(look.peek(end + suffix));
    let goes_on = matches!(look.peek(end), Some('-' | '%' | '.' | ',' | ':'))
        && (look.peek(end) == Some('%') || is_digit(look.peek(end + 1)));
    if !plain || goes_on || !look.peek(1)?.is_ascii_digit() {
        return None;
    }
    let name = look.text(4, series);
    let series = match name.strip_suffix("00") {
        Some(_) => spell::integer(&name),
        None => spell::by_digit(&name),
    };
    Reading::say(end, format!("{} {series}", spell::by_digit(&look.text(0, 3))))
}

/// "H.264": the digits behind a letter with a full stop, which is not spoken.
pub fn standard(look: &Look, _: &Context) -> Option<Reading> {
    let letter = look.peek(0)?;
    if !matches!(letter, 'H' | 'h' | 'x' | 'G' | 'X' | 'V') || look.peek(1)? != '.' {
        return None;
    }
    let digits = look.count(2, 5, |c| c.is_ascii_digit());
    let end = 2 + digits;
    let whole = is_end(look.back(0)) && is_end(look.peek(end));
    let goes_on = look.peek(end) == Some('.') && is_digit(look.peek(end + 1));
    if !(2..=4).contains(&digits) || !whole || goes_on {
        return None;
    }
    let name = letter.to_ascii_uppercase();
    Reading::say(end, format!("{name} {}", spell::by_digit(&look.text(2, digits))))
}
