//! Signs.

use super::around::{
    begins_sentences, ends_sentence, is_digit, is_letter, is_word_char, word_at, word_before,
};
use super::currencies;
use super::dash::pause;
use super::fraction;
use super::units;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// "..." and "…".
pub fn dots(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    if !matches!(first, '.' | '…') || first == '.' && look.peek(1)? != '.' {
        return None;
    }
    let len = look.count(0, 12, |c| matches!(c, '.' | '…'));
    let spoken = context.spoken.is_some_and(is_word_char);
    let spaces = look.count(len, 3, |c| c == ' ');
    let mark = match look.peek(len + spaces) {
        _ if !spoken => "",
        None | Some('\n' | '\r') => ".",
        Some(c) if c.is_uppercase() && begins_sentences(word_at(look, len + spaces).as_str()) => {
            "."
        }
        Some('?' | '!' | ',' | '.' | ';' | ':') if spaces == 0 => "",
        Some('"' | '”' | ')' | '\'' | '’') if spaces == 0 => ".",
        Some(_) if spaces == 0 => ", ",
        Some(_) => ",",
    };
    Reading::say(len, mark)
}

/// "/" between words and numbers.
pub fn slash(look: &Look, _: &Context) -> Option<Reading> {
    if look.peek(0)? != '/' {
        return None;
    }
    let (before, next) = (look.back(0), look.peek(1));
    if before == Some(' ') && next == Some(' ') {
        return Reading::say(1, "or");
    }
    let letter = |c: Option<char>| c.is_some_and(is_word_char);
    if before.is_some_and(char::is_uppercase) && is_digit(next) {
        // "3G/4G", "HTTP/2".
        return Reading::say(1, " ");
    }
    let per = units::per(word_at(look, 1).as_str()).filter(|_| is_digit(before));
    if let Some(per) = per.filter(|_| !letter(look.peek(1 + word_at(look, 1).len()))) {
        let len = 1 + word_at(look, 1).len();
        return Reading::say(len + month_dot(look, len), format!("per {per}"));
    }
    if !letter(next) || !letter(before) {
        return Reading::say(1, "slash");
    }
    let (first, _) = word_before(look, 0);
    let second = word_at(look, 1);
    let capitals = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase());
    let spoken = match (first.lower().as_str(), second.lower().as_str()) {
        ("and", "or") => " ",
        ("day", "night") | ("either", "or") => " ",
        (_, per) if is_rate(per) => {
            let name = units::per(second.as_str()).unwrap_or_default();
            let len = 1 + second.len();
            return Reading::say(len + month_dot(look, len), format!("per {name}"));
        }
        ("he" | "she" | "his" | "her" | "him" | "hers", _)
        | ("yes" | "no" | "true" | "false" | "on" | "off", _)
        | ("male" | "female" | "mr" | "pass" | "win" | "buy", _) => "or",
        _ if capitals(first.as_str()) && capitals(second.as_str()) => " ",
        _ => "slash",
    };
    Reading::say(1, spoken)
}

/// Whether a full stop at `n` is of a short form, as in "/mo. at", and ends no sentence.
fn month_dot(look: &Look, n: usize) -> usize {
    let short = n <= 4;
    usize::from(short && look.peek(n) == Some('.') && !ends_sentence(look, n + 1, false))
}

fn is_rate(word: &str) -> bool {
    [
        "second", "sec", "minute", "min", "hour", "hr", "day", "week", "month", "mo", "year", "yr",
        "night", "person", "user",
    ]
    .contains(&word)
}

