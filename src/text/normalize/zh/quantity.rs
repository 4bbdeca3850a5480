//! Quantities: numbers with units, per cent or measure words.

use super::cardinal::digits;
use super::measure;
use super::near::{chinese_at, ends_with, letter_at, skip_space};
use super::number::Number;
use super::plain::plain;
use super::range::range;
use super::tail::Tail;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

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
            let counted = letter == 'k'
                && look.peek(end).is_some_and(|c| "块元字人米步次条个份张票赞粉".contains(c));
            (pay || counted).then_some(())?;
            let spoken = number.scaled(3)?;
            let two = number.whole == "2" && number.is_integer();
            Reading::say(end, if two { "两千".into() } else { spoken })
        }
        'w' | 'W' if more || letter == 'w' => Reading::say(end, format!("{}万", number.counted())),
        's' if number.is_year() && number.whole.ends_with('0') => {
            Reading::say(end, format!("{}年代", digits(&number.whole)))
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
