//! Words in capitals, by their letters or as words.

use super::abbreviation::begins_word;
use super::acronyms;
use super::around::{Word, is_end, word_at, word_before};
use super::initials::spaced;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// "FBI", "URLs", "iOS", "html".
pub fn letters(look: &Look, _: &Context) -> Option<Reading> {
    let word = word_at(look, 0);
    let len = word.len();
    if len < 2 || !begins_word(look) {
        return None;
    }
    let text = word.as_str();
    let capitals = text.bytes().filter(u8::is_ascii_uppercase).count();
    if capitals == 0 {
        let small = len <= 5 && acronyms::is_small_acronym(text);
        return if small { Reading::say(len, plural_apart(text)) } else { None };
    }
    if capitals == 1 && text.as_bytes()[0].is_ascii_uppercase() {
        return None;
    }
    if let Some(spoken) = acronyms::mixed(text) {
        return Reading::say(len, spoken);
    }
    if capitals == len {
        return if is_spelled(look, &word) { Reading::say(len, spaced(text)) } else { None };
    }
    let stem =
        text.strip_suffix('s').filter(|stem| stem.len() + 1 == len && capitals + 1 == len)?;
    let word_like = acronyms::is_long_word(stem)
        || stem.len() > 3 && acronyms::is_pronounceable(stem) && !acronyms::is_long_acronym(stem)
        || acronyms::is_short_word(stem);
    if word_like { None } else { Reading::say(len, plural_apart(text)) }
}

/// Letters by their names, the last one with the plural's "s".
fn plural_apart(word: &str) -> String {
    match word
        .strip_suffix('s')
        .filter(|stem| stem.len() > 1 && !matches!(word, "css" | "https" | "dns" | "tls"))
    {
        Some(stem) => spaced(stem) + "s",
        None => spaced(word),
    }
}

/// Whether a word in capitals is spelled.
fn is_spelled(look: &Look, word: &Word) -> bool {
    let text = word.as_str();
    let next = look.peek(word.len());
    if next == Some('&') && text.len() < 4 {
        return true;
    }
    if acronyms::is_short_word(text) || acronyms::is_long_word(text) {
        return false;
    }
    let number = next.is_some_and(|c| c.is_ascii_digit());
    if matches!(next, Some('\'' | '’')) && is_contraction(word_at(look, word.len() + 1).as_str())
    {
        return false;
    }
    match text.len() {
        0..=3 if number => true,
        2 => !(acronyms::is_also_word(text) && is_shouted(look, word)),
        3 => {
            let could = acronyms::is_also_word(text)
                || acronyms::is_pronounceable(text) && !acronyms::is_short_acronym(text);
            !(could && is_shouted(look, word))
        }
        _ => !acronyms::is_pronounceable(text) || acronyms::is_long_acronym(text),
    }
}

fn is_contraction(word: &str) -> bool {
    matches!(word, "T" | "RE" | "LL" | "VE" | "M" | "D")
}

/// Whether a word in capitals stands among others that are no acronyms.
fn is_shouted(look: &Look, word: &Word) -> bool {
    let (before, _) = word_before(look, 0);
    if before.as_str() == "I" && word.as_str() == "AM" || is_ordinary(&before) {
        return true;
    }
    if before.len() > 0 && !before.is_capitals() && before.as_str() != "I" {
        return false;
    }
    let n = word.len();
    look.peek(n) == Some(' ') && {
        let after = word_at(look, n + 1);
        is_ordinary(&after) && is_end(look.peek(n + 1 + after.len()))
    }
}

/// Whether a word in capitals is an ordinary one.
fn is_ordinary(word: &Word) -> bool {
    let text = word.as_str();
    word.is_capitals()
        && (acronyms::is_short_word(text)
            || text.len() > 3
                && acronyms::is_pronounceable(text)
                && !acronyms::is_long_acronym(text))
}
