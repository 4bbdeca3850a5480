//! `/v1/audio/speech` and `/v1/models`.

use crate::support::{Answer, Server, request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mynah::audio::decode;
use serde_json::{Value, json};
use std::time::Duration;

/// Of 24 kHz, 20 ms per character.
const PER_CHAR: usize = 480;

#[tokio::test]
async fn every_format_is_what_it_says() {
    let server = Server::start().await;
    for (format, media_type, rate) in [
        (None, "audio/mpeg", "24000"),
        (Some("mp3"), "audio/mpeg", "24000"),
        (Some("opus"), "audio/ogg", "48000"),
        (Some("flac"), "audio/flac", "24000"),
        (Some("wav"), "audio/wav", "24000"),
        (Some("pcm"), "audio/pcm", "24000"),
    ] {
        let answer = server.speak(request(json!({ "response_format": format }))).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, media_type));
        assert_eq!(answer.header("x-sample-rate"), rate, "{format:?}");
        assert_eq!(answer.header("x-voice"), "default");
        assert_eq!(answer.header("x-notice"), "");
        let samples = match format {
            Some("pcm") => answer.body.len() / 2,
            // The last page's time stamp, at 48 kHz, less what players skip.
            Some("opus") => {
                let page = answer.body.windows(4).rposition(|bytes| bytes == b"OggS");
                let at = page.expect("a page") + 6;
                let granule = answer.body[at..at + 8].try_into().map(u64::from_le_bytes);
                granule.expect("8 bytes") as usize / 2 - 156
            }
            _ => {
                let clip = decode(&answer.body, 9.0).expect("a file of this format");
                assert_eq!(clip.rate, 24_000);
                clip.samples.len()
            }
        };
        let more = samples - 12 * PER_CHAR;
        let is_mp3 = matches!(format, None | Some("mp3"));
        assert!(if is_mp3 { more < 2000 } else { more == 0 }, "{format:?}: {more} samples more");
    }
}

#[tokio::test]
async fn audio_leaves_while_it_is_made() {
    let server = Server::start().await;
    for format in ["mp3", "opus", "flac", "wav", "pcm"] {
        let body = request(json!({ "response_format": format, "input": "x".repeat(60) }));
        let request = server.http.post(server.url("/v1/audio/speech")).json(&body);
        let mut response = request.send().await.expect("an answer");
        assert_eq!(response.headers()["transfer-encoding"], "chunked");
        let mut chunks = 0;
        while let Some(chunk) = response.chunk().await.expect("a chunk") {
            assert!(!chunk.is_empty());
            chunks += 1;
        }
        assert!(chunks > 10, "{format}: {chunks} chunks");
    }
}

/// The events of a body, which has to hold nothing else.
fn events(answer: &Answer) -> Vec<Value> {
    let text = String::from_utf8(answer.body.clone()).expect("text");
    let events = text.split_terminator("\n\n").map(|event| {
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event:?}"));
        serde_json::from_str(data).unwrap_or_else(|_| panic!("{data:?} is not JSON"))
    });
    events.collect()
}

#[tokio::test]
async fn events_hold_the_same_audio() {
    let server = Server::start().await;
    for format in ["pcm", "flac"] {
        let asked = json!({ "response_format": format, "stream_format": "sse" });
        let answer = server.speak(request(asked)).await;
        assert!(answer.header("content-type").starts_with("text/event-stream"));
        let events = events(&answer);
        let (last, deltas) = events.split_last().expect("events");
        assert_eq!(last["type"], "speech.audio.done");
        let usage = &last["usage"];
        for count in ["input_tokens", "output_tokens", "total_tokens"] {
            assert!(usage[count].is_u64(), "{last}");
        }
        let mut audio = Vec::new();
        for delta in deltas {
            assert_eq!(delta["type"], "speech.audio.delta");
            let bytes = STANDARD.decode(delta["audio"].as_str().unwrap_or_default());
            audio.extend(bytes.expect("base64"));
        }
        let plain = server.speak(request(json!({ "response_format": format }))).await;
        assert!(audio == plain.body, "{format}");
    }
}

