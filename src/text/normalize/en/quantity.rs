//! Numbers with what they count: "5 km", "5-10%", "30 USD".

use super::around::{is_letter, is_word_char, space, word_at, word_before};
use super::money::amount;
use super::numeral::Numeral;
use super::suffix::{self, Counted, Suffix};
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// A number or a range of numbers, and what is counted.
pub fn quantity(look: &Look, _: &Context) -> Option<Reading> {
    let first = Numeral::read(look, 0)?;
    if first.digits.is_empty() && look.back(0).is_some_and(|c| is_word_char(c) || c == '.') {
        return None;
    }
    let (second, end) = match range_end(look, first.len) {
        Some((gap, second)) => {
            let end = first.len + gap + second.len;
            (Some(second), end)
        }
        None => (None, first.len),
    };
    let mut suffix = suffix::read(look, end);
    if suffix.len == 1 && look.peek(end).is_some_and(char::is_uppercase) && is_label(look) {
        // "exit 23B".
        suffix = Suffix::NONE;
    }
    let mut first_unit = 0;
    let (mut second, mut end) = (second, end);
    if second.is_none() && suffix.len > 0 && suffix.counted != Counted::Nothing {
        // "5%-10%", "20°C–25°C": the unit is said once.
        if let Some((gap, other)) = range_end(look, end + suffix.len) {
            let other_end = end + suffix.len + gap + other.len;
            let other_suffix = suffix::read(look, other_end);
            if other_suffix.counted == suffix.counted && other_suffix.scale == suffix.scale {
                first_unit = suffix.len;
                end = other_end;
                second = Some(other);
                suffix = other_suffix;
            }
        }
    }
    let single = second.is_none() && first_unit == 0;
    let spoken = match &suffix.counted {
        Counted::Money(currency) if single => {
            amount(&first, suffix.scale, currency, is_attributive(look, end + suffix.len))
        }
        counted => {
            let mut out = first.spoken();
            if let Some(second) = &second {
                let join = if is_difference(look, &first, second) { "minus" } else { "to" };
                out = format!("{out} {join} {}", second.spoken());
            }
            if !suffix.scale.is_empty() {
                out = format!("{out} {}", suffix.scale);
            }
            let one = single && first.is_one() && suffix.scale.is_empty()
                || is_attributive(look, end + suffix.len);
            match counted {
                Counted::Nothing => out,
                Counted::Unit { one, .. } if suffix.joined => format!("{out}-{one}"),
                Counted::Unit { one: name, .. } if one => format!("{out} {name}"),
                Counted::Unit { many, .. } => format!("{out} {many}"),
                Counted::Money(currency) => format!("{out} {}", currency.many),
            }
        }
    };
    Reading::say(end + suffix.len, spoken)
}

/// Whether the word before is of things that have a number and a letter.
fn is_label(look: &Look) -> bool {
    let (before, _) = word_before(look, 0);
    [
        "exit",
        "section",
        "apartment",
        "apt",
        "room",
        "gate",
        "unit",
        "seat",
        "building",
        "block",
        "level",
        "grade",
        "question",
        "figure",
        "table",
        "row",
        "bus",
        "route",
        "platform",
        "terminal",
        "article",
        "type",
        "form",
    ]
    .contains(&before.lower().as_str())
}

/// Whether the quantity that ends at `n` stands before a noun, as in "a 5 km run" and "$10 bills".
pub fn is_attributive(look: &Look, n: usize) -> bool {
    if look.peek(n) != Some(' ') || !look.peek(n + 1).is_some_and(is_letter) {
        return false;
    }
    let (before, _) = word_before(look, 0);
    let next = word_at(look, n + 1);
    let nouns = [
        "bill", "bills", "note", "notes", "coin", "coins", "question", "mark", "range", "camera",
        "battery", "display", "monitor", "screen", "charger", "charging", "adapter", "engine",
        "motor", "radius", "limit", "bag", "bottle", "tank", "lens", "router", "laptop", "jack",
        "flight", "delay", "deposit", "fee", "discount", "budget", "ticket", "tickets",
    ];
    let goes_on = ["a", "an", "and", "or", "is", "was", "for", "in", "on", "at", "to", "per"];
    nouns.contains(&next.as_str())
        || matches!(before.as_str(), "a" | "A" | "an") && !goes_on.contains(&next.as_str())
}

/// Whether a dash between two numbers is rather a minus: "10 - 4 = 6", "5-3=2".
fn is_difference(look: &Look, first: &Numeral, second: &Numeral) -> bool {
    let falls = matches!((first.value(), second.value()), (Some(a), Some(b)) if a > b);
    if !falls {
        return false;
    }
    // "What's 7-4?"
    let asked = ["What's ", "what's ", "What is ", "what is ", "Calculate ", "Compute "];
    if asked
        .iter()
        .any(|words| words.chars().rev().enumerate().all(|(i, c)| look.back(i) == Some(c)))
    {
        return true;
    }
    let spaced = look.peek(first.len) == Some(' ');
    let end = first.len + 1 + 2 * usize::from(spaced) + second.len;
    look.peek(end + space(look, end)) == Some('=')
}

/// The dash and the second number of a range, behind a number that ends at `n`.
pub fn range_end(look: &Look, n: usize) -> Option<(usize, Numeral)> {
    let before = space(look, n);
    let dash = look.peek(n + before)?;
    if !matches!(dash, '-' | '–' | '—' | '−' | '~' | '～') {
        return None;
    }
    let after = space(look, n + before + 1);
    if before != after {
        return None;
    }
    let second = Numeral::read(look, n + before + 1 + after)?;
    let gap = before + 1 + after;
    let next = look.peek(n + gap + second.len);
    let more = matches!(next, Some('-' | '–' | ':' | '/'))
        && look.peek(n + gap + second.len + 1).is_some_and(|c| c.is_ascii_digit());
    (!more && !second.digits.is_empty()).then_some((gap, second))
}
