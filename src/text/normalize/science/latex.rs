//! The commonest of LaTeX: dollars and braces are for the eye, commands are spoken.

use super::greek;
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;
use crate::text::normalize::speech::Speech;

pub fn latex(look: &Look, context: &Context) -> Option<Reading> {
    match look.peek(0)? {
        '$' if look.peek(1) == Some('$') => Reading::say(2, ""),
        '$' if closes(look) || opens(look) => Reading::say(1, ""),
        '\\' => command(look, context),
        '}' if look.peek(1) == Some('{') && in_fraction(look) => {
            let (english, chinese) = (" over ", "除以");
            Reading::say(
                2,
                match context.language(look) {
                    Language::English => english,
                    Language::Chinese => chinese,
                },
            )
        }
        _ => None,
    }
}

/// Whether the dollar at the place begins a formula: another one ends it, and what is between has
/// signs of mathematics.
fn opens(look: &Look) -> bool {
    let Some(first) = look.peek(1) else { return false };
    if first.is_whitespace() || look.back(0).is_some_and(char::is_alphanumeric) {
        return false;
    }
    let (mut letters, mut command, mut sign) = (0, false, false);
    for n in 1..100 {
        let Some(c) = look.peek(n) else { return false };
        letters = if c.is_ascii_alphabetic() { letters + 1 } else { 0 };
        command = c == '\\' || command && c.is_ascii_alphabetic();
        match c {
            '$' => {
                let price = look.peek(n + 1).is_some_and(|c| c.is_ascii_digit());
                return !price && look.peek(n - 1) != Some(' ') && (sign || n == 2);
            }
            '\\' | '^' | '_' | '=' | '+' | '<' | '>' => sign = true,
            // A price: "$5 and".
            ' ' if first.is_ascii_digit() && !sign => return false,
            // A word.
            _ if letters > 2 && !command => return false,
            _ if c.is_ascii_alphanumeric() || " {}-*/().,|!':[]&".contains(c) => {}
            _ => return false,
        }
    }
    false
}

/// Whether it ends one.
fn closes(look: &Look) -> bool {
    let before = look.back(0);
    let after = look.peek(1);
    before.is_some_and(|c| !c.is_whitespace())
        && !after.is_some_and(char::is_alphanumeric)
        && (1..64).map_while(|n| look.back(n)).take_while(|c| *c != '\n').any(|c| c == '$')
}

fn in_fraction(look: &Look) -> bool {
    (0..40).map_while(|n| look.back(n)).take_while(|c| !matches!(c, '{' | '}')).count() < 40 && {
        let open = (0..41).find(|n| look.back(*n) == Some('{'));
        open.is_some_and(|n| look.back(n + 1) == Some('c') && look.back(n + 2) == Some('a'))
    }
}

fn command(look: &Look, context: &Context) -> Option<Reading> {
    let len = look.count(1, 16, |c| c.is_ascii_alphabetic());
    if len == 0 {
        // Brackets and spaces of formulas, escaped signs are of Markdown.
        let mark = matches!(
            look.peek(1)?,
            '(' | ')' | '[' | ']' | ',' | ';' | ':' | '!' | '{' | '}' | '%' | '$' | '&'
        );
        return if mark { escaped(look) } else { None };
    }
    if len == 1 {
        return None;
    }
    let name = look.text(1, len);
    let brace = usize::from(look.peek(len + 1) == Some('{'));
    let drop = |len| Reading::say(len, "");
    let names = match name.as_str() {
        "frac" | "dfrac" | "tfrac" | "text" | "mathrm" | "mathbf" | "mathbb" | "mathcal"
        | "operatorname" | "vec" | "hat" | "bar" | "overline" | "boxed" => {
            return drop(len + 1 + brace);
        }
        "left" | "right" | "quad" | "qquad" | "displaystyle" | "big" | "Big" => {
            return drop(len + 1);
        }
        "times" | "cdot" => ("times", "乘"),
        "div" => ("divided by", "除以"),
        "pm" => ("plus or minus", "正负"),
        "le" | "leq" | "leqslant" => ("is less than or equal to", "小于等于"),
        "ge" | "geq" | "geqslant" => ("is greater than or equal to", "大于等于"),
        "neq" | "ne" => ("is not equal to", "不等于"),
        "approx" | "sim" => ("is approximately", "约等于"),
        "infty" => ("infinity", "无穷大"),
        "sqrt" => ("the square root of", "根号"),
        "sum" => ("the sum of", "求和"),
        "prod" => ("the product of", "连乘"),
        "int" => ("the integral of", "积分"),
        "partial" => ("partial", "偏"),
        "in" => ("in", "属于"),
        "to" | "rightarrow" | "longrightarrow" => ("to", "到"),
        "Rightarrow" | "implies" => ("implies", "推出"),
        "cup" => ("union", "并"),
        "cap" => ("intersect", "交"),
        "circ" => ("degrees", "度"),
        "ldots" | "cdots" | "dots" => ("and so on", "等等"),
        "angle" => ("angle", "角"),
        "log" | "ln" | "lg" | "sin" | "cos" | "tan" | "lim" | "max" | "min" | "exp" => ("", ""),
        _ => greek::named(&name)?,
    };
    let mut speech = Speech::new(context.language(look));
    match names {
        ("", _) => speech.say(&name),
        (english, chinese) => speech.either(english, chinese),
    }
    let space = match look.back(0) {
        Some(c) if !c.is_whitespace() && !c.is_alphanumeric() && context.spoken != Some(' ') => " ",
        _ => "",
    };
    let spoken = match context.language(look) {
        Language::English => format!("{space}{}", speech.spoken()),
        Language::Chinese => speech.spoken(),
    };
    Reading::say(len + 1 + brace, spoken)
}

/// A backslash before a sign.
fn escaped(look: &Look) -> Option<Reading> {
    match look.peek(1)? {
        '%' | '$' | '&' | '!' | ':' => Reading::say(1, ""),
        ',' | ';' => Reading::say(2, " "),
        _ => Reading::say(2, ""),
    }
}
