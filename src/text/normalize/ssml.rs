//! Elements of SSML that say how their text is read.

use super::context::{Context, Language};
use super::look::{AHEAD, Look};
use super::reading::Reading;
use super::speech::Speech;

/// `<sub alias="…">…</sub>` and `<say-as interpret-as="…">…</say-as>`, where they are short enough
/// to be seen at once.
pub fn element(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)? != '<' || look.peek(1)? != 's' {
        return None;
    }
    if look.is(1, "sub ") {
        let (alias, tag) = attribute(look, 5, "alias")?;
        let text = until(look, tag, "</sub>")?;
        return Reading::say(text + 6, alias);
    }
    if !look.is(1, "say-as ") {
        return None;
    }
    let (kind, tag) = attribute(look, 8, "interpret-as")?;
    let end = until(look, tag, "</say-as>")?;
    let text = look.text(tag, end - tag);
    let mut speech = Speech::new(match text.chars().any(|c| c.is_ascii_alphabetic()) {
        true if !context.is_chinese_sentence() => Language::English,
        _ => context.language_of(look, end + 9),
    });
    match kind.as_str() {
        "characters" | "spell-out" | "verbatim" => speech.code(&text),
        "digits" | "telephone" => speech.digits(&text),
        "cardinal" | "number" => speech.decimal(&text.replace(',', "")),
        _ => return None,
    }
    Reading::say(end + 9, speech.spoken())
}

/// The value of the only attribute, `name="value"`, at `n`, and where its tag ends.
fn attribute(look: &Look, n: usize, name: &str) -> Option<(String, usize)> {
    look.is(n, name).then_some(())?;
    let n = n + name.len();
    (look.peek(n)? == '=').then_some(())?;
    let quote = look.peek(n + 1).filter(|c| matches!(c, '"' | '\''))?;
    let len = look.count(n + 2, 100, |c| c != quote && c != '\n');
    (look.peek(n + 2 + len)? == quote && look.peek(n + 3 + len)? == '>').then_some(())?;
    Some((look.text(n + 2, len), n + len + 4))
}

/// Where `end` stands behind `n`.
fn until(look: &Look, n: usize, end: &str) -> Option<usize> {
    let at = (n..AHEAD).take_while(|n| look.peek(*n).is_some()).find(|n| look.is(*n, end))?;
    Some(at)
}
