//! Dates.

use super::around::{is_digit, is_end, is_word_char, space, word_at, word_before};
use super::calendar;
use super::numeral::{whole, whole_alone};
use super::spell;
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Dates that begin with a digit.
pub fn numeric(look: &Look, _: &Context) -> Option<Reading> {
    let digits = look.count(0, 5, |c| c.is_ascii_digit());
    match digits {
        4 => year_first(look),
        1 | 2 => written_in_digits(look).or_else(|| day_and_month(look)),
        _ => None,
    }
}

/// "2024-01-05", "2024/1/5", "2024-01".
fn year_first(look: &Look) -> Option<Reading> {
    let (year, _) = whole(look, 0, 4, 4)?;
    let sign = look.peek(4).filter(|c| matches!(c, '-' | '/' | '.'))?;
    (1000..3000).contains(&year).then_some(())?;
    let (month, month_len) = whole(look, 5, 1, 2)?;
    let name = calendar::name(month as usize)?;
    let end = 5 + month_len;
    if look.peek(end) == Some(sign) && is_digit(look.peek(end + 1)) {
        let (day, day_len) = whole(look, end + 1, 1, 2)?;
        (1..=31).contains(&day).then_some(())?;
        let end = end + 1 + day_len;
        let time = look.peek(end) == Some('T') && is_digit(look.peek(end + 1));
        if !time && !closes(look, end) {
            return None;
        }
        let spoken = format!("{name} {}, {}", spell::ordinal(day), spell::year(year));
        return if time { Reading::say(end + 1, spoken + ", ") } else { Reading::say(end, spoken) };
    }
    // "2010-11" is more likely a range of years.
    let season = month == year % 100 + 1;
    let is_month = sign == '-' && month_len == 2 && !season && closes(look, end);
    if is_month { Reading::say(end, format!("{name} {}", spell::year(year))) } else { None }
}

/// Whether a date may end at `n`.
fn closes(look: &Look, n: usize) -> bool {
    let goes_on = matches!(look.peek(n), Some('-' | '/' | '.' | ':')) && is_digit(look.peek(n + 1));
    is_end(look.peek(n)) && !goes_on && look.peek(n) != Some('%')
}

/// "01/05/2024" with the month first where it can be; "5.1.2024" with the day first; "1/5" behind
/// a word that wants a date.
fn written_in_digits(look: &Look) -> Option<Reading> {
    let (first, first_len) = whole(look, 0, 1, 2)?;
    let sign = look.peek(first_len).filter(|c| matches!(c, '-' | '/' | '.'))?;
    let Some((second, second_len)) = whole(look, first_len + 1, 1, 2) else {
        return month_slash_year(look, first, first_len);
    };
    let (month, day) = match sign {
        '.' => (second, first),
        _ if first > 12 => (second, first),
        _ => (first, second),
    };
    let name = calendar::name(month as usize)?;
    (1..=31).contains(&day).then_some(())?;
    let day = spell::ordinal(day);
    let end = first_len + 1 + second_len;
    if look.peek(end) == Some(sign) {
        let (year, len) = whole(look, end + 1, 2, 4)?;
        let year = match (len, sign) {
            (4, _) => year,
            (2, '/') => year + if year < 50 { 2000 } else { 1900 },
            _ => return None,
        };
        let end = end + 1 + len;
        closes(look, end).then_some(())?;
        return Reading::say(end, format!("{name} {day}, {}", spell::year(year)));
    }
    // "Wed. 5/15".
    let dot = look.back(0) == Some(' ') && look.back(1) == Some('.');
    let (before, start) = word_before(look, if dot { 2 } else { 0 });
    let wants_date = [
        "on", "by", "until", "since", "before", "after", "due", "dated", "through", "depart",
        "departs", "return", "returns", "arrive", "arrives", "leave", "leaves", "starting",
    ]
    .contains(&before.lower().as_str());
    let week = before.as_str() == "of" && word_before(look, start).0.lower().as_str() == "week";
    let wants_date = wants_date || week || calendar::is_weekday(before.as_str());
    if wants_date && sign == '/' && closes(look, end) {
        return Reading::say(end, format!("{name} {day}"));
    }
    None
}

/// "03/2024".
fn month_slash_year(look: &Look, month: u64, len: usize) -> Option<Reading> {
    if look.peek(len) != Some('/') {
        return None;
    }
    let (year, _) = whole(look, len + 1, 4, 4)?;
    let name = calendar::name(month as usize)?;
    let end = len + 5;
    let fits = (1900..2100).contains(&year) && closes(look, end);
    if fits { Reading::say(end, format!("{name} {}", spell::year(year))) } else { None }
}

