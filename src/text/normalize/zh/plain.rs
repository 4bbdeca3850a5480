//! Numbers without a unit: counted, or read digit by digit.

use super::cardinal::{code, digits};
use super::measure;
use super::near::{any_at, behind_word, chinese_at, ends_with, letter_at, skip_space};
use super::number::{Number, digit_at};
use crate::text::normalize::look::Look;

/// How the number at `n` is spoken, by what stands behind and before it.
pub fn plain(look: &Look, n: usize, number: &Number) -> String {
    let next = n + number.len;
    let behind = skip_space(look, next);
    if !number.is_integer() || number.grouped {
        let price = any_at(look, behind, &["元", "块"]);
        let number = number.clone();
        return if price { number.without_zero_cents().spoken() } else { number.spoken() };
    }
    let many = number.whole.len();
    if let Some(spoken) = dated(look, behind, number) {
        return spoken;
    }
    if number.has_leading_zero() {
        return digits(&number.whole);
    }
    let edition = any_at(look, next, &["款", "届", "级"]) && !number.whole.ends_with("00");
    if number.is_year() && edition {
        return digits(&number.whole);
    }
    // 1米75 is 一米七五, 85折 is 八五折.
    let rest = matches!(look.back(0), Some('米' | '块'))
        && look.back(1).is_some_and(|c| c.is_ascii_digit())
        && !chinese_at(look, next);
    if many == 2 && rest {
        return digits(&number.whole);
    }
    if many == 2 && look.peek(behind) == Some('折') && !number.whole.ends_with('0') {
        return digits(&number.whole);
    }
    if measure::is_quantity_at(look, behind) {
        let floor = look.peek(behind) == Some('层')
            && look.back(0).is_some_and(|c| "在到去住于上楼座栋".contains(c));
        let ordinal = ends_with(look, 0, "第") || ends_with(look, 0, "零下") || floor;
        return if ordinal { number.spoken() } else { number.counted() };
    }
    if (many == 3 || many == 4) && any_at(look, next, PLACES) {
        return code(&number.whole);
    }
    if many == 4 && number.is_year() && year_without_sign(look, next) {
        return digits(&number.whole);
    }
    if KNOWN.iter().any(|(digits, words)| number.whole == *digits && any_at(look, next, words)) {
        return digits(&number.whole);
    }
    let lines = matches!(&*number.whole, "480" | "540" | "720" | "1080" | "1440" | "2160");
    if lines && matches!(look.peek(next), Some('p' | 'P' | 'i')) && !letter_at(look, next + 1) {
        return digits(&number.whole);
    }
    // A model's number behind its name.
    let named = look.back(0) == Some(' ') && look.back(1).is_some_and(|c| c.is_ascii_alphabetic());
    if named && (many == 3 || many == 4) && !number.whole.ends_with("00") {
        return digits(&number.whole);
    }
    if many >= 3 && behind_word(look, MODELS) {
        return digits(&number.whole);
    }
    // Long and not round: a number of something, not a count.
    if many > 12 && !number.whole.ends_with("000") {
        return code(&number.whole);
    }
    number.spoken()
}

/// Numbers of rooms, lines and roads, by digit where they have three or four.
const PLACES: &[&str] =
    &["路", "室", "房", "号房", "教室", "寝室", "宿舍", "国道", "省道", "號房", "高速"];

const MODELS: &[&str] = &["波音", "空客", "麦道", "型号", "显卡", "酷睿", "骁龙", "麒麟", "天玑"];

/// Numbers that are names, and what follows them then.
const KNOWN: &[(&str, &[&str])] = &[
    ("985", &["高校", "大学", "院校", "工程", "、", "和", "毕业", "名校", "/"]),
    ("211", &["高校", "大学", "院校", "工程", "、", "和", "毕业", "名校", "/"]),
    ("996", &["工作制", "加班", "制", "的", "，", "。"]),
    ("618", &["大促", "购物", "活动", "年中", "期间"]),
    ("315", &["晚会", "消费", "打假"]),
    ("911", &["事件", "恐怖"]),
    ("666", &["，", "。", "！", "!"]),
    ("520", &["快乐", "表白", "情人节", "，", "！"]),
    ("1314", &["，", "。", "！"]),
    ("361", &["度"]),
];

