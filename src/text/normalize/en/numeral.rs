//! Numerals as they are written: digits, groups of thousands, a fraction behind a point.

use super::around::{is_digit, is_end};
use super::spell;
use crate::text::normalize::look::Look;

/// Most digits that are read at once. What follows is read on digit by digit.
const MOST_DIGITS: usize = 60;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numeral {
    /// How many characters it has.
    pub len: usize,
    /// Digits before the point, without separators; empty in ".5".
    pub digits: String,
    /// Digits behind the point.
    pub fraction: String,
    /// Whether groups of digits are separated, as in "1,000".
    pub grouped: bool,
}

impl Numeral {
    /// Reads the numeral that begins `n` places ahead.
    pub fn read(look: &Look, n: usize) -> Option<Self> {
        let first = look.count(n, MOST_DIGITS, |c| c.is_ascii_digit());
        if first == 0 && !(look.peek(n) == Some('.') && is_digit(look.peek(n + 1))) {
            return None;
        }
        let mut digits = look.text(n, first);
        let mut len = first;
        while first <= 3 && first > 0 && digits.len() < MOST_DIGITS {
            let Some(group) = group(look, n + len) else { break };
            digits += &look.text(n + len + 1, group);
            len += group + 1;
        }
        if len == first && (1..=3).contains(&first) {
            for separator in ['.', ' '] {
                let groups = continental_groups(look, n + first, separator);
                for i in 0..groups {
                    digits += &look.text(n + first + 4 * i + 1, 3);
                }
                len += 4 * groups;
            }
        }
        let grouped = len > first;
        let mut fraction = String::new();
        if look.peek(n + len) == Some('.') {
            let places = look.count(n + len + 1, MOST_DIGITS, |c| c.is_ascii_digit());
            if places > 0 {
                fraction = look.text(n + len + 1, places);
                len += places + 1;
            }
        }
        Some(Self { len, digits, fraction, grouped })
    }

    /// Reads a numeral as it is written in most of Europe, with full stops between thousands or a
    /// comma before the fraction, or both: "3.000,50". None where it is written otherwise.
    pub fn continental(look: &Look, n: usize) -> Option<Self> {
        let first = look.count(n, 4, |c| c.is_ascii_digit());
        if !((1..=3).contains(&first) || first == 4 && look.peek(n + 4) == Some(',')) {
            return None;
        }
        let mut digits = look.text(n, first);
        let mut len = first;
        while len < 24
            && look.peek(n + len) == Some('.')
            && look.count(n + len + 1, 4, |c| c.is_ascii_digit()) == 3
        {
            digits += &look.text(n + len + 1, 3);
            len += 4;
        }
        let grouped = len > first;
        let mut fraction = String::new();
        if look.peek(n + len) == Some(',') {
            let places = look.count(n + len + 1, 3, |c| c.is_ascii_digit());
            if matches!(places, 1 | 2) {
                fraction = look.text(n + len + 1, places);
                len += places + 1;
            }
        }
        let goes_on =
            matches!(look.peek(n + len), Some('.' | ',')) && is_digit(look.peek(n + len + 1));
        let written_so = grouped || !fraction.is_empty();
        (written_so && !goes_on && !is_digit(look.peek(n + len))).then_some(Self {
            len,
            digits,
            fraction,
            grouped,
        })
    }

    /// Whether digits alone make it up.
    pub fn is_plain(&self) -> bool {
        !self.grouped && self.fraction.is_empty()
    }

    /// Its value, where it has no fraction.
    pub fn value(&self) -> Option<u64> {
        if self.fraction.is_empty() { self.digits.parse().ok() } else { None }
    }

    /// Whether it is the number one.
    pub fn is_one(&self) -> bool {
        self.fraction.is_empty() && self.digits == "1"
    }

    /// "three point one four".
    pub fn spoken(&self) -> String {
        let mut out = match self.digits.as_str() {
            "" => String::new(),
            digits => spell::integer(digits),
        };
        if !self.fraction.is_empty() {
            out += if out.is_empty() { "point " } else { " point " };
            out += &spell::by_digit(&self.fraction);
        }
        out
    }
}

/// How many groups of three digits stand at `n`, each behind a separator, as in "1.000.000" and
/// "1 000 000"; none where there are less than two.
fn continental_groups(look: &Look, n: usize, separator: char) -> usize {
    let groups = (0..5)
        .take_while(|i| {
            look.peek(n + 4 * i) == Some(separator)
                && look.count(n + 4 * i + 1, 4, |c| c.is_ascii_digit()) == 3
        })
        .count();
    let end = n + 4 * groups;
    let more = look.peek(end) == Some(separator) && is_digit(look.peek(end + 1));
    if groups >= 2 && !more { groups } else { 0 }
}

/// How many digits the group behind the separator at `n` has, where there is one: three, or two
/// where a group of three comes last ("1,00,000").
fn group(look: &Look, n: usize) -> Option<usize> {
    let separator = look.peek(n)?;
    if !matches!(separator, ',' | '\'' | '’' | '\u{A0}' | '\u{202F}') {
        return None;
    }
    let digits = look.count(n + 1, 4, |c| c.is_ascii_digit());
    match digits {
        3 => Some(3),
        2 if separator == ',' && look.peek(n + 3) == Some(',') => group(look, n + 3).map(|_| 2),
        _ => None,
    }
}

/// Reads a whole number of `min` to `max` digits at `n` that no digit follows: its value and its
/// length.
pub fn whole(look: &Look, n: usize, min: usize, max: usize) -> Option<(u64, usize)> {
    let len = look.count(n, max + 1, |c| c.is_ascii_digit());
    if !(min..=max).contains(&len) {
        return None;
    }
    Some((look.text(n, len).parse().ok()?, len))
}

/// As [`whole`], of a number that no letter follows either, nor a point and digits.
pub fn whole_alone(look: &Look, n: usize, min: usize, max: usize) -> Option<(u64, usize)> {
    let (value, len) = whole(look, n, min, max)?;
    let after = look.peek(n + len);
    let goes_on = matches!(after, Some('.' | ',' | ':' | '/')) && is_digit(look.peek(n + len + 1));
    (is_end(after) && !goes_on).then_some((value, len))
}
