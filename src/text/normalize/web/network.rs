//! Addresses of machines and identifiers of hex digits, read character by character.

use super::token::{begins, digits, ends, is_digit};
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;
use crate::text::normalize::speech::Speech;

/// `192.168.1.1`, with a port (`:8080`) or the length of a net's prefix (`/24`).
pub fn ip(look: &Look, context: &Context) -> Option<Reading> {
    if !is_digit(look.peek(0)) || !begins(look) || look.back(0) == Some('.') {
        return None;
    }
    let mut len = 0;
    for part in 0..4 {
        if part > 0 {
            (look.peek(len)? == '.').then_some(())?;
            len += 1;
        }
        let digits = digits(look, len, 3)?;
        (look.text(len, digits).parse::<u16>().ok()? < 256).then_some(())?;
        len += digits;
    }
    if !ends(look, len) || look.peek(len) == Some('.') && is_digit(look.peek(len + 1)) {
        return None;
    }
    let address = look.text(0, len);
    let behind = match look.peek(len) {
        Some(sign @ (':' | '/')) => {
            digits(look, len + 1, if sign == ':' { 5 } else { 2 }).map(|digits| (sign, digits))
        }
        _ => None,
    };
    let end = len + behind.map_or(0, |(_, digits)| digits + 1);
    let mut speech = Speech::new(context.language_of(look, end));
    speech.code(&address);
    if let Some((sign, digits)) = behind {
        speech.sign(sign);
        let number = look.text(len + 1, digits);
        if sign == ':' { speech.digits(&number) } else { speech.cardinal(&number) }
    }
    Reading::say(end, speech.spoken())
}

/// MAC and IPv6 addresses, UUIDs, hashes and numbers as `0x1F`.
pub fn hex(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    if !(first.is_ascii_hexdigit() || first == ':') || !begins(look) {
        return None;
    }
    let of = |n: usize, max| look.count(n, max, |c| c.is_ascii_hexdigit());
    let len = match of(0, 129) {
        1 if first == '0' && look.peek(1) == Some('x') => match of(2, 64) {
            0 => None,
            digits => Some(digits + 2),
        },
        2 => hardware_address(look).or_else(|| ip6(look)),
        8 => uuid(look).or_else(|| hash(look, 8)),
        digits @ 0..=4 => ip6(look).filter(|_| digits > 0 || look.is(0, "::")),
        digits @ 7..=128 => hash(look, digits),
        _ => None,
    }?;
    if !ends(look, len) {
        return None;
    }
    let mut speech = Speech::new(context.language_of(look, len));
    speech.code(&look.text(0, len));
    Reading::say(len, speech.spoken())
}

/// Six pairs of hex digits.
fn hardware_address(look: &Look) -> Option<usize> {
    let sign = look.peek(2).filter(|c| matches!(c, ':' | '-'))?;
    for pair in 0..6 {
        let two = look.count(pair * 3, 3, |c| c.is_ascii_hexdigit()) == 2;
        let apart = pair == 0 || look.peek(pair * 3 - 1)? == sign;
        (two && apart).then_some(())?;
    }
    (look.peek(17) != Some(sign)).then_some(17)
}

/// Groups of up to four hex digits: eight of them, or fewer around `::`.
fn ip6(look: &Look) -> Option<usize> {
    let (mut len, mut groups, mut short) = (0, 0, false);
    loop {
        let digits = look.count(len, 5, |c| c.is_ascii_hexdigit());
        (digits < 5).then_some(())?;
        groups += usize::from(digits > 0);
        len += digits;
        if look.peek(len) != Some(':') || groups == 8 {
            break;
        }
        let double = look.peek(len + 1) == Some(':');
        let more = look.peek(len + 1).is_some_and(|c| c.is_ascii_hexdigit());
        match (double, more) {
            (true, _) if !short => {
                short = true;
                len += 2;
            }
            (false, true) => len += 1,
            _ => break,
        }
    }
    let digit = (0..len).any(|n| is_digit(look.peek(n)));
    let whole = groups == 8 || short && groups > 0 && groups < 8;
    (whole && digit && len > 2).then_some(len)
}

fn uuid(look: &Look) -> Option<usize> {
    let mut len = 0;
    for (i, digits) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if i > 0 {
            (look.peek(len)? == '-').then_some(())?;
            len += 1;
        }
        (look.count(len, digits + 1, |c| c.is_ascii_hexdigit()) == digits).then_some(())?;
        len += digits;
    }
    Some(len)
}

/// Hex digits where letters and digits alternate as they do in no word and no number.
fn hash(look: &Look, len: usize) -> Option<usize> {
    let kind = |n: usize| look.peek(n).map(|c| c.is_ascii_digit());
    let changes = (1..len).filter(|n| kind(*n) != kind(n - 1)).count();
    let lower = (0..len).all(|n| look.peek(n).is_some_and(|c| !c.is_ascii_uppercase()));
    (changes >= if lower { 3 } else { 4 }).then_some(len)
}
