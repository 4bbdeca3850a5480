//! Normalising, splitting, tokenising.

use crate::support::cases;
use mynah::model::cosyvoice2::tokenizer::TextTokenizer;
use mynah::text;
use serde_json::Value;

/// The cases of every folder with its tokenizer.
fn each_case(run: impl Fn(&Value, &TextTokenizer)) {
    for dir in cases("text") {
        let json = std::fs::read(dir.join("cases.json")).expect("cases.json");
        let tokenizer = TextTokenizer::open(&dir.join("tokenizer")).expect("tokenizer");
        run(&serde_json::from_slice(&json).expect("cases.json"), &tokenizer);
    }
}

fn list<'a>(cases: &'a Value, name: &str) -> &'a [Value] {
    let list = cases[name].as_array().unwrap_or_else(|| panic!("no list {name}"));
    assert!(!list.is_empty(), "{name} is empty");
    list
}

fn string<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_else(|| panic!("no {name} in {case}"))
}

#[test]
fn golden_text_tokenizer() {
    each_case(|cases, tokenizer| {
        for case in list(cases, "tokenizer") {
            let text = string(case, "text");
            assert_eq!(serde_json::json!(tokenizer.encode(text)), case["ids"], "{text:?}");
        }
        let special = cases["special_token_ids"].as_object().expect("special_token_ids");
        assert!(!special.is_empty());
        for (token, id) in special {
            assert_eq!(serde_json::json!(tokenizer.token_id(token)), *id, "{token}");
            assert_eq!(serde_json::json!(tokenizer.encode(token)), serde_json::json!([id]));
        }
    });
}

#[test]
fn golden_text_split_paragraph() {
    each_case(|cases, tokenizer| {
        for case in list(cases, "split_paragraph") {
            let language = match string(case, "lang") {
                "zh" => text::Measure::Chinese,
                "en" => text::Measure::English,
                other => panic!("language {other}"),
            };
            let comma_split = case["comma_split"].as_bool().expect("comma_split");
            let count = |text: &str| tokenizer.encode(text).len();
            let pieces = text::split_paragraph(string(case, "text"), language, comma_split, &count);
            assert_eq!(serde_json::json!(pieces), case["out"], "{case}");
        }
    });
}

#[test]
fn golden_text_normalize() {
    each_case(|cases, _| {
        for case in list(cases, "zh_rules") {
            assert_eq!(text::chinese_rules(string(case, "text")), string(case, "out"), "{case}");
        }
        for case in list(cases, "spell_out_number") {
            let out = text::spell_out_numbers(string(case, "text"));
            assert_eq!(out, string(case, "out"), "{case}");
        }
    });
}

#[test]
fn golden_text_kinds() {
    each_case(|cases, _| {
        for case in list(cases, "is_only_punctuation") {
            assert_eq!(text::is_only_punctuation(string(case, "text")), case["out"], "{case}");
        }
        for case in list(cases, "contains_chinese") {
            assert_eq!(text::contains_chinese(string(case, "text")), case["out"], "{case}");
        }
    });
}
