//! What stands on both sides of a sign.

use super::signs::{subscript, superscript};
use crate::text::chars::is_chinese;
use crate::text::normalize::look::Look;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    Number,
    /// A single letter.
    Variable,
    Bracket,
    /// Letters, ideographs.
    Word,
}

/// The operand before the place, and the spaces between.
pub fn before(look: &Look) -> (Option<Operand>, usize) {
    let spaces = (0..2).take_while(|n| look.back(*n) == Some(' ')).count();
    let Some(c) = look.back(spaces) else { return (None, spaces) };
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphabetic() && !is_chinese(c));
    let operand = match c {
        _ if c.is_ascii_digit() || superscript(c).is_some() || subscript(c).is_some() => {
            Operand::Number
        }
        ')' | ']' | '}' | '）' => Operand::Bracket,
        '%' | '∞' | '°' | '!' | '½' | '¼' | '¾' | '′' => Operand::Number,
        _ if is_chinese(c) => Operand::Word,
        _ if c.is_alphabetic() && letter(look.back(spaces + 1)) => Operand::Word,
        _ if c.is_alphabetic() => Operand::Variable,
        _ => return (None, spaces),
    };
    (Some(operand), spaces)
}

/// The operand from `n` on, and the spaces between.
pub fn after(look: &Look, n: usize) -> (Option<Operand>, usize) {
    let spaces = look.count(n, 2, |c| c == ' ');
    let n = n + spaces;
    let Some(c) = look.peek(n) else { return (None, spaces) };
    let operand = match c {
        _ if c.is_ascii_digit() => Operand::Number,
        '-' | '+' | '.' | '−' | '±' if look.peek(n + 1).is_some_and(|c| c.is_ascii_digit()) => {
            Operand::Number
        }
        '-' | '−' if look.peek(n + 1).is_some_and(|c| c.is_ascii_alphabetic()) => {
            Operand::Variable
        }
        '(' | '[' | '{' | '（' | '√' | '∞' | '\\' | '∑' | '∫' => Operand::Bracket,
        '$' | '¥' | '€' | '£' => Operand::Number,
        _ if is_chinese(c) => Operand::Word,
        _ if c.is_alphabetic() => {
            let letter = |c: char| c.is_alphabetic() && !is_chinese(c);
            if look.peek(n + 1).is_some_and(letter) { Operand::Word } else { Operand::Variable }
        }
        _ => return (None, spaces),
    };
    (Some(operand), spaces)
}

/// How far a formula is looked for around a sign.
const NEAR: usize = 24;

/// Whether the place is in a formula, as an equals sign or another operator near it shows; no word
/// may be between.
pub fn in_formula(look: &Look) -> bool {
    near(look, 1, |c| {
        matches!(c, '=' | '+' | '×' | '÷' | '*' | '^' | '≤' | '≥' | '≠' | '≈' | '√' | '±')
    })
}

/// Whether an equals sign is near, before the place or from `n` on, with no word between.
pub fn in_equation(look: &Look, n: usize) -> bool {
    near(look, n, |c| c == '=')
}

fn near(look: &Look, n: usize, sign: fn(char) -> bool) -> bool {
    let ahead = (n..NEAR).map_while(|n| look.peek(n));
    found(sign, (0..NEAR).map_while(|n| look.back(n))) || found(sign, ahead)
}

fn found(sign: fn(char) -> bool, chars: impl Iterator<Item = char>) -> bool {
    let mut letters = 0;
    for c in chars {
        if sign(c) {
            return true;
        }
        letters = if c.is_ascii_alphabetic() { letters + 1 } else { 0 };
        let part = c.is_ascii_alphanumeric()
            || matches!(
                c,
                ' ' | '('
                    | ')'
                    | '.'
                    | '-'
                    | '−'
                    | '/'
                    | '²'
                    | '³'
                    | '+'
                    | '×'
                    | '÷'
                    | '*'
                    | '^'
                    | '√'
                    | '±'
                    | 'π'
            );
        if !part || letters > 1 {
            return false;
        }
    }
    false
}
