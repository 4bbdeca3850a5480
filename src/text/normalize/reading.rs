//! What a rule makes of the text.

use super::context::Context;
use super::look::Look;
use std::ops::Range;

/// What becomes of the characters at the place where reading goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// So many characters are spoken as they are written.
    Keep(usize),
    /// So many characters are spoken otherwise; not at all where `spoken` is empty.
    Say { len: usize, spoken: String },
}

impl Reading {
    /// `len` characters are spoken as `spoken`.
    pub fn say(len: usize, spoken: impl Into<String>) -> Option<Self> {
        Some(Self::Say { len, spoken: spoken.into() })
    }

    /// How many characters it is of.
    pub fn len(&self) -> usize {
        match self {
            Self::Keep(len) | Self::Say { len, .. } => *len,
        }
    }
}

/// Reads the characters at a place, or leaves them to the rules after it. A rule decides by what
/// it sees through the look and by the context, and by nothing else.
pub type Read = fn(&Look, &Context) -> Option<Reading>;

/// A rule and its name, as `mynah normalize --explain` shows it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub name: &'static str,
    pub read: Read,
}

/// Text to be spoken, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The text as it is spoken; empty where the source is not.
    pub spoken: String,
    /// The text as it was written.
    pub written: String,
    /// Its place in the text, in characters from its beginning.
    pub source: Range<usize>,
    /// The rule that read it; none where it is spoken as it is written.
    pub rule: Option<&'static str>,
}
