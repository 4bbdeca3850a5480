//! Readings that a user gives.

use super::context::Context;
use super::look::Look;
use super::reading::Reading;
use crate::text::chars::{is_chinese, stands_alone};
use figment::providers::{Format, Toml};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// Most characters of a word and of its reading.
const MAX_WORD: usize = 100;
const MAX_READING: usize = 1000;

/// Words and how they are read, by language. A word in small letters stands for its other forms
/// too (`sql` for `SQL`); one with capitals for itself alone.
#[derive(Debug, Default)]
pub struct Lexicon {
    english: Entries,
    chinese: Entries,
}

/// What is wrong with a lexicon.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum LexiconError {
    #[error("a lexicon may have {MAX_BYTES} bytes at most, this one has {0}", MAX_BYTES = Lexicon::MAX_BYTES)]
    TooLarge(usize),
    #[error("not a lexicon: {0}; it has tables [en] and [zh] with lines like \"SQL\" = \"sequel\"")]
    Malformed(String),
    #[error("the word {0:?} is empty or longer than {MAX_WORD} characters")]
    Word(String),
    #[error("the reading of {0:?} is longer than {MAX_READING} characters")]
    Reading(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    en: BTreeMap<String, String>,
    #[serde(default)]
    zh: BTreeMap<String, String>,
}

impl Lexicon {
    /// Most bytes of a lexicon's file.
    pub const MAX_BYTES: usize = 1 << 20;

    /// Reads a lexicon in TOML: tables `[en]` and `[zh]` of words and their readings.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, LexiconError> {
        if text.len() > Self::MAX_BYTES {
            return Err(LexiconError::TooLarge(text.len()));
        }
        let file: File =
            Toml::from_str(text).map_err(|e| LexiconError::Malformed(e.to_string()))?;
        Ok(Self { english: Entries::of(file.en)?, chinese: Entries::of(file.zh)? })
    }

    /// How many words it has.
    pub fn len(&self) -> usize {
        [&self.english, &self.chinese].iter().flat_map(|e| e.by_first.values()).map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The reading of the longest word that stands at the place.
    pub(super) fn read(&self, look: &Look, context: &Context) -> Option<Reading> {
        let chinese = || self.chinese.read(look);
        if context.is_chinese_sentence() || look.peek(0).is_some_and(is_chinese) {
            chinese().or_else(|| self.english.read(look))
        } else {
            self.english.read(look)
        }
    }
}

#[derive(Debug, Default)]
struct Entries {
    /// By the first character in lower case; long words first.
    by_first: HashMap<char, Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    word: Vec<char>,
    any_case: bool,
    reading: String,
}

impl Entries {
    fn of(words: BTreeMap<String, String>) -> Result<Self, LexiconError> {
        let mut by_first: HashMap<char, Vec<Entry>> = HashMap::new();
        for (word, reading) in words {
            let chars: Vec<char> = word.trim().chars().collect();
            let first = chars.first().filter(|_| chars.len() <= MAX_WORD);
            let Some(first) = first.and_then(|c| c.to_lowercase().next()) else {
                return Err(LexiconError::Word(word));
            };
            if reading.chars().count() > MAX_READING {
                return Err(LexiconError::Reading(word));
            }
            let any_case = !chars.iter().any(|c| c.is_uppercase());
            by_first.entry(first).or_default().push(Entry { word: chars, any_case, reading });
        }
        by_first.values_mut().for_each(|words| {
            // Exact forms before those that stand for others.
            words.sort_by_key(|entry| (std::cmp::Reverse(entry.word.len()), entry.any_case));
        });
        Ok(Self { by_first })
    }

    fn read(&self, look: &Look) -> Option<Reading> {
        if self.by_first.is_empty() {
            return None;
        }
        let first = look.peek(0)?.to_lowercase().next()?;
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && !stands_alone(c));
        let found = self.by_first.get(&first)?.iter().find(|entry| {
            let begins = !word(entry.word.first().copied()) || !word(look.back(0));
            let same = |(n, c): (usize, &char)| {
                look.peek(n).is_some_and(|found| {
                    found == *c || entry.any_case && found.to_lowercase().eq(c.to_lowercase())
                })
            };
            begins
                && entry.word.iter().enumerate().all(same)
                && !(word(entry.word.last().copied()) && word(look.peek(entry.word.len())))
        })?;
        Reading::say(found.word.len(), found.reading.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Normalizer;
    use super::*;
    use std::sync::Arc;

    fn speak(lexicon: &str, text: &str) -> String {
        let lexicon = Arc::new(Lexicon::parse(lexicon).expect("a lexicon"));
        Normalizer { lexicon, ..Normalizer::default() }.normalize(text)
    }

    const WORDS: &str = r#"
        [en]
        "Mynah" = "my-nah"
        "sql" = "sequel"
        "sql server" = "sequel server"
        [zh]
        "重庆" = "虫庆"
        "SQL" = "赛扣"
    "#;

    #[test]
    fn words_are_read_as_the_user_says() {
        assert_eq!(speak(WORDS, "Mynah, mynah"), "my-nah, mynah");
        assert_eq!(speak(WORDS, "SQL Server or Sql? sqlite"), "sequel server or sequel? sqlite");
        assert_eq!(speak(WORDS, "重庆的SQL很好"), "虫庆的赛扣很好");
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let error = |text: &str| Lexicon::parse(text).err().map(|e| e.to_string());
        assert!(error("[fr]\na = 'b'").is_some_and(|e| e.contains("fr")));
        assert!(error("[en]\n'' = 'b'").is_some_and(|e| e.contains("empty")));
        assert!(error(&format!("[en]\na = '{}'", "b".repeat(1001))).is_some());
        assert!(error(&" ".repeat(Lexicon::MAX_BYTES + 1)).is_some_and(|e| e.contains("bytes")));
        assert_eq!(error(""), None);
    }
}
