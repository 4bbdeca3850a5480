//! Emoji: left out, or spoken by their names where that is asked for.

pub mod face;
mod names;

use super::context::{Context, Language};
use super::look::Look;
use super::reading::Reading;
use super::speech::Speech;
use crate::text::chars::stands_alone;

/// Most characters of emoji and the spaces between them that are read at once.
const LONGEST: usize = 60;

const VARIATION: char = '\u{FE0F}';
const JOINER: char = '\u{200D}';
const KEYCAP: char = '\u{20E3}';

/// Whether a character is drawn as a picture, alone or as a part of one.
pub fn is_picture(c: char) -> bool {
    matches!(c,
        '\u{1F000}'..='\u{1F0FF}'
        | '\u{1F10D}'..='\u{1F10F}'
        | '\u{1F12F}'
        | '\u{1F16C}'..='\u{1F171}'
        | '\u{1F17E}'..='\u{1F17F}'
        | '\u{1F18E}'
        | '\u{1F191}'..='\u{1F1FF}'
        | '\u{1F201}'..='\u{1F20F}'
        | '\u{1F21A}'
        | '\u{1F22F}'
        | '\u{1F232}'..='\u{1F23A}'
        | '\u{1F249}'..='\u{1FAFF}'
        | '\u{2600}'..='\u{27BF}'
        | '\u{231A}'..='\u{231B}'
        | '\u{2328}'
        | '\u{23CF}'
        | '\u{23E9}'..='\u{23FA}'
        | '\u{25A0}'..='\u{25B2}'
        | '\u{25B4}'..='\u{25FF}'
        | '\u{2B05}'..='\u{2B07}'
        | '\u{2B1B}'..='\u{2B1C}'
        | '\u{2B50}'
        | '\u{2B55}'
        | '\u{203C}'
        | '\u{2049}'
        | '\u{3030}'
        | '\u{303D}'
        | '\u{3297}'
        | '\u{3299}')
}

/// What goes on a picture: how it is drawn, a skin tone, a flag's letters.
fn is_modifier(c: char) -> bool {
    matches!(c, '\u{FE0E}' | VARIATION | KEYCAP | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0020}'..='\u{E007F}')
}

fn is_flag_letter(c: char) -> bool {
    ('\u{1F1E6}'..='\u{1F1FF}').contains(&c)
}

/// How many characters the emoji at `n` has; none where there is none.
fn emoji_at(look: &Look, n: usize) -> Option<usize> {
    let first = look.peek(n)?;
    if first.is_ascii() {
        // Keycaps.
        let key = matches!(first, '0'..='9' | '#' | '*');
        if !key {
            return None;
        }
        return match look.peek(n + 1)? {
            VARIATION if look.peek(n + 2) == Some(KEYCAP) => Some(3),
            KEYCAP => Some(2),
            _ => None,
        };
    }
    let drawn = || look.peek(n + 1) == Some(VARIATION);
    let stray = is_modifier(first) || first == JOINER;
    if !(is_picture(first) || stray || is_sign(first) && drawn()) {
        return None;
    }
    let mut len = 1;
    if is_flag_letter(first) && look.peek(n + 1).is_some_and(is_flag_letter) {
        len = 2;
    }
    while len < LONGEST {
        len += look.count(n + len, LONGEST, is_modifier);
        if look.peek(n + len) != Some(JOINER) {
            break;
        }
        len += 1;
        if !look.peek(n + len).is_some_and(|c| is_picture(c) || is_sign(c)) {
            break;
        }
        len += 1;
    }
    Some(len)
}

/// Signs that are pictures only where a variation selector says so.
fn is_sign(c: char) -> bool {
    matches!(c, '©' | '®' | '™' | 'ℹ' | '\u{2190}'..='\u{21FF}' | '\u{2900}'..='\u{297F}' | 'Ⓜ')
}

/// Emoji and the spaces between them from `n` on: their places and where they end.
fn all_at(look: &Look, n: usize) -> (Vec<(usize, usize)>, usize) {
    let (mut found, mut end, mut at) = (Vec::new(), n, n);
    while at - n < LONGEST {
        if let Some(len) = emoji_at(look, at) {
            found.push((at, len));
            at += len;
            end = at;
        } else if look.peek(at) == Some(' ') && end > n {
            at += 1;
        } else {
            break;
        }
    }
    (found, end)
}

/// Emoji at the place.
pub fn emoji(look: &Look, context: &Context) -> Option<Reading> {
    emoji_at(look, 0)?;
    read(look, context, 0)
}

/// A space and emoji behind it.
pub fn behind_space(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)? != ' ' {
        return None;
    }
    emoji_at(look, 1)?;
    read(look, context, 1)
}

fn read(look: &Look, context: &Context, spaces: usize) -> Option<Reading> {
    let (found, end) = all_at(look, spaces);
    if context.emoji {
        return say(look, context, &found, end);
    }
    // One space stays between words.
    let before = context.spoken.is_some_and(|c| !c.is_whitespace() && !stands_alone(c));
    let behind = usize::from(look.peek(end) == Some(' '));
    let after = look.peek(end + behind);
    let word = after.is_some_and(|c| {
        !stands_alone(c)
            && (c.is_alphanumeric() || matches!(c, '"' | '\'' | '(' | '“' | '‘' | '*' | '$'))
    });
    let apart = before
        && word
        && (spaces + behind > 0 || context.spoken.is_some_and(char::is_alphanumeric));
    let behind = if after.is_some_and(|c| c == '\n') { 0 } else { behind };
    Reading::say(end + behind, if apart { " " } else { "" })
}

/// The names of emoji; of the same in a row once.
fn say(look: &Look, context: &Context, found: &[(usize, usize)], end: usize) -> Option<Reading> {
    let language = context.language_of(look, end);
    let mut speech = Speech::new(language);
    let mut last = String::new();
    for (at, len) in found {
        let emoji = look.text(*at, *len);
        if emoji != last {
            match (name(&emoji, language), speech.is_empty()) {
                (None, _) => {}
                (Some(name), true) => speech.say(&name),
                (Some(name), false) => {
                    speech.either(",", "，");
                    speech.say(&name);
                }
            }
        }
        last = emoji;
    }
    let name = speech.spoken();
    let gap = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace() && !stands_alone(c));
    let space = gap(context.spoken) && !name.is_empty() && language == Language::English;
    Reading::say(end, if space { format!(" {name}") } else { name })
}

/// The name of an emoji: the Chinese one where there is one, else the English.
fn name(emoji: &str, language: Language) -> Option<String> {
    let bare: String = emoji.chars().filter(|c| !is_modifier(*c)).collect();
    let chinese =
        || bare.chars().next().and_then(names::chinese).filter(|_| bare.chars().count() == 1);
    if language == Language::Chinese
        && let Some(name) = chinese()
    {
        return Some(name.into());
    }
    let found = emojis::get(emoji).or_else(|| emojis::get(&bare));
    let found = found.or_else(|| emojis::get(bare.split(JOINER).next().unwrap_or_default()))?;
    // "thumbs up: light skin tone"; keycaps by what is on them.
    let name = found.name().split(':').next().unwrap_or_default();
    Some(match emoji.chars().next() {
        Some(key) if emoji.ends_with(KEYCAP) => {
            let mut speech = Speech::new(language);
            speech.code(key.encode_utf8(&mut [0; 4]));
            speech.spoken()
        }
        Some(c) if is_flag_letter(c) => found.name().replace(": ", " of "),
        _ => name.replace(['“', '”', '’', '-'], " ").trim().to_string(),
    })
}
