//! Numbers of versions: `v1.2.3`, `Python 3.11.7`, `2.0.1-beta`.

use super::token::{begins, digits, is_digit, is_letter};
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;
use crate::text::normalize::speech::{Manner, Speech};

/// Most parts of a version, and most digits of a part.
const PARTS: usize = 5;
const DIGITS: usize = 6;

/// The version at `n`: how many characters its numbers and its whole have, and how many parts.
struct Version {
    numbers: usize,
    len: usize,
    parts: usize,
}

impl Version {
    fn read(look: &Look, n: usize) -> Option<Self> {
        let mut numbers = digits(look, n, DIGITS)?;
        let mut parts = 1;
        while parts < PARTS && look.peek(n + numbers) == Some('.') {
            let Some(more) = digits(look, n + numbers + 1, DIGITS) else { break };
            numbers += more + 1;
            parts += 1;
        }
        if look.peek(n + numbers) == Some('.') && is_digit(look.peek(n + numbers + 1)) {
            return None;
        }
        Some(Self { numbers, len: numbers + suffix(look, n + numbers), parts })
    }

    fn say(&self, speech: &mut Speech, look: &Look, n: usize) {
        for (i, part) in look.text(n, self.numbers).split('.').enumerate() {
            if i > 0 {
                speech.either("point", "点");
            }
            speech.number(part);
        }
        let suffix = look.text(n + self.numbers, self.len - self.numbers);
        for part in suffix.split(['-', '+', '.']).filter(|part| !part.is_empty()) {
            speech.name(part, Manner::Words);
        }
    }
}

/// How long what follows the numbers of a version is: `-beta`, `-rc.1`, `rc2`.
fn suffix(look: &Look, n: usize) -> usize {
    let mut len = 0;
    loop {
        let sign = look.peek(n + len);
        let bare = len == 0 && ["rc", "alpha", "beta"].iter().any(|name| look.is(n, name));
        let start = match sign {
            Some('-' | '+') if is_letter(look.peek(n + len + 1)) => 1,
            Some('.') if len > 0 && is_digit(look.peek(n + len + 1)) => 1,
            _ if bare => 0,
            _ => return len,
        };
        len += start + look.count(n + len + start, 20, |c| c.is_ascii_alphanumeric()).max(1);
        if len > 40 {
            return len;
        }
    }
}

fn ends(look: &Look, n: usize) -> bool {
    !look.peek(n).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '%'))
}

/// `v1.2.3`, `V2.0`, `v2`.
pub fn with_letter(look: &Look, context: &Context) -> Option<Reading> {
    let v = look.peek(0)?;
    if !matches!(v, 'v' | 'V') || !is_digit(look.peek(1)) || !begins(look) {
        return None;
    }
    let version = Version::read(look, 1)?;
    if !ends(look, 1 + version.len) || version.parts == 1 && (v == 'V' || version.len > 2) {
        return None;
    }
    let len = 1 + version.len;
    let mut speech = Speech::new(context.language_of(look, len));
    if !behind_word_version(look) && look.peek(len) != Some('版') {
        speech.either("version", "版本");
    }
    version.say(&mut speech, look, 1);
    Reading::say(len, speech.spoken())
}

fn behind_word_version(look: &Look) -> bool {
    let back = |word: &str, skip: usize| {
        word.chars()
            .rev()
            .enumerate()
            .all(|(n, c)| look.back(n + skip).is_some_and(|found| found.eq_ignore_ascii_case(&c)))
    };
    let space = usize::from(look.back(0) == Some(' '));
    back("version", space) || back("版本", space) || back("release", space)
}

/// `3.11.7`, and `3.11` behind the name of a program.
pub fn bare(look: &Look, context: &Context) -> Option<Reading> {
    if !is_digit(look.peek(0)) || !begins(look) || look.back(0) == Some('.') {
        return None;
    }
    let version = Version::read(look, 0)?;
    let text = look.text(0, version.numbers);
    let second = text.split('.').nth(1).unwrap_or_default();
    let is_version = match version.parts {
        1 => return None,
        2 => second.len() == 2 && (behind_program(look) || behind_word_version(look)),
        _ => !is_date(&text) && !is_number(&text),
    };
    if !is_version || !ends(look, version.len) {
        return None;
    }
    let money = look.back(0).is_some_and(|c| matches!(c, '$' | '€' | '£' | '¥' | '￥'));
    if money || look.peek(version.len) == Some('.') && is_digit(look.peek(version.len + 1)) {
        return None;
    }
    let mut speech = Speech::new(context.language_of(look, version.len));
    version.say(&mut speech, look, 0);
    Reading::say(version.len, speech.spoken())
}

/// Whether one of three numbers can be a year and the others a month and a day.
fn is_date(text: &str) -> bool {
    let numbers: Vec<u32> = text.split('.').filter_map(|part| part.parse().ok()).collect();
    let year = |n: u32| (1000..3000).contains(&n);
    match numbers[..] {
        [first, month, day] if year(first) => month <= 12 && day <= 31,
        [day, month, last] if year(last) => day <= 31 && month <= 31,
        _ => false,
    }
}

/// Whether the parts are groups of a great number or of a telephone number: "1.000.000",
/// "555.867.5309".
fn is_number(text: &str) -> bool {
    let digits: Vec<usize> = text.split('.').map(str::len).collect();
    digits == [3, 3, 4] || digits.len() > 2 && digits[1..].iter().all(|count| *count == 3)
}

/// Whether a program whose versions have two numbers is named before the place.
fn behind_program(look: &Look) -> bool {
    let spaces = usize::from(matches!(look.back(0), Some(' ' | '-')));
    let mut name = String::new();
    for n in spaces..spaces + 12 {
        match look.back(n) {
            Some(c) if c.is_ascii_alphabetic() => name.insert(0, c.to_ascii_lowercase()),
            _ => break,
        }
    }
    matches!(
        name.as_str(),
        "python"
            | "node"
            | "js"
            | "java"
            | "go"
            | "golang"
            | "rust"
            | "ubuntu"
            | "debian"
            | "fedora"
            | "linux"
            | "kernel"
            | "ios"
            | "ipados"
            | "macos"
            | "android"
            | "windows"
            | "cuda"
            | "pytorch"
            | "tensorflow"
            | "php"
            | "ruby"
            | "kotlin"
            | "swift"
            | "chrome"
            | "firefox"
            | "docker"
            | "kubernetes"
            | "gcc"
            | "clang"
            | "cmake"
            | "django"
            | "npm"
            | "mysql"
            | "postgres"
            | "postgresql"
            | "redis"
            | "rustc"
            | "pip"
            | "glibc"
            | "llvm"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::normalize::Normalizer;
    use crate::text::normalize::context::Language;

    fn spoken(language: Language, text: &str) -> String {
        let language = Some(language);
        Normalizer { language, ..Normalizer::default() }.normalize(text)
    }

    #[test]
    fn versions_are_no_dates() {
        assert!(is_date("2024.01.05") && is_date("5.1.2024"));
        assert!(!is_date("3.11.7") && !is_date("2024.13.1") && !is_date("10.0.19041"));
        assert_eq!(spoken(Language::English, "v1.2.3"), "version one point two point three");
        assert_eq!(spoken(Language::Chinese, "v1.2.3"), "版本一点二点三");
    }
}
