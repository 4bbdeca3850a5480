//! `/v1/audio/voices`.

use crate::recordings::{CODES, TOO_LONG, good, poor};
use crate::support::{Server, form, request, tone};
use mynah::audio::{Clip, decode};
use reqwest::multipart::{Form, Part};
use serde_json::json;

#[tokio::test]
async fn a_voice_is_registered_spoken_with_and_removed() {
    let server = Server::start().await;
    let made = server.register(form("anna")).await;
    assert_eq!(made.status, 200, "{}", made.json());
    let mut made = made.json();
    assert_eq!((&made["id"], &made["object"]), (&json!("anna"), &json!("audio.voice")));
    assert!(made["created_at"].as_u64().is_some_and(|at| at > 1_600_000_000));

    // Told once, when it can still be recorded anew.
    assert!(made.as_object_mut().is_some_and(|made| made.remove("warnings").is_some()));
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

/// What registers a voice of this recording.
fn of(name: &str, recording: Vec<u8>, text: &str) -> Form {
    Form::new()
        .text("name", name.to_string())
        .text("ref_text", text.to_string())
        .text("consent", "true")
        .part("audio_sample", Part::bytes(recording).file_name("me.wav"))
}

/// The recording that a voice is made of.
fn stored(server: &Server, name: &str) -> Clip {
    let file = std::fs::read(server.voices.path().join(name).join("audio.wav"));
    decode(&file.expect("a recording"), 60.0).expect("a WAV file")
}

#[tokio::test]
async fn poor_recordings_are_trimmed_and_warned_of() {
    let server = Server::start().await;
    let made = server.register(of("anna", poor(), TOO_LONG)).await;
    let json = made.json();
    assert_eq!(made.status, 200, "{json}");
    let warnings = json["warnings"].as_array().expect("an array");
    let told: Vec<_> = warnings.iter().filter_map(|warning| warning["code"].as_str()).collect();
    assert_eq!(told, CODES);
    let header = made.header("x-mynah-warning");
    assert!(CODES.iter().all(|code| header.contains(code)), "{header}");
    assert!((1.0..1.5).contains(&stored(&server, "anna").seconds()));

    let made = server.register(of("bob", good(), "This is what I say in it.")).await;
    assert_eq!((&made.json()["warnings"], made.header("x-mynah-warning")), (&json!([]), ""));
    assert_eq!(Ok(stored(&server, "bob")), decode(&good(), 60.0));
}

#[tokio::test]
async fn recordings_are_prepared_as_the_settings_say() {
    let server = Server::with(|config| {
        config.audio.prompt_trim = false;
        config.audio.prompt_loudness = Some(-30.0);
    })
    .await;
    server.register(of("anna", poor(), TOO_LONG)).await;
    server.register(of("bob", good(), "This is what I say in it.")).await;
    assert!((stored(&server, "anna").seconds() - 5.0).abs() < 0.01);
    let peak = stored(&server, "bob").samples.iter().fold(0f32, |peak, x| peak.max(x.abs()));
    assert!((0.03..0.15).contains(&peak), "{peak}");
}
