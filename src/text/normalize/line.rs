//! Ends of lines: where no mark of punctuation stands before one, a title or an item ends there,
//! or the text is only broken to fit a page.

use super::context::Context;
use super::en::around::word_before;
use super::look::Look;
use super::reading::Reading;
use crate::text::chars::is_chinese;

/// Most spaces before the end of a line that are read with it.
const SPACES: usize = 8;

/// Most white space behind the end of a line that is looked over for the next one.
const GAP: usize = 60;

/// The end of a line, from the spaces before it: a pause where a word stands before it and the
/// next line does not go on with the sentence.
pub fn end(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    if !matches!(first, ' ' | '\n' | '\r') {
        return None;
    }
    let spaces = look.count(0, SPACES, |c| c == ' ');
    let carriage = usize::from(look.peek(spaces) == Some('\r'));
    if look.peek(spaces + carriage)? != '\n' || !is_open(look, context) {
        return None;
    }
    let end = spaces + carriage + 1;
    let gap = look.count(end, GAP, |c| matches!(c, ' ' | '\t' | '\r' | '\n'));
    let next = end + gap;
    // White space at the end of the text, or more of it than is worth looking at, says nothing.
    let begins = look.peek(next)?;
    let blank = (end..next).any(|n| look.peek(n) == Some('\n'));
    let chinese = context.spoken.is_some_and(is_chinese)
        || context.is_chinese_sentence()
        || is_chinese(begins);
    if chinese {
        return Reading::say(end, if blank { "。" } else { "，" });
    }
    match blank || !goes_on(look, next) {
        true => Reading::say(end, ".\n"),
        // In a text with Chinese a line break is no space.
        false if context.is_chinese_text() => Reading::say(end, " "),
        false => None,
    }
}

/// Whether a word was spoken last, and no mark of punctuation.
fn is_open(look: &Look, context: &Context) -> bool {
    match context.spoken {
        Some('"' | '”' | '’') => look.back(1).is_some_and(char::is_alphanumeric),
        Some(c) => c.is_alphanumeric() || matches!(c, ')' | '）' | '》' | '」'),
        None => false,
    }
}

/// Whether the line that begins at `n` goes on with the sentence of the line before, where the
/// text is English.
fn goes_on(look: &Look, n: usize) -> bool {
    let Some(first) = look.peek(n) else { return false };
    match first {
        '-' | '+' | '#' | '>' | '•' | '|' => false,
        '`' if look.is(n, "```") => false,
        '*' | '_' if look.peek(n + 1) == Some(' ') => false,
        ',' | '.' | ';' | ':' | '!' | '?' | ')' | ']' | '}' | '…' | '&' | '=' | '%' | '/' | '–'
        | '—' => true,
        _ => {
            let marks = look.count(n, 4, |c| matches!(c, '*' | '_' | '`' | '"' | '“' | '('));
            look.peek(n + marks).is_some_and(|c| {
                c.is_lowercase() || (c.is_uppercase() || c.is_ascii_digit()) && leads_on(look)
            })
        }
    }
}

/// Whether the word before is one that no line ends with but where it is broken.
fn leads_on(look: &Look) -> bool {
    let (word, _) = word_before(look, 0);
    matches!(
        word.as_str(),
        "a" | "an"
            | "the"
            | "of"
            | "to"
            | "at"
            | "by"
            | "for"
            | "from"
            | "with"
            | "and"
            | "or"
            | "but"
            | "is"
            | "are"
            | "was"
            | "were"
            | "my"
            | "your"
            | "his"
            | "her"
            | "their"
            | "our"
            | "than"
            | "that"
            | "as"
            | "into"
    )
}
