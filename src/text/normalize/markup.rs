//! Signs that are not spoken: what the model understands is kept, what is for the eye is dropped.

use super::context::Context;
use super::look::Look;
use super::reading::{Reading, Rule};

pub const RULES: &[Rule] = &[
    Rule { name: "control token", read: control },
    Rule { name: "SSML", read: super::ssml::element },
    Rule { name: "tag", read: tag },
    Rule { name: "tag", read: closing },
    Rule { name: "link", read: link },
    Rule { name: "heading", read: line_mark },
    Rule { name: "emphasis", read: emphasis },
];

/// Vocal events that CosyVoice2 was trained with (its tokenizer's special tokens).
const EVENTS: [&str; 14] = [
    "[breath]",
    "[noise]",
    "[laughter]",
    "[cough]",
    "[clucking]",
    "[accent]",
    "[quick_breath]",
    "[hissing]",
    "[sigh]",
    "[vocalized-noise]",
    "[lipsmack]",
    "[mn]",
    "<strong>",
    "</strong>",
];
const LAUGHTER: [&str; 2] = ["<laughter>", "</laughter>"];

/// `<|…|>` and the model's own marks, kept.
fn control(look: &Look, _: &Context) -> Option<Reading> {
    match look.peek(0)? {
        '<' if look.peek(1) == Some('|') => {
            let name = look.count(2, 40, |c| c.is_ascii_alphanumeric() || "_-.:".contains(c));
            look.is(2 + name, "|>").then_some(Reading::Keep(name + 4))
        }
        '<' | '[' => {
            let mark = EVENTS.iter().chain(&LAUGHTER).find(|mark| look.is(0, mark))?;
            Some(Reading::Keep(mark.len()))
        }
        _ => None,
    }
}

/// Tags as in SSML and HTML. A break is a pause.
fn tag(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)? != '<' {
        return None;
    }
    if look.is(1, "!--") {
        let end =
            (4..super::look::AHEAD).find(|n| look.peek(*n).is_none() || look.is(*n, "-->"))?;
        return look.is(end, "-->").then(|| Reading::Say { len: end + 3, spoken: String::new() });
    }
    let name = 1 + usize::from(look.peek(1) == Some('/'));
    if !look.peek(name)?.is_ascii_alphabetic() {
        return None;
    }
    let inside = look.count(name, 150, |c| !matches!(c, '<' | '>'));
    if look.peek(name + inside)? != '>' {
        return None;
    }
    let len = name + inside + 1;
    let text = look.text(name, inside);
    // An address, or words to be replaced as in "<your name>".
    let address = text.contains("://") || text.contains('@') && !text.contains(' ');
    let words = text.contains(' ') && !text.contains(['=', '/', '"']);
    if address || words || text.contains(['.', ',', '(']) && !text.contains('=') {
        return Reading::say(1, "");
    }
    let name = text.split([' ', '/', '\n']).next().unwrap_or_default().to_ascii_lowercase();
    let spoken = context.spoken;
    let open = spoken.is_some_and(|c| c.is_alphanumeric());
    let goes_on = |c: char| !c.is_whitespace() && !matches!(c, '<' | '.' | ',' | '!' | '?');
    let chinese = context.is_chinese_sentence();
    let pause = match name.as_str() {
        "break" | "br" if !open => "",
        "break" | "br" if chinese => "，",
        "break" | "br" => ",",
        // What stands on lines of its own.
        "p" | "div" | "li" | "ul" | "ol" | "tr" | "td" | "th" | "table" | "h1" | "h2" | "h3"
        | "h4" | "h5" | "h6" | "s" | "blockquote" | "section" | "option" => {
            let apart = spoken.is_some_and(|c| !c.is_whitespace());
            match apart && look.peek(len).is_some_and(goes_on) {
                true if chinese && open => "，",
                true if open => ", ",
                true if !chinese => " ",
                _ => "",
            }
        }
        _ => "",
    };
    Reading::say(len, pause)
}

/// What closes an address or words in angle brackets.
fn closing(look: &Look, _: &Context) -> Option<Reading> {
    if look.peek(0)? != '>' || !look.back(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '/')
    {
        return None;
    }
    let open = (0..60).find(|n| matches!(look.back(*n), None | Some('<' | '>' | '\n')))?;
    let first = look.back(open.checked_sub(1)?)?;
    let opened = look.back(open) == Some('<') && first.is_ascii_alphabetic();
    opened.then(|| Reading::Say { len: 1, spoken: String::new() })
}

