//! Units of measurement and how they are read.

/// How a unit that is written in letters or as a sign is read; none where it is no unit.
pub fn unit(written: &str) -> Option<&'static str> {
    Some(match written {
        "km" | "KM" | "Km" => "公里",
        "m" => "米",
        "dm" => "分米",
        "cm" | "CM" => "厘米",
        "mm" | "MM" => "毫米",
        "μm" | "µm" | "um" => "微米",
        "nm" => "纳米",
        "ft" => "英尺",
        "inch" => "英寸",
        "yd" => "码",
        "mi" | "mile" | "miles" => "英里",
        "kg" | "KG" | "Kg" => "公斤",
        "g" => "克",
        "mg" => "毫克",
        "mmol" => "毫摩尔",
        "μmol" | "µmol" | "umol" => "微摩尔",
        "μg" | "µg" | "ug" => "微克",
        "t" => "吨",
        "lb" | "lbs" => "磅",
        "oz" => "盎司",
        "L" | "l" | "ℓ" => "升",
        "ml" | "mL" | "ML" => "毫升",
        "dl" | "dL" => "分升",
        "gal" => "加仑",
        "m²" | "m^2" | "㎡" | "sqm" => "平方米",
        "km²" | "km^2" => "平方公里",
        "cm²" | "cm^2" => "平方厘米",
        "mm²" | "mm^2" => "平方毫米",
        "ft²" | "ft^2" | "sqft" => "平方英尺",
        "ha" => "公顷",
        "m³" | "m^3" => "立方米",
        "cm³" | "cm^3" => "立方厘米",
        "km³" | "km^3" => "立方公里",
        "mm³" | "mm^3" => "立方毫米",
        "㎞" => "公里",
        "㎝" => "厘米",
        "㎜" => "毫米",
        "㎏" => "公斤",
        "㎎" => "毫克",
        "㎥" => "立方米",
        "㎢" => "平方公里",
        "h" | "hr" | "hrs" => "小时",
        "min" | "mins" => "分钟",
        "s" | "sec" => "秒",
        "ms" => "毫秒",
        "μs" | "µs" | "us" => "微秒",
        "ns" => "纳秒",
        "Hz" | "hz" | "HZ" => "赫兹",
        "kHz" | "KHz" => "千赫兹",
        "MHz" | "Mhz" => "兆赫兹",
        "GHz" | "Ghz" => "吉赫兹",
        "W" => "瓦",
        "kW" | "KW" | "kw" => "千瓦",
        "MW" => "兆瓦",
        "GW" => "吉瓦",
        "Wh" => "瓦时",
        "kWh" | "KWh" | "KWH" | "kwh" => "千瓦时",
        "V" => "伏",
        "kV" | "KV" => "千伏",
        "mV" => "毫伏",
        "mA" => "毫安",
        "mAh" | "mah" | "MAH" => "毫安时",
        "Ah" => "安时",
        "\u{3A9}" | "\u{2126}" => "欧姆",
        "k\u{3A9}" | "K\u{3A9}" | "k\u{2126}" => "千欧",
        "M\u{3A9}" | "M\u{2126}" => "兆欧",
        "J" => "焦耳",
        "kJ" | "KJ" => "千焦",
        "cal" => "卡",
        "kcal" | "Kcal" => "千卡",
        "Pa" => "帕",
        "hPa" => "百帕",
        "kPa" | "KPa" => "千帕",
        "MPa" | "Mpa" => "兆帕",
        "mmHg" => "毫米汞柱",
        "dB" | "db" => "分贝",
        "lm" => "流明",
        "mol" => "摩尔",
        "px" => "像素",
        "rpm" | "RPM" => "转每分钟",
        "fps" | "FPS" => "帧每秒",
        "℃" | "°C" | "°c" | "ºC" => "摄氏度",
        "℉" | "°F" | "°f" | "ºF" => "华氏度",
        "″" => "英寸",
        "x" | "X" => "倍",
        "bit" => "比特",
        "bp" | "bps" | "BP" => "个基点",
        "Bps" => "比特每秒",
        "kbps" | "Kbps" => "千比特每秒",
        "Mbps" => "兆比特每秒",
        "Gbps" => "吉比特每秒",
        // These are said as letters.
        "B" | "KB" | "MB" | "GB" | "TB" | "PB" => letters(written)?,
        _ => return None,
    })
}

fn letters(written: &str) -> Option<&'static str> {
    ["B", "KB", "MB", "GB", "TB", "PB"].into_iter().find(|name| *name == written)
}

/// How what stands behind a number and a stroke is read: "per hour" before the number, or any
/// other unit behind it.
pub fn per(written: &str) -> Option<&'static str> {
    Some(match written {
        "h" | "hr" => "每小时",
        "s" | "sec" => "每秒",
        "min" => "每分钟",
        "d" | "day" => "每天",
        _ => return None,
    })
}

/// Most characters of a unit.
pub const MAX_UNIT: usize = 5;

/// Whether a character may be of a unit that is written in letters.
pub fn is_unit_char(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '\u{3BC}' | '\u{B5}' | '\u{3A9}' | '\u{2126}' | 'ℓ')
}

/// Whether a character is a unit or begins one that is no letter.
pub fn is_unit_sign(c: char) -> bool {
    matches!(c, '℃' | '℉' | '°' | 'º' | '″' | '㎡' | '㎥' | '㎢' | '㎞' | '㎝' | '㎜' | '㎏' | '㎎')
}
