//! Greek letters as signs of science.

use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// A Greek letter by its name, where it is no part of a Greek word.
pub fn letter(look: &Look, context: &Context) -> Option<Reading> {
    let c = look.peek(0)?;
    let (english, chinese) = name(c)?;
    let greek = |c: Option<char>| {
        c.is_some_and(|c| matches!(c, '\u{370}'..='\u{3FF}' | '\u{1F00}'..='\u{1FFF}'))
    };
    if greek(look.back(0)) && name(look.back(0)?).is_none_or(|_| greek(look.back(1))) {
        return None;
    }
    if greek(look.peek(1)) {
        return None;
    }
    let micro = matches!(c, 'µ' | 'μ') && look.peek(1).is_some_and(|c| c.is_ascii_alphabetic());
    if micro {
        return None;
    }
    let name = match context.language_of(look, 1) {
        Language::English => english,
        Language::Chinese => chinese,
    };
    Reading::say(1, name)
}

/// The names of a letter, in English and in Chinese.
pub fn name(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        'α' | 'Α' => ("alpha", "阿尔法"),
        'β' | 'Β' => ("beta", "贝塔"),
        'γ' | 'Γ' => ("gamma", "伽马"),
        'δ' | 'Δ' => ("delta", "德尔塔"),
        'ε' | 'ϵ' | 'Ε' => ("epsilon", "艾普西隆"),
        'ζ' | 'Ζ' => ("zeta", "泽塔"),
        'η' | 'Η' => ("eta", "伊塔"),
        'θ' | 'ϑ' | 'Θ' => ("theta", "西塔"),
        'ι' | 'Ι' => ("iota", "约塔"),
        'κ' | 'Κ' => ("kappa", "卡帕"),
        'λ' | 'Λ' => ("lambda", "兰布达"),
        'μ' | 'µ' | 'Μ' => ("mu", "缪"),
        'ν' | 'Ν' => ("nu", "纽"),
        'ξ' | 'Ξ' => ("xi", "克西"),
        'ο' | 'Ο' => ("omicron", "奥密克戎"),
        'π' | 'Π' => ("pi", "派"),
        'ρ' | 'Ρ' => ("rho", "柔"),
        'σ' | 'ς' | 'Σ' => ("sigma", "西格玛"),
        'τ' | 'Τ' => ("tau", "陶"),
        'υ' | 'Υ' => ("upsilon", "宇普西隆"),
        'φ' | 'ϕ' | 'Φ' => ("phi", "斐"),
        'χ' | 'Χ' => ("chi", "希"),
        'ψ' | 'Ψ' => ("psi", "普西"),
        'ω' | '\u{3A9}' | '\u{2126}' => ("omega", "欧米伽"),
        _ => return None,
    })
}

/// The letter that a name stands for, as in LaTeX.
pub fn named(name: &str) -> Option<(&'static str, &'static str)> {
    let lower = name.to_ascii_lowercase();
    let lower = lower.strip_prefix("var").unwrap_or(&lower);
    ('α'..='ω').filter_map(self::name).find(|(english, _)| *english == lower)
}
