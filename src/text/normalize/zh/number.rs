//! Numbers as they are written in digits.

use super::cardinal::{MAX_DIGITS, cardinal, digits};
use crate::text::normalize::look::{AHEAD, Look};

/// A number without sign: 12, 1,234, 3.14.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// Its characters in the text.
    pub len: usize,
    /// Digits before the point, without separators.
    pub whole: String,
    /// Digits behind the point; empty where there is none.
    pub decimals: String,
    /// Whether thousands are separated.
    pub grouped: bool,
}

pub fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// Whether a digit is at `n`.
pub fn digit_at(look: &Look, n: usize) -> bool {
    look.peek(n).is_some_and(is_digit)
}

impl Number {
    /// The number that begins at `n`.
    pub fn read(look: &Look, n: usize) -> Option<Self> {
        let first = look.count(n, AHEAD, is_digit);
        if first == 0 {
            return None;
        }
        let mut whole = look.text(n, first);
        let mut end = n + first;
        let mut grouped = false;
        if first <= 3 && !whole.starts_with('0') {
            let mut groups = String::new();
            let mut at = end;
            while look.peek(at) == Some(',') && look.count(at + 1, 4, is_digit) == 3 {
                groups += &look.text(at + 1, 3);
                at += 4;
            }
            // Digits behind another comma are a list.
            let list = look.peek(at) == Some(',') && digit_at(look, at + 1);
            if !groups.is_empty() && !list {
                whole += &groups;
                (end, grouped) = (at, true);
            }
        }
        let mut decimals = String::new();
        if look.peek(end) == Some('.') {
            let count = look.count(end + 1, AHEAD, is_digit);
            let behind = end + 1 + count;
            let version = look.peek(behind) == Some('.') && digit_at(look, behind + 1);
            if count > 0 && !version {
                decimals = look.text(end + 1, count);
                end = behind;
            }
        }
        Some(Self { len: end - n, whole, decimals, grouped })
    }

    /// Digits alone from `n` on, as many as there are.
    pub fn integer(look: &Look, n: usize) -> Option<Self> {
        let len = look.count(n, AHEAD, is_digit);
        let whole = look.text(n, len);
        (len > 0).then_some(Self { len, whole, decimals: String::new(), grouped: false })
    }

    pub fn is_integer(&self) -> bool {
        self.decimals.is_empty()
    }

    /// The value of an integer that is read as a cardinal.
    pub fn value(&self) -> Option<u64> {
        (self.is_integer() && self.whole.len() <= MAX_DIGITS)
            .then(|| self.whole.parse().ok())
            .flatten()
    }

    /// Whether it is an integer of so many digits and no separators.
    pub fn has_digits(&self, count: usize) -> bool {
        self.is_integer() && !self.grouped && self.whole.len() == count
    }

    /// Whether it may be a year.
    pub fn is_year(&self) -> bool {
        self.has_digits(4) && self.value().is_some_and(|value| (1000..=2199).contains(&value))
    }

    /// Whether a zero stands before other digits: 007, 05.
    pub fn has_leading_zero(&self) -> bool {
        self.whole.len() > 1 && self.whole.starts_with('0')
    }

    /// As a cardinal with its decimals. Digit by digit where it is too long or begins with zero.
    pub fn spoken(&self) -> String {
        let whole = match self.whole.parse() {
            Ok(value) if self.whole.len() <= MAX_DIGITS && !self.has_leading_zero() => {
                cardinal(value)
            }
            _ => digits(&self.whole),
        };
        if self.is_integer() { whole } else { format!("{whole}点{}", digits(&self.decimals)) }
    }

    /// As [`spoken`](Self::spoken) before a measure word, where two is 两.
    pub fn counted(&self) -> String {
        if self.is_integer() && self.whole == "2" { "两".into() } else { self.spoken() }
    }

    /// Without a point where nothing but zeros is behind it, as in a price of 99.00.
    pub fn without_zero_cents(mut self) -> Self {
        if self.decimals.len() == 2 && self.decimals == "00" {
            self.decimals.clear();
        }
        self
    }

    /// As a cardinal, zeros before it dropped.
    pub fn without_leading_zeros(&self) -> String {
        self.value().map_or_else(|| self.spoken(), cardinal)
    }

    /// As a cardinal times 10^`power`; none where digits would be left behind the point.
    pub fn scaled(&self, power: usize) -> Option<String> {
        let zeros = power.checked_sub(self.decimals.len())?;
        let all = format!("{}{}{}", self.whole, self.decimals, "0".repeat(zeros));
        let value: u64 = all.parse().ok()?;
        (all.trim_start_matches('0').len() <= MAX_DIGITS).then(|| cardinal(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<(usize, String)> {
        let chars: Vec<char> = text.chars().collect();
        let number = Number::read(&Look::new(&chars, 0, true), 0)?;
        Some((number.len, number.spoken()))
    }

    #[test]
    fn digits_points_and_separators_make_a_number() {
        assert_eq!(number("1,234人"), Some((5, "一千二百三十四".into())));
        assert_eq!(number("3.14。"), Some((4, "三点一四".into())));
        assert_eq!(
            number("12,345,678.90"),
            Some((13, "一千二百三十四万五千六百七十八点九零".into()))
        );
        assert_eq!(number("1,2,3"), Some((1, "一".into())));
        assert_eq!(number("100,200,3"), Some((3, "一百".into())));
        assert_eq!(number("5."), Some((1, "五".into())));
        assert_eq!(number("007"), Some((3, "零零七".into())));
        assert_eq!(
            number("12345678901234567"),
            Some((17, "一二三四五六七八九零一二三四五六七".into()))
        );
        assert_eq!(number("x"), None);
    }

    #[test]
    fn scales_shift_the_point() {
        let chars: Vec<char> = "1.25".chars().collect();
        let number = Number::read(&Look::new(&chars, 0, true), 0).expect("a number");
        assert_eq!(number.scaled(6).as_deref(), Some("一百二十五万"));
        assert_eq!(number.scaled(1), None);
    }
}
