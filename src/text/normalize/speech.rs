//! Putting words together in either language: names, codes and addresses are read part by part.

use super::context::Language;
use super::en::spell;
use super::zh::cardinal;
use crate::text::chars::{is_chinese, stands_alone};

/// Words that are spoken one after the other.
#[derive(Debug)]
pub struct Speech {
    language: Language,
    spoken: String,
}

/// How a name is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// By the sign, as it must be typed: every sign by its name, digits one by one.
    Exact,
    /// As a name of words, parted at capitals and signs; signs are not spoken.
    Words,
}

impl Speech {
    pub fn new(language: Language) -> Self {
        Self { language, spoken: String::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.spoken.is_empty()
    }

    pub fn spoken(self) -> String {
        self.spoken
    }

    /// Adds a word, apart from the one before where they would grow together.
    pub fn say(&mut self, word: &str) {
        let letter = |c: char| c.is_alphanumeric() && !stands_alone(c);
        let last = self.spoken.chars().next_back();
        let apart = match (last, word.chars().next()) {
            (Some(last), Some(first)) => match self.language {
                Language::English => last != ' ' && first != ',',
                Language::Chinese => letter(last) && letter(first),
            },
            _ => false,
        };
        if apart {
            self.spoken.push(' ');
        }
        self.spoken += word;
    }

    /// Adds the word of the language.
    pub fn either(&mut self, english: &str, chinese: &str) {
        match self.language {
            Language::English => self.say(english),
            Language::Chinese => self.say(chinese),
        }
    }

    /// Adds digits one by one.
    pub fn digits(&mut self, digits: &str) {
        match self.language {
            Language::English => self.say(&spell::by_digit(digits)),
            Language::Chinese => self.say(&cardinal::digits(digits)),
        }
    }

    /// Adds a whole number; digit by digit where it has no name.
    pub fn cardinal(&mut self, digits: &str) {
        match digits.parse::<u64>() {
            Ok(value) if digits.len() <= 15 && (digits.len() == 1 || !digits.starts_with('0')) => {
                match self.language {
                    Language::English => self.say(&spell::cardinal(value)),
                    Language::Chinese => self.say(&cardinal::cardinal(value)),
                }
            }
            _ => self.digits(digits),
        }
    }

    /// Adds a number that may have a point.
    pub fn decimal(&mut self, number: &str) {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        self.cardinal(whole);
        if !fraction.is_empty() {
            self.either("point", "点");
            self.digits(fraction);
        }
    }

    /// Adds a number in a name: small ones and years as such, others digit by digit.
    pub fn number(&mut self, digits: &str) {
        let value = digits.parse::<u64>().unwrap_or(u64::MAX);
        match digits.len() {
            4 if (1900..2100).contains(&value) && self.language == Language::English => {
                self.say(&spell::year(value));
            }
            1 | 2 => self.cardinal(digits),
            3 if value % 100 == 0 && value > 0 => self.cardinal(digits),
            _ => self.digits(digits),
        }
    }

    /// Adds letters one by one.
    pub fn letters(&mut self, letters: &str) {
        let mut buffer = [0; 4];
        letters.chars().for_each(|c| self.say(c.to_ascii_uppercase().encode_utf8(&mut buffer)));
    }

    /// Adds letters, as a word where they can be spoken as one.
    pub fn word(&mut self, word: &str) {
        match spelled(word) {
            true => self.letters(word),
            false => self.say(spoken_short_form(word)),
        }
    }

    /// Adds characters of a code: letters and digits one by one, signs by name.
    pub fn code(&mut self, code: &str) {
        for c in code.chars() {
            let mut buffer = [0; 4];
            let text: &str = c.encode_utf8(&mut buffer);
            match c {
                '0'..='9' => self.digits(text),
                _ if c.is_ascii_alphabetic() => self.letters(text),
                _ => self.sign(c),
            }
        }
    }

    /// Adds the name of a sign; nothing for one that has none.
    pub fn sign(&mut self, c: char) {
        let (english, chinese) = sign(c);
        self.either(english, chinese);
    }

    /// Adds a name of letters, digits and signs.
    pub fn name(&mut self, name: &str, manner: Manner) {
        let chars: Vec<char> = name.chars().collect();
        let mut at = 0;
        while let Some(c) = chars.get(at).copied() {
            let rest = &chars[at..];
            let len = match c {
                _ if c.is_ascii_digit() => run(rest, |c| c.is_ascii_digit()),
                _ if is_chinese(c) => run(rest, is_chinese),
                _ if c.is_alphabetic() && manner == Manner::Words => part(rest),
                _ if c.is_alphabetic() => run(rest, |c| c.is_alphabetic() && !is_chinese(c)),
                _ => 1,
            };
            let text: String = rest[..len].iter().collect();
            match (c, manner) {
                (_, Manner::Exact) if c.is_ascii_digit() => match len {
                    1 | 2 => self.number(&text),
                    _ => self.digits(&text),
                },
                _ if c.is_ascii_digit() => self.number(&text),
                _ if is_chinese(c) => self.say(&text),
                _ if c.is_alphabetic() => self.word(&text),
                (_, Manner::Exact) | ('.', _) => self.sign(c),
                _ => {}
            }
            at += len;
        }
    }
}

fn run(chars: &[char], is: impl Fn(char) -> bool) -> usize {
    chars.iter().take_while(|c| is(**c)).count().max(1)
}

/// How many characters the first part of a name has that is parted at capitals: "get" of
/// "getName", "HTML" of "HTMLPage", "Name" of "NameList".
fn part(chars: &[char]) -> usize {
    let letters = run(chars, |c| c.is_alphabetic() && !is_chinese(c));
    let capitals = run(&chars[..letters], char::is_uppercase).min(letters);
    if !chars[0].is_uppercase() {
        return run(&chars[..letters], |c| !c.is_uppercase());
    }
    let small = chars[capitals..letters].iter().take_while(|c| !c.is_uppercase()).count();
    match capitals {
        _ if small == 0 => capitals,
        1 => 1 + small,
        // A plural: "URLs".
        _ if small == 1 && chars[capitals] == 's' => capitals + 1,
        _ => capitals - 1,
    }
}

/// Whether a part of a name is spoken letter by letter: it has no vowel, or is known for it.
fn spelled(word: &str) -> bool {
    if word.len() < 2 || !word.is_ascii() {
        return word.len() == 1;
    }
    if word.len() > 6 {
        return !word.bytes().any(is_vowel);
    }
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "src" | "tmp" | "msg" | "btn" | "img" | "cfg" | "pkg" | "cmd" | "vec" | "str" => false,
        "ai" | "api" | "apk" | "app" if lower == "app" => false,
        "ai" | "api" | "apk" | "avi" | "cpu" | "db" | "eu" | "exe" | "gpu" | "id" | "io"
        | "ios" | "ip" | "iso" | "jpg" | "os" | "py" | "qa" | "ui" | "uk" | "uri" | "url"
        | "us" | "usa" | "usb" | "utf" | "uuid" | "ux" | "vue2" => true,
        _ => !lower.bytes().any(is_vowel),
    }
}

