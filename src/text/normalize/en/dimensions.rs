//! Measures with a sign between, and multiples: "3 × 4 m", "2x4s", "10x".

use super::around::{is_digit, is_end, space, word_before};
use super::numeral::Numeral;
use super::spell;
use super::suffix::{self, Counted};
use super::units;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// The "x" of "3 m x 4 m".
pub fn by(look: &Look, _: &Context) -> Option<Reading> {
    if look.peek(0)? != 'x' || look.back(0) != Some(' ') || look.peek(1)? != ' ' {
        return None;
    }
    if look.back(1) == Some('"') && is_digit(look.back(2)) && is_digit(look.peek(2)) {
        return Reading::say(1, "by");
    }
    let (unit, start) = word_before(look, 0);
    let measured = units::find(unit.as_str()).is_some()
        && (is_digit(look.back(start)) || is_digit(look.back(start + 1)));
    (measured && is_digit(look.peek(2))).then(|| Reading::Say { len: 1, spoken: "by".into() })
}

/// "1920x1080", "3 × 4 m", "10x faster".
pub fn dimensions(look: &Look, _: &Context) -> Option<Reading> {
    let first = Numeral::read(look, 0)?;
    let gap = space(look, first.len);
    let sign = look.peek(first.len + gap)?;
    if !matches!(sign, 'x' | '×' | 'X') {
        return None;
    }
    let mut end = first.len;
    let mut parts = vec![first.spoken()];
    while look.peek(end + gap) == Some(sign) && parts.len() < 4 {
        let again = space(look, end + gap + 1);
        if again != gap {
            break;
        }
        let Some(next) = Numeral::read(look, end + gap + 1 + again) else { break };
        end += gap + 1 + again + next.len;
        parts.push(next.spoken());
    }
    if parts.len() == 1 {
        let times = gap == 0
            && sign != 'X'
            && is_end(look.peek(end + 1))
            && !is_variable(look, end + 1)
            && !(look.peek(end + 1) == Some('-') && is_digit(look.peek(end + 2)));
        let name = if first.is_one() { "time" } else { "times" };
        return times
            .then(|| Reading::Say { len: end + 1, spoken: format!("{} {name}", parts[0]) });
    }
    if gap == 0 && look.peek(end) == Some('s') && is_end(look.peek(end + 1)) {
        // Lumber: "2x4s".
        return Reading::say(end + 1, spell::plural(&parts.join(" by ")));
    }
    if super::fraction::is_inch_mark(look, end) {
        return Reading::say(end + 1, format!("{} inch", parts.join(" by ")));
    }
    let suffix = suffix::read(look, end);
    if let Counted::Unit { many, .. } = &suffix.counted {
        return Reading::say(end + suffix.len, format!("{} {many}", parts.join(" by ")));
    }
    let spoken = parts.join(if gap == 1 { " times " } else { " by " });
    is_end(look.peek(end)).then_some(Reading::Say { len: end, spoken })
}

/// Whether an "x" that ends at `n` is the unknown of a term: "2x-1", "3x + 4 = 10".
pub fn is_variable(look: &Look, n: usize) -> bool {
    let spaced = space(look, n);
    let sign = look.peek(n + spaced);
    let operand = look.peek(n + spaced + 1 + space(look, n + spaced + 1));
    // "3x-4x" is a range.
    let digits = look.count(n + 1, 6, |c| c.is_ascii_digit() || c == '.');
    let range = spaced == 0 && digits > 0 && look.peek(n + 1 + digits) == Some('x');
    !range
        && matches!(
            sign,
            Some('-' | '+' | '−' | '=' | '^' | '²' | '³' | '*' | '÷' | '<' | '>' | '≤' | '≥')
        )
        && operand.is_some_and(|c| c.is_ascii_digit() || matches!(c, 'x' | 'y' | '(' | '-' | '='))
}
