//! Telephone numbers.

use super::cardinal::code;
use super::measure;
use super::near::{any_at, behind_word, skip_space};
use super::number::{digit_at, is_digit};
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Words before a telephone number.
const WORDS: &[&str] = &[
    "电话",
    "電話",
    "热线",
    "拨打",
    "撥打",
    "致电",
    "座机",
    "传真",
    "拨通",
    "呼叫",
    "Tel",
    "TEL",
    "tel",
    "联系方式",
    "分机",
    "总机",
    "电联",
    "手机号",
];

/// Verbs before them, which have other meanings too.
const VERBS: &[&str] = &["打", "拨", "撥", "转", "客服", "报警", "火警", "急救"];

/// Numbers of services, which are read by digit wherever nothing is counted.
const SERVICES: &[&str] = &[
    "10086", "12306", "12315", "12333", "12345", "12348", "12366", "12377", "12393", "95511",
    "95533", "95555", "95566", "95588", "95599", "96110",
];

/// Short numbers, and what follows them where they are meant.
const SHORT: [(&str, &[&str]); 7] = [
    ("110", &["报警", "警", "指挥", "接警", "电话"]),
    ("119", &["火警", "报警", "消防", "电话"]),
    ("120", &["急救", "救护", "电话", "指挥"]),
    ("122", &["交通事故", "报警", "电话"]),
    ("10000", &["客服", "热线"]),
    ("10010", &["客服", "热线"]),
    ("114", &["查号", "电话", "平台"]),
];

/// Groups of digits with a hyphen or a space between them, from `n` on: the digits of each and the
/// length of all.
fn groups(look: &Look, n: usize) -> (Vec<String>, usize) {
    let mut groups = Vec::new();
    let mut at = n;
    while groups.len() < 6 {
        let len = look.count(at, 21, is_digit);
        groups.push(look.text(at, len));
        at += len;
        if !matches!(look.peek(at), Some('-' | ' ')) || !digit_at(look, at + 1) {
            break;
        }
        at += 1;
    }
    (groups, at - n)
}

fn lengths(groups: &[String]) -> Vec<usize> {
    groups.iter().map(String::len).collect()
}

/// Whether groups of digits are a number of the Chinese network: a mobile, one with an area code,
/// or one of a service.
fn is_chinese_number(groups: &[String]) -> bool {
    let Some(first) = groups.first() else { return false };
    let mobile =
        first.starts_with('1') && !matches!(first.as_bytes().get(1), None | Some(b'0'..=b'2'));
    let area = first.starts_with('0') && !first.starts_with("00");
    let service = first.starts_with("400") || first.starts_with("800");
    match *lengths(groups) {
        [11] => mobile || area,
        [12] => area,
        [3, 4, 4] => mobile || service || area,
        [10] => service,
        [3 | 4, 7 | 8] => area || service,
        [3, 3, 4] => service,
        [3 | 4, 7 | 8, 1..=5] | [4, 3 | 4, 4] => area,
        _ => false,
    }
}

/// Numbers that begin with a digit.
pub fn phone(look: &Look, _: &Context) -> Option<Reading> {
    let first = look.count(0, 21, is_digit);
    let more = matches!(look.peek(first), Some('-' | ' ')) && digit_at(look, first + 1);
    if !(3..=20).contains(&first) || look.peek(first) == Some('.') && digit_at(look, first + 1) {
        return None;
    }
    let digits = look.text(0, first);
    // A number and its extension: 62781234转801.
    let extended =
        matches!(first, 7 | 8) && look.peek(first) == Some('转') && digit_at(look, first + 1);
    let extension = look.back(0) == Some('转') && look.back(1).is_some_and(is_digit);
    if extended || extension && first < 6 {
        return Reading::say(first, code(&digits));
    }
    let counted = measure::is_quantity_at(look, skip_space(look, first));
    if !more && !counted {
        let short = SHORT.iter().find(|(number, _)| *number == digits);
        let verb = behind_word(look, VERBS)
            && (short.is_some() || first > 4 || any_at(look, first, &["分机"]));
        let short = short.is_some_and(|(_, words)| any_at(look, first, words));
        // "请转 8001": an extension, where nothing is counted.
        let extension = matches!(first, 3..=6)
            && behind_word(look, &["请转", "请转接", "请拨", "转接", "转分机", "分机号"])
            || first == 4 && is_transfer(look);
        if short
            || verb
            || extension
            || SERVICES.contains(&&*digits)
            || behind_word(look, WORDS) && first >= 3
        {
            let unit = look.peek(skip_space(look, first));
            let plain = unit.is_none_or(|c| !c.is_ascii_alphanumeric() && !"%:：/℃°".contains(c));
            return plain.then(|| Reading::Say { len: first, spoken: code(&digits) });
        }
    }
    let (groups, len) = groups(look, 0);
    let counted = measure::is_quantity_at(look, skip_space(look, len));
    let said = groups.len() > 1 && behind_word(look, WORDS) && groups.concat().len() >= 6;
    if counted || !(is_chinese_number(&groups) || said) {
        return None;
    }
    Reading::say(len, code(&groups.concat()))
}

/// Whether 转 before the place begins a sentence or stands behind a number or a telephone.
fn is_transfer(look: &Look) -> bool {
    let space = usize::from(look.back(0) == Some(' '));
    look.back(space) == Some('转')
        && look.back(space + 1).is_none_or(|c| c.is_ascii_digit() || "，。,机话请线 \n".contains(c))
}

/// +86 138…, +1 415 555 2671, and (010) 12345678.
pub fn with_prefix(look: &Look, _: &Context) -> Option<Reading> {
    match look.peek(0)? {
        '+' => {
            let country = look.count(1, 4, is_digit);
            if !(1..=14).contains(&country) || look.peek(1) == Some('0') {
                return None;
            }
            let (groups, len) = groups(look, 1);
            let all = groups.concat();
            let split =
                if all.starts_with("86") && all.len() > 10 { 2 } else { groups.first()?.len() };
            if groups.len() == 1 && split == all.len() || !(9..=15).contains(&all.len()) {
                return None;
            }
            let (country, rest) = (all.get(..split)?, all.get(split..)?);
            Reading::say(1 + len, format!("加{}，{}", code(country), code(rest)))
        }
        '(' | '（' if look.peek(1)? == '0' => {
            let area = look.count(1, 5, is_digit);
            if !(3..=4).contains(&area) || !matches!(look.peek(1 + area), Some(')' | '）')) {
                return None;
            }
            let at = skip_space(look, area + 2);
            let at = at + usize::from(look.peek(at) == Some('-'));
            let (groups, len) = groups(look, at);
            let rest = groups.concat();
            (7..=8).contains(&rest.len()).then_some(())?;
            Reading::say(at + len, format!("{}{}", code(&look.text(1, area)), code(&rest)))
        }
        _ => None,
    }
}
