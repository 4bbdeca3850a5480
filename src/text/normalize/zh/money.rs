//! Sums of money with signs and codes.

use super::near::{any_at, letter_at, range_sign, skip_space};
use super::number::{Number, digit_at};
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Signs before a sum, long ones first.
const SIGNS: [(&str, &str); 19] = [
    ("US$", "美元"),
    ("HK$", "港元"),
    ("NT$", "新台币"),
    ("AU$", "澳元"),
    ("CA$", "加元"),
    ("A$", "澳元"),
    ("C$", "加元"),
    ("S$", "新加坡元"),
    ("RM", "林吉特"),
    ("$", "美元"),
    ("¥", "元"),
    ("￥", "元"),
    ("€", "欧元"),
    ("£", "英镑"),
    ("₩", "韩元"),
    ("₽", "卢布"),
    ("₹", "卢比"),
    ("฿", "泰铢"),
    ("₫", "越南盾"),
];

/// The name of a currency by its code in ISO 4217.
fn by_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "CNY" | "RMB" => "元",
        "USD" => "美元",
        "EUR" => "欧元",
        "GBP" => "英镑",
        "JPY" => "日元",
        "HKD" => "港元",
        "MOP" => "澳门元",
        "TWD" => "新台币",
        "KRW" => "韩元",
        "AUD" => "澳元",
        "CAD" => "加元",
        "SGD" => "新加坡元",
        "CHF" => "瑞士法郎",
        "NZD" => "新西兰元",
        "INR" => "卢比",
        "RUB" => "卢布",
        "THB" => "泰铢",
        "BTC" => "比特币",
        _ => return None,
    })
}

/// A sum behind its sign: $5, ¥12.5, HK$30.
pub fn signed(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    let (sign, name) = match first {
        'A'..='Z' => SIGNS.iter().filter(|s| s.0.starts_with(first)).find(|s| look.is(0, s.0))?,
        _ if first.is_ascii_alphanumeric() => return None,
        _ => SIGNS.iter().find(|s| s.0.starts_with(first))?,
    };
    let len = sign.chars().count();
    in_chinese(look, context, len)?;
    sum(look, len, name, Some(sign))
}

/// A sum behind its currency's code: USD 30.
pub fn coded(look: &Look, context: &Context) -> Option<Reading> {
    if !look.peek(0)?.is_ascii_uppercase() || look.back(0).is_some_and(|c| c.is_ascii_alphabetic())
    {
        return None;
    }
    let name = by_code(&upper(look, 0)?)?;
    in_chinese(look, context, 3)?;
    sum(look, 3, name, None)
}

/// Three capitals at `n` and no letter behind them.
fn upper(look: &Look, n: usize) -> Option<String> {
    let three = look.count(n, 4, |c| c.is_ascii_uppercase()) == 3 && !letter_at(look, n + 3);
    three.then(|| look.text(n, 3))
}

/// Whether the number behind a sign or code is read in Chinese.
fn in_chinese(look: &Look, context: &Context, n: usize) -> Option<()> {
    let at = skip_space(look, n);
    if !digit_at(look, at) {
        return None;
    }
    let ahead = look.ahead(at);
    let language = context.language(&ahead);
    look.absorb(&ahead);
    (language == Language::Chinese).then_some(())
}

/// The sum whose number is at `n`.
fn sum(look: &Look, n: usize, name: &str, sign: Option<&str>) -> Option<Reading> {
    let at = skip_space(look, n);
    let number = Number::read(look, at)?.without_zero_cents();
    let mut end = at + number.len;
    // $5-10 and $5-$10.
    let range = range_sign(look, end).map(|(len, to)| (end + len, to)).or_else(|| {
        let again = sign?;
        let dash = matches!(look.peek(end)?, '-' | '~' | '～' | '–' | '—' | '至' | '到');
        let behind = end + 1 + again.chars().count();
        let to = if look.peek(end) == Some('至') { "至" } else { "到" };
        (dash && look.is(end + 1, again) && digit_at(look, behind)).then_some((behind, to))
    });
    let mut low = None;
    let mut high = number;
    if let Some((second, to)) = range {
        let next = Number::read(look, second)?;
        end = second + next.len;
        low = Some((std::mem::replace(&mut high, next), to));
    }
    let (scale, spoken) = scaled(look, end, &high);
    end += scale;
    let low = low.map_or_else(String::new, |(low, to)| {
        let suffix = look.peek(end - scale).filter(char::is_ascii_alphabetic).filter(|_| scale > 0);
        let spoken = suffix.map_or_else(|| low.counted(), |_| scaled(look, end - scale, &low).1);
        format!("{spoken}{to}")
    });
    // The name may be written once more.
    let again = |names: &[&str]| any_at(look, skip_space(look, end), names);
    let name = match name.strip_suffix('元') {
        _ if again(&[name, "美金", "人民币"]) => "",
        Some(rest) if again(&["元", "块"]) => rest,
        _ => name,
    };
    Reading::say(end, format!("{low}{spoken}{name}"))
}

/// A number with the scale behind it at `n`: the scale's length and the number as it is spoken.
fn scaled(look: &Look, n: usize, number: &Number) -> (usize, String) {
    let ideographs =
        look.count(n, 2, |c| matches!(c, '万' | '萬' | '亿' | '億' | '千' | '百' | '兆'));
    if ideographs > 0 {
        return (ideographs, format!("{}{}", number.counted(), look.text(n, ideographs)));
    }
    let scales = [
        (" thousand", 3),
        (" million", 6),
        (" billion", 9),
        (" trillion", 12),
        ("k", 3),
        ("M", 6),
        ("B", 9),
        ("bn", 9),
        ("T", 12),
    ];
    scales
        .into_iter()
        .find(|(written, _)| {
            let small = written.len() > 1 || *written == "k";
            let is = if small { look.is_in_any_case(n, written) } else { look.is(n, written) };
            is && !letter_at(look, n + written.len())
        })
        .and_then(|(written, power)| Some((written.len(), number.scaled(power)?)))
        .unwrap_or_else(|| (0, number.counted()))
}

/// A sum before its currency's code or sign: 30 USD, 5€.
pub fn suffixed(look: &Look, _: &Context) -> Option<Reading> {
    let number = Number::read(look, 0)?;
    let scale = look.count(number.len, 2, |c| matches!(c, '万' | '亿'));
    let end = number.len + scale;
    let at = skip_space(look, end);
    let (len, name) = match look.peek(at)? {
        '€' => (1, "欧元"),
        '£' => (1, "英镑"),
        '¥' | '￥' => (1, "元"),
        '$' if !digit_at(look, at + 1) => (1, "美元"),
        c if c.is_ascii_uppercase() => (3, by_code(&upper(look, at)?)?),
        _ => return None,
    };
    let scale = look.text(number.len, scale);
    Reading::say(at + len, format!("{}{scale}{name}", number.counted()))
}
