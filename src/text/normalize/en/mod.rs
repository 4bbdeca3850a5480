//! English.

mod around;
mod calendar;
mod clock;
mod code;
mod currencies;
mod date;
mod fraction;
mod numeral;
mod phone;
mod quantity;
mod sign;
mod spell;
mod suffix;
mod units;
mod year;

use super::reading::Rule;

/// For places that begin with a digit or a sign.
pub const RULES: &[Rule] = &[
    Rule { name: "en phone", read: phone::phone },
    Rule { name: "en date", read: date::numeric },
    Rule { name: "en time", read: clock::time },
    Rule { name: "en decade", read: year::decade },
    Rule { name: "en code", read: code::code },
    Rule { name: "en feet and inches", read: fraction::feet },
    Rule { name: "en fraction", read: fraction::fraction },
    Rule { name: "en ratio", read: fraction::ratio },
    Rule { name: "en dimensions", read: code::dimensions },
    Rule { name: "en ordinal", read: year::ordinal },
    Rule { name: "en year", read: year::year },
    Rule { name: "en money", read: quantity::money_sign },
    Rule { name: "en number", read: quantity::quantity },
    Rule { name: "en dash", read: sign::dash },
    Rule { name: "en dots", read: sign::dots },
    Rule { name: "en slash", read: sign::slash },
    Rule { name: "en sign", read: sign::named },
];

/// For places that begin with a letter, of words in Chinese sentences too.
pub const WORDS: &[Rule] = &[
    Rule { name: "en date", read: date::month_first },
    Rule { name: "en money", read: quantity::money_code },
];

/// For places that begin with a space.
pub const SPACES: &[Rule] = &[Rule { name: "en dash", read: sign::spaced_dash }];
