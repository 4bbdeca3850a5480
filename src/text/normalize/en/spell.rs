//! Numbers as English words.

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
/// Names of the groups of three digits, greatest first.
const GROUPS: [(u64, &str); 6] = [
    (1_000_000_000_000_000, " quadrillion"),
    (1_000_000_000_000, " trillion"),
    (1_000_000_000, " billion"),
    (1_000_000, " million"),
    (1_000, " thousand"),
    (1, ""),
];

/// The greatest number that is named; greater ones are read digit by digit.
const GREATEST: u64 = 1_000_000_000_000_000;

/// A number below a hundred.
fn below_hundred(value: u64) -> String {
    let (tens, ones) = ((value / 10 % 10) as usize, (value % 10) as usize);
    match value {
        0..20 => SMALL[value as usize % 20].to_string(),
        _ if ones == 0 => TENS[tens].to_string(),
        _ => format!("{}-{}", TENS[tens], SMALL[ones]),
    }
}

fn below_thousand(value: u64) -> String {
    let (hundreds, rest) = (value / 100, value % 100);
    match (hundreds, rest) {
        (0, _) => below_hundred(rest),
        (_, 0) => format!("{} hundred", below_hundred(hundreds)),
        _ => format!("{} hundred and {}", below_hundred(hundreds), below_hundred(rest)),
    }
}

/// "one thousand two hundred and three".
pub fn cardinal(value: u64) -> String {
    let mut out = String::new();
    for (size, name) in GROUPS {
        let group = value / size % if size == GREATEST { u64::MAX } else { 1000 };
        if group == 0 {
            continue;
        }
        if !out.is_empty() {
            out += if size == 1 && group < 100 { " and " } else { " " };
        }
        out += &below_thousand(group);
        out += name;
    }
    if out.is_empty() { SMALL[0].into() } else { out }
}

/// "twenty-third".
pub fn ordinal(value: u64) -> String {
    let name = cardinal(value);
    let last = name.rfind([' ', '-']).map_or(0, |i| i + 1);
    let (head, last) = name.split_at(last);
    format!("{head}{}", last_ordinal(last))
}

fn last_ordinal(word: &str) -> String {
    match word {
        "one" => "first".into(),
        "two" => "second".into(),
        "three" => "third".into(),
        "five" => "fifth".into(),
        "eight" => "eighth".into(),
        "nine" => "ninth".into(),
        "twelve" => "twelfth".into(),
        _ => match word.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{word}th"),
        },
    }
}

/// Digits of an integer: as a cardinal where it has a name, else digit by digit.
pub fn integer(digits: &str) -> String {
    let value = digits.parse::<u64>().ok().filter(|value| *value <= GREATEST);
    match value {
        Some(value) if digits.len() == 1 || !digits.starts_with('0') => cardinal(value),
        _ => by_digit(digits),
    }
}

/// "three zero five"; other characters are left out.
pub fn by_digit(digits: &str) -> String {
    let names: Vec<&str> =
        digits.chars().filter_map(|c| c.to_digit(10)).map(|d| SMALL[d as usize]).collect();
    names.join(" ")
}

/// A year: "nineteen eighty-four", "nineteen oh five", "two thousand and five", "twenty ten".
pub fn year(value: u64) -> String {
    let (century, rest) = (value / 100, value % 100);
    match (century, rest) {
        (0..10, _) | (100.., _) => cardinal(value),
        (_, 0) if century % 10 == 0 => cardinal(value),
        (20, 1..10) => cardinal(value),
        (_, 0) => format!("{} hundred", below_hundred(century)),
        (_, 1..10) => format!("{} oh {}", below_hundred(century), below_hundred(rest)),
        _ => format!("{} {}", below_hundred(century), below_hundred(rest)),
    }
}

/// Three or four digits in pairs, as model numbers and lines of a screen are read: "ten eighty".
pub fn pairs(value: u64) -> String {
    match value {
        0..1000 if value < 100 || value % 100 == 0 => cardinal(value),
        _ if value % 1000 == 0 => cardinal(value),
        _ if value % 100 == 0 => format!("{} hundred", cardinal(value / 100)),
        _ if value % 100 < 10 => format!("{} oh {}", cardinal(value / 100), cardinal(value % 100)),
        _ => format!("{} {}", cardinal(value / 100), below_hundred(value % 100)),
    }
}

/// The plural of a number word: "nineteen eighties", "twenties", "two thousands".
pub fn plural(name: &str) -> String {
    match name.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if name.ends_with('x') => format!("{name}es"),
        None => format!("{name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cardinals() {
        for (value, name) in [
            (0, "zero"),
            (19, "nineteen"),
            (123, "one hundred and twenty-three"),
            (1_001, "one thousand and one"),
            (1_200_005, "one million two hundred thousand and five"),
            (20_000_000_007, "twenty billion and seven"),
            (GREATEST, "one quadrillion"),
        ] {
            assert_eq!(cardinal(value), name);
        }
        assert_eq!(integer("007"), "zero zero seven");
        assert_eq!(integer("1000000000000001"), by_digit("1000000000000001"));
        assert_eq!(integer("99999999999999999999"), by_digit(&"9".repeat(20)));
    }

    #[test]
    fn ordinals() {
        for (value, name) in [
            (1, "first"),
            (12, "twelfth"),
            (20, "twentieth"),
            (43, "forty-third"),
            (100, "one hundredth"),
            (1005, "one thousand and fifth"),
        ] {
            assert_eq!(ordinal(value), name);
        }
    }

    #[test]
    fn years() {
        for (value, name) in [
            (476, "four hundred and seventy-six"),
            (1000, "one thousand"),
            (1066, "ten sixty-six"),
            (1900, "nineteen hundred"),
            (1905, "nineteen oh five"),
            (2000, "two thousand"),
            (2005, "two thousand and five"),
            (2010, "twenty ten"),
            (2100, "twenty-one hundred"),
        ] {
            assert_eq!(year(value), name);
        }
        assert_eq!(pairs(1080), "ten eighty");
        assert_eq!(pairs(4000), "four thousand");
        assert_eq!(pairs(305), "three oh five");
    }
}
