//! Full-width forms of ASCII.

/// The ASCII twin of a full-width letter, digit or sign. Punctuation of Chinese text stays as it
/// is.
pub fn narrow(c: char) -> char {
    match c {
        '０'..='９'
        | 'Ａ'..='Ｚ'
        | 'ａ'..='ｚ'
        | '＃'..='＇'
        | '＊'
        | '＋'
        | '－'..='／'
        | '＜'..='＞'
        | '＠'
        | '＼'
        | '＾'..='｀'
        | '｜' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
        '\u{3000}' => ' ',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_and_signs_have_a_twin() {
        let narrow = |text: &str| text.chars().map(narrow).collect::<String>();
        assert_eq!(narrow("Ａｂ９％／＠＃＿｜－．"), "Ab9%/@#_|-.");
        assert_eq!(narrow("，。！？：；（）～「」"), "，。！？：；（）～「」");
    }
}
