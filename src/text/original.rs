//! Written text to text as it is spoken.
//!
//! The literal rules of the original front end; its optional grammar-based normalisers are not
//! part of it.

use super::chars::contains_chinese;
use super::numbers::spell_out_numbers;

/// Normalises a text as one string, by the rules of its language. Text with control tokens
/// (`<|…|>`) only loses white space at its ends: who writes those knows what they want spoken.
pub fn original_rules(text: &str) -> String {
    let text = text.trim();
    if has_control_tokens(text) {
        text.to_string()
    } else if contains_chinese(text) {
        chinese_rules(text)
    } else {
        spell_out_numbers(text)
    }
}

pub(super) fn has_control_tokens(text: &str) -> bool {
    text.contains("<|") && text.contains("|>")
}

/// Line breaks, spaces beside Chinese, superscripts, brackets, dashes and trailing commas.
pub fn chinese_rules(text: &str) -> String {
    let text = without_spaces_beside_chinese(&text.replace(['\n', '\r'], ""))
        .replace('²', "平方")
        .replace('³', "立方")
        .replace('.', "。")
        .replace(" - ", "，")
        .replace(['（', '）', '【', '】', '`'], "")
        .replace("——", " ");
    let end = text.trim_end_matches(['，', ',', '、']);
    if end.len() == text.len() { text } else { format!("{end}。") }
}

/// Keeps a space only between two ASCII characters that are not spaces.
fn without_spaces_beside_chinese(text: &str) -> String {
    let keeps = |c: Option<char>| c.is_some_and(|c| c.is_ascii() && c != ' ');
    let mut out = String::with_capacity(text.len());
    let mut previous = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != ' ' || keeps(previous) && keeps(chars.peek().copied()) {
            out.push(c);
        }
        previous = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_decides_about_digits() {
        assert_eq!(original_rules(" 3 apples\n"), "three apples");
        assert_eq!(original_rules(" 3 个苹果 "), "3个苹果");
        assert_eq!(original_rules("100%"), "one hundred%");
    }

    #[test]
    fn control_tokens_switch_rules_off() {
        let text = "说 3 句<|endofprompt|>第 1.5 个";
        assert_eq!(original_rules(&format!("  {text} ")), text);
    }

    #[test]
    fn spaces_at_the_ends_are_no_trouble() {
        assert_eq!(chinese_rules(" 中 a "), "中a");
        assert_eq!(chinese_rules(" "), "");
        assert_eq!(chinese_rules("a\r\nb中、，"), "ab中。");
    }
}
