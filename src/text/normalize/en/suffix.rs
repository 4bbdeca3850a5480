//! What stands behind a number and is read with it: scale words, units, currencies.

use super::around::{ends_sentence, is_end, is_letter, space, word_at, word_before};
use super::currencies::{self, Currency};
use super::units;
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Longest symbol of a unit.
const LONGEST: usize = 5;

/// What a number counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    Nothing,
    Unit { one: String, many: String },
    Money(Currency),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suffix {
    /// How many characters it has.
    pub len: usize,
    /// "million" and the like, or empty.
    pub scale: &'static str,
    pub counted: Counted,
    /// Whether a hyphen joins it, as in "5-km run".
    pub joined: bool,
}

impl Suffix {
    /// Nothing that belongs to the number.
    pub const NONE: Self = Self { len: 0, scale: "", counted: Counted::Nothing, joined: false };
}

/// Reads what follows a number that ends at `n`.
pub fn read(look: &Look, n: usize) -> Suffix {
    let mut suffix = Suffix::NONE;
    if let Some((len, scale)) = scale(look, n) {
        suffix.len = len;
        suffix.scale = scale;
    }
    if let Some((len, currency)) = money(look, n + suffix.len) {
        suffix.len += len;
        suffix.counted = Counted::Money(currency);
    } else if let Some((len, one, many, joined)) = unit(look, n + suffix.len) {
        suffix.len += len;
        suffix.counted = Counted::Unit { one, many };
        suffix.joined = joined;
    }
    suffix
}

/// "5 million", "5M", "5bn", "5k".
pub fn scale(look: &Look, n: usize) -> Option<(usize, &'static str)> {
    let gap = space(look, n);
    let word = word_at(look, n + gap);
    let name = match (gap, word.as_str()) {
        (1, "thousand") => "thousand",
        (1, "million") => "million",
        (1, "billion") => "billion",
        (1, "trillion") => "trillion",
        (1, "lakh") => "lakh",
        (1, "crore") => "crore",
        (0, "k") => "thousand",
        (0, "K") if counts_many(look, n + 1, true) => "thousand",
        (0, "M") | (_, "mn" | "mln" | "mil") => "million",
        (0, "B") if counts_many(look, n + 1, false) => "billion",
        (_, "bn" | "Bn" | "bln") => "billion",
        (_, "tn" | "trn") => "trillion",
        _ => return None,
    };
    let len = gap + word.len();
    is_end(look.peek(n + len)).then_some((len, name))
}

/// Whether a currency, or a noun of what can be very many, follows a letter that ends at `n`: "4K"
/// and "7B" are also names.
fn counts_many(look: &Look, n: usize, thousands: bool) -> bool {
    if money(look, n).is_some() {
        return true;
    }
    if look.peek(n) != Some(' ') || !look.peek(n + 1).is_some_and(|c| c.is_ascii_lowercase()) {
        return false;
    }
    let noun = word_at(look, n + 1);
    let things = [
        "runs",
        "races",
        "runners",
        "monitors",
        "displays",
        "screens",
        "videos",
        "movies",
        "films",
        "cameras",
        "textures",
        "streams",
        "games",
        "models",
        "variants",
        "versions",
        "is",
        "was",
        "has",
        "as",
        "resistors",
    ];
    noun.as_str() == "people"
        || noun.as_str().ends_with('s')
            && !things.contains(&noun.as_str())
            && (thousands || !noun.as_str().ends_with("ss"))
}

