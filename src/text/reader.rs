//! A text from its writer to the model.

use super::normalize::{NormalStream, Normalizer, Piece};
use super::stream::TextStream;

/// Reads one text as it comes: normalised, and let through word by word. What it lets through does
/// not depend on where the text was cut.
#[derive(Debug, Default)]
pub struct Reader {
    /// None: the text is spoken as it is written, but for what the model cannot speak.
    normal: Option<NormalStream>,
    stream: TextStream,
    /// Characters so far, where there is no normaliser to count them.
    at: usize,
}

/// Reads a text that is known in full. [`prepare`](super::prepare) makes of it what a model speaks.
pub fn read_whole(normalizer: Option<&Normalizer>, text: &str) -> ReadText {
    let pieces = match normalizer {
        Some(normalizer) => normalizer.pieces(text),
        None => vec![plain(text, 0)],
    };
    ReadText { spoken: pieces.iter().map(|piece| piece.spoken.as_str()).collect(), pieces }
}

/// What a [`Reader`] lets through.
#[derive(Debug, Default, PartialEq)]
pub struct ReadText {
    /// Whole words, to be spoken.
    pub spoken: String,
    /// What was read, ahead of `spoken` by the word that may still grow.
    pub pieces: Vec<Piece>,
}

impl Reader {
    /// `normalizer` is none for text that is to be spoken as it is written.
    pub fn new(normalizer: Option<Normalizer>) -> Self {
        Self { normal: normalizer.map(NormalStream::new), ..Self::default() }
    }

    /// Takes the next piece of the text; lets through what cannot change any more.
    pub fn push(&mut self, text: &str) -> ReadText {
        let pieces = match &mut self.normal {
            Some(normal) => normal.push(text),
            None => {
                let piece = plain(text, self.at);
                self.at = piece.source.end;
                vec![piece]
            }
        };
        self.through(pieces)
    }

    /// Lets through all that is held, as at the end of the text or at a pause in it.
    pub fn flush(&mut self) -> ReadText {
        let pieces = self.normal.as_mut().map(NormalStream::finish).unwrap_or_default();
        let mut read = self.through(pieces);
        read.spoken += &self.stream.flush();
        read
    }

    /// Whether nothing waits for [`flush`](Self::flush).
    pub fn is_empty(&self) -> bool {
        self.stream.is_empty() && self.normal.as_ref().is_none_or(NormalStream::is_empty)
    }

    fn through(&mut self, pieces: Vec<Piece>) -> ReadText {
        let mut spoken: String =
            pieces.iter().map(|piece| self.stream.push(&piece.spoken)).collect();
        // A space may be held for what comes after it; the word before it need not wait.
        if self.normal.as_ref().is_some_and(NormalStream::holds_space) {
            spoken += &self.stream.end_word();
        }
        ReadText { spoken, pieces }
    }
}

/// Text from character `at` on that is spoken as it is written.
fn plain(text: &str, at: usize) -> Piece {
    let (spoken, written) = (text.to_owned(), text.to_owned());
    Piece { spoken, written, source: at..at + text.chars().count(), rule: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(
        normalizer: Option<Normalizer>,
        parts: impl IntoIterator<Item = &'a str>,
    ) -> String {
        let mut reader = Reader::new(normalizer);
        let mut spoken: String = parts.into_iter().map(|part| reader.push(part).spoken).collect();
        spoken += &reader.flush().spoken;
        assert!(reader.is_empty());
        spoken
    }

    #[test]
    fn cuts_change_nothing() {
        let text = "<p>Hello **there**, I have 3 apples.</p> 我有3个苹果。";
        let whole = read(Some(Normalizer::default()), [text]);
        for (cut, _) in text.char_indices() {
            let parts = [&text[..cut], &text[cut..]];
            assert_eq!(read(Some(Normalizer::default()), parts), whole, "cut at {cut}");
        }
        assert!(whole.starts_with("Hello there,"), "{whole}");
    }

    /// Clients that send words with the space behind them are heard a word sooner.
    #[test]
    fn a_word_leaves_with_the_space_behind_it() {
        let mut reader = Reader::new(Some(Normalizer::default()));
        assert_eq!(reader.push("one").spoken, "");
        assert_eq!(reader.push(" ").spoken, "one");
        assert_eq!(reader.push("two ").spoken, " two");
        assert_eq!(reader.push("- thr").spoken + &reader.flush().spoken, ", thr");
    }

    #[test]
    fn text_can_be_spoken_as_it_is_written() {
        assert_eq!(read(None, ["**a** <p> ", "b"]), "**a** <p> b");
    }

    /// A flush speaks what is there, and the text goes on behind it.
    #[test]
    fn a_flush_ends_nothing() {
        let mut reader = Reader::new(Some(Normalizer::default()));
        reader.push("one two");
        assert_eq!(reader.flush().spoken, " two");
        let next = reader.push(" three ");
        assert_eq!((next.spoken.as_str(), next.pieces[0].source.start), (" three", 7));
    }
}
