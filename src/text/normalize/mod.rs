//! Written text to text as it is spoken: numbers, dates, money, units, abbreviations, names of
//! letters, signs that are not spoken.
//!
//! [`Normalizer`] holds what all texts share, [`NormalStream`] is one text that is being read. It
//! is read from its beginning, place by place. At each place the first rule that knows what stands
//! there says how it is spoken; where none does, the character is spoken as it is. Rules see the
//! text through a [`Look`](look::Look), which bounds how far, and makes a stream give the same
//! however it is cut.

mod context;
mod emoji;
mod en;
mod lexicon;
mod line;
mod look;
mod markdown;
mod markup;
mod reading;
mod science;
mod special;
mod speech;
mod ssml;
mod stream;
mod web;
mod width;
mod zh;

pub use context::Language;
pub use lexicon::{Lexicon, LexiconError};
pub use reading::Piece;
pub use stream::NormalStream;

use std::sync::Arc;

/// How a text is read.
#[derive(Debug, Clone, Default)]
pub struct Normalizer {
    /// Readings that the user gave.
    pub lexicon: Arc<Lexicon>,
    /// The language of everything; by default each number is read as the words around it.
    pub language: Option<Language>,
    /// Whether emoji are spoken by their names; by default they are not spoken.
    pub emoji: bool,
}

impl Normalizer {
    /// The text as it is spoken.
    pub fn normalize(&self, text: &str) -> String {
        self.pieces(text).into_iter().map(|piece| piece.spoken).collect()
    }

    /// The text as it is spoken, piece by piece in order. The pieces' sources cover the text.
    pub fn pieces(&self, text: &str) -> Vec<Piece> {
        let mut stream = NormalStream::new(self.clone());
        let mut pieces = stream.push(text);
        pieces.extend(stream.finish());
        pieces
    }
}
