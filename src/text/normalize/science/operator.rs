//! Operators and arrows between numbers, letters and words.

use super::operand::{Operand, after, before, in_equation, in_formula};
use super::signs;
use crate::text::chars::{is_chinese, stands_alone};
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// A sign of `len` characters by its name.
pub fn name(look: &Look, context: &Context, len: usize, names: (&str, &str)) -> Option<Reading> {
    let english = context.language(look) == Language::English;
    let name = if english { names.0 } else { names.1 };
    if !english {
        return Reading::say(len, name);
    }
    let mark = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace() && !c.is_alphanumeric());
    let left = if mark(look.back(0))
        && context.spoken.is_some_and(|c| !stands_alone(c) && !matches!(c, ' ' | '(' | '\n'))
    {
        " "
    } else {
        ""
    };
    let right = match look.peek(len) {
        Some('.') if look.peek(len + 1).is_some_and(|c| c.is_ascii_digit()) => " ",
        Some('(' | '-' | '−' | '√' | '\\' | '$' | '€' | '£') => " ",
        _ => "",
    };
    Reading::say(len, format!("{left}{name}{right}"))
}

/// Operators between operands.
pub fn operator(look: &Look, context: &Context) -> Option<Reading> {
    let c = look.peek(0)?;
    match c {
        '+' | '*' | '×' | '·' | '⋅' | '∙' | '-' | '−' | '/' => arithmetic(look, context, c),
        '=' | '<' | '>' | '!' | '≤' | '≥' | '≈' | '≪' | '≫' | '≦' | '≧' | '⩽' | '⩾' | ':' => {
            relation(look, context, c)
        }
        '→' | '⇒' | '⟶' | '➔' | '←' | '⇐' | '↔' | '⇔' | '⇌' => {
            arrow(look, context, 1)
        }
        _ => name(look, context, 1, signs::name(c)?),
    }
}

fn arithmetic(look: &Look, context: &Context, c: char) -> Option<Reading> {
    use Operand::{Bracket, Number, Variable, Word};
    if c == '-' && (look.is(0, "->") || look.is(0, "-->")) {
        return arrow(look, context, if look.peek(1) == Some('>') { 2 } else { 3 });
    }
    if matches!(c, '-' | '*' | '/') && look.peek(1) == Some('=') && look.peek(2) == Some(' ') {
        let names = match c {
            '-' => ("minus equals", "减等于"),
            '*' => ("times equals", "乘等于"),
            _ => ("divided by equals", "除以等于"),
        };
        return name(look, context, 2, names);
    }
    let (left, left_spaces) = before(look);
    let left = match left {
        Some(left) => left,
        // A sign before a letter, as in "(-b".
        None if matches!(c, '-' | '−') => {
            let begins =
                look.back(0).is_some_and(|c| matches!(c, '(' | '=' | '±' | '^' | '{' | '×' | '*'))
                    || left_spaces > 0
                        && look.back(left_spaces).is_some_and(|c| matches!(c, '=' | '<' | '>'));
            let single = look.peek(1).is_some_and(|c| c.is_alphabetic())
                && after(look, 1).0 == Some(Variable);
            return if begins && single { name(look, context, 1, ("minus", "负")) } else { None };
        }
        None => return None,
    };
    let (right, right_spaces) = after(look, 1);
    let even = left_spaces.min(1) == right_spaces.min(1);
    match c {
        '+' if look.peek(1) == Some('+') => name(look, context, 2, ("plus plus", "加加")),
        // A sign of the number: "拨打+86".
        '+' if left == Word && left_spaces == 0 && right == Some(Number) => None,
        '+' if right.is_some() && even => name(look, context, 1, ("plus", "加")),
        '+' if left_spaces == 0 && right.is_none() => name(look, context, 1, ("plus", "加")),
        '*' if right.is_some()
            && even
            && (left_spaces > 0 || left != Word && right != Some(Word)) =>
        {
            name(look, context, 1, ("times", "乘"))
        }
        '×' if right.is_some() => name(look, context, 1, ("times", "乘")),
        '×' => name(look, context, 1, ("times", "倍")),
        '·' | '⋅' | '∙'
            if left != Word
                && right.is_some_and(|right| right != Word)
                && (left, right) != (Variable, Some(Number)) =>
        {
            name(look, context, 1, ("times", "乘"))
        }
        '−' if right.is_some() && even && left != Word => name(look, context, 1, ("minus", "减")),
        '-' if even && left != Word && right.is_some_and(|right| right != Word) => {
            let sure =
                left_spaces > 0 || left != Number || right != Some(Number) || in_equation(look, 1);
            if sure && in_formula(look) { name(look, context, 1, ("minus", "减")) } else { None }
        }
        '/' if even
            && (left == Variable || right == Some(Variable) || left == Bracket)
            && left != Word
            && right.is_some_and(|right| right != Word) =>
        {
            if in_formula(look) {
                name(look, context, 1, ("divided by", "除以"))
            } else {
                None
            }
        }
        _ => None,
    }
}

