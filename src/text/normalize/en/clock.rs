//! Times of day and durations.

use super::around::{ends_hour, is_digit, is_end, space, word_at, word_before};
use super::numeral::whole;
use super::spell;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// "10:30", "3:30 p.m.", "9-5pm", "10:30:05".
pub fn time(look: &Look, _: &Context) -> Option<Reading> {
    let (hour, len) = whole(look, 0, 1, 2)?;
    if look.peek(len) == Some(':') && !is_ratio(look) && !is_shape(look, len + 3) {
        return with_minutes(look, hour, len);
    }
    // "19h30".
    if hour < 25
        && look.peek(len) == Some('h')
        && is_digit(look.peek(len + 1))
        && let Some((minute @ 0..60, 2)) = whole(look, len + 1, 2, 2)
        && is_end(look.peek(len + 3))
    {
        return Reading::say(len + 3, of_day(hour, minute, false));
    }
    if !(1..=12).contains(&hour) {
        return None;
    }
    let dash = space(look, len);
    if matches!(look.peek(len + dash), Some('-' | '–' | '—')) {
        let start = len + 2 * dash + 1;
        let (last, last_len) = whole(look, start, 1, 2)?;
        let (end, half) = half_of_day(look, start + last_len)?;
        (1..=12).contains(&last).then_some(())?;
        let (hour, last) = (spell::cardinal(hour), spell::cardinal(last));
        return Reading::say(end, format!("{hour} to {last} {half}"));
    }
    let (end, half) = half_of_day(look, len)?;
    Reading::say(end, format!("{} {half}", spell::cardinal(hour)))
}

/// Whether the words before say that two numbers with a colon are no time.
fn is_ratio(look: &Look) -> bool {
    let (first, start) = word_before(look, 0);
    let first = first.lower();
    let word = match first.as_str() {
        "of" | "is" | "was" | "by" | "at" => word_before(look, start).0.lower(),
        _ => first,
    };
    ["ratio", "ratios", "odds", "scale", "proportion", "won", "beat", "lost"]
        .contains(&word.as_str())
}

/// Whether what follows a ratio that ends at `n` is of its shape: "a 16:10 screen".
fn is_shape(look: &Look, n: usize) -> bool {
    look.peek(n) == Some(' ')
        && matches!(look.peek(n + 1), Some('r' | 'a' | 's' | 'd' | 'm'))
        && matches!(
            word_at(look, n + 1).as_str(),
            "ratio" | "aspect" | "screen" | "display" | "monitor"
        )
}

fn with_minutes(look: &Look, hour: u64, len: usize) -> Option<Reading> {
    let (minute, minute_len) = whole(look, len + 1, 2, 2)?;
    (hour < 60 && minute < 60).then_some(())?;
    let mut end = len + 1 + minute_len;
    if hour > 24 {
        // Of a stopwatch.
        let alone = is_end(look.peek(end)) && look.peek(end) != Some(':');
        let seconds = spell::cardinal(minute);
        return alone
            .then(|| Reading::Say { len: end, spoken: duration(0, hour, minute, &seconds) });
    }
    // "19:00h".
    let hours = usize::from(look.peek(end) == Some('h') && is_end(look.peek(end + 1)));
    if hours == 1 {
        return Reading::say(end + 1, of_day(hour, minute, false));
    }
    let mut second = None;
    if look.peek(end) == Some(':') && is_digit(look.peek(end + 1)) {
        let (value, second_len) = whole(look, end + 1, 2, 2)?;
        (value < 60).then_some(())?;
        end += 1 + second_len;
        let mut spoken = spell::cardinal(value);
        if look.peek(end) == Some('.') && is_digit(look.peek(end + 1)) {
            let places = look.count(end + 1, 9, |c| c.is_ascii_digit());
            spoken = format!("{spoken} point {}", spell::by_digit(&look.text(end + 1, places)));
            end += 1 + places;
        }
        second = Some((value, spoken));
    }
    if is_digit(look.peek(end)) {
        return None;
    }
    let half = half_of_day(look, end);
    let zone = if half.is_none() { zone(look, end) } else { None };
    if half.is_none() && zone.is_none() && !is_end(look.peek(end)) {
        return None;
    }
    let (before, _) = word_before(look, 0);
    let clock = half.is_some()
        || zone.is_some()
        || matches!(look.back(0), Some('T' | ','))
        || matches!(before.lower().as_str(), "at" | "by" | "until" | "from" | "before" | "after");
    let spoken = match &second {
        Some((seconds, spoken)) if !clock => duration(hour, minute, *seconds, spoken),
        Some((seconds, spoken)) => {
            let unit = if *seconds == 1 && spoken == "one" { "second" } else { "seconds" };
            format!("{} and {spoken} {unit}", of_day(hour, minute, true))
        }
        None => of_day(hour, minute, half.is_some()),
    };
    match (half, zone) {
        (Some((end, half)), _) => Reading::say(end, format!("{spoken} {half}")),
        (None, Some((end, zone))) => Reading::say(end, format!("{spoken} {zone}")),
        (None, None) => Reading::say(end, spoken),
    }
}