/// Years, decades, months and days; `n` is behind the number.
fn dated(look: &Look, n: usize, number: &Number) -> Option<String> {
    let many = number.whole.len();
    match look.peek(n)? {
        '年' => year(look, n, number),
        '后' | '後' => {
            let born = many == 2 && number.whole.ends_with(['0', '5']);
            let clear = !chinese_at(look, n + 1) || !any_at(look, n + 1, &["天", "年", "来", "面"]);
            let starts = matches!(number.whole.as_bytes(), [b'5'..=b'9' | b'0' | b'1', _]);
            (born
                && clear
                && starts
                && !matches!(&*number.whole, "10" | "15" if ends_with(look, 0, "前")))
            .then(|| digits(&number.whole))
        }
        '月' | '日' => Some(number.without_leading_zeros()),
        '号' if number.has_leading_zero() && ends_with(look, 0, "月") => {
            Some(number.without_leading_zeros())
        }
        '时' | '点' if many == 2 && number.has_leading_zero() => {
            Some(if number.whole == "02" { "两".into() } else { number.without_leading_zeros() })
        }
        _ => None,
    }
}

/// A number before 年, which is at `n`.
fn year(look: &Look, n: usize, number: &Number) -> Option<String> {
    if any_at(look, n + 1, &["级", "級"]) {
        return Some(number.spoken());
    }
    if look.peek(n + 1) == Some('代') {
        let long = number.whole.len() == 4 || number.whole == "00";
        return Some(if long { digits(&number.whole) } else { number.spoken() });
    }
    match number.whole.len() {
        4 => {
            let thousands = number.whole.ends_with("000") && number.whole != "2000";
            let span = any_at(look, n + 1, &["历史", "的历史", "歷史", "前", "来", "以来", "间"]);
            let counted = !number.is_year() || thousands || number.whole.ends_with("00") && span;
            Some(if counted { number.spoken() } else { digits(&number.whole) })
        }
        3 if behind_word(look, &["公元", "公元前", "西元", "西元前"]) => {
            Some(digits(&number.whole))
        }
        2 if number.whole.starts_with('0') => Some(digits(&number.whole)),
        2 => {
            let date = look.peek(n + 1).is_some_and(|c| c.is_ascii_digit())
                || any_at(
                    look,
                    n + 1,
                    &["出生", "生人", "生的", "世界杯", "奥运", "春", "夏", "秋", "冬", "底", "初"],
                );
            let old = matches!(number.whole.as_bytes(), [b'5'..=b'9', _]);
            (date && old).then(|| digits(&number.whole))
        }
        _ => None,
    }
}

/// Whether four digits that may be a year are one, though no 年 follows at `n`.
fn year_without_sign(look: &Look, n: usize) -> bool {
    const BEHIND: [&str; 18] = [
        "版",
        "款",
        "届",
        "新年",
        "春",
        "夏",
        "秋",
        "冬",
        "奥",
        "世界",
        "赛季",
        "财年",
        "学年",
        "以来",
        "至今",
        "亚运",
        "欧洲杯",
        "高考",
    ];
    const BEFORE: &[&str] = &[
        "于",
        "於",
        "自",
        "从",
        "從",
        "在",
        "到",
        "至",
        "年份",
        "公元",
        "截至",
        "截止",
        "回到",
        "毕业于",
        "展望",
        "再见",
        "你好",
        "喜迎",
    ];
    let behind = skip_space(look, n);
    let ends = !chinese_at(look, behind) && !letter_at(look, behind);
    let bracketed = look.back(0).is_some_and(|c| "(（[〔【《".contains(c))
        && look.peek(n).is_some_and(|c| ")）]〕】》".contains(c));
    let quarter = matches!(look.peek(n), Some('Q' | 'H')) && digit_at(look, n + 1);
    any_at(look, behind, &BEHIND) || bracketed || quarter || ends && behind_word(look, BEFORE)
}
