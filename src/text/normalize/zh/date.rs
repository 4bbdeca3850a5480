//! Dates in digits.

use super::cardinal::{cardinal, digits};
use super::near::{any_at, behind_word};
use super::number::{digit_at, is_digit};
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// 2024-01-05, 2024/1/5, 2024.1.5, 01/05/2024, 2024-01, and 1/5 where the words say so.
pub fn date(look: &Look, _: &Context) -> Option<Reading> {
    let first = look.count(0, 5, is_digit);
    let sign = look.peek(first)?;
    if !matches!(sign, '-' | '/' | '.') {
        return None;
    }
    let second = look.count(first + 1, 3, is_digit);
    if !matches!((first, second), (4, 1 | 2) | (1 | 2, 1 | 2)) {
        return None;
    }
    let a = value(look, 0, first)?;
    let b = value(look, first + 1, second)?;
    let end = first + 1 + second;
    let third = if look.peek(end) == Some(sign) { look.count(end + 1, 5, is_digit) } else { 0 };
    if third == 0 {
        return match first {
            4 if sign != '.' => month_of_year(look, a, b, first, second),
            1 | 2 if sign == '/' => day_of_month(look, a, b, end),
            _ => None,
        };
    }
    let c = value(look, end + 1, third)?;
    let len = end + 1 + third;
    // Another part makes it an address or a version.
    if look.peek(len) == Some(sign) && digit_at(look, len + 1) {
        return None;
    }
    let (year, month, day) = match (first, third) {
        (4, 1 | 2) => (look.text(0, 4), b, c),
        // The month comes first, as in American usage, unless it cannot.
        (1 | 2, 4) if a > 12 => (look.text(end + 1, 4), b, a),
        (1 | 2, 4) => (look.text(end + 1, 4), a, b),
        _ => return None,
    };
    is_day(month, day).then_some(())?;
    // The T before a time of day.
    let t = look.peek(len) == Some('T') && digit_at(look, len + 1);
    let spoken = format!("{}年{}月{}日", digits(&year), cardinal(month), cardinal(day));
    Reading::say(len + usize::from(t), spoken)
}

fn value(look: &Look, n: usize, len: usize) -> Option<u64> {
    look.text(n, len).parse().ok()
}

fn is_day(month: u64, day: u64) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// 2024-01 and 2024/01, the month in two digits or followed by what dates are followed by.
fn month_of_year(
    look: &Look,
    year: u64,
    month: u64,
    first: usize,
    second: usize,
) -> Option<Reading> {
    let len = first + 1 + second;
    let plausible = (1900..=2100).contains(&year) && (1..=12).contains(&month) && second == 2;
    (plausible && !digit_at(look, len)).then_some(())?;
    Reading::say(len, format!("{}年{}月", digits(&look.text(0, first)), cardinal(month)))
}

/// 3/15, where a date is spoken of.
fn day_of_month(look: &Look, month: u64, day: u64, len: usize) -> Option<Reading> {
    const BEFORE: &[&str] = &["截至", "截止", "日期", "定于", "截止到", "期限", "生日"];
    const BEHIND: &[&str] = &["（周", "(周", "（星期", "(星期", " 周", "周", "星期"];
    if !is_day(month, day) || digit_at(look, len) {
        return None;
    }
    (behind_word(look, BEFORE) || any_at(look, len, BEHIND)).then_some(())?;
    Reading::say(len, format!("{}月{}日", cardinal(month), cardinal(day)))
}