/// "ten thirty", "nine o'clock", "fifteen hundred"; only "nine" where more of the time follows.
fn of_day(hour: u64, minute: u64, followed: bool) -> String {
    let name = spell::cardinal(hour);
    match (hour, minute) {
        (1..=12, 0) if followed => name,
        (1..=12, 0) => format!("{name} o'clock"),
        (0, 0) => "midnight".into(),
        (_, 0) => format!("{name} hundred"),
        (_, 1..10) => format!("{name} oh {}", spell::cardinal(minute)),
        _ => format!("{name} {}", spell::cardinal(minute)),
    }
}

/// "one hour, two minutes and three seconds".
fn duration(hours: u64, minutes: u64, seconds: u64, seconds_spoken: &str) -> String {
    let part = |value: u64, spoken: String, one: &str| {
        let plural = if value == 1 && spoken == "one" { "" } else { "s" };
        (value > 0).then(|| format!("{spoken} {one}{plural}"))
    };
    let parts: Vec<String> = [
        part(hours, spell::cardinal(hours), "hour"),
        part(minutes, spell::cardinal(minutes), "minute"),
        part(seconds, seconds_spoken.into(), "second"),
    ]
    .into_iter()
    .flatten()
    .collect();
    match parts.split_last() {
        None => "zero seconds".into(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// "a.m." or "p.m." in any form behind a time that ends at `n`: where it ends, and its letters.
pub fn half_of_day(look: &Look, n: usize) -> Option<(usize, &'static str)> {
    let start = n + space(look, n);
    let letters = match look.peek(start)? {
        'a' | 'A' => "A M",
        'p' | 'P' => "P M",
        _ => return None,
    };
    let dotted = look.peek(start + 1) == Some('.');
    let m = start + 1 + usize::from(dotted);
    if !matches!(look.peek(m), Some('m' | 'M')) || !is_end(look.peek(m + 1)) {
        return None;
    }
    let last = dotted && look.peek(m + 1) == Some('.') && !ends_hour(look, m + 2);
    Some((m + 1 + usize::from(last), letters))
}

/// "Z" or an offset that touches a time.
fn zone(look: &Look, n: usize) -> Option<(usize, String)> {
    let sign = match look.peek(n)? {
        'Z' if is_end(look.peek(n + 1)) => return Some((n + 1, "U T C".into())),
        '+' => "plus",
        '-' | '−' => "minus",
        _ => return None,
    };
    let (hours, len) = whole(look, n + 1, 2, 2)?;
    let (minutes, minutes_len) = match look.peek(n + 1 + len) {
        Some(':') => whole(look, n + 2 + len, 2, 2)?,
        _ => return None,
    };
    // "09:00-17:00" is a range; offsets are of times of machines, with seconds or a "T".
    if !(look.back(0) == Some('T') || look.peek(5) == Some(':')) {
        return None;
    }
    let minutes = match minutes {
        0 => String::new(),
        _ => format!(" {}", spell::cardinal(minutes)),
    };
    let end = n + 2 + len + minutes_len;
    Some((end, format!("U T C {sign} {}{minutes}", spell::cardinal(hours))))
}
