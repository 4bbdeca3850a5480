//! Times of day and durations in digits.

use super::cardinal::cardinal;
use super::near::{behind_word, ends_with, letter_at, skip_space};
use super::number::{Number, digit_at, is_digit};
use super::ratio;
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Words before which 3:45 is a duration of minutes and seconds.
const DURATIONS: &[&str] = &["时长", "用时", "耗时", "成绩", "配速", "片长"];

/// 3:30, 15:00, 10:30:05, each with am, pm or a zone.
pub fn time(look: &Look, _: &Context) -> Option<Reading> {
    let hours = look.count(0, 3, is_digit);
    if hours > 2 || !is_colon(look, hours) || look.count(hours + 1, 3, is_digit) != 2 {
        return None;
    }
    if ratio::is_meant(look, hours + 3) {
        return None;
    }
    if let Some(reading) = verse(look, hours) {
        return Some(reading);
    }
    let hour: u64 = look.text(0, hours).parse().ok()?;
    let minute: u64 = look.text(hours + 1, 2).parse().ok()?;
    let mut len = hours + 3;
    let mut second = None;
    if is_colon(look, len) && digit_at(look, len + 1) {
        let digits = look.count(len + 1, 3, is_digit);
        let value: u64 = look.text(len + 1, digits).parse().ok()?;
        if digits != 2 || value > 59 || is_colon(look, len + 3) && digit_at(look, len + 4) {
            return None;
        }
        second = Some(value);
        len += 3;
    }
    if minute > 59 {
        return None;
    }
    if behind_word(look, DURATIONS) {
        let counted = if hour == 2 { "两".into() } else { cardinal(hour) };
        let spoken = match second {
            None => format!("{counted}分{}秒", two_digits(minute)),
            Some(s) => format!("{counted}小时{}分{}秒", two_digits(minute), two_digits(s)),
        };
        return Reading::say(len, spoken);
    }
    if hour > 24 {
        return None;
    }
    let (half, suffix) = half_of_day(look, len, hour);
    len += suffix;
    let mut spoken = format!("{half}{}", clock(hour, minute, second));
    let zone = zone(look, len);
    if let Some((zone, name)) = zone {
        len += zone;
        spoken = format!("{name}{spoken}");
    }
    Reading::say(len, spoken)
}

