//! Sentences longer than a model can speak in one go.

use super::chars::{is_punctuation, stands_alone};
use icu_segmenter::WordSegmenter;
use icu_segmenter::options::WordBreakInvariantOptions;

/// Cuts a piece of more than `max` tokens, after punctuation where there is some in the second
/// half of a part, else before a word or between characters that stand alone, else anywhere.
/// The parts joined are the piece.
pub(super) fn cut_long(
    piece: String,
    max: usize,
    count_tokens: &dyn Fn(&str) -> usize,
) -> Vec<String> {
    if count_tokens(&piece) <= max {
        return vec![piece];
    }
    let mut words = Vec::new();
    for word in words_of(&piece) {
        push_within(word, max, count_tokens, &mut words);
    }
    let mut parts = Vec::new();
    let mut part: Vec<(&str, usize)> = Vec::new();
    let mut tokens = 0;
    for (word, count) in words {
        // Tokens do not cross words, so their numbers add up (between ideographs they may join,
        // to fewer).
        while tokens + count > max && !part.is_empty() {
            let half = part.len() / 2;
            let pause = part[half..].iter().rposition(|(word, _)| word.ends_with(is_punctuation));
            let cut = pause.map_or(part.len(), |i| half + i + 1);
            parts.push(part.drain(..cut).map(|(word, _)| word).collect());
            tokens = part.iter().map(|(_, count)| count).sum();
        }
        part.push((word, count));
        tokens += count;
    }
    parts.push(part.into_iter().map(|(word, _)| word).collect());
    parts
}

/// Words with the space before them, and words of scripts without spaces, as a dictionary knows
/// them, with the punctuation after them.
fn words_of(text: &str) -> Vec<&str> {
    let segmenter = WordSegmenter::new_dictionary(WordBreakInvariantOptions::default());
    let mut ends = segmenter.segment_str(text).peekable();
    let mut words = Vec::new();
    let (mut start, mut previous) = (0, None);
    for (at, c) in text.char_indices() {
        let begins = previous.is_some_and(|p: char| {
            let word = c.is_whitespace() && !p.is_whitespace();
            let character = (stands_alone(c) || stands_alone(p)) && !is_punctuation(c);
            while ends.next_if(|end| *end < at).is_some() {}
            word || character && ends.peek() == Some(&at)
        });
        if begins {
            words.push(&text[start..at]);
            start = at;
        }
        previous = Some(c);
    }
    words.push(&text[start..]);
    words
}

/// Pushes the word with its number of tokens, in halves where it is too long by itself.
fn push_within<'a>(
    word: &'a str,
    max: usize,
    count_tokens: &dyn Fn(&str) -> usize,
    out: &mut Vec<(&'a str, usize)>,
) {
    let count = count_tokens(word);
    let middle = word.char_indices().nth(word.chars().count() / 2).map_or(0, |(at, _)| at);
    if count <= max || middle == 0 {
        out.push((word, count));
    } else {
        push_within(&word[..middle], max, count_tokens, out);
        push_within(&word[middle..], max, count_tokens, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a tokenizer that knows no word.
    fn cut(text: &str, max: usize) -> Vec<String> {
        let parts = cut_long(text.into(), max, &|text| text.chars().count());
        assert_eq!(parts.concat(), text, "nothing may be lost");
        assert!(parts.iter().all(|part| !part.is_empty() && part.chars().count() <= max));
        parts
    }

    #[test]
    fn short_pieces_stay_whole() {
        assert_eq!(cut("as it is", 8), ["as it is"]);
    }

    #[test]
    fn words_stay_whole() {
        assert_eq!(cut("one two three four", 9), ["one two", " three", " four"]);
    }

    #[test]
    fn a_pause_is_better_than_a_full_part() {
        assert_eq!(cut("one two, three four five", 14), ["one two,", " three four", " five"]);
        assert_eq!(cut("红橙黄，绿青蓝紫", 6), ["红橙黄，", "绿青蓝紫"]);
    }

    #[test]
    fn characters_may_be_parted_but_not_from_their_punctuation() {
        assert_eq!(cut("红橙黄绿青，蓝紫", 5), ["红橙黄绿", "青，蓝紫"]);
    }

    /// "Very", "to like" and "music" are not cut in their middle.
    #[test]
    fn chinese_words_stay_whole() {
        assert_eq!(cut("我们都非常喜欢音乐", 4), ["我们都", "非常喜欢", "音乐"]);
    }

    #[test]
    fn text_without_any_place_to_cut_is_cut_anyway() {
        assert_eq!(cut(&"x".repeat(1000), 100).len(), 16);
        cut(&"é".repeat(333), 10);
        assert!(cut(&"字".repeat(1000), 100).len() >= 10);
    }

    /// A character of more tokens than allowed cannot be cut; it must not loop either.
    #[test]
    fn single_characters_are_the_end() {
        assert_eq!(cut_long("字字".into(), 2, &|text| text.len()), ["字", "字"]);
    }
}
