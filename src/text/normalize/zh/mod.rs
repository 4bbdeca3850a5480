//! Mandarin.

pub mod cardinal;

use super::reading::Rule;

/// For places that begin with an ideograph, a digit or a sign.
pub const RULES: &[Rule] = &[];
