//! What the text before a place says about how to read it.

use super::look::Look;
use crate::text::chars::is_chinese;

/// A language that text is read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    #[default]
    English,
    Chinese,
}

impl Language {
    /// `en` or `zh`.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "en" => Some(Self::English),
            "zh" => Some(Self::Chinese),
            _ => None,
        }
    }
}

/// How far a number looks for a letter that tells its language.
const NEAR: usize = 32;

/// What was read before, as far as rules may use it: a function of the text alone, not of how it
/// was cut.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The language of the whole text, where the user said so.
    fixed: Option<Language>,
    /// The language of the last letter of this sentence.
    letter: Option<Language>,
    /// Whether this sentence has Chinese so far.
    chinese_sentence: bool,
    /// Whether the text has Chinese so far.
    chinese_text: bool,
    /// English words since the last Chinese letter or sentence end.
    english_words: usize,
    in_word: bool,
    /// Whether that word has one letter so far, which is not counted.
    single: bool,
    /// The last character that was spoken.
    pub spoken: Option<char>,
    /// Whether emoji are spoken by their names.
    pub emoji: bool,
}

impl Context {
    pub fn new(fixed: Option<Language>, emoji: bool) -> Self {
        Self { fixed, emoji, ..Self::default() }
    }

    /// The language in which a number or symbol at the place is read: that of the run of words it
    /// stands in. A single English word in a Chinese sentence is a name, and the number behind it
    /// is read in Chinese.
    pub fn language(&self, look: &Look) -> Language {
        if let Some(language) = self.fixed {
            return language;
        }
        if self.letter == Some(Language::Chinese) {
            return Language::Chinese;
        }
        let named = self.chinese_sentence && self.english_words < 2;
        if named {
            return Language::Chinese;
        }
        match self.next_letter(look) {
            Some(Language::Chinese) => Language::Chinese,
            Some(Language::English) => Language::English,
            None if self.letter.is_none() && self.chinese_text => Language::Chinese,
            None => Language::English,
        }
    }

    /// The language in which a name of `len` characters that begins at the place is read, as an
    /// address or a formula: its own letters say nothing.
    pub fn language_of(&self, look: &Look, len: usize) -> Language {
        if let Some(language) = self.fixed {
            return language;
        }
        if self.letter == Some(Language::Chinese) || self.chinese_sentence && self.english_words < 2
        {
            return Language::Chinese;
        }
        if self.english_words > 1 {
            return Language::English;
        }
        let space = usize::from(look.peek(len) == Some(' '));
        let after = look.peek(len + space);
        let chinese = after.is_some_and(|c| is_chinese(c) || is_chinese_punctuation(c));
        let alone = self.letter.is_none() && after.is_none_or(ends_sentence);
        match chinese || alone && self.chinese_text {
            true => Language::Chinese,
            false => Language::English,
        }
    }

    /// Whether the sentence has Chinese before the place.
    pub fn is_chinese_sentence(&self) -> bool {
        self.fixed.map_or(self.chinese_sentence, |fixed| fixed == Language::Chinese)
    }

    /// Whether the text has Chinese before the place.
    pub fn is_chinese_text(&self) -> bool {
        self.fixed.map_or(self.chinese_text, |fixed| fixed == Language::Chinese)
    }

    fn next_letter(&self, look: &Look) -> Option<Language> {
        // Whether the character before is a digit, or a letter that belongs to one.
        let mut number = true;
        for n in 0..NEAR {
            let c = look.peek(n)?;
            if ends_sentence(c) {
                return None;
            }
            if is_chinese(c) {
                return Some(Language::Chinese);
            }
            // A letter that belongs to the number, as a unit, says nothing.
            number = c.is_ascii_digit() || number && c.is_alphabetic();
            if c.is_alphabetic() && !number {
                return match self.chinese_after_name(look, n) {
                    true => Some(Language::Chinese),
                    false => Some(Language::English),
                };
            }
        }
        None
    }

    /// Whether the word at `n` is a single one before Chinese.
    fn chinese_after_name(&self, look: &Look, n: usize) -> bool {
        if self.letter.is_some() {
            return false;
        }
        let word = look.count(n, NEAR, |c| c.is_alphanumeric() && !is_chinese(c));
        look.peek(n + word).is_some_and(is_chinese)
            || look.peek(n + word) == Some(' ') && look.peek(n + word + 1).is_some_and(is_chinese)
    }

    /// Notes a character that was read.
    pub fn pass(&mut self, c: char) {
        if ends_sentence(c) {
            self.letter = None;
            self.chinese_sentence = false;
            self.english_words = 0;
            self.in_word = false;
        } else if is_chinese(c) {
            self.letter = Some(Language::Chinese);
            self.chinese_sentence = true;
            self.chinese_text = true;
            self.english_words = 0;
            self.in_word = false;
        } else if c.is_alphabetic() {
            self.letter = Some(Language::English);
            // A single letter is a name in Chinese too, as in f(x).
            let word = self.in_word && self.single || !self.in_word && matches!(c, 'I' | 'A');
            self.english_words = self.english_words.saturating_add(usize::from(word));
            self.single = !self.in_word && !word;
            self.in_word = true;
        } else if matches!(c, '、' | '，') {
            self.english_words = 0;
            self.in_word = false;
        } else {
            self.in_word = self.in_word && matches!(c, '\'' | '’' | '-' | '0'..='9');
        }
    }
}

fn is_chinese_punctuation(c: char) -> bool {
    matches!(c, '，' | '。' | '！' | '？' | '：' | '；' | '、' | '（' | '）' | '」' | '》')
}

/// Whether a character surely ends a sentence. A full stop may do otherwise.
fn ends_sentence(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '!' | '?' | '\n' | ';' | '；')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The language of the first digit of the text.
    fn language(text: &str) -> Language {
        let chars: Vec<char> = text.chars().collect();
        let at = chars.iter().position(char::is_ascii_digit).unwrap_or(0);
        let mut context = Context::new(None, false);
        chars[..at].iter().for_each(|c| context.pass(*c));
        context.language(&Look::new(&chars, at, true))
    }

    #[test]
    fn numbers_are_of_the_words_around_them() {
        use Language::{Chinese, English};
        for (text, expected) in [
            ("I have 3 apples", English),
            ("3", English),
            ("我有3个苹果", Chinese),
            ("3个苹果", Chinese),
            ("iPhone 15 发布了", Chinese),
            ("我买了 iPhone 15。", Chinese),
            ("他说 I have 3 apples today", English),
            ("他说 I have 3 个苹果", Chinese),
            ("你好。12。", Chinese),
            ("你好。I am 12 now", English),
            ("5 GB内存", Chinese),
            ("5 GB memory", English),
            ("我的iPhone Pro Max 256GB版", Chinese),
        ] {
            assert_eq!(language(text), expected, "{text}");
        }
    }
}