/// "5 January 2024", "5th of May", "3-5 May", "05-Jan-2024".
fn day_and_month(look: &Look) -> Option<Reading> {
    let (day, mut len) = whole(look, 0, 1, 2)?;
    (1..=31).contains(&day).then_some(())?;
    let ordinal = ordinal_suffix(look, len);
    len += ordinal;
    let mut days = spell::ordinal(day);
    if let Some((last, more)) = last_day(look, len) {
        days = format!("{days} to {}", spell::ordinal(last));
        len += more;
    }
    let joined = matches!(look.peek(len), Some('-' | '/'));
    let of = if look.is(len, " of ") { 3 } else { 0 };
    (joined || look.peek(len) == Some(' ')).then_some(())?;
    let start = len + of + 1;
    look.peek(start)?.is_ascii_uppercase().then_some(())?;
    let word = word_at(look, start);
    let (month, full) = calendar::month(word.as_str())?;
    // "the 4th May be" is nobody's writing, but "10 Mar" must not be of "10 Marks".
    let mut end = start + word.len();
    is_end(look.peek(end)).then_some(())?;
    if !full && look.peek(end) == Some('.') && space(look, end + 1) == 1 && !joined {
        end += usize::from(is_digit(look.peek(end + 2)));
    } else if !full && look.is(end, "., ") && is_digit(look.peek(end + 3)) {
        end += 1;
    }
    let (year, end) = if joined && matches!(look.peek(end), Some('-' | '/')) {
        let (year, len) = whole(look, end + 1, 2, 4)?;
        let year = if len == 2 { year + 2000 } else { year };
        (Some(year), end + 1 + len)
    } else {
        year_after(look, end)
    };
    let (before, _) = word_before(look, 0);
    let the = if before.lower().as_str() == "the" { "" } else { "the " };
    let mut spoken = format!("{the}{days} of {}", calendar::name(month)?);
    if let Some(year) = year {
        spoken = format!("{spoken}, {}", spell::year(year));
    }
    Reading::say(end, spoken)
}

/// How many characters of "st", "nd", "rd" or "th" stand at `n`.
pub fn ordinal_suffix(look: &Look, n: usize) -> usize {
    let suffix = ["st", "nd", "rd", "th"].iter().any(|s| look.is_in_any_case(n, s));
    if suffix && is_end(look.peek(n + 2)) { 2 } else { 0 }
}

/// The last day of a range of days, and its length with the dash.
fn last_day(look: &Look, n: usize) -> Option<(u64, usize)> {
    let gap = space(look, n);
    matches!(look.peek(n + gap)?, '-' | '–' | '—').then_some(())?;
    let start = n + 2 * gap + 1;
    let (day, len) = whole(look, start, 1, 2)?;
    (1..=31).contains(&day).then_some(())?;
    let end = start + len;
    let end = end + ordinal_suffix(look, end);
    Some((day, end - n))
}

/// The year behind a date that ends at `n`, and where it ends.
fn year_after(look: &Look, n: usize) -> (Option<u64>, usize) {
    let comma = usize::from(look.peek(n) == Some(','));
    let start = n + comma + 1;
    if look.peek(n + comma) == Some(' ')
        && is_digit(look.peek(start))
        && let Some((year, len)) = whole_alone(look, start, 4, 4)
        && (1000..3000).contains(&year)
    {
        return (Some(year), start + len);
    }
    (None, n)
}

/// Dates that begin with a month: "Jan 5, 2024", "May 5-7", "Sept. 2024".
pub fn month_first(look: &Look, context: &Context) -> Option<Reading> {
    if !matches!(
        look.peek(0)?,
        'J' | 'F' | 'M' | 'A' | 'S' | 'O' | 'N' | 'D' | 'j' | 'f' | 'a' | 's' | 'o' | 'n' | 'd'
    ) || look.back(0).is_some_and(is_word_char)
    {
        return None;
    }
    let word = word_at(look, 0);
    let (month, full) = calendar::month(word.as_str())?;
    let mut n = word.len();
    n += usize::from(!full && look.peek(n) == Some('.'));
    (look.peek(n)? == ' ' && is_digit(look.peek(n + 1))).then_some(())?;
    let name = calendar::name(month)?;
    let spoken = match month_and_year(look, n + 1) {
        Some((year, end)) => (end, format!("{name} {}", spell::year(year))),
        None => {
            let (end, day) = days(look, n + 1)?;
            if counts_something(look, end) {
                return None;
            }
            match year_after(look, end) {
                (Some(year), end) => (end, format!("{name} {day}, {}", spell::year(year))),
                (None, end) => (end, format!("{name} {day}")),
            }
        }
    };
    if context.language(look) == Language::Chinese {
        return None;
    }
    Reading::say(spoken.0, spoken.1)
}

/// Whether the number behind a month, that ends at `n`, counts what follows: "in May 5 people
/// came".
fn counts_something(look: &Look, n: usize) -> bool {
    look.back(0) == Some(' ')
        && matches!(look.back(1), Some('n' | 't' | 's' | 'y'))
        && look.peek(n) == Some(' ')
        && look.peek(n + 1).is_some_and(|c| c.is_ascii_lowercase())
        && {
            let (before, _) = word_before(look, 0);
            let noun = word_at(look, n + 1);
            let period = ["in", "last", "this", "next", "every"].contains(&before.lower().as_str());
            period && (noun.as_str() == "people" || noun.as_str().ends_with('s'))
        }
}

fn month_and_year(look: &Look, n: usize) -> Option<(u64, usize)> {
    let (year, len) = whole_alone(look, n, 4, 4)?;
    (1000..3000).contains(&year).then_some((year, n + len))
}

/// The day or days at `n`, and where they end.
fn days(look: &Look, n: usize) -> Option<(usize, String)> {
    let (day, len) = whole(look, n, 1, 2)?;
    (1..=31).contains(&day).then_some(())?;
    let mut end = n + len;
    end += ordinal_suffix(look, end);
    let mut spoken = spell::ordinal(day);
    if let Some((last, len)) = last_day(look, end) {
        spoken = format!("{spoken} to {}", spell::ordinal(last));
        end += len;
    }
    let after = look.peek(end);
    let goes_on =
        matches!(after, Some('.' | ',' | ':' | '/' | '-')) && is_digit(look.peek(end + 1));
    (is_end(after) && after != Some('%') && !goes_on).then_some((end, spoken))
}
