//! Text before it reaches a model: normalising, splitting, and holding a stream's unfinished end.
//!
//! A leaf: knows no model. What depends on the model's tokens takes a function that counts them.

mod chars;
mod inside;
mod long;
mod normalize;
mod numbers;
mod original;
mod prepare;
mod reader;
mod split;
mod stream;
mod words;

pub use chars::{contains_chinese, is_only_punctuation};
pub use normalize::{Language, Lexicon, LexiconError, NormalStream, Normalizer, Piece};
pub use numbers::spell_out_numbers;
pub use original::{chinese_rules, original_rules};
pub use prepare::prepare;
pub use reader::{ReadText, Reader, read_whole};
pub use split::{Measure, split_paragraph};
pub use stream::TextStream;
pub use words::{Word, WordSplitter, letters};
