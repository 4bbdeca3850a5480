//! Signs between and before numbers and words.

use super::cardinal::code;
use super::measure;
use super::near::{any_at, chinese_at, letter_at, range_sign, skip_space};
use super::number::{Number, digit_at};
use super::quantity::quantity;
use super::ratio::vulgar;
use super::stroke::stroke;
use super::tail::Tail;
use crate::text::chars::is_chinese;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '−' | '–' | '—' | '~' | '～')
}

/// What a number of another kind ends with, so that a dash behind it means "to".
fn ends_amount(c: char) -> bool {
    c.is_ascii_digit() || "年月日号號点點时時分秒周天岁元块角万亿%％‰℃度米克斤升吨里寸".contains(c)
}

/// A dash or tilde: "to" between amounts, minus, about, or no word.
pub fn dash(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    if !is_dash(first) {
        return None;
    }
    let tilde = matches!(first, '~' | '～');
    let before = look.back(0);
    let digit = digit_at(look, 1);
    let amount = before.is_some_and(ends_amount);
    if is_minus(look) {
        return Reading::say(1, "减");
    }
    let money = look.peek(1).is_some_and(|c| "$¥￥€£".contains(c));
    let minus = look.peek(1) == Some('-') && digit_at(look, 2) && tilde;
    // Qwen2-72B is a name.
    let name = first == '-' && digit && {
        let digits = (0..4).take_while(|n| look.back(*n).is_some_and(|c| c.is_ascii_digit()));
        let n = digits.count();
        n > 0 && (n..n + 2).all(|n| look.back(n).is_some_and(|c| c.is_ascii_alphabetic()))
    };
    if name {
        return Reading::say(1, "");
    }
    if amount && (digit || money || minus) {
        // 零下5-3 and the like are ranges too; a minus has a space before it.
        return Reading::say(1, "到");
    }
    if before.is_some_and(|c| "章节節条條页頁回集课課".contains(c)) {
        let len = look.count(0, 3, is_dash);
        if look.peek(len) == Some('第') {
            return Reading::say(len, "到");
        }
    }
    let unit = before.is_some_and(|c| c.is_ascii_alphabetic())
        && digit
        && look.back(1).is_some_and(|c| c.is_ascii_digit());
    if unit {
        return Reading::say(1, "到");
    }
    if matches!(first, '-' | '−' | '–') && (digit || money) {
        return negative(look, money);
    }
    if tilde && digit && !before.is_some_and(|c| c.is_ascii_alphanumeric()) {
        return Reading::say(1, "约");
    }
    match first {
        '~' | '～' => {
            let numeral =
                |c: Option<char>| c.is_some_and(|c| "一二三四五六七八九十百千万两".contains(c));
            let between = chinese_at(look, 1) && (amount || numeral(before));
            Reading::say(look.count(0, 20, |c| c == first), if between { "到" } else { "" })
        }
        '—' => {
            let len = look.count(0, 20, |c| matches!(c, '—' | '―'));
            let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let pause = word(context.spoken) && word(look.peek(len)) || look.back(0) == Some('”');
            let time = before.is_some_and(|c| "一二三四五六日天月".contains(c))
                && look.peek(len).is_some_and(|c| "周星一二三四五六七八九十".contains(c));
            Reading::say(
                len,
                if time {
                    "到"
                } else if pause {
                    "，"
                } else {
                    ""
                },
            )
        }
        _ => hyphen(look, before),
    }
}

/// Whether the dash is between two numbers of a sum.
fn is_minus(look: &Look) -> bool {
    let spaced = look.back(0) == Some(' ');
    let at = skip_space(look, 1);
    if !look.back(usize::from(spaced)).is_some_and(|c| c.is_ascii_digit()) || !digit_at(look, at) {
        return false;
    }
    let end = Number::read(look, at).map_or(at, |number| at + number.len);
    any_at(look, skip_space(look, end), &["=", "等于", "等於"])
}

/// A minus before a number.
fn negative(look: &Look, money: bool) -> Option<Reading> {
    let before = look.back(0);
    if before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ')' | '）')) {
        return hyphen(look, before);
    }
    if money {
        return Reading::say(1, "负");
    }
    let number = Number::read(look, 1)?;
    if before.is_some_and(is_chinese) && number.is_year() {
        return Reading::say(1, "，");
    }
    let end = 1 + number.len;
    let tail = Tail::read(look, end);
    if let Some(tail) = &tail
        && tail.is_share()
    {
        return Reading::say(end + tail.len, tail.say(&format!("负{}", number.spoken())));
    }
    // -5~3℃: both in one reading, so that the sign of the second is one too.
    if let Some((sign, to)) = range_sign(look, end)
        && look.peek(end) != Some('-')
        && let Some(last) = Number::read(look, end + sign)
    {
        let end = end + sign + last.len;
        let tail = Tail::read(look, end).unwrap_or_default();
        let all = tail.say(&format!("负{}{to}{}", number.spoken(), last.spoken()));
        return Reading::say(end + tail.len, all);
    }
    // 歼-20 is a name.
    let name = before.is_some_and(|c| "歼轰运直警旗龙风征娥舟宫鹰问斗桥浪箭剑".contains(c));
    if name && tail.is_none() && !measure::is_at(look, end) {
        return Reading::say(1, "");
    }
    let tail = tail.unwrap_or_default();
    let spoken = tail.say(&format!("负{}", unsigned(look, end, number)));
    Reading::say(end + tail.len, spoken)
}

