//! Fractions, ratios and scores.

use super::cardinal::digits;
use super::near::{any_at, behind_word};
use super::number::{Number, digit_at};
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Words before or behind a ratio or score.
const BEFORE: &[&str] = &[
    "比分",
    "比例",
    "配比",
    "比率",
    "比值",
    "赔率",
    "宽高比",
    "长宽比",
    "比",
    "以",
    "画面",
    "赢",
    "输",
    "胜",
    "负",
    "战平",
    "打平",
    "踢平",
    "战成",
    "比数",
    "总分",
    "赛果",
];
const BEHIND: &[&str] = &[
    "战胜",
    "击败",
    "逆转",
    "取胜",
    "获胜",
    "领先",
    "落败",
    "大胜",
    "险胜",
    "力克",
    "横扫",
    "战平",
    "落后",
    "不敌",
    "负于",
    "逼平",
    "小胜",
    "憾负",
    "告捷",
    "的比分",
    "的比例",
    "比例",
    "的优势",
    "惜败",
    "完胜",
    "打败",
    "的战绩",
    "告负",
    "胜",
    "的大比分",
];

/// Whether the words around two numbers, which end at `end`, say that they are compared.
pub fn is_meant(look: &Look, end: usize) -> bool {
    // 以3:30为准 is a time.
    let time = any_at(look, end, &["为", "前", "后", "开", "起"]);
    !time && behind_word(look, BEFORE)
        || any_at(look, end, BEHIND)
        || behind_score(look)
        || is_set(look, end)
}

/// Whether two numbers with a hyphen are one of several sets: 21-15、18-21、21-19.
fn is_set(look: &Look, end: usize) -> bool {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let listed = |c: Option<char>| matches!(c, Some('、' | '，' | ','));
    let after = listed(look.peek(end)) && digit(look.peek(end + 1));
    let before = listed(look.back(0)) && digit(look.back(1));
    // One of the neighbours falls, so that they are no ranges.
    let pair = |a: String, b: String| matches!((a.parse::<u32>(), b.parse::<u32>()), (Ok(a), Ok(b)) if a > b);
    let falls_behind = || {
        let text: String =
            (1..8).map_while(|n| look.back(n)).collect::<Vec<_>>().iter().rev().collect();
        let tail = text.rsplit(['、', '，', ',']).next().unwrap_or_default();
        tail.split_once('-').is_some_and(|(a, b)| pair(a.into(), b.into()))
    };
    let falls_ahead = || {
        let first = look.count(end + 1, 3, |c| c.is_ascii_digit());
        let second = look.count(end + 2 + first, 3, |c| c.is_ascii_digit());
        look.peek(end + 1 + first) == Some('-')
            && pair(look.text(end + 1, first), look.text(end + 2 + first, second))
    };
    look.peek(end - 1).is_some_and(|c| c.is_ascii_digit())
        && (before && falls_behind() || after && falls_ahead())
}

/// Whether a score that cannot be a time stands before the place, as in 25:20、23:25.
fn behind_score(look: &Look) -> bool {
    let digit = |n: usize| look.back(n).and_then(|c| c.to_digit(10));
    let colon = if digit(2).is_some() { 3 } else { 2 };
    matches!(look.back(0), Some('、' | '，' | ','))
        && digit(1).is_some()
        && matches!(look.back(colon), Some(':' | '：'))
        && digit(colon + 1).zip(digit(colon + 2)).is_some_and(|(ones, tens)| tens * 10 + ones > 24)
}

/// 3:1 and, where the words say so, 2-1.
pub fn ratio(look: &Look, _: &Context) -> Option<Reading> {
    let first = Number::read(look, 0)?;
    let sign = look.peek(first.len)?;
    let colon = matches!(sign, ':' | '：' | '∶');
    if !colon && sign != '-' || !digit_at(look, first.len + 1) {
        return None;
    }
    let mut spoken = first.spoken();
    let mut end = first.len;
    // 1:2:3 has more than two.
    while look.peek(end) == Some(sign) && digit_at(look, end + 1) && end < 100 {
        let next = Number::read(look, end + 1)?;
        spoken = format!("{spoken}比{}", next.spoken());
        end += 1 + next.len;
    }
    let small = sign == '-' && first.whole.len() <= 3 && end <= 7;
    (colon || small && is_meant(look, end)).then_some(())?;
    Reading::say(end, spoken)
}

