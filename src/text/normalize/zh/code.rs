//! Codes: identity numbers, orders, rooms, numbers behind letters.

use super::cardinal::{code, digits};
use super::measure;
use super::near::{any_at, behind_word, behind_word_from, chinese_at, ends_with, skip_space};
use super::number::{Number, digit_at, is_digit};
use crate::text::chars::is_chinese;
use crate::text::normalize::context::Context;
use crate::text::normalize::look::{AHEAD, Look};
use crate::text::normalize::reading::Reading;

/// Words before numbers that are read digit by digit.
const WORDS: &[&str] = &[
    "身份证",
    "身份证号",
    "证号",
    "证件",
    "证书",
    "订单",
    "订单号",
    "单号",
    "运单",
    "快递",
    "编号",
    "编码",
    "序列号",
    "流水号",
    "卡号",
    "账号",
    "账户",
    "帐号",
    "学号",
    "工号",
    "房间",
    "单元",
    "房间号",
    "门牌",
    "房号",
    "房號",
    "QQ",
    "QQ群",
    "qq",
    "群号",
    "微信",
    "邮编",
    "邮政编码",
    "验证码",
    "驗證碼",
    "校验码",
    "激活码",
    "取件码",
    "取餐码",
    "提取码",
    "邀请码",
    "密码",
    "口令",
    "代码",
    "股票代码",
    "尾号",
    "末四位",
    "后四位",
    "车牌",
    "车牌号",
    "航班",
    "航班号",
    "车次",
    "座位号",
    "条形码",
    "追踪",
    "护照",
    "档案",
    "工单",
    "ISBN",
    "ISSN",
    "ID",
    "PIN",
    "id",
    "UID",
    "uid",
    "SN",
    "No.",
    "错误码",
    "状态码",
    "端口",
    "案号",
    "会议号",
    "会议ID",
];

/// The rest of a number that is longer than what can be seen at once.
pub fn rest_of_digits(look: &Look, _: &Context) -> Option<Reading> {
    if !look.back(0)?.is_ascii_digit() {
        return None;
    }
    let len = look.count(0, AHEAD, is_digit);
    (len > 0).then(|| Reading::Say { len, spoken: code(&look.text(0, len)) })
}

/// Digits behind a word that says so; hyphens between them are 杠.
pub fn named(look: &Look, _: &Context) -> Option<Reading> {
    let first = look.count(0, AHEAD, is_digit);
    let counted = |end| measure::is_quantity_at(look, skip_space(look, end));
    if first == 0 || !behind_word(look, WORDS) || counted(first) {
        return None;
    }
    let mut end = first;
    let mut spoken = code(&look.text(0, first));
    while matches!(look.peek(end), Some('-' | ' ')) && digit_at(look, end + 1) && end < 100 {
        let len = look.count(end + 1, 60, is_digit);
        let spaced = look.peek(end) == Some(' ');
        if spaced && (len < 3 || first < 3 || counted(end + 1 + len)) {
            break;
        }
        let sign = if spaced { "" } else { "杠" };
        spoken = format!("{spoken}{sign}{}", code(&look.text(end + 1, len)));
        end += 1 + len;
    }
    let other = look.peek(end).is_some_and(|c| ".:：/%～~".contains(c)) && digit_at(look, end + 1)
        || matches!(look.peek(end), Some('%' | '℃'));
    let short = first == 2 && look.peek(first) == Some('号');
    let name = end > first || first >= 2 && !short;
    (name && !other && !counted(end)).then_some(Reading::Say { len: end, spoken })
}