/// A currency behind a number: "30 USD", "30€", "99¢".
fn money(look: &Look, n: usize) -> Option<(usize, Currency)> {
    let gap = space(look, n);
    let first = look.peek(n + gap)?;
    if let Some(currency) = currencies::of_sign(first).filter(|_| first != '$') {
        // A sign that belongs to a number after it is not of this one.
        let begins = look.peek(n + gap + 1).is_some_and(|c| c.is_ascii_digit());
        return (!begins).then_some((gap + 1, currency));
    }
    if !first.is_ascii_uppercase() {
        return None;
    }
    let word = word_at(look, n + gap);
    let currency = currencies::of_code(word.as_str())?;
    // "the 3 Rs".
    let few = n < 2 || !look.peek(n - 2).is_some_and(|c| c.is_ascii_digit());
    if word.as_str() == "Rs" && few {
        return None;
    }
    is_end(look.peek(n + gap + word.len())).then_some((gap + word.len(), currency))
}

/// A unit behind a number: its length, its names, whether a hyphen joins it.
fn unit(look: &Look, n: usize) -> Option<(usize, String, String, bool)> {
    let joined = look.peek(n) == Some('-');
    let gap = if joined { 1 } else { space(look, n) };
    if let Some((len, one, many)) = area(look, n + gap) {
        return Some((gap + len, one.into(), many.into(), joined));
    }
    let (mut len, one, many, dotted) = simple(look, n + gap, gap, joined)?;
    let (mut one, mut many) = (one, many);
    let start = n + gap;
    if look.peek(start + len) == Some('/') {
        let word = symbol(look, start + len + 1);
        let mut end = start + len + 1 + word.chars().count();
        let square = match look.peek(end) {
            Some('²') => 1,
            Some('^') if look.peek(end + 1) == Some('2') => 2,
            _ => 0,
        };
        end += square;
        if let Some(per) = units::per(&word).filter(|_| is_end(look.peek(end))) {
            let per = match (square, per) {
                (0, _) => per.to_string(),
                (_, "second" | "hour") => format!("{per} squared"),
                _ => format!("square {per}"),
            };
            one = format!("{one} per {per}");
            many = format!("{many} per {per}");
            len = end - start;
        }
    } else if dotted && look.peek(start + len) == Some('.') {
        len += usize::from(!ends_sentence(look, start + len + 1, false));
    }
    Some((gap + len, one, many, joined))
}

/// A rate without a number: "in km/h".
pub fn rate(look: &Look, context: &Context) -> Option<Reading> {
    let word = word_at(look, 0);
    if word.len() == 0 || word.len() > 4 || look.peek(word.len()) != Some('/') {
        return None;
    }
    let unit = units::find(word.as_str()).filter(|_| is_end(look.back(0)))?;
    let second = word_at(look, word.len() + 1);
    let per = units::per(second.as_str())?;
    let end = word.len() + 1 + second.len();
    if !is_end(look.peek(end)) || context.language(look) == Language::Chinese {
        return None;
    }
    Reading::say(end, format!("{} per {per}", unit.many))
}

/// The letters and signs of a symbol at `n`.
fn symbol(look: &Look, n: usize) -> String {
    let sign = |c: char| matches!(c, '%' | '‰' | '°' | 'º' | '℃' | '℉' | '\u{3380}'..='\u{33DF}');
    match look.peek(n) {
        Some('°' | 'º') => {
            let letter = matches!(look.peek(n + 1), Some('C' | 'F' | 'K'));
            look.text(n, 1 + usize::from(letter && is_end(look.peek(n + 2))))
        }
        Some(c) if sign(c) => c.to_string(),
        _ => {
            let letters = look.count(n, 9, |c| is_letter(c) && !sign(c));
            look.text(n, letters)
        }
    }
}

