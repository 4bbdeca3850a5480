//! Powers and indices: `x²`, `10^6`, `1e-5`, `x₁`.

use super::greek;
use super::operand::in_equation;
use super::signs::{self, subscript, superscript};
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;
use crate::text::normalize::speech::Speech;

/// What an exponent is.
fn say_exponent(speech: &mut Speech, exponent: &str, behind_number: bool, language: Language) {
    match (exponent, language) {
        ("2", Language::English) => speech.say("squared"),
        ("3", Language::English) => speech.say("cubed"),
        ("2", Language::Chinese) => speech.say(if behind_number { "的平方" } else { "平方" }),
        ("3", Language::Chinese) => speech.say(if behind_number { "的立方" } else { "立方" }),
        (_, Language::English) => {
            speech.say("to the power of");
            say_formula(speech, exponent);
        }
        (_, Language::Chinese) => {
            speech.say("的");
            say_formula(speech, exponent);
            speech.say("次方");
        }
    }
}

/// A short formula: letters, numbers and operators.
fn say_formula(speech: &mut Speech, text: &str) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let number: usize = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').count();
        let mut len = c.len_utf8();
        match c {
            '0'..='9' => {
                len = number;
                speech.decimal(&rest[..number]);
            }
            '+' => speech.either("plus", "加"),
            '-' | '−' if rest.len() == text.len() => speech.either("minus", "负"),
            '-' | '−' => speech.either("minus", "减"),
            '*' | '×' | '·' => speech.either("times", "乘"),
            '/' => speech.either("over", "除以"),
            '=' => speech.either("equals", "等于"),
            _ if c.is_alphabetic() => match greek::name(c) {
                Some((english, chinese)) => speech.either(english, chinese),
                None => speech.say(&rest[..len]),
            },
            _ => {
                if let Some((english, chinese)) = signs::name(c) {
                    speech.either(english, chinese);
                }
            }
        }
        rest = &rest[len..];
    }
}

/// `1e-5`, `6.02E23`.
pub fn scientific(look: &Look, context: &Context) -> Option<Reading> {
    let digits = look.count(0, 15, |c| c.is_ascii_digit());
    if digits == 0
        || look.back(0).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '#'))
    {
        return None;
    }
    let mut len = digits;
    if look.peek(len)? == '.' {
        let places = look.count(len + 1, 15, |c| c.is_ascii_digit());
        len += if places > 0 { places + 1 } else { 0 };
    }
    let number = look.text(0, len);
    if !matches!(look.peek(len)?, 'e' | 'E') {
        return None;
    }
    let sign = look.peek(len + 1).filter(|c| matches!(c, '+' | '-'));
    len += 1 + usize::from(sign.is_some());
    let exponent = look.count(len, 4, |c| c.is_ascii_digit());
    if !(1..4).contains(&exponent) {
        return None;
    }
    let power = look.text(len, exponent);
    len += exponent;
    if look.peek(len).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let power = power.trim_start_matches('0');
    let power = if power.is_empty() { "0" } else { power };
    let language = context.language_of(look, len);
    let mut speech = Speech::new(language);
    speech.decimal(&number);
    speech.either("times ten to the power of", "乘以十的");
    if sign == Some('-') {
        speech.either("minus", "负");
    }
    speech.cardinal(power);
    speech.either("", "次方");
    Reading::say(len, speech.spoken().trim_end())
}

/// Exponents behind a number, a letter or a bracket.
pub fn power(look: &Look, context: &Context) -> Option<Reading> {
    let c = look.peek(0)?;
    if c != '^' && superscript(c).is_none() && !(c == '*' && look.peek(1) == Some('*')) {
        return None;
    }
    let base = look.back(0)?;
    let number = base.is_ascii_digit() || matches!(base, ')' | ']');
    if !number && !base.is_alphabetic() && base != '}' && subscript(base).is_none() {
        return None;
    }
    let (len, exponent) = match c {
        '^' => raised(look, 1)?,
        '*' => raised(look, 2)?,
        _ => {
            let raised: String = (0..8).map_while(|n| look.peek(n).and_then(superscript)).collect();
            (raised.chars().count(), raised)
        }
    };
    let language = context.language(look);
    let mut speech = Speech::new(language);
    if exponent == "\\circ" {
        speech.either("degrees", "度");
    } else {
        say_exponent(&mut speech, &exponent, number, language);
    }
    let mark = !base.is_alphanumeric() && language == Language::English;
    Reading::say(len, if mark { format!(" {}", speech.spoken()) } else { speech.spoken() })
}

