//! What belongs to a number: its unit, per cent.

use super::near::{any_at, skip_space};
use super::units::{self, MAX_UNIT, is_unit_char, is_unit_sign};
use crate::text::normalize::look::Look;

/// What stands behind a number and belongs to it.
#[derive(Debug, Default)]
pub struct Tail {
    /// Its characters.
    pub len: usize,
    /// Spoken before the number, as 百分之.
    before: &'static str,
    /// Spoken behind it.
    after: String,
}

impl Tail {
    /// What is at `n`, just behind a number.
    pub fn read(look: &Look, n: usize) -> Option<Self> {
        let at = skip_space(look, n);
        let shares = [("%", "百分之"), ("‰", "千分之"), ("‱", "万分之")];
        if let Some((_, before)) = shares.into_iter().find(|(sign, _)| look.is(at, sign)) {
            return Some(Self { len: at + 1 - n, before, after: String::new() });
        }
        let (len, name) = unit_at(look, at)?;
        let mut tail = Self { len: at + len - n, before: "", after: name.into() };
        if look.peek(at + len) == Some('/') {
            tail.add_per(look, n, at + len);
        }
        if let Some(before) = name.strip_suffix("每秒").map(|_| "每秒") {
            (tail.before, tail.after) = (before, name.trim_end_matches("每秒").into());
        } else if let Some(rest) = name.strip_suffix("每分钟") {
            (tail.before, tail.after) = ("每分钟", rest.into());
        }
        Some(tail)
    }

    /// A unit per another one, whose stroke is at `stroke`.
    fn add_per(&mut self, look: &Look, n: usize, stroke: usize) {
        let letters = look.count(stroke + 1, MAX_UNIT + 1, is_unit_char);
        let written = look.text(stroke + 1, letters);
        let squared = look.peek(stroke + 1 + letters) == Some('²');
        let end = stroke + 1 + letters - n;
        if let Some(before) = units::per(&written).filter(|_| !squared) {
            (self.before, self.len) = (before, end);
        } else if squared && written == "s" {
            self.after += "每二次方秒";
            self.len = end + 1;
        } else if let Some((len, name)) = unit_at(look, stroke + 1) {
            self.after = format!("{}每{name}", self.after);
            self.len = stroke + 1 + len - n;
        }
    }

    /// Whether it is per cent or the like.
    pub fn is_share(&self) -> bool {
        self.before.ends_with("分之")
    }

    /// The number, as it is spoken by itself, with what belongs to it.
    pub fn say(&self, number: &str) -> String {
        // A hundred per cent is 百分之百.
        let number = if self.before == "百分之" && number == "一百" { "百" } else { number };
        format!("{}{number}{}", self.before, self.after)
    }

    /// Whether the number is counted, so that two is 两.
    pub fn counts(&self) -> bool {
        !self.after.is_empty() && !self.after.starts_with(|c: char| c.is_ascii())
    }
}

/// The unit at `n`: its length and its name.
fn unit_at(look: &Look, n: usize) -> Option<(usize, &'static str)> {
    let first = look.peek(n)?;
    if is_unit_sign(first) {
        let len = if matches!(first, '°' | 'º') { 2 } else { 1 };
        return units::unit(&look.text(n, len)).map(|name| (len, name));
    }
    if !is_unit_char(first) || is_other(look, n) {
        return None;
    }
    let letters = look.count(n, MAX_UNIT + 1, is_unit_char);
    let mut len = match look.peek(n + letters) {
        Some('²' | '³') => letters + 1,
        Some('^') if matches!(look.peek(n + letters + 1), Some('2' | '3')) => letters + 2,
        Some(c) if c.is_ascii_digit() => return None,
        _ => letters,
    };
    let mut name = units::unit(&look.text(n, len));
    if name.is_none() && len > letters {
        len = letters;
        name = units::unit(&look.text(n, len));
    }
    name.map(|name| (len, name))
}

/// Whether a letter at `n` that could be a unit is not: 5g网络, 4s店, iPhone 6s, 1990s.
fn is_other(look: &Look, n: usize) -> bool {
    if look.peek(n + 1).is_some_and(is_unit_char) {
        return false;
    }
    let networks = ["网", "手机", "信号", "套餐", "时代", "基站", "流量", "技术", "通信"];
    // The unknown of a term: 3x+5=20.
    if look.peek(n) == Some('x') {
        let spaced = usize::from(look.peek(n + 1) == Some(' '));
        let sign = look.peek(n + 1 + spaced);
        return sign.is_some_and(|c| "+-−=^²³*<>≤≥".contains(c));
    }
    match look.peek(n) {
        // 5 x 3 is a product.
        Some('x' | 'X') if n > 0 && look.peek(n - 1) == Some(' ') => return true,
        Some('g') if any_at(look, n + 1, &networks) => return true,
        Some('s') if look.peek(n + 1) == Some('店') => return true,
        _ => {}
    }
    look.back(0) == Some(' ') && look.back(1).is_some_and(|c| c.is_ascii_alphabetic())
}
