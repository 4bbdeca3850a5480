//! When words are spoken.

use crate::support::{CHAR, Heard, Server};
use serde_json::{Value, json};

/// The words of a frame.
fn words(json: &Value) -> Vec<Value> {
    json["words"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn every_word_has_its_time() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.start_with("a", json!({ "timestamps": true })).await;
    let text = "\"Well,\" she said, it's 3.5 — 你好, really! Go";
    for piece in [&text[..9], &text[9..10], &text[10..]] {
        client.say("a", piece).await;
    }
    client.order("close_context", "a").await;
    let (heard, done) = client.hear_until("done", "a").await;
    let (mut told, mut settled, mut bytes) = (Vec::new(), Vec::new(), 0);
    for frame in &heard {
        match frame {
            Heard::Audio(audio) => {
                // Announced before its audio.
                let at = (bytes + audio.len()) as f64 / 48_000.0;
                let begun = text.chars().take((at / 0.02).round() as usize).collect::<String>();
                let known = told.len();
                assert!(begun.matches("said").count() == 0 || known >= 3, "{known} at {at}");
                bytes += audio.len();
            }
            Heard::Json(json) if json["type"] == "words" => match json["final"].as_bool() {
                Some(true) => settled.extend(words(json)),
                _ => told.extend(words(json)),
            },
            _ => {}
        }
    }
    assert_eq!(bytes, text.chars().count() * CHAR);
    let texts: Vec<&str> = settled.iter().filter_map(|w| w["text"].as_str()).collect();
    assert_eq!(texts, ["Well", "she", "said", "it's", "3.5", "你", "好", "really", "Go"]);
    let number = |word: &Value, key: &str| word[key].as_f64().expect("a number");
    let mut last = 0.0;
    for word in &settled {
        assert!(number(word, "start") >= last && number(word, "end") > number(word, "start"));
        last = number(word, "end");
        let (from, to) = (number(word, "from") as usize, number(word, "to") as usize);
        let place: String = text.chars().skip(from).take(to - from).collect();
        assert_eq!(word["text"], place);
    }
    assert!(last <= done["audio_seconds"].as_f64().expect("a number") + 1e-9);
    let announced: Vec<&Value> = told.iter().map(|w| &w["from"]).collect();
    assert!(announced.is_sorted_by_key(|from| from.as_u64()), "{announced:?}");
}

#[tokio::test]
async fn nobody_hears_of_words_unasked() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.speak("a", "one two three").await;
    let (heard, _) = client.hear_until("done", "a").await;
    assert!(!heard.iter().any(|h| matches!(h, Heard::Json(json) if json["type"] == "words")));
}
