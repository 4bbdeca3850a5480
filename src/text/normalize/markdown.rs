//! Markdown beyond emphasis and links: tables, notes, citations, escapes, entities.

use super::context::{Context, Language};
use super::look::Look;
use super::reading::{Reading, Rule};

pub const RULES: &[Rule] = &[
    Rule { name: "table", read: table },
    Rule { name: "note", read: note },
    Rule { name: "citation", read: citation },
    Rule { name: "entity", read: entity },
    Rule { name: "escape", read: escape },
];

/// Longest line of a table's head that is left out.
const LINE: usize = 180;

fn is_bar(look: &Look, n: usize) -> bool {
    look.peek(n) == Some('|')
}

/// Bars between cells are pauses, those at the ends of a row end it.
fn table(look: &Look, context: &Context) -> Option<Reading> {
    let space = match look.peek(0)? {
        ' ' if is_bar(look, 1) => 1,
        '|' => 0,
        _ => return None,
    };
    if is_bar(look, space + 1) {
        return None;
    }
    let before = (0..super::look::BEHIND).map_while(|n| look.back(n)).find(|c| *c != ' ');
    let begins = before.is_none_or(|c| c == '\n');
    let line = look.count(space, LINE, |c| matches!(c, '|' | '-' | ':' | ' '));
    let ends = look.peek(space + line).is_none_or(|c| matches!(c, '\n' | '\r'));
    let ruled = (space..space + line).any(|n| look.peek(n) == Some('-'));
    if begins && ends && ruled {
        // The line under the head, with its end.
        let end = look.count(space + line, 2, |c| matches!(c, '\n' | '\r'));
        return Reading::say(space + line + end, "");
    }
    // Without spaces around it is no cell's.
    let apart = begins || space > 0 || look.peek(1).is_none_or(char::is_whitespace);
    apart.then_some(())?;
    let bars = look.count(space, LINE, |c| matches!(c, '|' | ' '));
    let ends = look.peek(space + bars).is_none_or(|c| matches!(c, '\n' | '\r'));
    let word = context.spoken.is_some_and(|c| c.is_alphanumeric() || matches!(c, ')' | '%'));
    let chinese = context.language(look) == Language::Chinese;
    let spoken = match (word && !begins, ends, chinese) {
        (false, _, _) => "",
        (true, true, true) => "。",
        (true, true, false) => ".",
        (true, false, true) => "，",
        (true, false, false) => ", ",
    };
    Reading::say(space + bars, spoken)
}

/// `[^1]`, and what begins a note's text.
fn note(look: &Look, _: &Context) -> Option<Reading> {
    let at = bracket(look)?;
    if look.peek(at + 1)? != '^' {
        return None;
    }
    let name = look.count(at + 2, 20, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if name == 0 || look.peek(at + 2 + name)? != ']' {
        return None;
    }
    let end = at + 3 + name;
    let text = at == 0 && look.back(0).is_none_or(|c| c == '\n') && look.is(end, ": ");
    left_out(look, at, end + if text { 2 } else { 0 })
}

/// Where a bracket opens: at the place, or behind a space there.
fn bracket(look: &Look) -> Option<usize> {
    match look.peek(0)? {
        '[' => Some(0),
        ' ' if look.peek(1)? == '[' => Some(1),
        _ => None,
    }
}

/// Leaves out what ends at `end`; the space before it only where another space or the end of a
/// sentence follows.
fn left_out(look: &Look, at: usize, end: usize) -> Option<Reading> {
    let after = look.peek(end);
    let joins = at == 1 && after.is_some_and(|c| !c.is_whitespace() && !".,;:!?)[".contains(c));
    Reading::say(end, if joins { " " } else { "" })
}

/// `[1]`, `[2, 3]`, `[4-6]` behind a word, and `【1†source】`.
fn citation(look: &Look, _: &Context) -> Option<Reading> {
    let open = look.peek(0)?;
    if open == '【' {
        let number = look.count(1, 6, |c| c.is_ascii_digit() || c == ':');
        let rest = look.count(1 + number, 40, |c| !matches!(c, '】' | '\n'));
        let source = number > 0 && look.peek(1 + number)? == '†';
        let len = number + rest + 2;
        return if source && look.peek(len - 1)? == '】' { Reading::say(len, "") } else { None };
    }
    let at = bracket(look)?;
    look.peek(at + 1)?.is_ascii_digit().then_some(())?;
    let word = look.back(0).filter(|c| *c != ' ').or_else(|| look.back(1));
    word.filter(|c| c.is_alphanumeric() || ".,;:!?)]\"'。，、；：！？）”’".contains(*c))?;
    let is_of_numbers = |c: char| c.is_ascii_digit() || matches!(c, ',' | ' ' | '-' | '–');
    let end = at + 1 + look.count(at + 1, 24, is_of_numbers);
    let text = look.text(at + 1, end - at - 1);
    let short = text.split([',', ' ', '-', '–']).all(|number| number.len() < 4 && number != "0");
    (short && look.peek(end)? == ']' && look.peek(end + 1) != Some('(')).then_some(())?;
    left_out(look, at, end + 1)
}

/// Character entities of HTML.
fn entity(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)? != '&' {
        return None;
    }
    let number = usize::from(look.peek(1)? == '#');
    let name = look.count(1 + number, 8, |c| c.is_ascii_alphanumeric());
    if name == 0 || look.peek(1 + number + name)? != ';' {
        return None;
    }
    let len = name + number + 2;
    let text = look.text(1 + number, name);
    let english = context.language(look) == Language::English;
    let either = |english_name, chinese| if english { english_name } else { chinese };
    if number == 1 {
        let value = match text.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => text.parse().ok()?,
        };
        let c = char::from_u32(value)?;
        let spoken = c.is_alphanumeric() || matches!(c, ' ' | '\'' | '"' | ',' | '.' | '!' | '?');
        return Reading::say(len, if spoken { c.to_string() } else { String::new() });
    }
    let spoken = match text.as_str() {
        "amp" => either("and", "和"),
        "lt" => either("less than", "小于"),
        "gt" => either("greater than", "大于"),
        "quot" | "ldquo" | "rdquo" => "\"",
        "apos" | "rsquo" | "lsquo" => "'",
        "nbsp" | "ensp" | "emsp" | "thinsp" => " ",
        "mdash" | "ndash" => either(", ", "，"),
        "hellip" => "…",
        "times" => either("times", "乘"),
        "divide" => either("divided by", "除以"),
        "plusmn" => either("plus or minus", "正负"),
        "deg" => either("degrees", "度"),
        "euro" => either("euros", "欧元"),
        "pound" => either("pounds", "英镑"),
        "yen" => either("yen", "日元"),
        "copy" | "reg" | "trade" | "bull" | "middot" | "shy" | "zwj" => "",
        "rarr" => either("to", "到"),
        _ => return None,
    };
    Reading::say(len, spoken)
}

/// A backslash before a sign: the sign is a sign and marks nothing.
fn escape(look: &Look, _: &Context) -> Option<Reading> {
    if look.peek(0)? != '\\' {
        return None;
    }
    match look.peek(1)? {
        '*' | '_' | '`' | '~' | '|' | '\\' if look.back(0) != Some('\\') => Reading::say(2, ""),
        '#' | '.' | '!' | '-' | '+' | '>' | '"' | '\'' => Reading::say(1, ""),
        _ => None,
    }
}