fn is_vowel(c: u8) -> bool {
    matches!(c.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y')
}

/// What short forms stand for that have no vowel and are still words.
fn spoken_short_form(word: &str) -> &str {
    match word {
        "src" => "source",
        "tmp" => "temp",
        "msg" => "message",
        "btn" => "button",
        "img" => "image",
        "cfg" => "config",
        "pkg" => "package",
        "cmd" => "command",
        "str" => "string",
        "usr" => "user",
        "vec" => "vec",
        _ => word,
    }
}

/// The names of a sign, in English and in Chinese.
pub fn sign(c: char) -> (&'static str, &'static str) {
    match c {
        '.' => ("dot", "点"),
        '/' => ("slash", "斜杠"),
        '\\' => ("backslash", "反斜杠"),
        ':' => ("colon", "冒号"),
        ';' => ("semicolon", "分号"),
        ',' => ("comma", "逗号"),
        '?' => ("question mark", "问号"),
        '!' => ("exclamation mark", "感叹号"),
        '@' => ("at", "艾特"),
        '#' => ("hash", "井号"),
        '&' => ("and", "和"),
        '=' => ("equals", "等于"),
        '+' => ("plus", "加"),
        '-' => ("dash", "杠"),
        '_' => ("underscore", "下划线"),
        '~' => ("tilde", "波浪号"),
        '%' => ("percent", "百分号"),
        '*' => ("star", "星号"),
        '$' => ("dollar", "美元符"),
        '^' => ("caret", "脱字符"),
        '|' => ("bar", "竖线"),
        _ => ("", ""),
    }
}
