//! Names of people and of topics in posts.

use super::token::{begins, is_digit};
use crate::text::chars::is_chinese;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;
use crate::text::normalize::speech::{Manner, Speech};

/// Most characters of a name.
const LONGEST: usize = 60;

/// `@name`.
pub fn handle(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)? != '@' || !begins(look) {
        return None;
    }
    let first = look.peek(1)?;
    if is_chinese(first) {
        return Reading::say(1, "艾特");
    }
    if !first.is_ascii_alphanumeric() && first != '_' {
        return None;
    }
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    let mut len = look.count(1, LONGEST, of_name);
    while len > 1 && look.peek(len).is_some_and(|c| matches!(c, '.' | '-' | '_')) {
        len -= 1;
    }
    let mut speech = Speech::new(context.language_of(look, len + 1));
    speech.sign('@');
    speech.name(&look.text(1, len), Manner::Exact);
    Reading::say(len + 1, speech.spoken())
}

/// `#Topic`, `#话题#`, and colours as `#FF8800`.
pub fn hashtag(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)? != '#' {
        return None;
    }
    let first = look.peek(1)?;
    if is_chinese(first) && !look.back(0).is_some_and(is_chinese) {
        return Reading::say(1, "话题");
    }
    if look.back(0).is_some_and(is_chinese) && !is_digit(Some(first)) {
        let topic = (0..LONGEST).map_while(|n| look.back(n)).any(|c| c == '#');
        if topic {
            return Reading::say(1, "");
        }
    }
    if !begins(look) || look.back(0) == Some('&') {
        return None;
    }
    let len = look.count(1, LONGEST, |c| c.is_ascii_alphanumeric() || c == '_');
    let name = look.text(1, len);
    let digit = name.bytes().any(|c| c.is_ascii_digit());
    let language = context.language_of(look, len + 1);
    let mut speech = Speech::new(language);
    if matches!(len, 3 | 6 | 8) && digit && name.bytes().all(|c| c.is_ascii_hexdigit()) {
        let letter = name.bytes().any(|c| c.is_ascii_alphabetic());
        (letter || len == 6).then_some(())?;
        speech.sign('#');
        speech.code(&name);
    } else {
        name.bytes().any(|c| c.is_ascii_alphabetic()).then_some(())?;
        let code = matches!(name.as_str(), "include" | "define" | "pragma" | "ifdef" | "endif");
        if code {
            speech.sign('#')
        } else {
            speech.either("hashtag", "话题")
        }
        speech.name(&name, Manner::Words);
    }
    Reading::say(len + 1, speech.spoken())
}
