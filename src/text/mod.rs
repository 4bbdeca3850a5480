//! Text before it reaches a model: normalising, splitting, and holding a stream's unfinished end.
//!
//! A leaf: knows no model. What depends on the model's tokens takes a function that counts them.

mod chars;
mod long;
mod normalize;
mod numbers;
mod pace;
mod prepare;
mod split;
mod stream;
mod words;

pub use chars::{contains_chinese, is_only_punctuation};
pub use normalize::{chinese_rules, normalize};
pub use numbers::spell_out_numbers;
pub use pace::syllables;
pub use prepare::prepare;
pub use split::{Language, split_paragraph};
pub use stream::TextStream;
pub use words::{Word, WordSplitter, letters, spoken_letters};
