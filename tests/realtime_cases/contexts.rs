//! Utterances: order, flushes, cancellation, several at a time.

use crate::recordings::{CODES, TOO_LONG, poor};
use crate::support::{CHAR, Heard, PATH, Server, audio_bytes, kinds};
use base64::Engine;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

#[tokio::test]
async fn one_utterance_from_ready_to_done() {
    let server = Server::start().await;
    let (mut client, ready) = server.connect_to(PATH).await;
    assert_eq!(ready["protocol"], "mynah.realtime.v1");
    assert_eq!((&ready["sample_rate"], &ready["multiplex"]), (&json!(24_000), &json!(false)));
    assert!(ready["limits"]["contexts"].as_u64().is_some_and(|n| n > 1), "{ready}");
    client.start("a").await;
    for piece in ["Hel", "lo t", "here."] {
        client.say("a", piece).await;
    }
    client.order("close_context", "a").await;
    let (heard, done) = client.hear_until("done", "a").await;
    assert_eq!(kinds(&heard), ["audio_start", "audio"]);
    assert_eq!(audio_bytes(&heard), 12 * CHAR);
    let start = heard[0].clone().json();
    assert_eq!((&start["context_id"], &start["format"]), (&json!("a"), &json!("pcm")));
    assert_eq!(start["sample_rate"], 24_000);
    assert!((done["audio_seconds"].as_f64().expect("a number") - 0.24).abs() < 1e-6, "{done}");
    assert!(done["first_packet_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{done}");
}

#[tokio::test]
async fn rates_and_containers() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.start_with("a", json!({ "sample_rate": 8000, "format": "wav" })).await;
    client.say("a", &"x".repeat(50)).await;
    client.order("close_context", "a").await;
    let (heard, _) = client.hear_until("done", "a").await;
    let start = heard[0].clone().json();
    assert_eq!((&start["format"], &start["sample_rate"]), (&json!("wav"), &json!(8000)));
    let Heard::Audio(first) = &heard[1] else { panic!("no audio after {start}") };
    assert!(first.starts_with(b"RIFF"));
    assert_eq!(audio_bytes(&heard), 44 + 50 * CHAR / 3);
}

/// Nothing to say is no error.
#[tokio::test]
async fn contexts_without_text_end_at_once() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.start("a").await;
    client.say("a", "  ").await;
    client.order("flush", "a").await;
    client.order("close_context", "a").await;
    let (heard, done) = client.hear_until("done", "a").await;
    assert_eq!((kinds(&heard), &done["audio_seconds"]), (vec!["flush_done".into()], &json!(0.0)));
    client.speak("b", "still here").await;
    client.hear_until("done", "b").await;
}

#[tokio::test]
async fn contexts_take_turns_in_the_order_of_their_starts() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for id in ["a", "b", "c"] {
        client.start(id).await;
    }
    for id in ["c", "b", "a"] {
        client.say(id, "some words").await;
        client.order("close_context", id).await;
    }
    for id in ["a", "b", "c"] {
        let (heard, _) = client.hear_until("done", id).await;
        assert_eq!(kinds(&heard), ["audio_start", "audio"], "{id}");
        assert_eq!(heard[0].clone().json()["context_id"], id);
        assert_eq!(audio_bytes(&heard), 10 * CHAR);
    }
}

#[tokio::test]
async fn many_utterances_on_one_socket() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for i in 0..40 {
        let id = format!("turn-{}", i % 3);
        client.speak(&id, "Hi.").await;
        let (heard, _) = client.hear_until("done", &id).await;
        assert_eq!(audio_bytes(&heard), 3 * CHAR);
    }
}

#[tokio::test]
async fn flushes_are_answered_after_their_audio() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.start("a").await;
    client.say("a", "One two").await;
    client.order("flush", "a").await;
    client.say("a", " three").await;
    client.order("flush", "a").await;
    client.order("flush", "a").await;
    client.order("close_context", "a").await;
    let (heard, flushed) = client.hear_until("flush_done", "a").await;
    assert_eq!((audio_bytes(&heard), &flushed["audio_seconds"]), (7 * CHAR, &json!(0.14)));
    let (heard, _) = client.hear_until("flush_done", "a").await;
    assert_eq!(audio_bytes(&heard), 6 * CHAR);
    let (heard, _) = client.hear_until("done", "a").await;
    assert_eq!(kinds(&heard), ["flush_done"]);
}

/// The context of a tagged frame, and its audio.
fn untag(frame: &[u8]) -> (String, &[u8]) {
    let (name, audio) = frame[1..].split_at(usize::from(frame[0]));
    (String::from_utf8(name.to_vec()).expect("a name"), audio)
}

#[tokio::test]
async fn multiplexed_contexts_speak_at_the_same_time() {
    let server = Server::start().await;
    for (path, fields) in [
        (format!("{PATH}?multiplex=true"), json!({})),
        (PATH.to_string(), json!({ "multiplex": true })),
    ] {
        let (mut client, _) = server.connect_to(&path).await;
        let ids = ["a", "a-long-name", "ü"];
        for id in ids {
            client.start_with(id, fields.clone()).await;
        }
        for id in ids {
            client.say(id, &"x".repeat(30)).await;
            client.order("close_context", id).await;
        }
        let (mut bytes, mut done, mut switches) = (HashMap::new(), 0, 0);
        let mut last = String::new();
        while done < ids.len() {
            match client.hear().await {
                Heard::Audio(frame) => {
                    let (id, audio) = untag(&frame);
                    *bytes.entry(id.clone()).or_insert(0) += audio.len();
                    switches += usize::from(std::mem::replace(&mut last, id.clone()) != id);
                }
                Heard::Json(json) if json["type"] == "done" => done += 1,
                Heard::Json(json) => assert_eq!(json["type"], "audio_start"),
                other => panic!("{other:?}"),
            }
        }
        assert!(switches > 10, "they took turns: {switches}");
        for id in ids {
            assert_eq!(bytes.get(id), Some(&(30 * CHAR)), "{id}");
        }
    }
}

