//! Fractions, and numbers that a slash or a colon joins.

use super::around::{is_digit, is_end, word_at, word_before};
use super::numeral::{Numeral, whole};
use super::spell;
use super::suffix::{self, Counted};
use crate::text::normalize::context::Context;
use crate::text::normalize::look::{BEHIND, Look};
use crate::text::normalize::reading::Reading;

/// "1/2", "2 1/2", "2½", "9/10".
pub fn fraction(look: &Look, _: &Context) -> Option<Reading> {
    if let Some((top, bottom)) = look.peek(0).and_then(vulgar) {
        return say(look, 1, part(top, bottom)?, true);
    }
    if let Some(rating) = rating(look) {
        return Some(rating);
    }
    let (first, len) = whole(look, 0, 1, 4)?;
    let gap = usize::from(matches!(look.peek(len), Some(' ' | '-')));
    if let Some((top, bottom)) = look.peek(len + gap).and_then(vulgar) {
        return say(look, len + gap + 1, mixed(first, top, bottom)?, false);
    }
    if gap == 1 && is_digit(look.peek(len + 1)) {
        let (top, bottom, end) = slashed(look, len + 1)?;
        let usual = top < bottom && matches!(bottom, 2..=10 | 12 | 16 | 32 | 64);
        return if usual { say(look, end, mixed(first, top, bottom)?, false) } else { None };
    }
    let (top, bottom, end) = slashed(look, 0)?;
    match (top, bottom) {
        (24, 7) if look.is(4, "/365") => {
            return Reading::say(end + 4, "twenty-four seven three sixty-five");
        }
        (24, 7) => return Reading::say(end, "twenty-four seven"),
        (9, 11) => return Reading::say(end, "nine eleven"),
        (50, 50) | (20, 20) => {
            let name = spell::cardinal(top);
            return Reading::say(end, format!("{name} {name}"));
        }
        _ => {}
    }
    let (top_name, bottom_name) = (spell::cardinal(top), spell::cardinal(bottom));
    let usual = matches!(bottom, 2..=9 | 12 | 16 | 20 | 32 | 64) && top < 2 * bottom
        || top == 1 && bottom > 1;
    if is_grade(look, end) || top == bottom || !usual && top < bottom {
        return Reading::say(end, format!("{top_name} out of {bottom_name}"));
    }
    if usual {
        return say(look, end, part(top, bottom)?, top < bottom);
    }
    Reading::say(end, format!("{top_name} over {bottom_name}"))
}

/// "4.7/5", "8.5/10": a mark, and the best one.
fn rating(look: &Look) -> Option<Reading> {
    let mark = Numeral::read(look, 0).filter(|mark| !mark.fraction.is_empty())?;
    (look.peek(mark.len)? == '/').then_some(())?;
    let (best, len) = whole(look, mark.len + 1, 1, 4)?;
    let end = mark.len + 1 + len;
    let goes_on = matches!(look.peek(end), Some('/' | '.')) && is_digit(look.peek(end + 1));
    let below = mark.digits.parse::<u64>().is_ok_and(|whole| whole < best);
    if !below || goes_on {
        return None;
    }
    say(look, end, format!("{} out of {}", mark.spoken(), spell::cardinal(best)), false)
}

/// Two whole numbers with a slash between, and where they end.
fn slashed(look: &Look, n: usize) -> Option<(u64, u64, usize)> {
    let (top, len) = whole(look, n, 1, 4)?;
    if !matches!(look.peek(n + len)?, '/' | '⁄') {
        return None;
    }
    let (bottom, more) = whole(look, n + len + 1, 1, 4)?;
    let end = n + len + 1 + more;
    let goes_on =
        matches!(look.peek(end), Some('/' | '.' | ':' | '-')) && is_digit(look.peek(end + 1));
    let goes_on = goes_on && !(top == 24 && bottom == 7);
    (bottom > 0 && !goes_on).then_some((top, bottom, end))
}

/// Whether the words around say that points are counted.
fn is_grade(look: &Look, n: usize) -> bool {
    let (first, start) = word_before(look, 0);
    let (second, _) = word_before(look, start);
    let grade = |word: &str| {
        [
            "score", "scored", "scores", "rating", "rated", "rate", "gave", "give", "got", "grade",
            "page", "step", "part",
        ]
        .contains(&word)
    };
    grade(first.lower().as_str())
        || grade(second.lower().as_str())
        || look.peek(n) == Some(' ') && matches!(word_at(look, n + 1).as_str(), "stars" | "points")
}

/// A fraction of one sign.
fn vulgar(c: char) -> Option<(u64, u64)> {
    Some(match c {
        '½' => (1, 2),
        '⅓' => (1, 3),
        '⅔' => (2, 3),
        '¼' => (1, 4),
        '¾' => (3, 4),
        '⅕' => (1, 5),
        '⅖' => (2, 5),
        '⅗' => (3, 5),
        '⅘' => (4, 5),
        '⅙' => (1, 6),
        '⅚' => (5, 6),
        '⅐' => (1, 7),
        '⅛' => (1, 8),
        '⅜' => (3, 8),
        '⅝' => (5, 8),
        '⅞' => (7, 8),
        '⅑' => (1, 9),
        '⅒' => (1, 10),
        _ => return None,
    })
}