/// `[text](address)` and `![text](address)` of Markdown: the address and the brackets go, one
/// after the other.
fn link(look: &Look, _: &Context) -> Option<Reading> {
    let drop = |len| Reading::say(len, "");
    match look.peek(0)? {
        '!' if look.peek(1) == Some('[') && is_link(look, 1) => drop(2),
        '[' if is_link(look, 0) => drop(1),
        ']' if look.peek(1) == Some('(') => {
            let inside = look.count(2, 180, |c| !matches!(c, ')' | '\n'));
            (look.peek(2 + inside)? == ')').then_some(())?;
            is_address(look, 2).then_some(())?;
            drop(inside + 3)
        }
        _ => None,
    }
}

/// Whether the bracket at `n` is the beginning of a link.
fn is_link(look: &Look, n: usize) -> bool {
    let text = look.count(n + 1, 100, |c| !matches!(c, '[' | ']' | '\n'));
    look.is(n + 1 + text, "](") && is_address(look, n + text + 3)
}

fn is_address(look: &Look, n: usize) -> bool {
    let first = look.peek(n);
    let file = || {
        let len = look.count(n, 100, |c| c.is_ascii_alphanumeric() || "_-./%".contains(c));
        let sign = (n..n + len).any(|n| matches!(look.peek(n), Some('.' | '/')));
        sign && matches!(look.peek(n + len), Some(')' | '#'))
    };
    first.is_some_and(|c| matches!(c, '/' | '#' | '.'))
        || file()
        || ["http", "mailto:", "www."].iter().any(|start| look.is_in_any_case(n, start))
}

/// What marks a line: headings, quotations, items, rules, fences.
fn line_mark(look: &Look, _: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    if !matches!(first, '#' | '>' | '-' | '*' | '+' | '=' | '`' | '~' | '_' | '|') {
        return None;
    }
    let begins = (0..super::look::BEHIND).map_while(|n| look.back(n)).find(|c| *c != ' ');
    if begins.is_some_and(|c| c != '\n') {
        return None;
    }
    let same = look.count(0, 60, |c| c == first);
    let after = look.peek(same);
    let ends = after.is_none_or(|c| c == '\n' || c == '\r');
    match first {
        '#' if same <= 6 && after == Some(' ') => Reading::say(same + 1, ""),
        '>' if after == Some(' ') => Reading::say(same + 1, ""),
        '+' if same == 1 && after == Some(' ') => Reading::say(2, ""),
        '-' | '*' if same == 1 && after == Some(' ') => {
            let task = ["[ ] ", "[x] ", "[X] "].iter().any(|mark| look.is(2, mark));
            Reading::say(if task { 6 } else { 2 }, "")
        }
        '-' | '*' | '_' | '=' if same >= 3 && ends => Reading::say(same, ""),
        '`' | '~' if same >= 3 => {
            let name = look.count(same, 20, |c| c.is_ascii_alphanumeric());
            let ends = look.peek(same + name).is_none_or(|c| c == '\n' || c == '\r');
            if ends { Reading::say(same + name, "") } else { Reading::say(same, "") }
        }
        _ => None,
    }
}

/// `**`, `__`, `~~`, single `*` and `_` around words, and backticks.
fn emphasis(look: &Look, _: &Context) -> Option<Reading> {
    let c = look.peek(0)?;
    if !matches!(c, '*' | '_' | '~' | '`') {
        return None;
    }
    let same = look.count(0, 4, |next| next == c);
    let before = look.back(0);
    let after = look.peek(same);
    let word = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let marks = match c {
        '`' => true,
        // A power, an index, a product.
        '*' if same == 2 && digit(before) && digit(after) => false,
        '*' if same == 2 && letter(before) && !letter(look.back(1)) && digit(after) => false,
        '_' if same == 1 && after == Some('{') => false,
        '*' if same == 1 && before == Some(')') && after == Some('(') => false,
        '*' | '~' if same >= 2 => word(before) || word(after),
        // Between two letters or numbers it is a sign, as in 3*4.
        '*' => {
            !(letter(before) && letter(after))
                && (word(before) != word(after) || !letter(before) && !letter(after))
                && (word(before) || word(after))
        }
        '_' => !(letter(before) && letter(after)) && (word(before) || word(after)),
        _ => false,
    };
    if marks { Reading::say(same, "") } else { None }
}
