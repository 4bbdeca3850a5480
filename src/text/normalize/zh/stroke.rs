//! The stroke between words and units.

use super::near::{any_at, chinese_at, letter_at, skip_space};
use super::number::{Number, digit_at};
use crate::text::chars::is_chinese;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// A stroke: "per" behind a sum or a unit, "or" between words, no word between names.
pub fn stroke(look: &Look) -> Option<Reading> {
    let before = look.back(0);
    let skip = before == Some(' ');
    let before = if skip { look.back(1) } else { before };
    let at = skip_space(look, 1);
    let unit = before.is_some_and(|c| "元块角万米克升斤吨里圆镑币股次G".contains(c));
    let per = [
        "㎡", "㎥", "年", "月", "天", "日", "周", "小时", "分", "秒", "人", "次", "斤", "公斤",
        "千克", "克", "吨", "平", "台", "件", "个", "张", "份", "晚", "间", "位", "升", "公里",
        "米", "千瓦", "度", "瓶", "盒", "杯", "股", "亩", "季", "户", "场", "节", "课", "套", "辆",
        "条", "本", "箱", "包", "袋", "盎司", "桶", "吨", "加仑", "页", "字", "分钟",
    ];
    let money = before.is_some_and(|c| c.is_ascii_digit()) && any_at(look, at, &per);
    let spaced = skip || at > 1;
    let spoken = match () {
        () if before == Some('和') && look.peek(at) == Some('或') => "",
        () if digit_at(look, at) && measured(look) => {
            let hundred = Number::integer(look, at).is_some_and(|n| n.whole.starts_with("10"));
            if hundred { "每" } else { "、" }
        }
        () if !skip && (unit || money || measured(look)) && any_at(look, at, &per) => "每",
        () if before.is_some_and(|c| c.is_alphanumeric()) && chinese_at(look, at) => "或",
        () if before.is_some_and(is_chinese) && letter_at(look, at) => "或",
        () if before.is_some_and(|c| c.is_ascii_alphanumeric())
            && look.peek(at).is_some_and(|c| c.is_ascii_alphanumeric()) =>
        {
            if spaced {
                ""
            } else {
                " "
            }
        }
        () => "",
    };
    Reading::say(1, spoken)
}

/// Whether what stands before the place is a unit in letters behind a digit.
fn measured(look: &Look) -> bool {
    let unit =
        (0..4).take_while(|n| look.back(*n).is_some_and(|c| c.is_ascii_alphabetic())).count();
    unit > 0 && look.back(unit).is_some_and(|c| c.is_ascii_digit())
}
