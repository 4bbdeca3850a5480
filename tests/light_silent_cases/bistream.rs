//! `/inference_zero_shot_bistream`, as it should go.

use crate::support::{Client, Heard, Server, tone};
use futures::future::join_all;
use serde_json::Value;
use std::time::{Duration, Instant};

const INIT: &str = r#"{"prompt_text":"友好自然的声音","tts_model_name":"CosyVoice2"}"#;
const BYTES_PER_CHAR: usize = 960;

/// What the documented Python client does: it waits for audio after each text.
async fn converse(client: &mut Client) {
    client.text(INIT).await;
    client.binary(tone(1.0, 24_000)).await;
    let texts = ["你好", "这是一个测试", "再见"];
    let mut bytes = 0;
    for (i, text) in texts.iter().enumerate() {
        client.say(text, i == texts.len() - 1).await;
        let Heard::Audio(audio) = client.hear().await else { panic!("no audio for {text}") };
        bytes += audio.len();
    }
    let (rest, json, code) = client.hear_all().await;
    assert_eq!((bytes + rest.len(), json.len(), code), (10 * BYTES_PER_CHAR, 0, 1000));
}

#[tokio::test]
async fn the_documented_client() {
    let server = Server::start().await;
    converse(&mut server.connect().await).await;
    server.becomes_idle().await;
}

#[tokio::test]
async fn six_at_once() {
    let server = Server::start().await;
    let start = Instant::now();
    let six = (0..6).map(|_| async { converse(&mut server.connect().await).await });
    join_all(six).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    server.becomes_idle().await;
}

#[tokio::test]
async fn a_prompt_in_pieces() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.text(INIT).await;
    for piece in tone(1.0, 16_000).chunks(1000) {
        client.binary(piece).await;
    }
    client.say("hi", true).await;
    let (audio, _, code) = client.hear_all().await;
    assert_eq!((audio.len(), code), (2 * BYTES_PER_CHAR, 1000));
}

#[tokio::test]
async fn audio_leaves_before_the_text_has_ended() {
    let server = Server::start().await;
    let mut client = server.connect_voiced().await;
    client.say("h", false).await;
    assert!(matches!(client.hear().await, Heard::Audio(_)));
    client.say("", true).await;
    assert_eq!(client.hear().await, Heard::Close(1000));
}

/// Text is cut anywhere, also into its last characters, and much faster than it is spoken.
#[tokio::test]
async fn text_cut_at_every_character() {
    let server = Server::start().await;
    let mut client = server.connect_voiced().await;
    let text = "Streaming, 3.5 km, e\u{301}tude 你好";
    for c in text.chars() {
        client.say(&c.to_string(), false).await;
    }
    client.text(r#"{"finish":"True"}"#).await;
    let (audio, _, code) = client.hear_all().await;
    assert_eq!((audio.len(), code), (text.chars().count() * BYTES_PER_CHAR, 1000));
}

#[tokio::test]
async fn events_rates_and_formats() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .text(r#"{"voice":"default","sample_rate":16000,"response_format":"wav","events":true}"#)
        .await;
    client.say("abcde", true).await;
    let (audio, json, code) = client.hear_all().await;
    assert_eq!((audio.len(), code), (44 + 5 * 640, 1000));
    assert_eq!(&audio[..4], b"RIFF");
    let names: Vec<_> = json.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names.first(), Some(&"audio_start"));
    assert_eq!(names.last(), Some(&"done"));
    assert!(names[1..names.len() - 1].iter().all(|name| *name == "progress"), "{names:?}");
    let (start, done): (&Value, &Value) = (&json[0], &json[json.len() - 1]);
    assert_eq!(start["sample_rate"], 16_000);
    for number in [&start["first_packet_ms"], &start["queued_ms"], &done["elapsed_ms"]] {
        assert!(number.is_number(), "{json:?}");
    }
    assert_eq!(done["audio_seconds"], 0.1);
}

/// The frames put together are a file of the format.
#[tokio::test]
async fn compressed_formats() {
    let server = Server::start().await;
    for (format, start) in [("opus", &b"OggS"[..]), ("mp3", b"\xFF\xF3"), ("flac", b"fLaC")] {
        let mut client = server.connect().await;
        client.text(&format!(r#"{{"voice":"default","response_format":"{format}"}}"#)).await;
        client.say("twenty characters or", true).await;
        let (audio, _, code) = client.hear_all().await;
        assert_eq!(code, 1000);
        assert!(audio.starts_with(start), "{format}");
        if format != "opus" {
            let clip = mynah::audio::decode(&audio, 9.0).expect("a file of this format");
            let more = clip.samples.len() - 20 * 480;
            assert!(clip.rate == 24_000 && more < 2000, "{format}: {more} samples more");
        }
    }
    let mut client = server.connect().await;
    client.text(r#"{"voice":"default","response_format":"mp3","sample_rate":9999}"#).await;
    client.is_refused("VALIDATION_FAILED", 1007).await;
}

#[tokio::test]
async fn clients_that_vanish() {
    let server = Server::with(|c| c.engine.queue = 60).await;
    let vanish = |i: u64| {
        let server = &server;
        async move {
            let mut client = server.connect().await;
            tokio::time::sleep(Duration::from_millis(i * 3 % 40)).await;
            if !i.is_multiple_of(5) {
                client.text(r#"{"voice":"default"}"#).await;
            }
            if i % 5 > 1 {
                client.say(&"x".repeat(500), i.is_multiple_of(2)).await;
            }
            if i % 5 > 2 && i < 20 {
                client.hear().await;
            }
            if i.is_multiple_of(3) {
                let _ = client.socket.close(None).await;
            }
        }
    };
    let start = Instant::now();
    join_all((0..50).map(vanish)).await;
    server.becomes_idle().await;
    // Had they been spoken to, it would have taken minutes.
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let start = Instant::now();
    while server.metric("mynah_websocket_connections ").await > 0.0 {
        assert!(start.elapsed() < Duration::from_secs(5), "connections remain");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