#[tokio::test]
async fn after_cancelled_there_is_silence() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.start("a").await;
    client.say("a", &"x".repeat(900)).await;
    while !matches!(client.hear().await, Heard::Audio(_)) {}
    let start = Instant::now();
    client.order("cancel", "a").await;
    client.speak("b", "next").await;
    client.hear_until("cancelled", "a").await;
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    let (heard, _) = client.hear_until("done", "b").await;
    assert_eq!(kinds(&heard), ["audio_start", "audio"]);
    assert_eq!(audio_bytes(&heard), 4 * CHAR);
    // What was on its way is no mistake, and the name is free again.
    client.say("a", "late").await;
    client.order("close_context", "a").await;
    client.speak("a", "again").await;
    assert_eq!(audio_bytes(&client.hear_until("done", "a").await.0), 5 * CHAR);
    assert!(server.becomes_idle().await < Duration::from_millis(100));
}

/// A client that reads slowly has audio waiting everywhere when it cancels.
#[tokio::test]
async fn cancelling_under_load() {
    let server = Server::with(|c| c.engine.max_sessions = 16).await;
    let (mut client, _) = server.connect_to(&format!("{PATH}?multiplex=1")).await;
    let ids: Vec<String> = (0..12).map(|i| format!("c{i}")).collect();
    for id in &ids {
        client.start_with(id, json!({ "sample_rate": 48_000 })).await;
        client.say(id, &"x".repeat(200)).await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let (kept, dropped) = ids.split_at(4);
    for id in dropped {
        client.order("cancel", id).await;
    }
    for id in kept {
        client.order("close_context", id).await;
    }
    let (mut cancelled, mut done, mut bytes) = (Vec::new(), 0, HashMap::new());
    while done < kept.len() {
        match client.hear().await {
            Heard::Audio(frame) => {
                let (id, audio) = untag(&frame);
                assert!(!cancelled.contains(&json!(id)), "{id} sounds after it was cancelled");
                *bytes.entry(id).or_insert(0) += audio.len();
            }
            Heard::Json(json) if json["type"] == "cancelled" => {
                cancelled.push(json["context_id"].clone());
            }
            Heard::Json(json) => {
                assert!(!cancelled.contains(&json["context_id"]), "{json}");
                done += usize::from(json["type"] == "done");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(cancelled.len(), dropped.len());
    for id in kept {
        assert_eq!(bytes.get(id), Some(&(200 * 2 * CHAR)), "{id}");
    }
}

#[tokio::test]
async fn what_waits_can_be_cancelled_and_what_is_not_there_too() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.start("a").await;
    client.speak("b", "never said").await;
    client.speak("c", "said").await;
    client.order("cancel", "b").await;
    assert_eq!(client.hear_until("cancelled", "b").await.0, []);
    client.order("cancel", "a").await;
    assert_eq!(client.hear_until("cancelled", "a").await.0, []);
    client.order("cancel", "nobody").await;
    let (heard, _) = client.hear_until("done", "c").await;
    let cancelled = |h: &&Heard| matches!(h, Heard::Json(json) if json["type"] == "cancelled");
    assert_eq!(heard.iter().filter(cancelled).count(), 1, "{heard:?}");
    let audio: Vec<Heard> = heard.into_iter().filter(|h| !cancelled(&h)).collect();
    assert_eq!(kinds(&audio), ["audio_start", "audio"]);
}

#[tokio::test]
async fn prompts_are_voices_too() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let tone: Vec<f32> = (0..16_000).map(|i| 0.3 * (i as f32 * 0.17).sin()).collect();
    let wav = mynah::audio::wav::encode(&tone, 16_000);
    let audio = base64::engine::general_purpose::STANDARD.encode(wav);
    let start = json!({
        "type": "start", "context_id": "a", "prompt": { "audio": audio, "text": "a tone" }
    });
    client.send(start).await;
    client.say("a", "Hello").await;
    client.order("close_context", "a").await;
    assert_eq!(audio_bytes(&client.hear_until("done", "a").await.0), 5 * CHAR);
    let start: Value = json!({
        "type": "start", "context_id": "b", "prompt": { "audio": "AAEC", "text": "noise" }
    });
    client.send(start).await;
    client.context_fails("b", "UNSUPPORTED_AUDIO").await;
}

#[tokio::test]
async fn poor_prompts_are_warned_of() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let audio = base64::engine::general_purpose::STANDARD.encode(poor());
    let start = json!({
        "type": "start", "context_id": "a", "prompt": { "audio": audio, "text": TOO_LONG }
    });
    client.send(start).await;
    client.say("a", "Hello").await;
    client.order("close_context", "a").await;
    let (_, start) = client.hear_until("audio_start", "a").await;
    let warnings = start["warnings"].as_array().expect("an array");
    let told: Vec<_> = warnings.iter().filter_map(|warning| warning["code"].as_str()).collect();
    assert_eq!(told, CODES);
    client.speak("b", "Hello").await;
    assert_eq!(client.hear_until("audio_start", "b").await.1["warnings"], json!([]));
}
