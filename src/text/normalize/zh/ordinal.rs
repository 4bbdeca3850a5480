//! Ordinals, Roman numerals and marks of lists.

use super::cardinal::cardinal;
use super::near::{any_at, chinese_at, letter_at, range_sign, skip_space};
use super::number::{Number, digit_at, is_digit};
use crate::text::chars::is_chinese;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::{BEHIND, Look};
use crate::text::normalize::reading::Reading;

/// 第10, 第3-5, 第II.
pub fn ordinal(look: &Look, _: &Context) -> Option<Reading> {
    if look.peek(0)? != '第' {
        return None;
    }
    let at = skip_space(look, 1);
    if let Some((len, value)) = roman(look, at) {
        return Reading::say(at + len, format!("第{}", cardinal(value)));
    }
    let number = Number::read(look, at)?;
    let end = at + number.len;
    if let Some((sign, to)) = range_sign(look, end)
        && let Some(last) = Number::read(look, end + sign)
    {
        let spoken = format!("第{}{to}{}", number.spoken(), last.spoken());
        return Reading::say(end + sign + last.len, spoken);
    }
    Reading::say(end, format!("第{}", number.spoken()))
}

/// A Roman numeral at `n`, of 1 to 39: its length and value.
fn roman(look: &Look, n: usize) -> Option<(usize, u64)> {
    let first = look.peek(n)?;
    if let 'Ⅰ'..='Ⅻ' = first {
        return Some((1, u64::from(first as u32 - 'Ⅰ' as u32) + 1));
    }
    if !matches!(first, 'I' | 'V' | 'X') {
        return None;
    }
    let len = look.count(n, 8, |c| matches!(c, 'I' | 'V' | 'X'));
    if letter_at(look, n + len) || digit_at(look, n + len) {
        return None;
    }
    let written = look.text(n, len);
    (1..40).find(|value| roman_of(*value) == written).map(|value| (len, value))
}

fn roman_of(value: u64) -> String {
    const ONES: [&str; 10] = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"];
    let ones = ONES.get(value as usize % 10).copied().unwrap_or_default();
    "X".repeat(value as usize / 10) + ones
}

/// Roman numerals without 第: before what is numbered so, as in II型, or at the end of a name.
pub fn roman_word(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    if !matches!(first, 'I' | 'V' | 'X' | 'Ⅰ'..='Ⅻ')
        || look.back(0).is_some_and(|c| c.is_ascii_alphanumeric())
    {
        return None;
    }
    let (len, value) = roman(look, 0)?;
    let sign = !first.is_ascii();
    let kinds =
        ["型", "级", "級", "期", "类", "類", "度", "章", "部", "卷", "世", "号", "区", "代"];
    let kind =
        any_at(look, len, &kinds) && (len > 1 || first != 'X') && (len > 1 || first != 'V' || sign);
    // 最终幻想VII; XX and VI are other things.
    let name = look.back(0).is_some_and(is_chinese)
        && len > 1
        && !matches!(look.text(0, len).as_str(), "XX" | "XXX" | "VI" | "IV")
        && !chinese_at(look, len);
    let chinese = context.is_chinese_sentence() || chinese_at(look, len);
    (chinese && (kind || name || sign)).then(|| Reading::Say { len, spoken: cardinal(value) })
}

/// Whether the place begins a line, spaces left out.
fn begins_line(look: &Look) -> bool {
    (0..BEHIND)
        .map_while(|n| look.back(n))
        .find(|c| !" *#>-_".contains(*c))
        .is_none_or(|c| c == '\n')
}

fn begins_clause(look: &Look) -> bool {
    let space = usize::from(look.back(0) == Some(' '));
    look.back(space).is_some_and(|c| "：:；;，。".contains(c))
}

/// What numbers an item of a list at the beginning of a line: 1. 2、 3) (4).
pub fn list_mark(look: &Look, _: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    let open = matches!(first, '(' | '（');
    // Within a line only "1)", behind a mark: "做法：1) 洗菜；2) 切菜".
    let line = begins_line(look);
    if !open && !first.is_ascii_digit() || !line && (open || !begins_clause(look)) {
        return None;
    }
    let at = usize::from(open);
    let digits = look.count(at, 4, is_digit);
    if !(1..=3).contains(&digits) {
        return None;
    }
    let close = look.peek(at + digits)?;
    let end = at + digits + 1;
    let is_mark = match close {
        ')' | '）' => true,
        _ if !line => false,
        '.' | '．' => !open && !digit_at(look, end),
        '、' => !open && !digit_at(look, end),
        _ => false,
    };
    let behind = skip_space(look, end);
    let item =
        look.peek(behind).is_some_and(|c| c.is_alphanumeric() || "*“\"《「『[`【".contains(c));
    if !is_mark || !item {
        return None;
    }
    Reading::say(behind, format!("{}、", Number::integer(look, at)?.spoken()))
}

/// Numbers in circles and brackets: ①, ⑴, ❶.
pub fn circled(look: &Look, _: &Context) -> Option<Reading> {
    let c = look.peek(0)?;
    let base = match c {
        '①'..='⑳' => '①',
        '⑴'..='⒇' => '⑴',
        '⒈'..='⒛' => '⒈',
        '❶'..='❿' => '❶',
        '➀'..='➉' => '➀',
        '㈠'..='㈩' => '㈠',
        '㊀'..='㊉' => '㊀',
        _ => return None,
    };
    let spoken = cardinal(u64::from(c as u32 - base as u32) + 1);
    let len = skip_space(look, 1);
    let clause = begins_line(look) || look.back(0).is_some_and(|c| "：:；;，,。".contains(c));
    let item = clause && look.peek(len).is_some_and(char::is_alphanumeric);
    if item { Reading::say(len, format!("{spoken}、")) } else { Reading::say(1, spoken) }
}
