//! `POST /v1/text/normalize`.

use crate::support::{Answer, Server};
use serde_json::{Value, json};

async fn ask(server: &Server, body: Value) -> Answer {
    Answer::of(server.http.post(server.url("/v1/text/normalize")).json(&body).send().await).await
}

#[tokio::test]
async fn it_tells_how_a_text_is_read() {
    let server = Server::start().await;
    let written = "**Yes**, 3 apples and 你好 😀.";
    let answer = ask(&server, json!({ "text": written })).await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    let spoken = json["spoken"].as_str().expect("a text");
    assert!(spoken.starts_with("Yes, three apples and 你好"), "{spoken}");
    let pieces = json["pieces"].as_array().expect("pieces");
    let all = |key: &str| -> String { pieces.iter().filter_map(|p| p[key].as_str()).collect() };
    assert_eq!((all("written").as_str(), all("spoken").as_str()), (written, spoken));
    let mut at = 0;
    for piece in pieces {
        assert_eq!(piece["from"], at);
        at = piece["to"].as_u64().expect("a place");
    }
    assert_eq!(at as usize, written.chars().count());
    assert!(pieces.iter().any(|piece| piece["written"] == "3" && piece["rule"].is_string()));
}

#[tokio::test]
async fn the_language_can_be_chosen() {
    let server = Server::start().await;
    for (language, spoken) in [("auto", "three"), ("en", "three"), ("zh", "三")] {
        let answer = ask(&server, json!({ "text": "3", "language": language })).await;
        assert_eq!(answer.json()["spoken"], spoken, "{language}");
    }
}

#[tokio::test]
async fn mistakes_are_named() {
    let server = Server::start().await;
    for body in [json!({}), json!({ "text": 3 }), json!({ "text": "a", "language": "fr" })] {
        ask(&server, body).await.is_error(400, "INVALID_PARAMETER");
    }
    let long = json!({ "text": "x".repeat(1001) });
    ask(&server, long).await.is_error(422, "TEXT_TOO_LONG");
}

/// The field is checked before anything is spoken.
#[tokio::test]
async fn requests_that_say_neither_on_nor_off_are_refused() {
    let server = Server::start().await;
    let speech = json!({ "model": "tts-1", "input": "hi", "normalize": "maybe" });
    let answer = server.http.post(server.url("/v1/audio/speech")).json(&speech).send().await;
    let answer = Answer::of(answer).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["error"]["message"].as_str().is_some_and(|m| m.contains("normalize")));
}
