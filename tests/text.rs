//! How text is read: the cases of `tests/text/cases_{en,zh}.tsv`, whole and cut at every place.
//!
//! A line is a class, a text as it is written and as it is spoken, separated by tabs; `\n` stands
//! for a line break. Lines that begin with `# ` are comments.

use mynah::text::{NormalStream, Normalizer};
use std::collections::BTreeMap;

struct Case {
    file: &'static str,
    line: usize,
    class: String,
    written: String,
    spoken: String,
}

fn cases() -> Vec<Case> {
    let files = [
        ("en", include_str!("text/cases_en.tsv")),
        ("zh", include_str!("text/cases_zh.tsv")),
        ("common", include_str!("text/cases_common.tsv")),
    ];
    let mut cases = Vec::new();
    for (file, text) in files {
        for (i, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with("# ") {
                continue;
            }
            let columns: Vec<&str> = line.split('\t').collect();
            let [class, written, spoken] = columns[..] else {
                panic!("cases_{file}.tsv:{}: {} columns", i + 1, columns.len());
            };
            let unescape = |text: &str| text.replace("\\n", "\n");
            cases.push(Case {
                file,
                line: i + 1,
                class: class.into(),
                written: unescape(written),
                spoken: unescape(spoken),
            });
        }
    }
    cases
}

#[test]
fn text_is_read_right() {
    let normalizer = Normalizer::default();
    let mut wrong = Vec::new();
    let mut classes: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for case in cases() {
        let spoken = normalizer.normalize(&case.written);
        let (right, all) = classes.entry(format!("{}/{}", case.file, case.class)).or_default();
        *all += 1;
        if spoken == case.spoken {
            *right += 1;
        } else {
            wrong.push(format!(
                "cases_{}.tsv:{} ({}): {:?}\n  expected {:?}\n  is       {:?}",
                case.file, case.line, case.class, case.written, case.spoken, spoken
            ));
        }
    }
    println!("{classes:#?}");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

fn in_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut stream = NormalStream::default();
    let mut spoken: String =
        parts.into_iter().flat_map(|part| stream.push(part)).map(|piece| piece.spoken).collect();
    spoken.extend(stream.finish().into_iter().map(|piece| piece.spoken));
    spoken
}

#[test]
fn cuts_change_nothing() {
    for case in cases() {
        let whole = in_parts([case.written.as_str()]);
        for (cut, _) in case.written.char_indices() {
            let parts = [&case.written[..cut], &case.written[cut..]];
            assert_eq!(in_parts(parts), whole, "{:?} cut at {cut}", case.written);
        }
        let chars: Vec<String> = case.written.chars().map(String::from).collect();
        let parts = chars.iter().map(String::as_str);
        assert_eq!(in_parts(parts), whole, "{:?} in characters", case.written);
    }
}

/// Every character of a text is in one piece, and the pieces are in order.
#[test]
fn sources_cover_the_text() {
    for case in cases() {
        let mut at = 0;
        for piece in Normalizer::default().pieces(&case.written) {
            let (from, to) = (piece.source.start, piece.source.end);
            assert!(from == at && to > from, "{:?}: {from}..{to} after {at}", case.written);
            let written: String = case.written.chars().skip(from).take(to - from).collect();
            assert_eq!(piece.written, written);
            at = to;
        }
        assert_eq!(at, case.written.chars().count(), "{:?}", case.written);
    }
}

/// Numbers that look random and are the same in every run (a linear congruential generator, with
/// the constants of Numerical Recipes).
struct Random(u32);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % end.max(1)
    }
}

/// A text of fragments of the cases, of single signs and of anything else.
fn random_text(random: &mut Random, written: &[Vec<char>]) -> String {
    const SIGNS: &str = "<>[](){}|*_`~#@$%^&+=-/\\:;.,!? \n\t'\"0123456789×√²₂😀👍🏽❤️🇨🇳\u{200D}\u{FE0F}，。：一百點aeXZμα…—“”①½é";
    let signs: Vec<char> = SIGNS.chars().collect();
    let mut text = String::new();
    for _ in 0..1 + random.below(8) {
        match random.below(4) {
            0 => text.extend((0..random.below(6)).map(|_| signs[random.below(signs.len())])),
            1 => text.extend(
                (0..random.below(3)).filter_map(|_| char::from_u32(random.below(0x2_0000) as u32)),
            ),
            _ => {
                let case = &written[random.below(written.len())];
                let start = random.below(case.len());
                let end = start + random.below(30).min(case.len() - start);
                text.extend(&case[start..end]);
            }
        }
    }
    text
}

/// Whatever the text: cuts change nothing, little is held, and what is spoken is not much longer.
#[test]
fn random_texts_are_read_the_same_however_they_are_cut() {
    let written: Vec<Vec<char>> =
        cases().iter().map(|case| case.written.chars().collect()).collect();
    let mut random = Random(6);
    for round in 0..4000 {
        let text = random_text(&mut random, &written);
        let normalizer = Normalizer { emoji: round % 2 == 1, ..Normalizer::default() };
        let whole = normalizer.normalize(&text);
        assert!(whole.len() <= 30 * text.len() + 200, "{text:?} is spoken {whole:?}");
        let chars: Vec<char> = text.chars().collect();
        let mut stream = NormalStream::new(normalizer);
        let (mut spoken, mut at, mut read) = (String::new(), 0, 0);
        while at < chars.len() {
            let end = chars.len().min(at + 1 + random.below(if round % 3 == 0 { 1 } else { 12 }));
            let part: String = chars[at..end].iter().collect();
            for piece in stream.push(&part) {
                spoken += &piece.spoken;
                read = piece.source.end;
            }
            at = end;
            assert!(at - read <= 200, "{} held of {text:?}", at - read);
        }
        spoken.extend(stream.finish().into_iter().map(|piece| piece.spoken));
        assert_eq!(spoken, whole, "{text:?}");
    }
}

#[test]
fn emoji_are_named_when_asked_for() {
    let normalizer = Normalizer { emoji: true, ..Normalizer::default() };
    for (written, spoken) in [
        ("Great 😀!", "Great grinning face!"),
        ("Nice👍🏽work", "Nice thumbs up work"),
        ("😂😂😂 and 🎉🚀", "face with tears of joy and party popper, rocket"),
        ("太好了👍🏻！", "太好了赞！"),
        ("今天😀❤️很开心", "今天嘿嘿笑，红心很开心"),
    ] {
        assert_eq!(normalizer.normalize(written), spoken, "{written}");
    }
}