/// A unit without a rate: its length, its names, whether it is written with a full stop.
fn simple(
    look: &Look,
    n: usize,
    gap: usize,
    joined: bool,
) -> Option<(usize, String, String, bool)> {
    let first = look.peek(n)?;
    if first.is_ascii_punctuation() && first != '%' || first == ' ' {
        return None;
    }
    let symbol = symbol(look, n);
    let mut len = symbol.chars().count();
    let degree_or_sign = !first.is_alphabetic() || first == 'º';
    let lone = len == 1 && first.is_ascii_alphabetic();
    let written_apart = gap == 1 && !joined;
    let fits = match symbol.as_str() {
        _ if len == 0 || len > LONGEST => false,
        // A hyphen and a letter are a name, as in 3-D.
        _ if lone && joined => false,
        "%" | "‰" => !joined,
        // "5 in" may go on with anything.
        "in" if !joined => {
            matches!(word_before(look, 0).0.as_str(), "ft" | "feet" | "foot")
                || !written_apart
                || look.peek(n + 2) == Some('.') && !ends_sentence(look, n + 3, false)
        }
        "in" => false,
        // "5K" is a count, "300 K" a temperature.
        "K" | "N" | "J" | "t" => written_apart,
        "x" => !joined && !written_apart && !super::dimensions::is_variable(look, n + 1),
        "mos" => !joined && (!written_apart || look.peek(n + 3) == Some('.')),
        "us" | "pt" | "bn" => !joined && !written_apart,
        _ => true,
    };
    let unit = if fits { units::find(&symbol)? } else { return None };
    // "3h 20m".
    let minutes = symbol == "m"
        && matches!(word_before(look, 0).0.as_str(), "h" | "hr" | "hrs" | "hour" | "hours");
    let unit = if minutes { units::find("min")? } else { unit };
    let mut names = (unit.one.to_string(), unit.many.to_string());
    let power = match look.peek(n + len) {
        _ if degree_or_sign || units::length(&symbol).is_none() => None,
        Some('²') => Some((1, "square")),
        Some('³') => Some((1, "cubic")),
        Some('2') if symbol != "in" && is_end(look.peek(n + len + 1)) => Some((1, "square")),
        Some('3') if symbol != "in" && is_end(look.peek(n + len + 1)) => Some((1, "cubic")),
        Some('^') if look.peek(n + len + 1) == Some('2') => Some((2, "square")),
        Some('^') if look.peek(n + len + 1) == Some('3') => Some((2, "cubic")),
        _ => None,
    };
    if let Some((more, name)) = power {
        names = (format!("{name} {}", names.0), format!("{name} {}", names.1));
        len += more;
    }
    let ends = degree_or_sign || is_end(look.peek(n + len));
    ends.then_some((len, names.0, names.1, unit.dotted))
}

/// "sq ft", "cu. ft.", "fl oz".
fn area(look: &Look, n: usize) -> Option<(usize, &'static str, &'static str)> {
    let (first, second, one, many) = match (look.peek(n)?, look.peek(n + 1)?) {
        ('s', 'q') => match look.peek(n + 2)? {
            ' ' | '.' => match (look.is(n, "sq. ") || look.is(n, "sq "), ()) {
                (true, ()) => {
                    let at = if look.peek(n + 2) == Some('.') { n + 4 } else { n + 3 };
                    match word_at(look, at).as_str() {
                        "ft" => ("sq", "ft", "square foot", "square feet"),
                        "m" => ("sq", "m", "square meter", "square meters"),
                        "km" => ("sq", "km", "square kilometer", "square kilometers"),
                        "mi" => ("sq", "mi", "square mile", "square miles"),
                        "in" => ("sq", "in", "square inch", "square inches"),
                        _ => return None,
                    }
                }
                _ => return None,
            },
            _ => return None,
        },
        ('c', 'u') if look.is(n, "cu ft") => ("cu", "ft", "cubic foot", "cubic feet"),
        ('f', 'l') if look.is(n, "fl oz") || look.is(n, "fl. oz") => {
            ("fl", "oz", "fluid ounce", "fluid ounces")
        }
        _ => return None,
    };
    let dot = usize::from(look.peek(n + first.len()) == Some('.'));
    let mut len = first.len() + dot + 1 + second.len();
    if look.peek(n + len) == Some('.') && !ends_sentence(look, n + len + 1, false) {
        len += 1;
    }
    is_end(look.peek(n + len)).then_some((len, one, many))
}
