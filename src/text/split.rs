//! A text to the pieces that are synthesised one after another.

use super::inside::Inside;

/// How a text is measured and where its sentences end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Measured in characters.
    Chinese,
    /// Measured in tokens.
    English,
}

/// A piece longer than [`MIN_LENGTH`] is closed before it would grow past this.
const MAX_LENGTH: usize = 80;
const MIN_LENGTH: usize = 60;
/// A last piece shorter than this joins the one before.
const MERGE_LENGTH: usize = 20;

/// Splits at ends of sentences (and at commas, with `comma_split`), then joins neighbours to
/// pieces of about 60 to 80 tokens or characters.
///
/// A text without a terminator at its end gets one; of several terminators in a row the first
/// stays. A sentence is never cut, however long, and none ends within a number, an abbreviation or a
/// quotation of its length.
pub fn split_paragraph(
    text: &str,
    language: Measure,
    comma_split: bool,
    count_tokens: &dyn Fn(&str) -> usize,
) -> Vec<String> {
    let length = |text: &str| match language {
        Measure::Chinese => text.chars().count(),
        Measure::English => count_tokens(text),
    };
    let mut pieces: Vec<String> = Vec::new();
    let mut current = String::new();
    for sentence in sentences(text, language, comma_split) {
        let joined = format!("{current}{sentence}");
        if length(&joined) > MAX_LENGTH && length(&current) > MIN_LENGTH {
            pieces.push(std::mem::replace(&mut current, sentence));
        } else {
            current = joined;
        }
    }
    match pieces.last_mut() {
        _ if current.is_empty() => {}
        Some(last) if length(&current) < MERGE_LENGTH => last.push_str(&current),
        _ => pieces.push(current),
    }
    pieces
}

/// The sentences with their terminators and the closing quotes that follow these.
fn sentences(text: &str, language: Measure, comma_split: bool) -> Vec<String> {
    let terminates = |c: char| match c {
        '.' | '?' | '!' | ';' => true,
        ':' => language == Measure::English,
        '。' | '？' | '！' | '；' | '：' | '、' => language == Measure::Chinese,
        '，' | ',' => comma_split,
        _ => false,
    };
    let mut text = text.to_string();
    if !text.ends_with(terminates) {
        text.push(if language == Measure::Chinese { '。' } else { '.' });
    }
    let inside = Inside::of(&text);
    let mut sentences: Vec<String> = Vec::new();
    let mut start = 0;
    // Whether the last sentence goes on.
    let mut open = false;
    for (at, c) in text.char_indices().filter(|(_, c)| terminates(*c)) {
        let after = at + c.len_utf8();
        // Empty after another terminator.
        if start < at {
            match sentences.last_mut().filter(|_| open) {
                Some(last) => last.push_str(&text[start..after]),
                None => sentences.push(text[start..after].into()),
            }
        }
        start = after;
        let quote = text[after..].chars().next().filter(|c| matches!(c, '"' | '”'));
        if let (Some(quote), Some(last)) = (quote, sentences.last_mut()) {
            last.push(quote);
            start += quote.len_utf8();
        }
        open = inside.contains(start);
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, language: Measure) -> Vec<String> {
        split_paragraph(text, language, false, &|text| text.chars().count())
    }

    /// Texts that begin with terminators and quotes have no sentence to attach them to.
    #[test]
    fn odd_beginnings_are_no_trouble() {
        assert_eq!(split(".\"Hello.\" he said", Measure::English), ["\"Hello.\" he said."]);
        assert_eq!(split("", Measure::English), [""; 0]);
        assert_eq!(split("...", Measure::English), [""; 0]);
        assert_eq!(split("。”你好", Measure::Chinese), ["”你好。"]);
    }

    #[test]
    fn repeated_terminators_are_said_once() {
        assert_eq!(split("Wait... what?!", Measure::English), ["Wait. what?"]);
    }

    /// Pieces as short as can be, so that each place to cut is used.
    #[test]
    fn numbers_and_quotations_are_not_cut() {
        let text =
            format!("{} \"Yes. I do! {}\" {}.", "a".repeat(61), "b".repeat(30), "c".repeat(61));
        assert_eq!(split(&text, Measure::English).len(), 1);
        let text = format!(
            "{}。他走了：“好。{}。”{}。",
            "一".repeat(61),
            "二".repeat(40),
            "三".repeat(61)
        );
        let pieces = split(&text, Measure::Chinese);
        assert_eq!(pieces.concat(), text);
        assert!(
            pieces.iter().all(|p| p.matches('“').count() == p.matches('”').count()),
            "{pieces:?}"
        );
        let text = format!("{} 10:30 {}", "a".repeat(70), "b".repeat(70));
        assert_eq!(split(&text, Measure::English), [text + "."]);
    }

    #[test]
    fn short_ends_join_the_piece_before() {
        let long = "x".repeat(70);
        assert_eq!(split(&format!("{long}. {long}. y."), Measure::English).len(), 2);
        assert_eq!(split(&format!("{long}. y."), Measure::English).len(), 1);
    }
}