/// The exponent at `n`, and how many characters there are up to its end.
fn raised(look: &Look, n: usize) -> Option<(usize, String)> {
    let first = look.peek(n)?;
    if first == '{' {
        let len = look.count(n + 1, 40, |c| !matches!(c, '{' | '}' | '\n' | '$'));
        (look.peek(n + 1 + len)? == '}').then_some(())?;
        return Some((n + len + 2, look.text(n + 1, len).replace(' ', "")));
    }
    if look.is(n, "\\circ") {
        return Some((n + 5, "\\circ".into()));
    }
    if first == '(' {
        let len = look.count(n + 1, 30, |c| c.is_ascii_alphanumeric() || "+-−*/. ".contains(c));
        (look.peek(n + 1 + len)? == ')').then_some(())?;
        return Some((n + len + 2, look.text(n + 1, len).replace(' ', "")));
    }
    let sign = usize::from(matches!(first, '-' | '−' | '+'));
    let digits = look.count(n + sign, 6, |c| c.is_ascii_digit());
    if digits > 0 {
        let places = match look.peek(n + sign + digits) {
            Some('.') => look.count(n + sign + digits + 1, 6, |c| c.is_ascii_digit()),
            _ => 0,
        };
        let len = sign + digits + if places > 0 { places + 1 } else { 0 };
        return Some((n + len, look.text(n, len)));
    }
    let letter = look.peek(n + sign).is_some_and(char::is_alphabetic);
    let single = !look.peek(n + sign + 1).is_some_and(|c| c.is_alphabetic());
    (letter && single).then(|| (n + sign + 1, look.text(n, sign + 1)))
}

/// Small digits and letters below the line, and `_{…}`.
pub fn index(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    let (len, index) = match first {
        '_' if look.peek(1) == Some('{') => raised(look, 1)?,
        _ => {
            subscript(first)?;
            let index: String = (0..8).map_while(|n| look.peek(n).and_then(subscript)).collect();
            (index.chars().count(), index)
        }
    };
    let mut speech = Speech::new(context.language(look));
    say_formula(&mut speech, &index);
    Reading::say(len, speech.spoken())
}

/// A number before an operator that would be a range or a measure elsewhere: `5-3=2`, `2×3=6`,
/// `6.02×10^23`. The operator is read at its own place.
pub fn term(look: &Look, context: &Context) -> Option<Reading> {
    let number = |n: usize| {
        let digits = look.count(n, 12, |c| c.is_ascii_digit());
        let places = match look.peek(n + digits) {
            Some('.') if digits > 0 => look.count(n + digits + 1, 12, |c| c.is_ascii_digit()),
            _ => 0,
        };
        digits + if places > 0 { places + 1 } else { 0 }
    };
    let len = number(0);
    if !(1..12).contains(&len)
        || look.back(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '.')
    {
        return None;
    }
    let space = look.count(len, 1, |c| c == ' ');
    let sign = look.peek(len + space).filter(|c| matches!(c, '-' | '−' | '×'))?;
    let second = len + space + 1 + look.count(len + space + 1, 1, |c| c == ' ');
    let end = second + number(second);
    let power = || look.peek(end).is_some_and(|c| c == '^' || superscript(c).is_some());
    if end == second || !(sign == '×' && power() || in_equation(look, second)) {
        return None;
    }
    let mut speech = Speech::new(context.language(look));
    speech.decimal(&look.text(0, len));
    Reading::say(len, speech.spoken())
}