fn relation(look: &Look, context: &Context, c: char) -> Option<Reading> {
    let (left, left_spaces) = before(look);
    // A word that something is compared with has its own verb, or none.
    let is = matches!(left, Some(Operand::Number | Operand::Variable | Operand::Bracket));
    let verb = |with: &'static str, without: &'static str| if is { with } else { without };
    let less = (verb("is less than", "less than"), "小于");
    let greater = (verb("is greater than", "greater than"), "大于");
    let at_most = (verb("is less than or equal to", "less than or equal to"), "小于等于");
    let at_least = (verb("is greater than or equal to", "greater than or equal to"), "大于等于");
    let next = look.peek(1);
    match c {
        '≤' | '≦' | '⩽' => name(look, context, 1, at_most),
        '≥' | '≧' | '⩾' => name(look, context, 1, at_least),
        '≪' => name(look, context, 1, (verb("is much less than", "much less than"), "远小于")),
        '≫' => {
            name(look, context, 1, (verb("is much greater than", "much greater than"), "远大于"))
        }
        '≈' if left.is_some() => name(look, context, 1, ("is approximately", "约等于")),
        '≈' => name(look, context, 1, ("approximately", "约")),
        '!' if next == Some('=') => {
            let len = if look.peek(2) == Some('=') { 3 } else { 2 };
            name(look, context, len, ("is not equal to", "不等于"))
        }
        ':' if next == Some('=') => name(look, context, 2, ("is defined as", "定义为")),
        '=' if next == Some('>') => arrow(look, context, 2),
        '=' => name(look, context, look.count(0, 3, |c| c == '='), ("equals", "等于")),
        '<' if matches!(next, Some('-'))
            && look.peek(2).is_some_and(|c| matches!(c, ' ' | '-' | '>')) =>
        {
            let len = look.count(0, 4, |c| matches!(c, '<' | '-' | '>'));
            arrow(look, context, len)
        }
        '<' | '>' if next == Some('=') => {
            name(look, context, 2, if c == '<' { at_most } else { at_least })
        }
        '<' | '>' if next != Some(c) => {
            let (right, right_spaces) = after(look, 1);
            let words = left == Some(Operand::Word) && right == Some(Operand::Word);
            // A way through menus: "File > Open".
            let menu = words && left_spaces > 0 && right_spaces > 0 && {
                let first = look.peek(1 + right_spaces);
                first.is_some_and(|c| c.is_uppercase() || is_chinese(c))
            };
            if c == '>' && menu {
                return Reading::say(
                    1 + right_spaces,
                    match context.language(look) {
                        Language::English => "to ",
                        Language::Chinese => "到",
                    },
                );
            }
            right?;
            name(look, context, 1, if c == '<' { less } else { greater })
        }
        _ => None,
    }
}

/// An arrow of `len` characters between two things; elsewhere it is for the eye.
fn arrow(look: &Look, context: &Context, len: usize) -> Option<Reading> {
    if before(look).0.is_none()
        && !look.back(0).is_some_and(|c| c == ' ' && look.back(1) != Some('\n'))
    {
        let space = look.count(len, 1, |c| c == ' ');
        return Reading::say(len + space, "");
    }
    let names = match look.peek(0)? {
        '←' | '⇐' => ("from", "来自"),
        '↔' | '⇔' | '⇌' => ("to and from", "和"),
        '<' if look.peek(len - 1) == Some('>') => ("to and from", "和"),
        '<' => ("from", "来自"),
        _ => ("to", "到"),
    };
    name(look, context, len, names)
}

/// A minus between spaces in an equation: `5 - 3 = 2`.
pub fn spaced_minus(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)? != ' ' || look.peek(1)? != '-' || look.peek(2)? != ' ' {
        return None;
    }
    let value = |operand: Option<Operand>| operand.is_some_and(|operand| operand != Operand::Word);
    if !value(before(look).0) || !value(after(look, 2).0) {
        return None;
    }
    let number = look.count(3, 12, |c| c.is_ascii_digit() || c == '.');
    let end = 3 + number + look.count(3 + number, 1, |c| c == ' ');
    let asked =
        number > 0 && ["等于", "等於", "是多少", "得多少"].iter().any(|words| look.is(end, words));
    if !asked && !in_equation(look, 3) {
        return None;
    }
    match context.language(look) {
        Language::English => Reading::say(2, " minus"),
        Language::Chinese => Reading::say(2, " 减"),
    }
}

/// The letter x as a sign between numbers: `3x4`, `3 x 4`.
pub fn of_letters(look: &Look, context: &Context) -> Option<Reading> {
    if !matches!(look.peek(0)?, 'x' | 'X') {
        return None;
    }
    let (left, left_spaces) = before(look);
    if left != Some(Operand::Number) {
        return None;
    }
    let spaces = look.count(1, 2, |c| c == ' ');
    let number = look.peek(1 + spaces).is_some_and(|c| c.is_ascii_digit());
    (number && spaces == left_spaces).then_some(())?;
    match context.language(look) {
        Language::English => Reading::say(1, "by"),
        Language::Chinese => Reading::say(1, "乘"),
    }
}
