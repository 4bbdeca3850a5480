//! Mandarin.

pub mod cardinal;
mod code;
mod date;
mod measure;
mod money;
mod near;
mod number;
mod ordinal;
mod phone;
mod plain;
mod punctuation;
mod quantity;
mod range;
mod ratio;
mod sign;
mod stroke;
mod tail;
mod time;
mod units;

use super::context::Context;
use super::look::Look;
use super::reading::{Read, Reading, Rule};

/// For places that begin with an ideograph, a digit or a sign.
pub const RULES: &[Rule] = &[
    Rule { name: "ordinal", read: ordinal::ordinal },
    Rule { name: "list", read: ordinal::list_mark },
    Rule { name: "circled number", read: ordinal::circled },
    Rule { name: "telephone", read: phone::with_prefix },
    Rule { name: "code", read: |look, context| digit(code::rest_of_digits, look, context) },
    Rule { name: "code", read: |look, context| digit(code::entitled, look, context) },
    Rule { name: "code", read: |look, context| digit(code::shop, look, context) },
    Rule { name: "code", read: |look, context| digit(code::named, look, context) },
    Rule { name: "date", read: |look, context| digit(date::date, look, context) },
    Rule { name: "time", read: |look, context| digit(time::time, look, context) },
    Rule { name: "code", read: |look, context| digit(code::behind_letter, look, context) },
    Rule { name: "time", read: |look, context| digit(time::hour_of_half_day, look, context) },
    Rule { name: "ratio", read: |look, context| digit(ratio::ratio, look, context) },
    Rule { name: "telephone", read: |look, context| digit(phone::phone, look, context) },
    Rule { name: "code", read: |look, context| digit(code::hyphened, look, context) },
    Rule { name: "code", read: |look, context| digit(code::named_day, look, context) },
    Rule { name: "code", read: |look, context| digit(code::numbered, look, context) },
    Rule { name: "fraction", read: |look, context| digit(ratio::fraction, look, context) },
    Rule { name: "money", read: |look, context| digit(money::suffixed, look, context) },
    Rule { name: "number", read: |look, context| digit(quantity::quantity, look, context) },
    Rule { name: "money", read: money::signed },
    Rule { name: "sign", read: sign::dash },
    Rule { name: "sign", read: sign::plus },
    Rule { name: "sign", read: sign::word_sign },
    Rule { name: "punctuation", read: punctuation::half_width },
    Rule { name: "punctuation", read: punctuation::marks },
];

/// For places that begin with a letter. Each decides itself whether the place is Chinese.
pub const WORDS: &[Rule] = &[
    Rule { name: "money", read: money::signed },
    Rule { name: "money", read: money::coded },
    Rule { name: "time", read: time::half_before_hour },
    Rule { name: "Roman numeral", read: ordinal::roman_word },
];

/// A rule for places that begin with a digit.
fn digit(read: Read, look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(0)?.is_ascii_digit() { read(look, context) } else { None }
}