/// Signs that have a name, or none.
pub fn named(look: &Look, context: &Context) -> Option<Reading> {
    let sign = look.peek(0)?;
    if sign.is_alphanumeric() && sign.is_ascii() {
        return None;
    }
    let before = look.back(0);
    let letter_before = before.is_some_and(is_word_char);
    let say = |name: &str| Reading::say(1, name);
    match sign {
        // Parts of a section's or a version's number.
        '.' if is_digit(before) && is_digit(look.peek(1)) => say("point"),
        // A list without spaces.
        ',' if is_digit(before) && is_digit(look.peek(1)) => say(", "),
        // A share's symbol.
        '$' if letter_before || look.peek(1).is_some_and(is_letter) => say(""),
        '*' if is_digit(before) && is_digit(look.peek(1)) => say("times"),
        '|' | '¦' => bar(look, context),
        '&' if look.peek(1) == Some('&') => Reading::say(2, "and"),
        '&' => entity(look).or_else(|| say("and")),
        '@' => say("at"),
        '+' => say("plus"),
        '=' => Reading::say(look.count(0, 3, |c| c == '='), "equals"),
        '#' if is_digit(look.peek(1)) => say("number"),
        '#' if letter_before => say("sharp"),
        '#' if look.back(0) == Some(' ') && look.peek(1) == Some(' ') => say("number"),
        '#' => say("hash"),
        '№' => say("number"),
        '%' => say("percent"),
        '‰' => say("per mille"),
        '°' => say("degrees"),
        '℃' => say("degrees Celsius"),
        '℉' => say("degrees Fahrenheit"),
        '§' => Reading::say(1 + usize::from(look.peek(1) == Some('§')), "section"),
        '¶' => say("paragraph"),
        '~' | '～' | '≈' if !letter_before && amount_follows(look) => say("about"),
        '≈' => say("is about"),
        '©' | '®' | '™' | '℠' | '†' | '‡' => {
            let space = before.is_none_or(|c| c == ' ' || c == '\n') && look.peek(1) == Some(' ');
            Reading::say(1 + usize::from(space), "")
        }
        '•' | '▪' | '◦' | '●' | '■' | '□' | '○' | '‣' | '►' | '▶' | '➤' | '➜' | '✓' | '✔' | '✗'
        | '✘' | '★' | '☆' | '♦' | '◆' => {
            let space = usize::from(look.peek(1) == Some(' '));
            let start = before.is_none_or(|c| c == '\n' || c == ' ');
            if start { Reading::say(1 + space, "") } else { say("") }
        }
        '·' if letter_before => say(" "),
        '·' => say(""),
        '→' | '⇒' | '⟶' => say("to"),
        '<' | '>' if look.peek(1) == Some('=') => {
            let name = if sign == '<' { "less" } else { "greater" };
            Reading::say(2, format!("{name} than or equal to"))
        }
        '<' if compares(look) => say("less than"),
        '>' if compares(look) => say("greater than"),
        '≤' => say("less than or equal to"),
        '≥' => say("greater than or equal to"),
        '≠' => say("does not equal"),
        '±' => say("plus or minus"),
        '×' | '✕' => say("times"),
        '÷' => say("divided by"),
        '√' => say("the square root of"),
        '∞' => say("infinity"),
        '²' if letter_before => say("squared"),
        '³' if letter_before => say("cubed"),
        '\\' => say("backslash"),
        '<' | '>' | '[' | ']' | '{' | '}' | '^' | '_' | '*' | '~' | '～' | '`' => {
            say(if letter_before && look.peek(1).is_some_and(is_word_char) { " " } else { "" })
        }
        '①'..='⑳' => {
            Reading::say(1, super::spell::cardinal(u64::from(u32::from(sign) - 0x2460) + 1))
        }
        '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉' => {
            let value = match sign {
                '¹' => 1,
                '₀'..='₉' => u64::from(u32::from(sign) - 0x2080),
                _ => u64::from(u32::from(sign) - 0x2070),
            };
            Reading::say(1, super::spell::cardinal(value))
        }
        _ if fraction::vulgar_name(sign).is_some() => Reading::say(1, fraction::vulgar_name(sign)?),
        _ => currencies::of_sign(sign).and_then(|currency| say(currency.many)),
    }
}

/// Whether a number or an amount of money follows the sign.
fn amount_follows(look: &Look) -> bool {
    let space = usize::from(look.peek(1) == Some(' '));
    let next = look.peek(1 + space);
    is_digit(next) || matches!(next, Some('$' | '€' | '£' | '¥')) && is_digit(look.peek(2 + space))
}

/// Whether "<" or ">" stands between two amounts rather than around a name.
fn compares(look: &Look) -> bool {
    let number = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit() || matches!(c, '-' | '$'));
    look.back(0) == Some(' ') && look.peek(1) == Some(' ')
        || number(look.peek(1))
        || look.peek(1) == Some(' ') && number(look.peek(2))
}

/// The bars of a table. A line of nothing but bars and hyphens goes.
fn bar(look: &Look, context: &Context) -> Option<Reading> {
    let line = look.count(0, 120, |c| matches!(c, '|' | '-' | ':' | ' '));
    if look.peek(line).is_none_or(|c| c == '\n' || c == '\r') {
        return Reading::say(line, "");
    }
    let space = usize::from(look.peek(1) == Some(' '));
    match context.spoken {
        None | Some('\n') => Reading::say(1 + space, ""),
        _ => pause(1 + space, context),
    }
}

/// Character entities of HTML.
fn entity(look: &Look) -> Option<Reading> {
    let name = word_at(look, 1);
    let spoken = match name.as_str() {
        "amp" => "and",
        "nbsp" => " ",
        "lt" => "less than",
        "gt" => "greater than",
        "quot" => "\"",
        "apos" => "'",
        _ => return None,
    };
    (look.peek(1 + name.len())? == ';').then_some(())?;
    Reading::say(2 + name.len(), spoken)
}