/// AM and PM before a time, in Chinese sentences.
pub fn half_before_hour(look: &Look, context: &Context) -> Option<Reading> {
    let half = match look.peek(0)? {
        'A' => "上午",
        'P' => "下午",
        _ => return None,
    };
    if look.peek(1)? != 'M' || look.back(0).is_some_and(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let at = skip_space(look, 2);
    let digits = look.count(at, 3, is_digit);
    if !(1..=2).contains(&digits) || !is_colon(look, at + digits) {
        return None;
    }
    let ahead = look.ahead(at);
    let chinese = context.language(&ahead) == Language::Chinese;
    look.absorb(&ahead);
    if chinese { Reading::say(at, half) } else { None }
}

/// Chapter and verse behind the name of a book of the Bible.
fn verse(look: &Look, hours: usize) -> Option<Reading> {
    const BOOKS: &[&str] =
        &["福音", "诗篇", "箴言", "创世记", "马书", "亚书", "启示录", "前书", "后书"];
    if !behind_word(look, BOOKS) {
        return None;
    }
    let chapter = Number::integer(look, 0)?;
    let verse = Number::integer(look, hours + 1)?;
    let spoken = format!("{}章{}节", chapter.spoken(), verse.without_leading_zeros());
    Reading::say(hours + 1 + verse.len, spoken)
}

/// 8am, 3 PM.
pub fn hour_of_half_day(look: &Look, _: &Context) -> Option<Reading> {
    let hours = look.count(0, 3, is_digit);
    if !(1..=2).contains(&hours) {
        return None;
    }
    let at = skip_space(look, hours);
    matches!(look.peek(at)?, 'a' | 'p' | 'A' | 'P').then_some(())?;
    let hour: u64 = look.text(0, hours).parse().ok()?;
    let (half, len) = half_of_day(look, hours, hour);
    (len > 0 && (1..=12).contains(&hour)).then_some(())?;
    Reading::say(hours + len, format!("{half}{}", clock(hour, 0, None)))
}

fn is_colon(look: &Look, n: usize) -> bool {
    matches!(look.peek(n), Some(':' | '：'))
}

fn two_digits(value: u64) -> String {
    match value {
        1..10 => format!("零{}", cardinal(value)),
        _ => cardinal(value),
    }
}

fn clock(hour: u64, minute: u64, second: Option<u64>) -> String {
    let hour = if hour == 2 { "两".into() } else { cardinal(hour) };
    let second = second.filter(|second| *second > 0);
    let mut spoken = format!("{hour}点");
    if minute > 0 || second.is_some() {
        spoken += &two_digits(minute);
        spoken.push('分');
    }
    if let Some(second) = second {
        spoken += &two_digits(second);
        spoken.push('秒');
    }
    spoken
}

/// am or pm at `n`: how it is said before the hour, and its length. Not said again where the text
/// has it.
fn half_of_day(look: &Look, n: usize, hour: u64) -> (&'static str, usize) {
    let at = skip_space(look, n);
    let written = ["a.m.", "p.m.", "am", "pm"];
    let Some(found) = written.iter().find(|half| {
        look.is_in_any_case(at, half) && (half.ends_with('.') || !letter_at(look, at + half.len()))
    }) else {
        return ("", 0);
    };
    let said = ["上午", "下午", "晚上", "早上", "凌晨", "中午", "傍晚", "清晨"];
    let half = match found.starts_with('a') {
        _ if said.iter().any(|word| ends_with(look, 0, word)) => "",
        true if hour == 12 => "凌晨",
        true => "上午",
        false if hour == 12 => "中午",
        false if (7..12).contains(&hour) => "晚上",
        false => "下午",
    };
    (half, at + found.len() - n)
}

/// A zone at `n`: its length and how it is said before the time.
fn zone(look: &Look, n: usize) -> Option<(usize, String)> {
    let at = skip_space(look, n);
    let fixed = [
        ("UTC", "协调世界时"),
        ("GMT", "格林尼治时间"),
        ("PST", "太平洋标准时间"),
        ("PDT", "太平洋夏令时间"),
        ("EST", "美国东部标准时间"),
        ("EDT", "美国东部夏令时间"),
        ("CET", "欧洲中部时间"),
        ("JST", "日本标准时间"),
        ("Z", "协调世界时"),
    ];
    if matches!(look.peek(at)?, '+' | '-') && at == n && look.count(n + 1, 3, is_digit) == 2 {
        // The offset of a time in the form of ISO 8601.
        let len = if is_colon(look, n + 3) { 6 } else { 5 };
        let hours: u64 = look.text(n + 1, 2).parse().ok()?;
        let whole = look.is(n + len - 2, "00") && !digit_at(look, n + len);
        (whole && hours <= 14).then_some(())?;
        return Some((len, offset(look.peek(n)?, hours)));
    }
    let (written, name) = fixed.iter().find(|(written, _)| look.is(at, written))?;
    let end = at + written.len();
    if letter_at(look, end) {
        return None;
    }
    let signed = matches!(look.peek(end), Some('+' | '-')) && *written != "Z";
    let digits = if signed { look.count(end + 1, 3, is_digit) } else { 0 };
    if (1..=2).contains(&digits) && !is_colon(look, end + 1 + digits) {
        let hours: u64 = look.text(end + 1, digits).parse().ok()?;
        return Some((end + 1 + digits - n, offset(look.peek(end)?, hours)));
    }
    Some((end - n, (*name).to_string()))
}

fn offset(sign: char, hours: u64) -> String {
    match (sign, hours) {
        (_, 0) => "协调世界时".into(),
        ('-', _) => format!("西{}区", cardinal(hours)),
        _ => format!("东{}区", cardinal(hours)),
    }
}
