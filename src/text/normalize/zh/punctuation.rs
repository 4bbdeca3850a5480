//! Punctuation: forms that mean a pause to the model, and marks that are not spoken.

use super::near::chinese_at;
use crate::text::chars::is_chinese;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::{BEHIND, Look};
use crate::text::normalize::reading::Reading;

/// ASCII punctuation beside Chinese as Chinese writes it.
pub fn half_width(look: &Look, context: &Context) -> Option<Reading> {
    let spoken = match look.peek(0)? {
        ',' => "，",
        '!' => "！",
        '?' => "？",
        ':' => "：",
        ';' => "；",
        '(' => "（",
        ')' => "）",
        _ => return None,
    };
    let chinese = |c: Option<char>| c.is_some_and(is_chinese);
    let beside = matches!(spoken, "（" | "）")
        || chinese(context.spoken)
        || look.back(0).is_some_and(|c| is_chinese(c) || "”）》」』’".contains(c))
        || chinese_at(look, 1);
    beside.then(|| Reading::Say { len: 1, spoken: spoken.into() })
}

/// Quotation marks, dots and marks of decoration.
pub fn marks(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    match first {
        '「' | '﹁' => Reading::say(1, "“"),
        '」' | '﹂' => Reading::say(1, "”"),
        '『' | '﹃' => Reading::say(1, "‘"),
        '』' | '﹄' => Reading::say(1, "’"),
        '…' => Reading::say(look.count(0, 20, |c| c == '…'), "……"),
        '.' => {
            let dots = look.count(0, 20, |c| c == '.');
            match dots {
                1 if look.back(0).is_some_and(|c| c.is_ascii_digit())
                    && look.peek(1).is_some_and(|c| c.is_ascii_digit()) =>
                {
                    Reading::say(1, "点")
                }
                1 => None,
                _ => Reading::say(dots, "……"),
            }
        }
        '·' | '・' | '•' | '‧' | '∙' | '●' | '○' | '◆' | '◇' | '■' | '□' | '▪' | '▲' | '△'
        | '▶' | '►' | '★' | '☆' | '※' | '†' | '‡' | '©' | '®' | '™' | '✓' | '✔' | '✗' | '✘'
        | '^' | '_' | '*' | '\\' | '{' | '}' | '[' | ']' | '〔' | '〕' | '〈' | '〉' | '〖'
        | '〗' | '←' | '@' | '§' | '¶' | '`' => {
            let len = look.count(0, 20, |c| c == first);
            let space = look.peek(len) == Some(' ') && context.spoken.is_none_or(|c| c == '\n');
            let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic());
            let between = letter(look.back(0)) && letter(look.peek(len));
            let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
            let apart = match () {
                () if between => " ",
                () if digit(look.back(0)) && digit(look.peek(len)) => "，",
                () => "",
            };
            Reading::say(len + usize::from(space), apart)
        }
        '|' | '│' => {
            // Bars of tables, and the line under a table's head.
            let len = look.count(0, 100, |c| matches!(c, '|' | '│' | '-' | ':' | ' '));
            let ends = look.peek(len).is_none_or(|c| c == '\n');
            let before = (0..BEHIND).map_while(|n| look.back(n)).find(|c| *c != ' ');
            let pause = before.is_some_and(char::is_alphanumeric) && !ends;
            Reading::say(len, if pause { "，" } else { "" })
        }
        _ => None,
    }
}
