//! Names in programs, spoken as the words they are made of.

use super::token::{begins, ends, is_letter};
use crate::text::chars::is_chinese;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;
use crate::text::normalize::speech::{Manner, Speech};

/// Most characters of an identifier.
const LONGEST: usize = 80;

/// `snake_case`, `camelCase`, `std::vec`, `foo()`, `C++`, `C#`.
pub fn identifier(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.count(0, LONGEST, |c| c.is_ascii_alphanumeric());
    if first == 0 || !begins(look) {
        return None;
    }
    if first == 1
        && let Some(reading) = named_language(look, context)
    {
        return Some(reading);
    }
    let word = |n: usize| look.peek(n).is_some_and(|c| c.is_ascii_alphanumeric());
    let (mut len, mut parts, mut call) = (first, 1, false);
    loop {
        match look.peek(len) {
            Some('_')
                if look.peek(len + 1).is_some_and(|c| c == '_' || c.is_ascii_alphanumeric()) =>
            {
                len += look.count(len, 3, |c| c == '_');
            }
            Some(':') if look.is(len, "::") && word(len + 2) => len += 2,
            Some('.') if call && is_letter(look.peek(len + 1)) => len += 1,
            Some('(') if look.peek(len + 1) == Some(')') => {
                len += 2;
                call = true;
                continue;
            }
            _ => break,
        }
        let more = look.count(len, LONGEST, |c| c.is_ascii_alphanumeric());
        len += more;
        parts += 1;
        if more == 0 || len >= LONGEST {
            break;
        }
    }
    if parts == 1 && !call && !is_camel(look, first) || !ends(look, len) {
        return None;
    }
    let mut speech = Speech::new(context.language_of(look, len));
    let text = look.text(0, len);
    // Capitals throughout are for the eye: "MAX_SIZE".
    let loud = parts > 1 && !text.bytes().any(|c| c.is_ascii_lowercase());
    speech.name(&if loud { text.to_ascii_lowercase() } else { text }, Manner::Words);
    Reading::say(len, speech.spoken())
}

/// Whether letters begin with two small ones and go on with a capital and a small one, as in
/// "getName"; "iPhone" and "macOS" do not.
fn is_camel(look: &Look, len: usize) -> bool {
    let small = look.count(0, len, |c| c.is_ascii_lowercase());
    let capital = look.peek(small).is_some_and(|c| c.is_ascii_uppercase());
    small > 1 && capital && look.peek(small + 1).is_some_and(|c| c.is_ascii_lowercase())
}

/// Languages whose names end with signs.
fn named_language(look: &Look, context: &Context) -> Option<Reading> {
    let letter = look.peek(0)?.to_ascii_uppercase();
    let (sign, len) = match (letter, look.peek(1)?) {
        ('C', '+') if look.peek(2) == Some('+') => (("plus plus", "加加"), 3),
        ('C' | 'F' | 'J', '#') => (("sharp", "sharp"), 2),
        _ => return None,
    };
    let mut speech = Speech::new(context.language_of(look, len));
    speech.letters(&letter.to_string());
    speech.either(sign.0, sign.1);
    Reading::say(len, speech.spoken())
}

/// `--verbose`, `-rf`.
pub fn flag(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)? != '-' {
        return None;
    }
    let apart = look
        .back(0)
        .is_none_or(|c| c.is_whitespace() || is_chinese(c) || matches!(c, '`' | '(' | '[' | '"'));
    // "x = -b" has a minus.
    let sum = look.back(0) == Some(' ')
        && look.back(1).is_some_and(|c| matches!(c, '=' | '±' | '+' | '×' | '<' | '≤' | '≥'));
    let dashes = look.count(0, 3, |c| c == '-');
    if sum || !apart || dashes > 2 || !is_letter(look.peek(dashes)) {
        return None;
    }
    let len = dashes + look.count(dashes, 40, |c| c.is_ascii_alphanumeric() || c == '-');
    if dashes == 1 && (len > 3 || look.peek(1) == Some('I') || !ends(look, len)) {
        return None;
    }
    let mut speech = Speech::new(context.language_of(look, len));
    (0..dashes).for_each(|_| speech.sign('-'));
    let name = look.text(dashes, len - dashes);
    match dashes {
        1 => speech.code(&name),
        _ => speech.name(&name, Manner::Words),
    }
    Reading::say(len, speech.spoken())
}