/// 3/4, and 1 1/2 with a whole number before it.
pub fn fraction(look: &Look, _: &Context) -> Option<Reading> {
    let first = Number::integer(look, 0)?;
    if let Some(found) = rating(look).or_else(|| date_beside_weekday(look)) {
        return Some(found);
    }
    match look.peek(first.len)? {
        '/' => {
            let (len, spoken) = simple(look, 0)?;
            Reading::say(len, spoken)
        }
        ' ' => {
            let (len, spoken) = simple(look, first.len + 1)?;
            let whole = first.spoken();
            Reading::say(first.len + 1 + len, format!("{whole}又{spoken}"))
        }
        c => {
            let spoken = vulgar(c)?;
            Reading::say(first.len + 1, format!("{}又{spoken}", first.spoken()))
        }
    }
}

/// 4.8/5: a mark, and the best one.
fn rating(look: &Look) -> Option<Reading> {
    let mark = Number::read(look, 0)?;
    if mark.is_integer() || look.peek(mark.len)? != '/' {
        return None;
    }
    let best = Number::integer(look, mark.len + 1)?;
    matches!(&*best.whole, "5" | "10" | "100").then_some(())?;
    let end = mark.len + 1 + best.len;
    let goes_on = look.peek(end).is_some_and(|c| c.is_ascii_alphanumeric() || "./".contains(c));
    let points = usize::from(look.peek(end) == Some('分'));
    let spoken = format!("{}分，满分{}分", mark.spoken(), best.spoken());
    (!goes_on).then(|| Reading::Say { len: end + points, spoken })
}

/// 周三（3/20） and 3/20（周三）: a month and a day.
fn date_beside_weekday(look: &Look) -> Option<Reading> {
    let month = Number::integer(look, 0)?;
    if month.len > 2 || look.peek(month.len)? != '/' {
        return None;
    }
    let day = Number::integer(look, month.len + 1)?;
    let end = month.len + 1 + day.len;
    let fits = matches!(month.value(), Some(1..=12)) && matches!(day.value(), Some(1..=31));
    let open = |c: Option<char>| matches!(c, Some('(' | '（'));
    let before = open(look.back(0))
        && look.back(1).is_some_and(|c| "一二三四五六日天".contains(c))
        && look.back(2).is_some_and(|c| "周期".contains(c));
    let after = open(look.peek(end)) && any_at(look, end + 1, &["周", "星期"]);
    let ends = !look.peek(end).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.'));
    (fits && ends && (before || after)).then(|| Reading::Say {
        len: end,
        spoken: format!("{}月{}日", month.without_leading_zeros(), day.without_leading_zeros()),
    })
}

/// A fraction at `n`.
fn simple(look: &Look, n: usize) -> Option<(usize, String)> {
    let over = Number::integer(look, n)?;
    if look.peek(n + over.len) != Some('/') {
        return None;
    }
    let under = Number::integer(look, n + over.len + 1)?;
    let len = over.len + 1 + under.len;
    // More parts make it no fraction.
    let more = look.peek(n + len) == Some('/') && digit_at(look, n + len + 1);
    let decimal = look.peek(n + len) == Some('.') && digit_at(look, n + len + 1);
    if more || decimal || under.whole.starts_with('0') {
        return None;
    }
    if over.is_year() && under.has_digits(2) {
        return Some((len, format!("{}到{}", digits(&over.whole), digits(&under.whole))));
    }
    if n == 0 && (behind_word(look, &["血压", "血壓"]) || look.is(len, "mmHg")) {
        let unit = if look.is(len, "mmHg") { ("毫米汞柱", 4) } else { ("", 0) };
        let spoken = format!("{}、{}{}", over.spoken(), under.spoken(), unit.0);
        return Some((len + unit.1, spoken));
    }
    if n == 0 && look.is(0, "24/7") {
        return Some((len, "二十四七".into()));
    }
    // A hundredth is 百分之一, without a one before it.
    let parts = match under.value() {
        Some(100) => "百".into(),
        Some(1000) => "千".into(),
        Some(10_000) => "万".into(),
        _ => under.spoken(),
    };
    Some((len, format!("{parts}分之{}", over.spoken())))
}

/// A fraction that is one character.
pub fn vulgar(c: char) -> Option<&'static str> {
    Some(match c {
        '½' => "二分之一",
        '⅓' => "三分之一",
        '⅔' => "三分之二",
        '¼' => "四分之一",
        '¾' => "四分之三",
        '⅕' => "五分之一",
        '⅖' => "五分之二",
        '⅗' => "五分之三",
        '⅘' => "五分之四",
        '⅙' => "六分之一",
        '⅚' => "六分之五",
        '⅛' => "八分之一",
        '⅜' => "八分之三",
        '⅝' => "八分之五",
        '⅞' => "八分之七",
        _ => return None,
    })
}
