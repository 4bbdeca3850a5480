//! Measure words: what is counted.

use crate::text::normalize::look::Look;

/// Whether a measure word is at `n`, before which two is 两 and a number is a cardinal.
pub fn is_at(look: &Look, n: usize) -> bool {
    let Some(first) = look.peek(n) else { return false };
    let next = || look.peek(n + 1);
    let is_measure = match first {
        '个' | '個' | '只' | '隻' | '条' | '條' | '张' | '張' | '本' | '次' | '天' | '周'
        | '週' | '位' | '名' | '人' | '岁' | '歲' | '倍' | '块' | '塊' | '元' | '斤' | '吨'
        | '噸' | '米' | '升' | '克' | '种' | '種' | '类' | '類' | '层' | '層' | '件' | '份'
        | '杯' | '瓶' | '碗' | '盘' | '套' | '台' | '臺' | '辆' | '輛' | '架' | '艘' | '棵'
        | '朵' | '匹' | '根' | '支' | '枝' | '把' | '家' | '所' | '间' | '間' | '座' | '栋'
        | '棟' | '排' | '段' | '篇' | '首' | '部' | '集' | '节' | '節' | '句' | '字' | '步'
        | '轮' | '輪' | '场' | '場' | '局' | '届' | '屆' | '批' | '群' | '双' | '雙' | '副'
        | '箱' | '袋' | '包' | '盒' | '罐' | '桶' | '壶' | '勺' | '滴' | '颗' | '顆' | '粒'
        | '片' | '枚' | '顿' | '餐' | '口' | '声' | '遍' | '趟' | '回' | '圈' | '道' | '项'
        | '項' | '款' | '样' | '门' | '門' | '度' | '毛' | '角' | '秒' | '尺' | '寸' | '亩'
        | '畝' | '顷' | '磅' | '盎' | '里' | '户' | '戶' | '股' | '笔' | '筆' | '封' | '束'
        | '串' | '团' | '卷' | '册' | '幅' | '帧' | '页' | '頁' | '行' | '阵' | '晚' | '夜'
        | '扇' | '面' | '顶' | '床' | '盏' | '票' | '万' | '萬' | '亿' | '億' | '千' | '百'
        | '兆' | '点' | '點' | '成' | '折' | '档' | '堂' | '桌' => true,
        '对' | '對' => !next().is_some_and(|c| c.is_ascii_digit()),
        '组' | '組' | '章' | '边' | '邊' | '侧' | '端' | '者' | '女' | '男' | '平' => {
            true
        }
        '下' => {
            !matches!(next(), Some('午' | '面' | '班' | '周' | '个' | '次' | '载' | '来' | '去'))
        }
        '国' | '國' => next() != Some('道'),
        '连' => matches!(next(), Some('胜' | '败' | '冠' | '击' | '跳' | '发')),
        '小' => matches!(next(), Some('时' | '時')),
        '分' => !matches!(next(), Some('之' | '机' | '部' | '店' | '公' | '行' | '校')),
        '年' => !matches!(next(), Some('级' | '級' | '代')),
        '公' => matches!(next(), Some('里' | '斤' | '顷' | '分' | '尺' | '升')),
        '立' => next() == Some('方'),
        '厘' | '毫' | '英' | '海' | '市' => matches!(
            next(),
            Some('米' | '升' | '克' | '寸' | '尺' | '里' | '秒' | '斤' | '亩' | '两' | '磅')
        ),
        '星' => next() == Some('期'),
        '钟' | '刻' => next() == Some('钟'),
        '港' | '美' | '欧' | '日' | '澳' | '加' | '韩' | '新' => next() == Some('元'),
        _ => false,
    };
    is_measure && !is_other_word(first, next)
}

/// Whether an ideograph begins a word that is no measure word, as 所以. The second one is asked for
/// only where it tells.
fn is_other_word(first: char, second: impl Fn() -> Option<char>) -> bool {
    let seconds = match first {
        '所' => "以有示",
        '位' => "于置",
        '本' => "身来",
        '对' => "应于比",
        '首' => "先",
        '支' => "持",
        '组' => "成合",
        '面' => "向临对",
        '周' => "围",
        '条' => "件",
        '元' => "素",
        '分' => "别为析成布",
        '里' => "面",
        '排' => "除名列",
        '间' => "隔",
        '包' => "括含",
        '架' => "构",
        '种' => "植",
        '回' => "答来到",
        '点' => "击",
        '折' => "叠",
        '行' => "动为业",
        '道' => "路理",
        '声' => "明音",
        '部' => "署",
        '集' => "成中合",
        '节' => "点省",
        '根' => "据",
        '页' => "面",
        '类' => "似型",
        '把' => "握",
        '成' => "立为功本长员都绩就人",
        '国' => "内际家",
        '章' => "程",
        '名' => "为称",
        '人' => "民类",
        '天' => "然",
        '平' => "均衡",
        '男' => "性",
        '女' => "性",
        '边' => "界",
        '台' => "湾",
        '家' => "庭",
        '口' => "语",
        _ => return false,
    };
    second().is_some_and(|second| seconds.contains(second))
}

/// Whether what is at `n` says that a number is a quantity, though no measure word.
pub fn is_quantity_at(look: &Look, n: usize) -> bool {
    match look.peek(n) {
        Some('多' | '余' | '餘' | '来' | '來' | '几') => true,
        Some('以') => matches!(look.peek(n + 1), Some('上' | '下' | '内' | '內')),
        Some('左') => look.peek(n + 1) == Some('右'),
        _ => is_at(look, n),
    }
}
