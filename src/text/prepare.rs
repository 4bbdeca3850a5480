//! The way of a whole text.

use super::chars::{contains_chinese, is_only_punctuation};
use super::long::cut_long;
use super::original::{has_control_tokens, original_rules};
use super::split::{Measure, split_paragraph};

/// Most tokens of a piece: half a minute of speech, the length models are trained on.
const MAX_TOKENS: usize = 100;

/// Normalises a text and splits it into the pieces to synthesise one after another.
///
/// Empty when there is nothing to speak (white space, punctuation). `count_tokens` gives the
/// number of a text's tokens in the model's vocabulary.
pub fn prepare(text: &str, count_tokens: impl Fn(&str) -> usize) -> Vec<String> {
    let text = original_rules(text);
    if text.is_empty() {
        return vec![];
    }
    let pieces = if has_control_tokens(&text) {
        vec![text]
    } else {
        let chinese = contains_chinese(&text);
        let language = if chinese { Measure::Chinese } else { Measure::English };
        split_paragraph(&text, language, false, &count_tokens)
    };
    pieces
        .into_iter()
        .filter(|piece| !is_only_punctuation(piece.trim()))
        .flat_map(|piece| cut_long(piece, MAX_TOKENS, &count_tokens))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// About what a byte-pair encoding makes of English and Chinese: a token for each character
    /// but for consonants.
    fn tokens(text: &str) -> usize {
        text.chars().filter(|c| !c.is_ascii_alphabetic() || "aeioux".contains(*c)).count()
    }

    fn letters(text: &str) -> String {
        text.chars().filter(|c| c.is_alphanumeric()).collect()
    }

    #[test]
    fn nothing_to_speak_is_no_piece() {
        for text in ["", "  \n", "...", "？！", " - ", "🎉"] {
            assert_eq!(prepare(text, tokens), [""; 0], "{text:?}");
        }
    }

    /// The longest text a request may bring, without any punctuation.
    #[test]
    fn long_texts_become_pieces_that_can_be_spoken() {
        let words = "never stop talking about everything ".repeat(28);
        let chinese = "没有标点的一个很长的句子".repeat(83);
        let kana = "あいうえお".repeat(200);
        for text in [&words, &chinese, &kana, &"x".repeat(1000)] {
            let pieces = prepare(text, tokens);
            assert!(pieces.len() > 1);
            for piece in &pieces {
                assert!(tokens(piece) <= MAX_TOKENS, "{}: {piece}", tokens(piece));
            }
            assert_eq!(letters(&pieces.concat()), letters(text), "nothing may be lost");
        }
    }

    /// Words, numbers, marks and quotes in any order, of one language and of both.
    #[test]
    fn every_word_is_spoken_once_and_in_order() {
        const WORDS: [&str; 16] = [
            "hello",
            "Dr.",
            "e.g.",
            "never",
            "x",
            "don't",
            "wonderful",
            "J.",
            "天气",
            "很好",
            "我们",
            "音乐",
            "一",
            "预报",
            "北京",
            "don",
        ];
        const MARKS: [&str; 14] =
            [" ", " ", " ", ". ", "! ", "\" ", " \"", ", ", "。", "，", "“", "”", " (", ") "];
        let mut state: u64 = 7;
        let mut draw = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % n
        };
        for round in 0..300 {
            let words = if round % 3 == 0 { 8 } else { WORDS.len() };
            let text: String = (0..5 + draw(150))
                .flat_map(|_| [WORDS[draw(words)], MARKS[draw(MARKS.len())]])
                .collect();
            let pieces = prepare(&text, tokens);
            assert_eq!(letters(&pieces.concat()), letters(&text), "{text:?}");
            assert!(pieces.iter().all(|piece| tokens(piece) <= MAX_TOKENS), "{text:?}");
        }
    }

    #[test]
    fn sentences_of_both_languages_are_kept() {
        assert_eq!(prepare("Hello there. I am 5", tokens), ["Hello there. I am five."]);
        assert_eq!(prepare("你好。 我 5 岁，", tokens), ["你好。我5岁。"]);
        assert_eq!(prepare("说吧<|endofprompt|>1. 2", tokens), ["说吧<|endofprompt|>1. 2"]);
    }
}