/// How a number that ends at `end` is spoken behind a minus.
fn unsigned(look: &Look, end: usize, number: Number) -> String {
    let price = any_at(look, end, &["元", "块"]);
    if price { number.without_zero_cents().spoken() } else { number.spoken() }
}

/// A hyphen between words.
fn hyphen(look: &Look, before: Option<char>) -> Option<Reading> {
    let len = look.count(0, 20, |c| c == '-');
    let digit_next = digit_at(look, len);
    if before.is_some_and(|c| c.is_ascii_alphabetic()) && letter_at(look, len) {
        return None;
    }
    if len == 1 && before.is_some_and(|c| c.is_ascii_alphabetic()) && digit_next {
        return Reading::say(1, "");
    }
    let chinese = before.is_some_and(is_chinese) && chinese_at(look, len);
    if chinese {
        let weekday = before.is_some_and(|c| "一二三四五六日天月年号点时".contains(c))
            && any_at(
                look,
                len,
                &[
                    "周", "星期", "初", "高", "大", "次", "今", "明", "十", "一", "二", "三", "四",
                    "五", "六", "七", "八", "九",
                ],
            );
        return Reading::say(len, if weekday { "到" } else { "，" });
    }
    if len > 1 {
        return Reading::say(len, "，");
    }
    let spaced = before == Some(' ') && look.peek(1) == Some(' ');
    if spaced { Reading::say(1, "，") } else { Reading::say(1, "") }
}

/// A plus before a number, and between things.
pub fn plus(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)? != '+' {
        return None;
    }
    let before = look.back(0);
    if digit_at(look, 1)
        && !before.is_some_and(|c| c.is_alphanumeric() && !is_chinese(c) || c == ' ')
    {
        let ahead = look.ahead(1);
        let reading = quantity(&ahead, context);
        look.absorb(&ahead);
        if let Some(Reading::Say { len, spoken }) = reading
            && !before.is_some_and(is_chinese)
        {
            return Reading::say(len + 1, format!("正{spoken}"));
        }
        let degrees = Number::read(look, 1).and_then(|n| Tail::read(look, 1 + n.len)).is_some();
        return Reading::say(1, if degrees { "正" } else { "加" });
    }
    Reading::say(1, "加")
}

/// Other signs that stand for words.
pub fn word_sign(look: &Look, _: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    if let Some(spoken) = vulgar(first) {
        return Reading::say(1, spoken);
    }
    let spoken = match first {
        '&' if look.back(0).is_some_and(|c| c.is_ascii_alphabetic()) && letter_at(look, 1) => {
            " and "
        }
        '&' => "和",
        '=' if look.peek(1) == Some('=') => {
            return Reading::say(look.count(0, 3, |c| c == '='), "等于");
        }
        '=' => "等于",
        '×' => "乘",
        '÷' => "除以",
        '<' if look.peek(1) == Some('=') => return Reading::say(2, "小于等于"),
        '>' if look.peek(1) == Some('=') => return Reading::say(2, "大于等于"),
        '<' => "小于",
        '>' => "大于",
        '≤' | '⩽' => "小于等于",
        '≥' | '⩾' => "大于等于",
        '≠' => "不等于",
        '≈' | '≒' => "约等于",
        '±' => "正负",
        '°' | 'º' => match look.peek(1) {
            Some('C' | 'c') if !letter_at(look, 2) => return Reading::say(2, "摄氏度"),
            Some('F' | 'f') if !letter_at(look, 2) => return Reading::say(2, "华氏度"),
            _ => "度",
        },
        '¥' | '￥' => "元",
        '$' => "美元",
        '€' => "欧元",
        '£' => "英镑",
        '′' => "分",
        '″' => "秒",
        '%' => "百分号",
        '‰' => "千分号",
        '℃' => "摄氏度",
        '℉' => "华氏度",
        '㎡' => "平方米",
        '²' => "平方",
        '³' => "立方",
        '↑' => "上升",
        '↓' => "下降",
        '→' | '⇒' | '➔' | '➜' => "到",
        '№' => {
            let number = Number::integer(look, skip_space(look, 1));
            return number.map_or_else(
                || Reading::say(1, "号"),
                |n| Reading::say(skip_space(look, 1) + n.len, format!("{}号", n.spoken())),
            );
        }
        '#' => {
            if look.back(0).is_some_and(|c| c.is_ascii_alphabetic()) {
                return Reading::say(1, "井");
            }
            let number = Number::integer(look, 1).filter(|_| look.back(0) != Some('#'));
            let spoken = number.map(|n| {
                let long = n.whole.len() > 4 || n.whole.starts_with('0');
                let name = if long { code(&n.whole) } else { n.spoken() };
                let said = look.peek(1 + n.len) == Some('号');
                (1 + n.len, if said { name } else { name + "号" })
            });
            return spoken
                .map_or_else(|| Reading::say(1, ""), |(len, spoken)| Reading::say(len, spoken));
        }
        '*' if look.back(0).is_some_and(|c| c.is_ascii_digit()) && digit_at(look, 1) => "乘",
        '/' => return stroke(look),
        _ => return None,
    };
    Reading::say(1, spoken)
}
