//! Where names of the web and of code begin and end.

use crate::text::normalize::look::Look;

/// Most characters of a name that are read at once; what follows is read on sign by sign.
pub const LONGEST: usize = 160;

/// Whether a name may begin at the place: nothing before it could be a part of it.
pub fn begins(look: &Look) -> bool {
    !look.back(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether no name goes on `n` places ahead.
pub fn ends(look: &Look, n: usize) -> bool {
    !look.peek(n).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// How many characters from `n` on are of a name, less the punctuation of the sentence at its end.
/// A bracket that closes is of the name if one opens in it.
pub fn run(look: &Look, n: usize, is: impl Fn(char) -> bool) -> usize {
    let mut len = look.count(n, LONGEST, is);
    if len == LONGEST {
        // Too long to be read at once: as far as its last part.
        let sign = |c: Option<char>| c.is_some_and(|c| !c.is_ascii_alphanumeric());
        let whole = (LONGEST / 2..LONGEST).rev().find(|i| sign(look.peek(n + i)));
        return whole.unwrap_or(LONGEST);
    }
    while len > 0 {
        let Some(last) = look.peek(n + len - 1) else { break };
        let has = |c: char| (0..len).filter(|i| look.peek(n + i) == Some(c)).count();
        let opened = |open: char| has(open) >= has(last);
        let sentence = match last {
            ')' => !opened('('),
            ']' => !opened('['),
            _ => matches!(last, '.' | ',' | ';' | ':' | '!' | '?' | '*' | '_' | '~' | '\'' | '&'),
        };
        if !sentence {
            break;
        }
        len -= 1;
    }
    len
}

/// How many digits there are at `n`, `max` at most; none if more follow.
pub fn digits(look: &Look, n: usize, max: usize) -> Option<usize> {
    let len = look.count(n, max + 1, |c| c.is_ascii_digit());
    (1..=max).contains(&len).then_some(len)
}

pub fn is_digit(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_digit())
}

pub fn is_letter(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_alphabetic())
}