/// The name of a fraction of one sign.
pub fn vulgar_name(sign: char) -> Option<String> {
    let (top, bottom) = vulgar(sign)?;
    part(top, bottom)
}

/// "one half", "three quarters".
fn part(top: u64, bottom: u64) -> Option<String> {
    let name = match bottom {
        0 | 1 => return None,
        2 if top == 1 => "half".into(),
        2 => "halves".into(),
        4 if top == 1 => "quarter".into(),
        4 => "quarters".into(),
        _ if top == 1 => spell::ordinal(bottom),
        _ => spell::ordinal(bottom) + "s",
    };
    Some(format!("{} {name}", spell::cardinal(top)))
}

/// "two and a half".
fn mixed(whole: u64, top: u64, bottom: u64) -> Option<String> {
    let part = match (top, bottom) {
        (1, 2) => "a half".into(),
        (1, 4) => "a quarter".into(),
        _ => part(top, bottom)?,
    };
    Some(format!("{} and {part}", spell::cardinal(whole)))
}

/// A fraction that ends at `n` with its unit; of something less than one there is one.
fn say(look: &Look, n: usize, spoken: String, single: bool) -> Option<Reading> {
    if is_inch_mark(look, n) {
        return Reading::say(n + 1, format!("{spoken} inch"));
    }
    let suffix = suffix::read(look, n);
    if suffix.len == 0 && !is_end(look.peek(n)) {
        return None;
    }
    let scale = if suffix.scale.is_empty() { "" } else { " " };
    let counted = match &suffix.counted {
        Counted::Nothing => String::new(),
        Counted::Unit { one, .. } if single || suffix.joined => format!(" {one}"),
        Counted::Unit { many, .. } => format!(" {many}"),
        Counted::Money(currency) => format!(" {}", currency.many),
    };
    Reading::say(n + suffix.len, format!("{spoken}{scale}{}{counted}", suffix.scale))
}

/// "3:1", "16:9".
pub fn ratio(look: &Look, _: &Context) -> Option<Reading> {
    let first = Numeral::read(look, 0)?;
    let mut end = first.len;
    let mut spoken = first.spoken();
    if look.peek(end) != Some(':') {
        return None;
    }
    while look.peek(end) == Some(':') && is_digit(look.peek(end + 1)) {
        let next = Numeral::read(look, end + 1)?;
        end += 1 + next.len;
        spoken = format!("{spoken} to {}", next.spoken());
    }
    (end > first.len && is_end(look.peek(end))).then_some(Reading::Say { len: end, spoken })
}

/// Whether a quotation mark at `n` stands for inches: none is open, and a word follows.
pub fn is_inch_mark(look: &Look, n: usize) -> bool {
    let mark = look.peek(n);
    if mark == Some('″') {
        return true;
    }
    if mark != Some('"') {
        return false;
    }
    let word = match look.peek(n + 1) {
        Some(' ' | '-') => look.peek(n + 2).is_some_and(|c| c.is_ascii_alphanumeric()),
        after => matches!(after, None | Some(',' | '.' | ')' | ';' | '\n')),
    };
    let quotes =
        (0..BEHIND).filter(|i| look.back(*i) == Some('"') && !is_digit(look.back(*i + 1))).count();
    word && quotes % 2 == 0
}

/// "6'2\"", "5' 10\"": feet and inches; "12\" pizza".
pub fn feet(look: &Look, _: &Context) -> Option<Reading> {
    if let Some(number) = Numeral::read(look, 0).filter(|n| is_inch_mark(look, n.len)) {
        let noun = look.peek(number.len + 1).is_some_and(|c| c == ' ' || c == '-');
        let unit = if noun || number.is_one() { "inch" } else { "inches" };
        return Reading::say(number.len + 1, format!("{} {unit}", number.spoken()));
    }
    let (feet, len) = whole(look, 0, 1, 2)?;
    matches!(look.peek(len)?, '\'' | '’' | '′').then_some(())?;
    let gap = usize::from(look.peek(len + 1) == Some(' '));
    let inches = Numeral::read(look, len + 1 + gap)?;
    let end = len + 1 + gap + inches.len;
    let marks = match look.peek(end) {
        Some('"' | '”' | '″') => 1,
        Some('\'' | '’') if look.peek(end + 1) == look.peek(end) => 2,
        _ => return None,
    };
    let unit = if feet == 1 { "foot" } else { "feet" };
    let (feet, inches) = (spell::cardinal(feet), inches.spoken());
    let inch = if inches == "one" { "inch" } else { "inches" };
    Reading::say(end + marks, format!("{feet} {unit} {inches} {inch}"))
}
