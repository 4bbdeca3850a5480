//! Kinds of characters.

use unicode_general_category::{GeneralCategory as Category, get_general_category};

/// Whether the text has a CJK unified ideograph of the basic block, which decides how it is
/// normalised and split.
pub fn contains_chinese(text: &str) -> bool {
    text.chars().any(is_chinese)
}

pub(super) fn is_chinese(c: char) -> bool {
    ('\u{4E00}'..='\u{9FFF}').contains(&c)
}

/// Whether there is nothing to speak: only punctuation and symbols, or nothing at all. White
/// space counts as something.
pub fn is_only_punctuation(text: &str) -> bool {
    text.chars().all(is_punctuation)
}

/// Unicode classes P (punctuation) and S (symbols).
pub(super) fn is_punctuation(c: char) -> bool {
    matches!(
        get_general_category(c),
        Category::ConnectorPunctuation
            | Category::DashPunctuation
            | Category::OpenPunctuation
            | Category::ClosePunctuation
            | Category::InitialPunctuation
            | Category::FinalPunctuation
            | Category::OtherPunctuation
            | Category::MathSymbol
            | Category::CurrencySymbol
            | Category::ModifierSymbol
            | Category::OtherSymbol
    )
}

/// Characters of scripts written without spaces (ideographs, kana, bopomofo) and their full-width
/// punctuation: each is complete by itself, and text may be cut around it.
pub(super) fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{2E80}'..='\u{312F}'
        | '\u{31A0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}'
        // Full-width forms, less digits and letters, which make up numbers and words.
        | '\u{FF01}'..='\u{FF0F}'
        | '\u{FF1A}'..='\u{FF20}'
        | '\u{FF3B}'..='\u{FF40}'
        | '\u{FF5B}'..='\u{FF9F}'
        | '\u{20000}'..='\u{3FFFF}')
}
