//! Money: "$3.50", "USD 30", "3.000,50 €".

use super::around::{is_digit, is_end, is_word_char, space, word_at};
use super::currencies::{self, Currency};
use super::numeral::Numeral;
use super::quantity::is_attributive;
use super::spell;
use super::suffix;
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// A sign of a currency and the amount behind it.
pub fn sign(look: &Look, _: &Context) -> Option<Reading> {
    let sign = look.peek(0)?;
    money(look, 1, &currencies::of_sign(sign)?, Some(sign))
}

/// An amount with a comma before the cents, beside the sign of the euro: "3.000,50 €".
pub fn continental(look: &Look, _: &Context) -> Option<Reading> {
    let sign = usize::from(look.peek(0)? == '€');
    if sign == 0 && !look.peek(0)?.is_ascii_digit() || is_digit(look.back(0)) {
        return None;
    }
    let number = Numeral::continental(look, sign)?;
    let end = sign + number.len;
    let gap = space(look, end);
    let euro = currencies::of_sign('€')?;
    let len = match sign {
        // "€3.000" could be three euros.
        1 if number.fraction.len() == 2 => end,
        0 if look.peek(end + gap) == Some('€') => end + gap + 1,
        _ => return None,
    };
    Reading::say(len, amount(&number, "", &euro, false))
}

/// Letters of a currency and the amount behind them: "US$5", "USD 30", "Rs. 500".
pub fn code(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    if !first.is_ascii_uppercase() || look.back(0).is_some_and(is_word_char) {
        return None;
    }
    let word = word_at(look, 0);
    if word.len() > 3 || word.len() == 0 {
        return None;
    }
    let (currency, at, sign) = match look.peek(word.len())? {
        sign @ ('$' | '¥') => {
            (currencies::of_prefix(word.as_str(), sign)?, word.len() + 1, Some(sign))
        }
        _ => (currencies::of_code(word.as_str())?, word.len(), None),
    };
    let dot = usize::from(sign.is_none() && word.as_str() == "Rs" && look.peek(at) == Some('.'));
    let at = at + dot + space(look, at + dot);
    let begins = look.peek(at)?.is_ascii_digit();
    let sign_at = |c: char| matches!(c, '$' | '€' | '£' | '¥');
    let at = if look.peek(at).is_some_and(sign_at) { at + 1 } else { at };
    if !begins && !look.peek(at)?.is_ascii_digit() {
        return None;
    }
    if context.language(look) == Language::Chinese {
        return None;
    }
    money(look, at, &currency, sign)
}

/// The amount of money that begins at `n`.
fn money(look: &Look, n: usize, currency: &Currency, sign: Option<char>) -> Option<Reading> {
    let first = Numeral::read(look, n)?;
    let mut end = n + first.len;
    let mut scale = money_scale(look, end);
    if look.is(end + scale.0, "-dollar") && is_end(look.peek(end + scale.0 + 7)) {
        // "a $5 million-dollar home" says the currency itself.
        return Reading::say(end + scale.0, format!("{} {}", first.spoken(), scale.1).trim_end());
    }
    let after = range_to(look, end + scale.0, sign).map_or(end + scale.0, |(gap, second)| {
        let end = end + scale.0 + gap + second.len;
        end + money_scale(look, end).0
    });
    // "$5 CAD".
    let (code_len, code) = repeated_code(look, after);
    let currency = &code.filter(|_| sign.is_some()).unwrap_or(*currency);
    let second = range_to(look, end + scale.0, sign);
    let spoken = match second {
        Some((gap, second)) => {
            end += scale.0 + gap + second.len;
            let first_scale = scale.1;
            scale = money_scale(look, end);
            let low = if first_scale.is_empty() || first_scale == scale.1 {
                first.spoken()
            } else {
                format!("{} {first_scale}", first.spoken())
            };
            let attributive = is_attributive(look, end + scale.0);
            let high = amount(&second, scale.1, currency, attributive);
            format!("{low} to {high}")
        }
        None => {
            let attributive = is_attributive(look, end + scale.0);
            amount(&first, scale.1, currency, attributive)
        }
    };
    end += scale.0;
    Reading::say(end + code_len, spoken)
}

/// As [`suffix::scale`], with the letters that only money has: "$5K", "$2T".
fn money_scale(look: &Look, n: usize) -> (usize, &'static str) {
    if let Some(found) = suffix::scale(look, n) {
        return found;
    }
    let name = match look.peek(n) {
        Some('K') => "thousand",
        Some('m') => "million",
        Some('b' | 'B') => "billion",
        Some('T' | 't') => "trillion",
        _ => return (0, ""),
    };
    if is_end(look.peek(n + 1)) { (1, name) } else { (0, "") }
}

/// The end of a range of money, whose sign may be repeated.
fn range_to(look: &Look, n: usize, sign: Option<char>) -> Option<(usize, Numeral)> {
    let gap = space(look, n);
    if !matches!(look.peek(n + gap)?, '-' | '–' | '—' | '~') {
        return None;
    }
    let gap = gap + 1 + space(look, n + gap + 1);
    let repeated = usize::from(sign.is_some() && look.peek(n + gap) == sign);
    let second = Numeral::read(look, n + gap + repeated)?;
    Some((gap + repeated, second))
}

/// A code behind an amount that says the currency again, or which dollars are meant: its length,
/// and the currency.
fn repeated_code(look: &Look, n: usize) -> (usize, Option<Currency>) {
    if look.peek(n) != Some(' ') || !look.peek(n + 1).is_some_and(|c| c.is_ascii_uppercase()) {
        return (0, None);
    }
    let word = word_at(look, n + 1);
    match currencies::of_code(word.as_str()) {
        Some(currency) if is_end(look.peek(n + 1 + word.len())) => (1 + word.len(), Some(currency)),
        _ => (0, None),
    }
}

/// "three dollars and fifty cents", "one point two million dollars"; "five dollar" before a noun.
pub fn amount(number: &Numeral, scale: &str, currency: &Currency, attributive: bool) -> String {
    if !scale.is_empty() {
        let name = if attributive { currency.one } else { currency.many };
        return format!("{} {scale} {name}", number.spoken());
    }
    let whole = match number.digits.as_str() {
        "" => String::new(),
        digits => spell::integer(digits),
    };
    let cents = number.fraction.parse::<u64>().ok().filter(|_| number.fraction.len() == 2);
    match (cents, currency.cent) {
        (Some(cents), Some((one, many))) => {
            let name = if number.digits == "1" { currency.one } else { currency.many };
            let part =
                format!("{} {}", spell::cardinal(cents), if cents == 1 { one } else { many });
            match (number.digits.trim_start_matches('0').is_empty(), cents) {
                (true, 1..) => part,
                (_, 0) => format!("{whole} {name}"),
                _ => format!("{whole} {name} and {part}"),
            }
        }
        _ => {
            let name = if number.is_one() || attributive { currency.one } else { currency.many };
            format!("{} {name}", number.spoken())
        }
    }
}
