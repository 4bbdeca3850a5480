//! Ranges: two numbers with a sign between that means "to".

use super::cardinal::{code, digits};
use super::measure;
use super::near::{any_at, behind_word, chinese_at, ends_with, letter_at, range_sign, skip_space};
use super::number::{Number, digit_at};
use super::tail::Tail;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Two numbers with a sign between that means "to".
pub fn range(look: &Look, first: &Number) -> Option<Reading> {
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
            || second.has_digits(2)
                && first.whole.get(2..).is_some_and(|low| low < &*second.whole))
        && first.is_year()
        && (!measured || look.peek(skip_space(look, end)) == Some('年'));
    if years {
        let spoken = |n: &Number| digits(&n.whole);
        return Reading::say(end, format!("{}{to}{}", spoken(first), spoken(&second)));
    }
    let spaced = matches!(look.peek(first.len), Some(' '));
    if letter_at(look, end) || spaced && !measured && !chinese_at(look, skip_space(look, end)) {
        return None;
    }
    // Figures and standards have parts, which are not compared.
    let falls = first.value() >= second.value() && first.is_integer();
    let part = behind_word(look, &["图", "圖", "表", "式", "附图", "例"]);
    let address = any_at(look, end, &["室", "房", "号房"]) && second.whole.len() > 2;
    if dash && (part || address || falls && !measured && first.whole.len() > 3) {
        let spoken = |n: &Number| if n.whole.len() < 3 { n.spoken() } else { code(&n.whole) };
        return Reading::say(end, format!("{}杠{}", spoken(first), spoken(&second)));
    }
    let dated = any_at(look, end, &["月", "日", "号"]);
    let spoken = |number: &Number| match () {
        () if measured => number.counted(),
        () if dated => number.without_leading_zeros(),
        () => number.spoken(),
    };
    // 满200-30 is a discount.
    let discount = dash && ["满", "减"].iter().any(|word| ends_with(look, 0, word));
    if falls && discount {
        return Reading::say(end, format!("{}减{}", first.spoken(), second.spoken()));
    }
    let between = if falls && dash && !measured && !dated { "比" } else { to };
    let sum = any_at(look, skip_space(look, end), &["=", "等于", "等於"]);
    (!sum).then(|| Reading::Say {
        len: end,
        spoken: format!("{}{between}{}", spoken(first), spoken(&second)),
    })
}
