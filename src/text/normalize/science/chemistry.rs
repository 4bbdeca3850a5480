//! Chemical formulas, by letters and numbers: `H2O` is "H two O".

use super::elements;
use super::signs::{subscript, superscript};
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;
use crate::text::normalize::speech::Speech;

const LONGEST: usize = 40;

/// One formula: what is spoken of it, and what shows that it is one.
struct Formula {
    len: usize,
    /// The same with plain digits.
    plain: String,
    parts: Vec<Part>,
    elements: usize,
    numbers: usize,
    /// Has small digits or a charge above the line.
    typeset: bool,
}

enum Part {
    Element(String),
    Number(String),
    Charge(char),
}

impl Formula {
    fn read(look: &Look, start: usize) -> Option<Self> {
        let mut formula = Self {
            len: start,
            plain: String::new(),
            parts: Vec::new(),
            elements: 0,
            numbers: 0,
            typeset: false,
        };
        let mut open = 0;
        while formula.len < LONGEST {
            let Some(c) = look.peek(formula.len) else { break };
            match c {
                'A'..='Z' => formula.element(look)?,
                '(' if look.peek(formula.len + 1).is_some_and(|c| c.is_ascii_uppercase()) => {
                    open += 1;
                    formula.len += 1;
                }
                ')' if open > 0 => {
                    open -= 1;
                    formula.len += 1;
                }
                '0'..='9' => formula.number(look, |c| c.is_ascii_digit().then_some(c))?,
                _ if subscript(c).is_some_and(|c| c.is_ascii_digit()) => {
                    formula.typeset = true;
                    formula.number(look, |c| subscript(c).filter(char::is_ascii_digit))?;
                }
                _ => break,
            }
            // A number or a bracket comes behind an element.
            (formula.elements > 0).then_some(())?;
        }
        (open == 0 && formula.elements > 0).then_some(())?;
        formula.charge(look);
        Some(formula)
    }

    fn element(&mut self, look: &Look) -> Option<()> {
        let len = 1 + look.count(self.len + 1, 2, |c| c.is_ascii_lowercase());
        let symbol = look.text(self.len, len);
        elements::is_element(&symbol).then_some(())?;
        self.len += len;
        self.plain += &symbol;
        self.elements += 1;
        self.parts.push(Part::Element(symbol));
        Some(())
    }

    fn number(&mut self, look: &Look, digit: impl Fn(char) -> Option<char>) -> Option<()> {
        let mut number = String::new();
        while let Some(c) = look.peek(self.len).and_then(&digit).filter(|_| number.len() < 3) {
            number.push(c);
            self.len += 1;
        }
        self.plain += &number;
        self.numbers += 1;
        // Longer numbers are of codes.
        let short = number.len() < 3 && !number.starts_with('0');
        self.parts.push(Part::Number(number));
        short.then_some(())
    }

    /// `²⁺`, `^2+`, or `+` alone behind a well-known ion.
    fn charge(&mut self, look: &Look) {
        let sign = |c: Option<char>| c.filter(|c| matches!(c, '+' | '-' | '−'));
        let raised = |n: usize| look.peek(n).and_then(superscript);
        let mut n = self.len;
        let number: String = match look.peek(n) {
            Some('^') => {
                n += 1;
                let len = look.count(n, 1, |c| c.is_ascii_digit());
                n += len;
                look.text(n - len, len)
            }
            _ => {
                let number: String = raised(n).filter(char::is_ascii_digit).into_iter().collect();
                n += number.len();
                number
            }
        };
        let above = sign(raised(n));
        let caret = sign(look.peek(n)).filter(|_| look.peek(self.len) == Some('^'));
        let bare = || {
            let plain = self.plain.trim_end_matches(['2', '3']);
            let known =
                elements::is_ion(&self.plain) || elements::is_ion(plain) && self.elements == 1;
            sign(look.peek(self.len)).filter(|_| known && n == self.len)
        };
        let Some(found) = above.or(caret).or_else(bare) else { return };
        let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '(' | '+' | '-' | '>' | '=');
        if look.peek(n + 1).is_some_and(goes_on) && above.is_none() {
            return;
        }
        if !number.is_empty() {
            self.parts.push(Part::Number(number));
        }
        self.parts.push(Part::Charge(found));
        self.typeset = true;
        self.len = n + 1;
    }

    /// Whether it is a formula and no word or name.
    fn is_sure(&self) -> bool {
        let letters: Vec<char> = self.plain.chars().take_while(|c| c.is_alphabetic()).collect();
        // "WIN10", "PS5" are names; "HNO3" is none.
        let name = letters.len() > 2
            && letters.iter().all(|c| c.is_uppercase())
            && !matches!(self.plain.as_str(), "HNO3" | "KNO3" | "HNO2" | "HCO3" | "KNO2" | "KIO3");
        match (self.elements, self.numbers) {
            _ if self.typeset => true,
            (1, _) => elements::is_molecule(&self.plain),
            (_, 0) => elements::is_plain_formula(&self.plain),
            _ => !name,
        }
    }

    fn say(&self, speech: &mut Speech, language: Language) {
        for part in &self.parts {
            match part {
                Part::Element(symbol) => speech.letters(symbol),
                Part::Number(number) => speech.cardinal(number),
                Part::Charge('+') if language == Language::Chinese => speech.say("正"),
                Part::Charge('+') => speech.say("plus"),
                Part::Charge(_) => speech.either("minus", "负"),
            }
        }
    }
}

/// A formula that begins with an element.
pub fn formula(look: &Look, context: &Context) -> Option<Reading> {
    if !look.peek(0)?.is_ascii_uppercase()
        || look.back(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return None;
    }
    say(look, context, 0)
}

/// A formula with a number of molecules before it: `2H2O`.
pub fn with_number(look: &Look, context: &Context) -> Option<Reading> {
    let digits = look.count(0, 3, |c| c.is_ascii_digit());
    if !(1..3).contains(&digits)
        || !look.peek(digits)?.is_ascii_uppercase()
        || look.back(0).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ','))
    {
        return None;
    }
    say(look, context, digits)
}

fn say(look: &Look, context: &Context, start: usize) -> Option<Reading> {
    let formula = Formula::read(look, start)?;
    let after = look.peek(formula.len);
    let goes_on = after.is_some_and(|c| {
        c.is_alphanumeric() && c.is_ascii()
            || matches!(c, '_' | '-' | '\'' | '@')
            || superscript(c).is_some()
    });
    if goes_on && !(after == Some('-') && formula.typeset) || !formula.is_sure() {
        return None;
    }
    let language = context.language_of(look, formula.len);
    let mut speech = Speech::new(language);
    if start > 0 {
        speech.cardinal(&look.text(0, start));
    }
    formula.say(&mut speech, language);
    Reading::say(formula.len, speech.spoken())
}
