//! What clients learn of their recordings.

use crate::recordings::{CODES, good, poor};
use crate::support::{Answer, Server};
use serde_json::json;

/// The transcript is not known here, so it cannot be wrong.
#[track_caller]
fn warns(answer: &Answer) {
    assert_eq!(answer.status, 200);
    let header = answer.header("x-mynah-warning");
    let told: Vec<_> = header.split("; ").filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(told.iter().map(|(code, _)| *code).collect::<Vec<_>>(), CODES[..2]);
}

#[tokio::test]
async fn uploads_and_what_is_spoken_with_them() {
    let server = Server::start().await;
    let upload = server.upload("me.wav", poor()).await;
    warns(&upload);
    let upload = upload.json();
    let warnings = upload["warnings"].as_array().expect("an array");
    assert_eq!((warnings.len(), &warnings[0]["code"]), (2, &json!(CODES[0])));
    // The length is the file's, whatever is cut off it.
    assert!(upload["message"].as_str().is_some_and(|words| words.contains("5.00")), "{upload}");
    let body = json!({ "text": "Hello.", "prompt_audio_id": upload["file_id"] });
    warns(&server.post("/api/v1/tts/sync", body.clone()).await);
    let request = server.http.post(server.url("/api/v1/tts/sync")).json(&body);
    warns(&server.send(request.header("accept", "application/json")).await);

    let upload = server.upload("me.wav", good()).await;
    assert_eq!(upload.header("x-mynah-warning"), "");
    let upload = upload.json();
    assert_eq!(upload["warnings"], json!([]));
    let body = json!({ "text": "Hello.", "prompt_audio_id": upload["file_id"] });
    let answer = server.post("/api/v1/tts/sync", body).await;
    assert_eq!((answer.status, answer.header("x-mynah-warning")), (200, ""));
}

#[tokio::test]
async fn workflows_with_a_recording() {
    let server = Server::start().await;
    for (name, recording) in [("poor", poor()), ("good", good())] {
        let path = server.path(&format!("shared/{name}.wav"));
        std::fs::write(&path, recording).expect("written");
        let settings = json!({
            "text": "Hello.", "output_path": format!("{name}.wav"), "reference_audio": path,
        });
        let answer = crate::workflow::speak(&server, settings).await;
        match name {
            "poor" => warns(&answer),
            _ => assert_eq!((answer.status, answer.header("x-mynah-warning")), (200, "")),
        }
    }
}
