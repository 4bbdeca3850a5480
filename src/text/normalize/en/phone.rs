//! Phone numbers: digit by digit, with a pause between groups.

use super::around::{is_digit, is_end, word_before};
use super::numeral::whole;
use super::spell;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Most groups of digits in a number.
const MOST_GROUPS: usize = 7;

/// Groups of digits with single separators.
struct Groups {
    /// Where each begins and how many digits it has.
    groups: Vec<(usize, usize)>,
    /// The separator before each but the first.
    separators: Vec<char>,
    end: usize,
}

impl Groups {
    /// Reads the groups that begin at `n`; groups in round brackets count too.
    fn read(look: &Look, n: usize) -> Self {
        let mut found = Self { groups: Vec::new(), separators: Vec::new(), end: n };
        let mut at = n;
        while found.groups.len() < MOST_GROUPS {
            let bracket = usize::from(look.peek(at) == Some('('));
            let len = look.count(at + bracket, 15, |c| c.is_ascii_digit());
            let closed = bracket == 0 || look.peek(at + bracket + len) == Some(')');
            if len == 0 || !closed {
                break;
            }
            if at > n {
                found.separators.extend(look.peek(at - 1));
            }
            found.groups.push((at + bracket, len));
            found.end = at + bracket + len + bracket;
            let separator = look.peek(found.end);
            at = match separator {
                Some(' ' | '-' | '.' | '‑') => found.end + 1,
                Some('(') => found.end,
                _ if bracket == 1 && is_digit(separator) => found.end,
                _ => break,
            };
            if !matches!(look.peek(at), Some('(' | '0'..='9')) {
                break;
            }
        }
        found
    }

    fn lens(&self) -> Vec<usize> {
        self.groups.iter().map(|(_, len)| *len).collect()
    }

    fn total(&self) -> usize {
        self.groups.iter().map(|(_, len)| len).sum()
    }

    fn spoken(&self, look: &Look) -> String {
        let groups: Vec<String> =
            self.groups.iter().map(|(at, len)| spell::by_digit(&look.text(*at, *len))).collect();
        groups.join(", ")
    }
}

/// "+1 (555) 123-4567", "555-1234", "call 911", with an extension.
pub fn phone(look: &Look, _: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    let plus = usize::from(first == '+');
    if plus == 1 && !is_digit(look.peek(1))
        || first == '(' && !is_digit(look.peek(1))
        || !matches!(first, '+' | '(' | '0'..='9')
        || look.back(0).is_some_and(char::is_alphanumeric)
    {
        return None;
    }
    let groups = Groups::read(look, plus);
    let total = groups.total();
    if plus == 1 {
        // "+5" is a number; an international one has seven digits or more.
        (7..=15).contains(&total).then_some(())?;
        return say(look, &groups, "plus ");
    }
    let after = look.peek(groups.end);
    let goes_on =
        matches!(after, Some(',' | ':' | '/' | '%')) && is_digit(look.peek(groups.end + 1));
    if goes_on || !is_end(after) {
        return None;
    }
    let hyphens = groups.separators.iter().all(|c| *c == '-');
    let wanted = match groups.lens().as_slice() {
        [3, 3, 4] | [1, 3, 3, 4] => true,
        [3, 4] if hyphens && groups.separators.len() == 1 => !is_round(look, &groups),
        [4, 3, 4] | [3, 4, 4] | [5, 6] | [4, 3, 3] | [2, 4, 4] => {
            first == '0' || first == '1' && total == 11 || first == '4' && total == 10 && hyphens
        }
        [11] => first == '1' && matches!(look.peek(1), Some('3'..='9')),
        [3] => is_called(look) && is_short(&look.text(0, 3)),
        _ => false,
    };
    if wanted || is_called(look) && (7..=15).contains(&total) {
        return say(look, &groups, "");
    }
    // "9-1-1".
    let single = groups.groups.len() == 3 && total == 3 && hyphens;
    if single && is_short(&[0, 2, 4].iter().filter_map(|n| look.peek(*n)).collect::<String>()) {
        return Reading::say(groups.end, groups.spoken(look).replace(',', ""));
    }
    None
}

/// Numbers of three digits that people call.
fn is_short(digits: &str) -> bool {
    matches!(
        digits,
        "911"
            | "999"
            | "112"
            | "411"
            | "311"
            | "511"
            | "811"
            | "988"
            | "110"
            | "119"
            | "120"
            | "101"
    )
}

/// Whether two groups are rather a range of round numbers, as in "500-1000".
fn is_round(look: &Look, groups: &Groups) -> bool {
    groups
        .groups
        .iter()
        .all(|(at, len)| whole(look, *at, *len, *len).is_some_and(|(value, _)| value % 50 == 0))
}

/// Whether the words before speak of calling.
fn is_called(look: &Look) -> bool {
    let mut start = 0;
    for _ in 0..3 {
        let signs = (0..2).take_while(|i| matches!(look.back(start + i), Some(' ' | ':' | '.')));
        start += signs.count();
        let (word, next) = word_before(look, start);
        match word.lower().as_str() {
            "call" | "calling" | "called" | "dial" | "dialed" | "phone" | "tel" | "telephone"
            | "fax" | "mobile" | "cell" | "hotline" | "whatsapp" | "text" => return true,
            "at" | "number" | "no" | "is" | "to" | "on" | "us" | "me" | "him" | "her" => {
                start = next;
            }
            _ => return false,
        }
    }
    false
}

/// The number, with its extension.
fn say(look: &Look, groups: &Groups, before: &str) -> Option<Reading> {
    let mut spoken = before.to_string() + &groups.spoken(look);
    if before == "plus " && groups.groups.len() == 1 {
        spoken = before.to_string() + &spell::by_digit(&look.text(1, groups.total()));
    }
    let mut end = groups.end;
    if let Some((len, digits)) = extension(look, end) {
        spoken = format!("{spoken}, extension {}", spell::by_digit(&digits));
        end += len;
    }
    Reading::say(end, spoken)
}

/// " ext. 23", " x23", ", extension 23".
fn extension(look: &Look, n: usize) -> Option<(usize, String)> {
    let comma = usize::from(look.peek(n) == Some(','));
    let start = n + comma + look.count(n + comma, 1, |c| c == ' ');
    if !matches!(look.peek(start), Some('e' | 'x' | 'E')) {
        return None;
    }
    let name = ["extension", "ext.", "ext", "Ext.", "x"].iter().find(|s| look.is(start, s))?;
    let start = start + name.len();
    let start = start + look.count(start, 1, |c| c == ' ');
    let len = look.count(start, 6, |c| c.is_ascii_digit());
    (len > 0 && is_end(look.peek(start + len))).then(|| (start + len - n, look.text(start, len)))
}
