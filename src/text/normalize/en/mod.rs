//! English.

mod abbreviation;
mod abbreviations;
mod acronyms;
pub mod around;
mod calendar;
mod clock;
mod code;
mod currencies;
mod dash;
mod date;
mod dimensions;
mod fraction;
mod initials;
mod letters;
mod money;
mod numeral;
mod phone;
mod quantity;
mod roman;
mod sign;
pub mod spell;
mod suffix;
mod units;
mod year;

use super::reading::Rule;

/// For places that begin with a digit or a sign.
pub const RULES: &[Rule] = &[
    Rule { name: "en money", read: money::continental },
    Rule { name: "en phone", read: phone::phone },
    Rule { name: "en date", read: date::numeric },
    Rule { name: "en time", read: clock::time },
    Rule { name: "en decade", read: year::decade },
    Rule { name: "en year", read: year::short_year },
    Rule { name: "en code", read: code::code },
    Rule { name: "en feet and inches", read: fraction::feet },
    Rule { name: "en fraction", read: fraction::fraction },
    Rule { name: "en ratio", read: fraction::ratio },
    Rule { name: "en dimensions", read: dimensions::dimensions },
    Rule { name: "en ordinal", read: year::ordinal },
    Rule { name: "en year", read: year::year },
    Rule { name: "en money", read: money::sign },
    Rule { name: "en number", read: quantity::quantity },
    Rule { name: "en dash", read: dash::dash },
    Rule { name: "en dots", read: sign::dots },
    Rule { name: "en slash", read: sign::slash },
    Rule { name: "en sign", read: sign::named },
];

/// For places that begin with a letter, of words in Chinese sentences too.
pub const WORDS: &[Rule] = &[
    Rule { name: "en date", read: date::month_first },
    Rule { name: "en money", read: money::code },
    Rule { name: "en code", read: code::standard },
    Rule { name: "en initials", read: initials::initials },
    Rule { name: "en abbreviation", read: abbreviation::slashed },
    Rule { name: "en abbreviation", read: abbreviation::word },
    Rule { name: "en Roman numeral", read: roman::roman },
    Rule { name: "en dimensions", read: dimensions::by },
    Rule { name: "en unit", read: suffix::rate },
    Rule { name: "en letters", read: letters::letters },
];

/// For places that begin with a space.
pub const SPACES: &[Rule] = &[
    Rule { name: "en dash", read: dash::spaced_dash },
    Rule { name: "en table", read: dash::spaced_bar },
];

#[cfg(test)]
mod tests {
    use crate::text::normalize::{NormalStream, Normalizer};

    /// What is left of a text that mixes signs, digits and words in any order.
    fn mixtures() -> impl Iterator<Item = String> {
        const PARTS: [&str; 64] = [
            "1", "12", "305", "2024", "0", "1,000", ".5", "3.14", "1/2", "10:30", "5-10", "%", "$",
            "€", "km", " km/h", "°C", "#", "&", "/", "-", "–", "—", "+", "=", "@", "~", "*", "|",
            "^", "_", "<", ">", "[", "]", "(", ")", "{", "}", "\"", "'", ",", ".", "...", "…", ":",
            " ", " ", " ", "\n", "a", "in", "Dr.", "e.g.", "p.m.", "U.S.", "IV", "NASA", "HTTP",
            "Jan", "am", "No.", "x", "½",
        ];
        let mut state = 1_u64;
        let mut next = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize
        };
        (0..20_000).map(move |_| (0..1 + next() % 9).map(|_| PARTS[next() % 64]).collect())
    }

    #[test]
    fn no_digits_or_signs_are_left() {
        let normalizer = Normalizer::default();
        for text in mixtures() {
            let spoken = normalizer.normalize(&text);
            let left =
                spoken.chars().find(|c| c.is_ascii_digit() || "%$€°#&+=@~|^_<>[]{}…½".contains(*c));
            assert_eq!(left, None, "{text:?}: {spoken:?}");
            assert!(spoken.len() <= 30 * text.len(), "{text:?}");
        }
    }

    #[test]
    fn cuts_change_no_mixture() {
        for text in mixtures().take(4000) {
            let whole = Normalizer::default().normalize(&text);
            let mut stream = NormalStream::default();
            let mut spoken = String::new();
            for c in text.chars() {
                let pieces = stream.push(c.encode_utf8(&mut [0; 4]));
                spoken.extend(pieces.into_iter().map(|piece| piece.spoken));
            }
            spoken.extend(stream.finish().into_iter().map(|piece| piece.spoken));
            assert_eq!(spoken, whole, "{text:?}");
        }
    }

    /// A word is given as soon as it ends, and a sentence when its full stop is over.
    #[test]
    fn plain_words_are_not_held() {
        let mut stream = NormalStream::default();
        let mut given = |text: &str| -> String {
            stream.push(text).into_iter().map(|piece| piece.spoken).collect()
        };
        assert_eq!(given("The quick brown fox,"), "The quick brown fox");
        assert_eq!(given(" which "), ", which");
        assert_eq!(given("I saw, called NASA"), " I saw, called ");
    }
}
