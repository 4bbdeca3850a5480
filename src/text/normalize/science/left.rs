//! Digits and signs that no rule before has read.

use super::operator::name;
use super::{greek, signs};
use crate::text::chars::{is_chinese, is_punctuation, stands_alone};
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;
use crate::text::normalize::speech::Speech;

/// Digits and signs that no other rule reads.
pub fn left(look: &Look, context: &Context) -> Option<Reading> {
    let c = look.peek(0)?;
    let digits = look.count(0, 60, |c| c.is_ascii_digit());
    if digits > 0 {
        let mut speech = Speech::new(context.language(look));
        let digits = look.text(0, digits);
        if digits.len() <= 4 {
            speech.cardinal(&digits)
        } else {
            speech.digits(&digits)
        }
        return Reading::say(digits.len(), speech.spoken());
    }
    let drop = |len| Reading::say(len, "");
    match c {
        '\'' | '"' | '(' | ')' | ',' | '.' | '!' | '?' | ':' | ';' => None,
        '-' => dash(look),
        '~' => tilde(look, context),
        '|' => {
            let pause = context.spoken.is_some_and(char::is_alphanumeric);
            let pause = if pause { (",", "，") } else { ("", "") };
            name(look, context, 1, pause)
        }
        '/' => slash(look, context),
        '·' | '•' | '・' => drop(1),
        '①'..='⑳' => number(look, context, c as u32 - '①' as u32 + 1),
        '⑴'..='⒇' => number(look, context, c as u32 - '⑴' as u32 + 1),
        '➀'..='➉' => number(look, context, c as u32 - '➀' as u32 + 1),
        '❶'..='❿' => number(look, context, c as u32 - '❶' as u32 + 1),
        _ if greek::name(c).is_some() => greek::letter(look, context),
        _ => match signs::left(c) {
            Some(names) => name(look, context, 1, names),
            None if c.is_ascii() => drop(1),
            None if is_sign(c) => drop(1),
            None => None,
        },
    }
}

fn is_sign(c: char) -> bool {
    let kept = stands_alone(c) || matches!(c, '\u{2000}'..='\u{206F}' | '¿' | '¡' | '«' | '»');
    !kept && !c.is_alphanumeric() && is_punctuation(c)
}

fn number(look: &Look, context: &Context, value: u32) -> Option<Reading> {
    let language = context.language(look);
    let mut speech = Speech::new(language);
    speech.cardinal(&value.to_string());
    let apart =
        look.peek(1).is_some_and(|c| !c.is_whitespace() && !matches!(c, '.' | ',' | '、' | '，'));
    let pause = match language {
        _ if !apart => "",
        Language::English => ", ",
        Language::Chinese => "，",
    };
    Reading::say(1, speech.spoken() + pause)
}

/// Between words a hyphen stays, and a long one is a pause.
fn dash(look: &Look) -> Option<Reading> {
    let len = look.count(0, 10, |c| c == '-');
    match len {
        1 => None,
        _ if look.back(0) == Some(' ') => Reading::say(len, "—"),
        _ => Reading::say(len, "—"),
    }
}

/// `~5` is about five; at the end of a word it is a tone of voice.
fn tilde(look: &Look, context: &Context) -> Option<Reading> {
    let len = look.count(0, 10, |c| c == '~');
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    match (digit(look.back(0)), digit(look.peek(len))) {
        (true, true) => name(look, context, len, ("to", "到")),
        (false, true) if len == 1 => name(look, context, 1, ("about", "约")),
        _ => Reading::say(len, ""),
    }
}

/// Between words it parts alternatives: "and/or".
fn slash(look: &Look, context: &Context) -> Option<Reading> {
    let len = look.count(0, 4, |c| c == '/');
    let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
    let ideograph = |c: Option<char>| c.is_some_and(is_chinese);
    let (left, right) = (look.back(0), look.peek(len));
    match () {
        () if ideograph(left) && ideograph(right) => Reading::say(len, "、"),
        () if letter(left) && letter(right) => Reading::say(len, " "),
        () if len > 1 => Reading::say(len, ""),
        () if left == Some(' ') && right == Some(' ') => Reading::say(len + 1, ""),
        () => name(look, context, 1, ("slash", "斜杠")),
    }
}
