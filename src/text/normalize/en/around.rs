//! Words around a place.

use crate::text::normalize::look::Look;

const LONGEST: usize = 16;

/// A short ASCII word; one that is longer, or has other letters, is none.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Word {
    const NONE: Self = Self { bytes: [0; LONGEST], len: 0 };

    /// Letters that `next` gives one by one, up to the first character that is none.
    fn of(mut next: impl FnMut(usize) -> Option<char>) -> Self {
        let mut word = Self::NONE;
        while let Some(c) = next(word.len).filter(|c| c.is_alphabetic()) {
            if word.len == LONGEST || !c.is_ascii() {
                return Self::NONE;
            }
            word.bytes[word.len] = c as u8;
            word.len += 1;
        }
        word
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// In small letters.
    pub fn lower(mut self) -> Self {
        self.bytes.make_ascii_lowercase();
        self
    }

    pub fn is_capitalised(&self) -> bool {
        self.bytes[0].is_ascii_uppercase()
    }

    /// Two letters or more, all of them capitals.
    pub fn is_capitals(&self) -> bool {
        self.len > 1 && self.bytes[..self.len].iter().all(u8::is_ascii_uppercase)
    }
}

/// The word that begins `n` places ahead.
pub fn word_at(look: &Look, n: usize) -> Word {
    Word::of(|i| look.peek(n + i))
}

/// The word that ends `n` places back, spaces between not counted, and how far back its beginning
/// is. None where other signs are between.
pub fn word_before(look: &Look, n: usize) -> (Word, usize) {
    let spaces = (0..3).take_while(|i| look.back(n + i) == Some(' ')).count();
    let start = n + spaces;
    let mut word = Word::of(|i| look.back(start + i));
    let len = word.len;
    word.bytes[..len].reverse();
    (word, start + len)
}

/// Whether a number or a word ends before this character.
pub fn is_end(c: Option<char>) -> bool {
    !c.is_some_and(char::is_alphanumeric)
}

pub fn is_digit(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_digit())
}

/// How many spaces stand at `n`: none or one.
pub fn space(look: &Look, n: usize) -> usize {
    usize::from(matches!(look.peek(n), Some(' ' | '\u{A0}' | '\u{202F}')))
}

/// Whether a sentence ends behind a full stop that `n` is just after: the text or the line ends,
/// or a capital follows; where `surely`, a word that often begins sentences.
pub fn ends_sentence(look: &Look, n: usize, surely: bool) -> bool {
    let n = n + look.count(n, 3, |c| matches!(c, '"' | '”' | '’' | ')' | '*' | '_'));
    let spaces = look.count(n, 4, |c| c == ' ');
    match look.peek(n + spaces) {
        None | Some('\n' | '\r') => true,
        Some(_) if spaces == 0 => false,
        Some(c) => {
            let quote = usize::from(matches!(c, '"' | '“' | '‘' | '*'));
            let next = look.peek(n + spaces + quote);
            next.is_some_and(char::is_uppercase)
                && (!surely || begins_sentences(word_at(look, n + spaces + quote).as_str()))
        }
    }
}

/// Whether a capitalised word is one that sentences begin with, rather than a name.
pub fn begins_sentences(word: &str) -> bool {
    matches!(
        word,
        "A" | "After"
            | "All"
            | "Also"
            | "Although"
            | "An"
            | "And"
            | "Are"
            | "As"
            | "At"
            | "Because"
            | "Before"
            | "But"
            | "By"
            | "Can"
            | "Did"
            | "Do"
            | "Does"
            | "Each"
            | "Even"
            | "Every"
            | "First"
            | "For"
            | "From"
            | "Has"
            | "Have"
            | "He"
            | "Her"
            | "Here"
            | "His"
            | "How"
            | "However"
            | "I"
            | "If"
            | "In"
            | "Instead"
            | "Is"
            | "It"
            | "Its"
            | "Just"
            | "Let"
            | "Many"
            | "Maybe"
            | "Meanwhile"
            | "Most"
            | "My"
            | "No"
            | "Not"
            | "Now"
            | "On"
            | "Once"
            | "One"
            | "Or"
            | "Our"
            | "People"
            | "Please"
            | "She"
            | "Since"
            | "So"
            | "Some"
            | "Still"
            | "That"
            | "The"
            | "Their"
            | "Then"
            | "There"
            | "These"
            | "They"
            | "This"
            | "Those"
            | "Though"
            | "To"
            | "Today"
            | "Was"
            | "We"
            | "Were"
            | "What"
            | "When"
            | "Where"
            | "Which"
            | "While"
            | "Who"
            | "Why"
            | "Will"
            | "With"
            | "Yes"
            | "Yet"
            | "You"
            | "Your"
    )
}
