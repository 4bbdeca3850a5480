//! Signs of mathematics and their names.

/// The digit, letter or sign that stands above the line.
pub fn superscript(c: char) -> Option<char> {
    Some(match c {
        '⁰' => '0',
        '¹' => '1',
        '²' => '2',
        '³' => '3',
        '⁴'..='⁹' => char::from_digit(c as u32 - 0x2070, 10)?,
        '⁺' => '+',
        '⁻' => '-',
        'ⁿ' => 'n',
        'ⁱ' => 'i',
        'ˣ' => 'x',
        'ᵏ' => 'k',
        'ᵐ' => 'm',
        'ᵗ' => 't',
        'ᵀ' => 'T',
        _ => return None,
    })
}

/// The digit, letter or sign that stands below the line.
pub fn subscript(c: char) -> Option<char> {
    Some(match c {
        '₀'..='₉' => char::from_digit(c as u32 - 0x2080, 10)?,
        '₊' => '+',
        '₋' => '-',
        'ₐ' => 'a',
        'ₑ' => 'e',
        'ₕ' => 'h',
        'ᵢ' => 'i',
        'ⱼ' => 'j',
        'ₖ' => 'k',
        'ₗ' => 'l',
        'ₘ' => 'm',
        'ₙ' => 'n',
        'ₒ' => 'o',
        'ₚ' => 'p',
        'ᵣ' => 'r',
        'ₛ' => 's',
        'ₜ' => 't',
        'ₓ' => 'x',
        _ => return None,
    })
}

/// Signs that have one name wherever they stand, in English and in Chinese.
pub fn name(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        '÷' => ("divided by", "除以"),
        '≠' => ("is not equal to", "不等于"),
        '≡' => ("is identical to", "恒等于"),
        '≅' => ("is congruent to", "全等于"),
        '∝' => ("is proportional to", "正比于"),
        '±' => ("plus or minus", "正负"),
        '∓' => ("minus or plus", "负正"),
        '√' => ("the square root of", "根号"),
        '∛' => ("the cube root of", "三次根号"),
        '∞' => ("infinity", "无穷大"),
        '∑' => ("the sum of", "求和"),
        '∏' => ("the product of", "连乘"),
        '∫' => ("the integral of", "积分"),
        '∂' => ("partial", "偏"),
        '∇' => ("del", "梯度"),
        '∆' => ("delta", "德尔塔"),
        '∈' => ("in", "属于"),
        '∉' => ("not in", "不属于"),
        '∅' => ("the empty set", "空集"),
        '∩' => ("intersect", "交"),
        '∪' => ("union", "并"),
        '⊂' | '⊆' => ("is a subset of", "包含于"),
        '⊃' | '⊇' => ("contains", "包含"),
        '∀' => ("for all", "任意"),
        '∃' => ("there exists", "存在"),
        '∧' => ("and", "且"),
        '∨' => ("or", "或"),
        '¬' => ("not", "非"),
        '∴' => ("therefore", "所以"),
        '∵' => ("because", "因为"),
        '∠' => ("angle", "角"),
        '⊥' => ("is perpendicular to", "垂直于"),
        '∥' => ("is parallel to", "平行于"),
        '⊕' => ("plus", "异或"),
        _ => return None,
    })
}

/// Signs of all kinds that are left when nothing has said what they mean; others are not spoken.
pub fn left(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        '&' => ("and", "和"),
        '@' => ("at", "艾特"),
        '%' => ("percent", "百分号"),
        '#' => ("hash", "井号"),
        '=' => ("equals", "等于"),
        '+' => ("plus", "加"),
        '/' => ("slash", "斜杠"),
        '×' => ("times", "乘"),
        '°' => ("degrees", "度"),
        '℃' => ("degrees Celsius", "摄氏度"),
        '℉' => ("degrees Fahrenheit", "华氏度"),
        '‰' => ("per mille", "千分之"),
        '№' => ("number", "号"),
        '§' => ("section", "节"),
        '¶' => ("paragraph", "段"),
        '©' => ("copyright", "版权"),
        '$' => ("dollars", "美元"),
        '€' => ("euros", "欧元"),
        '£' => ("pounds", "英镑"),
        '¥' | '￥' => ("yuan", "元"),
        '₩' => ("won", "韩元"),
        '₹' => ("rupees", "卢比"),
        '₽' => ("rubles", "卢布"),
        '₿' => ("bitcoin", "比特币"),
        '↑' => ("up", "上升"),
        '↓' => ("down", "下降"),
        _ => return None,
    })
}