#[tokio::test]
async fn what_clients_of_openai_send_is_understood() {
    let server = Server::start().await;
    for model in ["tts-1", "tts-1-hd", "gpt-4o-mini-tts", "CosyVoice2"] {
        assert_eq!(server.speak(request(json!({ "model": model }))).await.status, 200);
    }
    for voice in [json!("alloy"), json!("marin"), json!({ "id": "shimmer" })] {
        let answer = server.speak(request(json!({ "voice": voice }))).await;
        assert_eq!((answer.status, answer.header("x-voice")), (200, "default"), "{voice}");
        assert!(answer.header("x-notice").contains("is not registered"), "{voice}");
    }
    let asked = json!({ "instructions": "Whisper.", "speed": 1.5, "seed": 7 });
    let answer = server.speak(request(asked)).await;
    assert_eq!((answer.status, answer.header("x-notice")), (200, "`instructions` are ignored"));
}

#[tokio::test]
async fn what_is_wrong_is_told_in_the_envelope() {
    let server = Server::start().await;
    let invalid = "invalid_parameter";
    for (changes, status, code) in [
        (json!({ "model": "tts-9" }), 400, invalid),
        (json!({ "model": 1 }), 400, invalid),
        (json!({ "input": "" }), 400, invalid),
        (json!({ "input": null }), 400, invalid),
        (json!({ "input": ["a"] }), 400, invalid),
        (json!({ "input": "长".repeat(1001) }), 422, "text_too_long"),
        (json!({ "voice": "nobody" }), 404, "not_found"),
        (json!({ "voice": "../default" }), 404, "not_found"),
        (json!({ "voice": {} }), 400, invalid),
        (json!({ "response_format": "aac" }), 400, invalid),
        (json!({ "stream_format": "ws" }), 400, invalid),
        (json!({ "speed": 0.25 }), 422, "validation_failed"),
        (json!({ "speed": 4 }), 422, "validation_failed"),
        (json!({ "speed": "fast" }), 400, invalid),
    ] {
        println!("{:.60}", changes.to_string());
        server.speak(request(changes)).await.is_error(status, code);
    }
    let answer = server.speak(request(json!({ "response_format": "aac" }))).await;
    assert!(answer.json()["error"]["message"].to_string().contains("wav, pcm, opus, mp3 or flac"));
    for body in ["", "{", "[]", "input=hello"] {
        let post = server.http.post(server.url("/v1/audio/speech")).body(body);
        Answer::of(post).await.is_error(400, invalid);
    }
    let long = server.http.post(server.url("/v1/audio/speech")).body(vec![b' '; 100_000]);
    Answer::of(long).await.is_error(413, "payload_too_large");
    server.get("/v1/audio/speech").await.is_error(405, "method_not_allowed");
    server.get("/v1/audio/nothing").await.is_error(404, "not_found");
}

#[tokio::test]
async fn models_are_listed_and_found() {
    let server = Server::start().await;
    let list = server.get("/v1/models").await.json();
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&json!("list"), &json!("CosyVoice2")));
    for id in ["CosyVoice2", "tts-1"] {
        let model = server.get(&format!("/v1/models/{id}")).await.json();
        assert_eq!((&model["id"], &model["object"]), (&json!(id), &json!("model")));
        assert!(model["created"].is_u64() && model["owned_by"].is_string());
    }
    server.get("/v1/models/whisper-1").await.is_error(404, "not_found");
}

#[tokio::test]
async fn limits_and_shutdown_are_those_of_all_doors() {
    let mut server = Server::with(|config| {
        config.limits.rate_limit = "2/minute".into();
        config.limits.rate_limit_loopback = true;
    })
    .await;
    assert_eq!(server.speak(request(json!({ "input": "a" }))).await.status, 200);
    // What plays goes on while the server drains.
    let body = request(json!({ "input": "x".repeat(50), "response_format": "pcm" }));
    let post = server.http.post(server.url("/v1/audio/speech")).json(&body);
    let response = post.send().await.expect("an answer");
    server.speak(request(json!({}))).await.is_error(429, "rate_limited");
    let _ = server.shutdown.take().map(|wish| wish.send(()));
    assert_eq!(response.bytes().await.expect("all of it").len(), 2 * 50 * PER_CHAR);
    let ended = tokio::time::timeout(Duration::from_secs(10), server.run).await;
    assert!(ended.is_ok_and(|run| run.is_ok_and(|result| result.is_ok())));
}

#[tokio::test]
async fn a_client_that_leaves_is_not_spoken_to() {
    let server = Server::start().await;
    for format in ["audio", "sse"] {
        let body = request(json!({ "input": "x".repeat(900), "stream_format": format }));
        let post = server.http.post(server.url("/v1/audio/speech")).json(&body);
        drop(post.send().await.expect("an answer"));
        let start = std::time::Instant::now();
        while server.engine.status().active > 0 {
            assert!(start.elapsed() < Duration::from_secs(10), "{format}: still speaking");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
