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
