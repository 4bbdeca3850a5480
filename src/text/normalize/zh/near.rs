//! What stands around a number.

use crate::text::chars::is_chinese;
use crate::text::normalize::look::Look;

/// Whether the text before the place, less `skip` characters, ends with `word`.
pub fn ends_with(look: &Look, skip: usize, word: &str) -> bool {
    word.chars().rev().enumerate().all(|(i, c)| look.back(skip + i) == Some(c))
}

/// Whether one of `words` stands before the place, signs and copulas between left out.
pub fn behind_word(look: &Look, words: &[&str]) -> bool {
    behind_word_from(look, 0, words)
}

/// As [`behind_word`], less the `from` characters before the place.
pub fn behind_word_from(look: &Look, from: usize, words: &[&str]) -> bool {
    let between = |c: char| " :：是为号码，,“\"「（(".contains(c);
    for skip in from..from + 5 {
        let Some(c) = look.back(skip) else { return false };
        if (c.is_alphabetic() || c == '.') && words.iter().any(|word| ends_with(look, skip, word)) {
            return true;
        }
        if !between(c) {
            return false;
        }
    }
    false
}

/// Whether one of `words` is at `n`.
pub fn any_at(look: &Look, n: usize, words: &[&str]) -> bool {
    words.iter().any(|word| look.is(n, word))
}

/// `n`, or the place behind it where a space is there.
pub fn skip_space(look: &Look, n: usize) -> usize {
    n + usize::from(look.peek(n) == Some(' '))
}

pub fn chinese_at(look: &Look, n: usize) -> bool {
    look.peek(n).is_some_and(is_chinese)
}

pub fn letter_at(look: &Look, n: usize) -> bool {
    look.peek(n).is_some_and(|c| c.is_ascii_alphabetic())
}

/// A sign between two numbers that means "to": its length and how it is spoken. Spaces around it
/// belong to it; `None` where it is none or no digit follows.
pub fn range_sign(look: &Look, n: usize) -> Option<(usize, &'static str)> {
    let at = skip_space(look, n);
    let (len, spoken) = match look.peek(at)? {
        '-' | '~' | '～' | '–' | '−' => (1, "到"),
        '—' => (1 + usize::from(look.peek(at + 1) == Some('—')), "到"),
        '至' => (1, "至"),
        '到' => (1, "到"),
        _ => return None,
    };
    let end = skip_space(look, at + len);
    look.peek(end)?.is_ascii_digit().then_some((end - n, spoken))
}
