//! Digits to English words.

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
/// Names of the groups of three digits, least first.
const GROUPS: [&str; 12] = [
    "",
    " thousand",
    " million",
    " billion",
    " trillion",
    " quadrillion",
    " quintillion",
    " sextillion",
    " septillion",
    " octillion",
    " nonillion",
    " decillion",
];

/// Replaces every maximal run of digits by its English words. Signs, points and commas between
/// runs stay as they are: `1.5` becomes `one.five`.
pub fn spell_out_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut digits: Vec<usize> = Vec::new();
    for c in text.chars() {
        match digit(c) {
            Some(d) => digits.push(d),
            None => {
                out += &words(&std::mem::take(&mut digits));
                out.push(c);
            }
        }
    }
    out + &words(&digits)
}

/// ASCII digits and their full-width forms.
pub(super) fn digit(c: char) -> Option<usize> {
    match c {
        '0'..='9' => Some(c as usize - '0' as usize),
        '０'..='９' => Some(c as usize - '０' as usize),
        _ => None,
    }
}

/// British style: "one thousand, two hundred and thirty-four".
fn words(digits: &[usize]) -> String {
    let Some(first) = digits.iter().position(|d| *d != 0) else {
        return if digits.is_empty() { String::new() } else { SMALL[0].into() };
    };
    let digits = &digits[first..];
    if digits.len() > 3 * GROUPS.len() {
        // Nobody has a name for it.
        return digits.iter().map(|d| SMALL[*d]).collect::<Vec<_>>().join(" ");
    }
    let groups: Vec<&[usize]> = digits.rchunks(3).collect();
    let mut out = String::new();
    for (name, group) in GROUPS.iter().zip(groups).rev() {
        let value = group.iter().fold(0, |n, d| n * 10 + d);
        if value == 0 {
            continue;
        }
        if !out.is_empty() {
            out += if name.is_empty() && value < 100 { " and " } else { ", " };
        }
        out += &below_thousand(value);
        out += name;
    }
    out
}

fn below_thousand(value: usize) -> String {
    let (hundreds, rest) = (value / 100, value % 100);
    let tens = match rest {
        0..20 => SMALL[rest].to_string(),
        _ if rest % 10 == 0 => TENS[rest / 10].to_string(),
        _ => format!("{}-{}", TENS[rest / 10], SMALL[rest % 10]),
    };
    match (hundreds, rest) {
        (0, _) => tens,
        (_, 0) => format!("{} hundred", SMALL[hundreds]),
        _ => format!("{} hundred and {tens}", SMALL[hundreds]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where "and" and commas go, and which groups are silent.
    #[test]
    fn numbers_are_named() {
        for (digits, name) in [
            ("0", "zero"),
            ("000", "zero"),
            ("0012", "twelve"),
            ("20", "twenty"),
            ("99", "ninety-nine"),
            ("110", "one hundred and ten"),
            ("1000", "one thousand"),
            ("1001", "one thousand and one"),
            ("1100", "one thousand, one hundred"),
            ("1101", "one thousand, one hundred and one"),
            ("1001000", "one million, one thousand"),
            ("1001001", "one million, one thousand and one"),
            (
                "1234567",
                "one million, two hundred and thirty-four thousand, five hundred and sixty-seven",
            ),
            ("20000000007", "twenty billion and seven"),
            ("1000000000000000000000000000000000", "one decillion"),
            ("１２", "twelve"),
        ] {
            assert_eq!(spell_out_numbers(digits), name, "{digits}");
        }
    }

    #[test]
    fn numbers_without_a_name_are_read_digit_by_digit() {
        let words = spell_out_numbers(&"1".repeat(37));
        assert_eq!(words, ["one"; 37].join(" "));
    }

    #[test]
    fn all_else_stays() {
        assert_eq!(spell_out_numbers("a 1b2,3.4-5²"), "a onebtwo,three.four-five²");
        assert_eq!(spell_out_numbers(""), "");
    }
}