/// A shop that is named by its hours: 7-11.
pub fn shop(look: &Look, _: &Context) -> Option<Reading> {
    if !look.is(0, "7-11") || look.peek(4).is_some_and(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let at = skip_space(look, 4);
    let named = any_at(look, at, &["便利", "商店", "超市", "买", "門市", "门店", "店", "全家"]);
    let visited = ends_with(look, 0, "在")
        || ["去", "家", "楼下", "附近的", "进", "逛", "到"].iter().any(|w| ends_with(look, 0, w));
    let counted = !named
        && look.peek(at).is_some_and(|c| {
            "月日号点岁年周天期章页级集课回名个元分时楼层号%％-~～至到".contains(c)
        });
    (named || visited && !counted).then(|| Reading::Say { len: 4, spoken: "七幺幺".into() })
}

/// Three groups of digits or more with hyphens: the parts of an address or a code.
pub fn hyphened(look: &Look, _: &Context) -> Option<Reading> {
    let mut end = 0;
    let mut parts = Vec::new();
    while parts.len() < 12 {
        let part = Number::integer(look, end)?;
        end += part.len;
        parts.push(part);
        if look.peek(end) != Some('-') || !digit_at(look, end + 1) {
            break;
        }
        end += 1;
    }
    if parts.len() < 3 {
        return None;
    }
    let spoken: Vec<String> = parts
        .iter()
        .map(|part| if part.len < 3 { part.spoken() } else { code(&part.whole) })
        .collect();
    Reading::say(end, spoken.join("杠"))
}

/// A number that is a name by what stands around it: 404错误, 《1984》.
pub fn entitled(look: &Look, _: &Context) -> Option<Reading> {
    let first = look.peek(0)?;
    let len = look.count(0, 5, is_digit);
    let quoted = len == 4
        && matches!(first, '1' | '2')
        && matches!(look.back(0), Some('《' | '“' | '「' | '"'));
    let title = quoted
        && (look.peek(len).is_some_and(|c| "》”」\"".contains(c))
            || look.back(0) == Some('《') && !measure::is_quantity_at(look, len));
    let error = len == 3 && matches!(first, '4' | '5') && {
        let at = skip_space(look, len);
        any_at(look, at, &["错误", "報錯", "报错", "状态码", "异常", "页面"])
    };
    (title || error).then(|| Reading::Say { len, spoken: digits(&look.text(0, len)) })
}

/// Digits right behind a letter: A4, G102, CA1234, GPT-4.
pub fn behind_letter(look: &Look, _: &Context) -> Option<Reading> {
    let hyphen = usize::from(look.back(0) == Some('-'));
    let point = usize::from(look.back(0) == Some('·'));
    let skip = hyphen + point;
    if !letter_back(look, skip) {
        return None;
    }
    let letters = (skip..skip + 4).take_while(|n| letter_back(look, *n)).count();
    // 15k-20k is a range.
    if hyphen > 0 && look.back(skip + letters).is_some_and(is_digit) {
        return None;
    }
    let number = Number::read(look, 0)?;
    if !number.is_integer() || number.grouped {
        return Reading::say(number.len, number.spoken());
    }
    let round = number.whole.len() == 3 && number.whole.ends_with("00");
    let name = ends_with(look, skip, "N") && number.whole == "95"
        || ends_with(look, skip, "AK") && number.whole == "47";
    let spoken = match number.whole.len() {
        _ if name => digits(&number.whole),
        2.. if behind_word_from(look, skip + letters, WORDS) => code(&number.whole),
        _ if is_service(look, skip, &number) => code(&number.whole),
        1 | 2 => number.spoken(),
        3 if round => number.spoken(),
        5.. => code(&number.whole),
        _ => digits(&number.whole),
    };
    Reading::say(number.len, spoken)
}

fn letter_back(look: &Look, n: usize) -> bool {
    look.back(n).is_some_and(|c| c.is_ascii_alphabetic())
}

/// Whether digits behind letters are of a flight, a train or a number plate, where one is 幺.
fn is_service(look: &Look, skip: usize, number: &Number) -> bool {
    let letters = (skip..skip + 4).take_while(|n| letter_back(look, *n)).count();
    let capitals =
        (skip..skip + letters).all(|n| look.back(n).is_some_and(|c| c.is_ascii_uppercase()));
    let before = look.back(skip + letters);
    let many = number.whole.len();
    let train = letters == 1
        && matches!(look.back(skip), Some('G' | 'D' | 'C' | 'Z' | 'T' | 'K' | 'Y'))
        && any_at(look, number.len, &["次", "号列车", "列车", "高铁", "动车"]);
    let flight = letters == 2
        && matches!(many, 3 | 4)
        && (any_at(look, number.len, &["次", "航班"]) || matches!(many, 4));
    let plate = letters == 1 && many >= 3 && before.is_some_and(|c| PROVINCES.contains(c));
    capitals && many >= 2 && (train || flight || plate)
}

/// Provinces as they are written on number plates.
const PROVINCES: &str = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼港澳";

/// A date that is a name: 9·18.
pub fn named_day(look: &Look, _: &Context) -> Option<Reading> {
    let month = look.count(0, 3, is_digit);
    let sign = look.peek(month)?;
    if !(1..=2).contains(&month) || !matches!(sign, '·' | '•' | '・' | '.') {
        return None;
    }
    let day = look.count(month + 1, 3, is_digit);
    (1..=2).contains(&day).then_some(())?;
    if sign == '.' {
        let event = any_at(look, month + 1 + day, &["晚会", "打假", "大促", "消费者"]);
        let all = look.text(0, month) + &look.text(month + 1, day);
        let feast = month == 1
            && day == 1
            && any_at(look, 3, &["儿童节", "劳动节", "建军节", "青年节", "建党", "假期", "长假"]);
        if feast {
            return Reading::say(3, digits(&all));
        }
        return event.then(|| Reading::Say { len: month + 1 + day, spoken: code(&all) });
    }
    let all = look.text(0, month) + &look.text(month + 1, day);
    Reading::say(month + 1 + day, digits(&all))
}

/// 5# before an ideograph is a number.
pub fn numbered(look: &Look, _: &Context) -> Option<Reading> {
    let number = Number::integer(look, 0)?;
    (look.peek(number.len)? == '#' && chinese_at(look, number.len + 1)).then_some(())?;
    let named = look.back(0).is_none_or(|c| !is_chinese(c) || c != '第');
    named.then(|| Reading::Say { len: number.len + 1, spoken: format!("{}号", number.spoken()) })
}
