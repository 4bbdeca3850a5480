//! `/v1/audio/voices`.

use crate::support::{Server, form, request, tone};
use reqwest::multipart::{Form, Part};
use serde_json::json;

#[tokio::test]
async fn a_voice_is_registered_spoken_with_and_removed() {
    let server = Server::start().await;
    let made = server.register(form("anna")).await;
    assert_eq!(made.status, 200, "{}", made.json());
    let made = made.json();
    assert_eq!((&made["id"], &made["object"]), (&json!("anna"), &json!("audio.voice")));
    assert!(made["created_at"].as_u64().is_some_and(|at| at > 1_600_000_000));

    let list = server.get("/v1/audio/voices").await.json();
    assert_eq!(list["voices"], json!(["anna", "default"]));
    assert_eq!(list["data"][0], made);
    assert_eq!(list["data"][1]["bundled"], json!(true));
    let text = std::fs::read_to_string(server.voices.path().join("anna/text.txt"));
    assert_eq!(text.expect("a transcript").trim(), "What I say.");

    let answer = server.speak(request(json!({ "voice": "anna" }))).await;
    assert_eq!((answer.status, answer.header("x-voice")), (200, "anna"));
    server.register(form("anna")).await.is_error(400, "invalid_parameter");

    let gone = server.delete("/v1/audio/voices/anna").await.json();
    assert_eq!((&gone["id"], &gone["deleted"]), (&json!("anna"), &json!(true)));
    server.delete("/v1/audio/voices/anna").await.is_error(404, "not_found");
    server.speak(request(json!({ "voice": "anna" }))).await.is_error(404, "not_found");
    assert_eq!(std::fs::read_dir(server.voices.path()).expect("a folder").count(), 0);
}

/// The names that programs send by default may be given to voices of one's own.
#[tokio::test]
async fn a_registered_voice_goes_before_openais() {
    let server = Server::start().await;
    assert_eq!(server.register(form("alloy")).await.status, 200);
    let answer = server.speak(request(json!({ "voice": "alloy" }))).await;
    assert_eq!((answer.header("x-voice"), answer.header("x-notice")), ("alloy", ""));
}

#[tokio::test]
async fn voices_of_the_model_stay() {
    let server = Server::start().await;
    server.delete("/v1/audio/voices/default").await.is_error(400, "invalid_parameter");
    server.register(form("default")).await.is_error(400, "invalid_parameter");
    for name in ["nobody", "..", "%2e%2e", "..%2Fsecret", "a%00b"] {
        let answer = server.delete(&format!("/v1/audio/voices/{name}")).await;
        assert!(matches!(answer.status, 404 | 405), "{name}: {}", answer.status);
    }
    assert_eq!(server.speak(request(json!({}))).await.status, 200);
}

#[tokio::test]
async fn what_is_no_voice_is_refused() {
    let server = Server::start().await;
    let sample = |bytes: Vec<u8>| Part::bytes(bytes).file_name("me.wav");
    let fields = || Form::new().text("name", "bob").text("ref_text", "x").text("consent", "yes");
    let silence = mynah::audio::wav::encode(&[0.0; 32_000], 16_000);
    let invalid = "invalid_parameter";
    for (what, form, status, code) in [
        ("no sample", fields(), 400, invalid),
        ("silence", fields().part("audio_sample", sample(silence)), 400, "unsupported_audio"),
        ("short", fields().part("audio_sample", sample(tone(0.3))), 400, "unsupported_audio"),
        ("rubbish", fields().part("audio_sample", sample(vec![7; 99])), 400, "unsupported_audio"),
        ("long", fields().part("audio_sample", sample(tone(31.0))), 422, "validation_failed"),
        ("no consent", Form::new().text("name", "bob"), 400, invalid),
        ("refusal", form("bob").text("consent", "false"), 400, invalid),
        ("odd consent", form("bob").text("consent", "maybe"), 400, invalid),
        ("path", form("../bob"), 400, invalid),
        ("hidden", form(".bob"), 400, invalid),
        ("no text", form("bob").text("ref_text", " "), 400, invalid),
        ("long text", form("bob").text("ref_text", "长".repeat(1001)), 422, "text_too_long"),
        ("long name", form(&"x".repeat(65)), 400, invalid),
    ] {
        println!("{what}");
        server.register(form).await.is_error(status, code);
    }
    let no_form = server.http.post(server.url("/v1/audio/voices")).json(&json!({ "name": "bob" }));
    crate::support::Answer::of(no_form).await.is_error(400, invalid);
    assert_eq!(server.get("/v1/audio/voices").await.json()["voices"], json!(["default"]));
}

#[tokio::test]
async fn a_recording_that_is_too_large_is_not_read() {
    let server = Server::with(|config| config.limits.max_file_size = 20_000).await;
    server.register(form("anna")).await.is_error(413, "payload_too_large");
}
