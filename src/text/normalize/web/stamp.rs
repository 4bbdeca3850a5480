//! Time stamps of ISO 8601: `2024-01-05T10:30:00Z`.

use super::token::{begins, ends};
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::en::spell;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;
use crate::text::normalize::speech::Speech;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Exactly `count` digits at `n`, as a number of `from` to `to`.
fn field(look: &Look, n: usize, count: usize, from: u64, to: u64) -> Option<u64> {
    (look.count(n, count, |c| c.is_ascii_digit()) == count).then_some(())?;
    look.text(n, count).parse().ok().filter(|value| (from..=to).contains(value))
}

pub fn stamp(look: &Look, context: &Context) -> Option<Reading> {
    let year = field(look, 0, 4, 1, 9999)?;
    let sign = |n: usize, c: char| (look.peek(n) == Some(c)).then_some(());
    sign(4, '-')?;
    let month = field(look, 5, 2, 1, 12)?;
    sign(7, '-')?;
    let day = field(look, 8, 2, 1, 31)?;
    sign(10, 'T')?;
    let hour = field(look, 11, 2, 0, 24)?;
    sign(13, ':')?;
    let minute = field(look, 14, 2, 0, 59)?;
    begins(look).then_some(())?;
    let mut len = 16;
    let mut second = None;
    if let Some(value) = sign(16, ':').and_then(|()| field(look, 17, 2, 0, 60)) {
        second = Some(value);
        len = 19;
    }
    let fraction = match (second, look.peek(len)) {
        (Some(_), Some('.' | ',')) => look.count(len + 1, 9, |c| c.is_ascii_digit()),
        _ => 0,
    };
    let places = look.text(len + 1, fraction);
    len += if fraction > 0 { fraction + 1 } else { 0 };
    let zone = Zone::read(look, len);
    len += zone.as_ref().map_or(0, |zone| zone.len);
    ends(look, len).then_some(())?;

    let language = context.language_of(look, len);
    let mut speech = Speech::new(language);
    match language {
        Language::English => {
            speech.say(MONTHS[(month as usize - 1) % 12]);
            speech.say(&spell::ordinal(day));
            speech.say(",");
            speech.say(&spell::year(year));
            speech.say(",");
            speech.cardinal(&hour.to_string());
            match minute {
                0 => speech.say("hundred hours"),
                1..10 => {
                    speech.say("oh");
                    speech.cardinal(&minute.to_string());
                }
                _ => speech.cardinal(&minute.to_string()),
            }
        }
        Language::Chinese => {
            speech.digits(&look.text(0, 4));
            for (value, unit) in [(month, "年"), (day, "月")] {
                speech.say(unit);
                speech.cardinal(&value.to_string());
            }
            speech.say("日");
            if let Some(zone) = &zone {
                zone.say(&mut speech, language);
            }
            speech.cardinal(&hour.to_string());
            speech.say("点");
            if minute > 0 || second.is_some_and(|second| second > 0) {
                if minute < 10 {
                    speech.say("零");
                }
                if minute > 0 {
                    speech.cardinal(&minute.to_string());
                }
                speech.say("分");
            }
        }
    }
    let exact = !places.bytes().all(|c| c == b'0');
    if let Some(second) = second.filter(|second| *second > 0 || exact) {
        speech.either("and", "");
        speech.cardinal(&second.to_string());
        if exact {
            speech.either("point", "点");
            speech.digits(&places);
        }
        match (second, exact) {
            (1, false) => speech.either("second", "秒"),
            _ => speech.either("seconds", "秒"),
        }
    }
    if let Some(zone) = zone
        && language == Language::English
    {
        zone.say(&mut speech, language);
    }
    Reading::say(len, speech.spoken())
}

/// How far a clock is from universal time.
struct Zone {
    len: usize,
    /// The sign, hours and minutes; none for universal time itself.
    offset: Option<(char, u64, u64)>,
}

impl Zone {
    fn read(look: &Look, n: usize) -> Option<Self> {
        let sign = match look.peek(n)? {
            'Z' => return Some(Self { len: 1, offset: None }),
            '−' => '-',
            sign @ ('+' | '-') => sign,
            _ => return None,
        };
        let hours = field(look, n + 1, 2, 0, 14)?;
        let colon = usize::from(look.peek(n + 3) == Some(':'));
        let minutes = field(look, n + 3 + colon, 2, 0, 59)?;
        let offset = (hours > 0 || minutes > 0).then_some((sign, hours, minutes));
        Some(Self { len: 5 + colon, offset })
    }

    fn say(&self, speech: &mut Speech, language: Language) {
        match (self.offset, language) {
            (None, Language::English) => speech.letters("UTC"),
            (None, Language::Chinese) => speech.say("协调世界时"),
            (Some((sign, hours, minutes)), Language::English) => {
                speech.letters("UTC");
                speech.say(if sign == '+' { "plus" } else { "minus" });
                speech.cardinal(&hours.to_string());
                if minutes > 0 {
                    speech.cardinal(&minutes.to_string());
                }
            }
            (Some((sign, hours, minutes)), Language::Chinese) => {
                speech.say(if sign == '+' { "东" } else { "西" });
                speech.cardinal(&hours.to_string());
                match minutes {
                    0 => {}
                    30 => speech.say("点五"),
                    _ => {
                        speech.say("点");
                        speech.cardinal(&minutes.to_string());
                        speech.say("分");
                    }
                }
                speech.say("区");
            }
        }
    }
}
