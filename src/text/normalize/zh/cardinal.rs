//! Numerals in ideographs.

/// Largest number of digits that is read as a cardinal: 10^15 has sixteen.
pub const MAX_DIGITS: usize = 16;

const DIGITS: [&str; 10] = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"];

/// The ideograph of a decimal digit; empty for what is none.
fn ideograph(digit: char) -> &'static str {
    digit.to_digit(10).and_then(|d| DIGITS.get(d as usize)).copied().unwrap_or_default()
}

/// Digit by digit, as years and decimals are read: 2024 is 二零二四.
pub fn digits(text: &str) -> String {
    text.chars().map(ideograph).collect()
}

/// Digit by digit with 幺 for one, as telephone numbers and codes are read.
pub fn code(text: &str) -> String {
    text.chars().map(|c| if c == '1' { "幺" } else { ideograph(c) }).collect()
}

/// A cardinal. The first digit of hundreds and of more is 两 where it is two; ten at the beginning
/// is 十, elsewhere 一十.
pub fn cardinal(value: u64) -> String {
    let mut out = String::new();
    if value == 0 {
        return DIGITS[0].into();
    }
    // Ten thousands of 亿 are 万亿, so what stands before 亿 is a number of its own.
    let (hundred_millions, rest) = (value / 100_000_000, value % 100_000_000);
    if hundred_millions > 0 {
        if hundred_millions == 2 {
            out.push('两');
        } else {
            below_hundred_million(&mut out, hundred_millions % 100_000_000, true);
        }
        out.push('亿');
        if rest > 0 && rest < 10_000_000 {
            out.push('零');
        }
    }
    below_hundred_million(&mut out, rest, hundred_millions == 0);
    out
}

fn below_hundred_million(out: &mut String, value: u64, first: bool) {
    let (high, low) = (value / 10_000, value % 10_000);
    if high > 0 {
        if high == 2 && first {
            out.push('两');
        } else {
            below_ten_thousand(out, high, first);
        }
        out.push('万');
        if low > 0 && low < 1000 {
            out.push('零');
        }
    }
    below_ten_thousand(out, low, first && high == 0);
}

fn below_ten_thousand(out: &mut String, value: u64, first: bool) {
    let mut rest = value;
    let mut begun = false;
    let mut gap = false;
    for (scale, name) in [(1000, "千"), (100, "百"), (10, "十"), (1, "")] {
        let digit = (rest / scale) as usize;
        rest %= scale;
        if digit == 0 {
            gap = begun;
            continue;
        }
        if gap {
            out.push('零');
        }
        match (digit, scale) {
            (1, 10) if first && !begun => {}
            (2, 100 | 1000) if first && !begun => out.push('两'),
            _ => out.push_str(DIGITS[digit]),
        }
        out.push_str(name);
        (begun, gap) = (true, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cardinals_are_spoken_as_people_do() {
        for (value, spoken) in [
            (0, "零"),
            (2, "二"),
            (10, "十"),
            (12, "十二"),
            (20, "二十"),
            (105, "一百零五"),
            (110, "一百一十"),
            (200, "两百"),
            (222, "两百二十二"),
            (1010, "一千零一十"),
            (2002, "两千零二"),
            (10_000, "一万"),
            (22_000, "两万二千"),
            (100_010, "十万零一十"),
            (120_000, "十二万"),
            (1_002_000, "一百万二千"),
            (10_203_040, "一千零二十万三千零四十"),
            (100_000_000, "一亿"),
            (200_020_000, "两亿零二万"),
            (1_000_000_001, "十亿零一"),
            (1_000_000_000_000, "一万亿"),
            (1_234_567_890_123, "一万二千三百四十五亿六千七百八十九万零一百二十三"),
            (1_000_000_000_000_000, "一千万亿"),
        ] {
            assert_eq!(cardinal(value), spoken, "{value}");
        }
    }

    #[test]
    fn codes_say_yao() {
        assert_eq!(code("110"), "幺幺零");
        assert_eq!(digits("2011"), "二零一一");
    }
}
