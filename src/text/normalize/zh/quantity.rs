//! Quantities: numbers with units, per cent or measure words, and ranges of them.

use super::measure;
use super::near::{any_at, behind_word, chinese_at, ends_with, letter_at, range_sign, skip_space};
use super::number::{Number, digit_at};
use super::plain::plain;
use super::units::{self, MAX_UNIT, is_unit_char, is_unit_sign};
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

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
    fn counts(&self) -> bool {
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
    match look.peek(n) {
        Some('g') if any_at(look, n + 1, &networks) => return true,
        Some('s') if look.peek(n + 1) == Some('店') => return true,
        _ => {}
    }
    look.back(0) == Some(' ') && look.back(1).is_some_and(|c| c.is_ascii_alphabetic())
}

/// Thousands and ten thousands written as a letter, and decades: 15k, 10w+, 1990s.
fn with_letter(look: &Look, number: &Number) -> Option<Reading> {
    let letter = look.peek(number.len)?;
    if !matches!(letter, 'k' | 'K' | 'w' | 'W' | 's') || letter_at(look, number.len + 1) {
        return None;
    }
    let more = look.peek(number.len + 1) == Some('+');
    let end = number.len + 1;
    match letter {
        'k' | 'K' => {
            let pay = (0..8).any(|n| look.back(n).is_some_and(|c| "薪資资入价價费費".contains(c)));
            pay.then_some(())?;
            Reading::say(end, number.scaled(3)?)
        }
        'w' | 'W' if more || letter == 'w' => Reading::say(end, format!("{}万", number.counted())),
        's' if is_year(number) && number.whole.ends_with('0') => {
            Reading::say(end, format!("{}年代", super::cardinal::digits(&number.whole)))
        }
        _ => None,
    }
}

/// A number or a range of numbers, with what belongs to it.
pub fn quantity(look: &Look, context: &Context) -> Option<Reading> {
    let number = Number::read(look, 0)?;
    if let Some(reading) = range(look, &number) {
        return Some(reading);
    }
    if let Some(reading) = with_letter(look, &number) {
        return Some(reading);
    }
    if let Some(tail) = Tail::read(look, number.len) {
        let below_zero = ends_with(look, 0, "零下") || matches!(context.spoken, Some('负'));
        let spoken = if tail.counts() && !below_zero { number.counted() } else { number.spoken() };
        return Reading::say(number.len + tail.len, tail.say(&spoken));
    }
    // 960万km²: the scale is of the number.
    let scale = look.count(number.len, 2, |c| matches!(c, '万' | '亿' | '千' | '百'));
    if scale > 0
        && let Some(tail) = Tail::read(look, number.len + scale)
    {
        let spoken = format!("{}{}", number.counted(), look.text(number.len, scale));
        return Reading::say(number.len + scale + tail.len, tail.say(&spoken));
    }
    if let Some(reading) = many(look, &number).or_else(|| about(look, &number)) {
        return Some(reading);
    }
    Reading::say(number.len, plain(look, 0, &number))
}

/// 100+ before what is counted: more than that.
fn many(look: &Look, number: &Number) -> Option<Reading> {
    let plus = number.len;
    if look.peek(plus) != Some('+') || !number.is_integer() {
        return None;
    }
    if look.peek(plus + 1).is_some_and(|c| matches!(c, '万' | '亿' | '千')) {
        return None;
    }
    let counted = measure::is_at(look, skip_space(look, plus + 1)) || chinese_at(look, plus + 1);
    let round = number.whole.ends_with('0');
    (counted && round)
        .then(|| Reading::Say { len: plus + 1, spoken: format!("{}多", number.spoken()) })
}

/// 2、3 before a measure word: two or three.
fn about(look: &Look, number: &Number) -> Option<Reading> {
    if look.peek(number.len) != Some('、') || !number.has_digits(1) {
        return None;
    }
    let next = Number::read(look, number.len + 1).filter(|next| next.has_digits(1))?;
    let neighbours = number.value()? + 1 == next.value()? && number.value()? > 0;
    let len = number.len + 1 + next.len;
    (neighbours && measure::is_at(look, len)).then_some(())?;
    Reading::say(len, format!("{}{}", number.counted(), next.spoken()))
}

/// Two numbers with a sign between that means "to".
fn range(look: &Look, first: &Number) -> Option<Reading> {
    let (sign, to) = range_sign(look, first.len)?;
    let second = Number::read(look, first.len + sign)?;
    let end = first.len + sign + second.len;
    // Three numbers are a code, and 5-3=2 is a sum.
    let dash = look.peek(first.len) == Some('-');
    if dash && (look.peek(end) == Some('-') && digit_at(look, end + 1)) {
        return None;
    }
    if first.has_leading_zero() && !first.has_digits(2) {
        return None;
    }
    if let Some(tail) = Tail::read(look, end) {
        let spoken =
            |number: &Number| if tail.counts() { number.counted() } else { number.spoken() };
        let all = if tail.is_share() {
            format!("{}{to}{}", tail.say(&spoken(first)), tail.say(&spoken(&second)))
        } else {
            tail.say(&format!("{}{to}{}", spoken(first), spoken(&second)))
        };
        return Reading::say(end + tail.len, all);
    }
    let measured = measure::is_quantity_at(look, skip_space(look, end));
    let years = first.has_digits(4)
        && (second.has_digits(4)
            || second.has_digits(2) && any_at(look, end, &["赛季", "学年", "年"]))
        && is_year(first)
        && (!measured || look.peek(skip_space(look, end)) == Some('年'));
    if years {
        let spoken = |n: &Number| super::cardinal::digits(&n.whole);
        return Reading::say(end, format!("{}{to}{}", spoken(first), spoken(&second)));
    }
    let spaced = matches!(look.peek(first.len), Some(' '));
    if letter_at(look, end) || spaced && !measured && !chinese_at(look, skip_space(look, end)) {
        return None;
    }
    // Figures and standards have parts, which are not compared.
    let falls = first.value() >= second.value() && first.is_integer();
    let part = behind_word(look, &["图", "圖", "表", "式", "附图", "例"]) && dash;
    if part || falls && dash && !measured && first.whole.len() > 3 {
        return Reading::say(
            end,
            format!("{}杠{}", first.spoken(), plain(look, end - second.len, &second)),
        );
    }
    let dated = any_at(look, end, &["月", "日", "号"]);
    let spoken = |number: &Number| match () {
        () if measured => number.counted(),
        () if dated => number.without_leading_zeros(),
        () => number.spoken(),
    };
    let between = if falls && dash && !measured && !dated { "比" } else { to };
    let equals = look.peek(skip_space(look, end)) == Some('=');
    (!equals).then(|| Reading::Say {
        len: end,
        spoken: format!("{}{between}{}", spoken(first), spoken(&second)),
    })
}

/// Whether four digits may be a year.
pub fn is_year(number: &Number) -> bool {
    number.has_digits(4) && number.value().is_some_and(|value| (1000..=2199).contains(&value))
}
