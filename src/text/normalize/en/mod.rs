//! English.

pub mod spell;

use super::reading::Rule;

/// For places that begin with a digit or a sign.
pub const RULES: &[Rule] = &[];

/// For places that begin with a letter, of words in Chinese sentences too.
pub const WORDS: &[Rule] = &[];
