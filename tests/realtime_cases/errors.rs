//! What a client is refused for, and whether its socket survives it.

use crate::support::{CHAR, Client, PATH, Server, audio_bytes};
use futures::SinkExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

/// The socket goes on as if nothing had been.
async fn still_speaks(client: &mut Client) {
    client.speak("after", "ok").await;
    assert_eq!(audio_bytes(&client.hear_until("done", "after").await.0), 2 * CHAR);
}

#[tokio::test]
async fn mistakes_of_a_context_are_its_own() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.start_with("a", json!({ "voice": "nobody" })).await;
    client.context_fails("a", "NOT_FOUND").await;
    for (fields, code) in [
        (json!({ "voice": null }), "INVALID_PARAMETER"),
        (json!({ "format": "tape" }), "INVALID_PARAMETER"),
        (json!({ "sample_rate": 1 }), "VALIDATION_FAILED"),
        (json!({ "speed": 3 }), "VALIDATION_FAILED"),
        (json!({ "timestamps": "maybe" }), "INVALID_PARAMETER"),
    ] {
        client.start_with("a", fields).await;
        client.context_fails("a", code).await;
    }
    client.say("unheard-of", "Hello").await;
    client.context_fails("unheard-of", "NOT_FOUND").await;
    client.start("b").await;
    client.say("b", &"x".repeat(1001)).await;
    client.context_fails("b", "TEXT_TOO_LONG").await;
    // What was on its way when it failed.
    client.say("b", "late").await;
    still_speaks(&mut client).await;
    client.start("c").await;
    client.say("c", "first").await;
    client.order("close_context", "c").await;
    client.say("c", "more").await;
    let (_, error) = client.hear_until("error", "c").await;
    assert_eq!(error["error_code"], "INVALID_PARAMETER");
    still_speaks(&mut client).await;
    client.start_with("d", json!({ "multiplex": true })).await;
    client.context_fails("d", "INVALID_PARAMETER").await;
}

#[tokio::test]
async fn breaking_the_protocol_ends_the_socket() {
    let server = Server::start().await;
    for frame in ["", "[]", "{\"type\":\"text\"}", "{\"type\":\"sing\",\"context_id\":\"a\"}"] {
        let mut client = server.connect().await;
        client.socket.send(Message::text(frame)).await.expect("sent");
        client.is_refused("INVALID_PARAMETER", 1007).await;
    }
    let mut client = server.connect().await;
    client.socket.send(Message::binary(vec![0; 4])).await.expect("sent");
    client.is_refused("INVALID_PARAMETER", 1007).await;
    let mut client = server.connect().await;
    client.start("a").await;
    client.start("a").await;
    client.is_refused("INVALID_PARAMETER", 1007).await;
}

#[tokio::test]
async fn frames_that_are_too_large() {
    let server = Server::with(|c| c.limits.max_file_size = 100_000).await;
    let mut client = server.connect().await;
    client.say("a", &"x".repeat(300_000)).await;
    client.is_refused("PAYLOAD_TOO_LARGE", 1009).await;
}

#[tokio::test]
async fn contexts_text_and_flushes_are_bounded() {
    let server = Server::with(|c| c.limits.max_stream_text = 50).await;
    let (mut client, ready) = server.connect_to(PATH).await;
    let most = ready["limits"]["contexts"].as_u64().expect("a number");
    for i in 0..most {
        client.start(&format!("c{i}")).await;
    }
    client.start("one-more").await;
    let error = client.context_fails("one-more", "OVERLOADED").await;
    assert_eq!(error["retryable"], true);
    client.say("c1", &"x".repeat(30)).await;
    client.say("c1", &"x".repeat(30)).await;
    client.context_fails("c1", "TEXT_TOO_LONG").await;
    for _ in 0..=ready["limits"]["flushes"].as_u64().expect("a number") {
        client.order("flush", "c2").await;
    }
    client.context_fails("c2", "INVALID_PARAMETER").await;
    client.speak("room-again", "ok").await;
    for id in ["c0", "c3"] {
        client.order("cancel", id).await;
        client.hear_until("cancelled", id).await;
    }
}

#[tokio::test]
async fn rates_count_contexts_not_sockets() {
    let server = Server::with(|c| {
        c.limits.rate_limit = "2/hour".into();
        c.limits.rate_limit_loopback = true;
    })
    .await;
    let mut client = server.connect().await;
    for id in ["a", "b"] {
        client.speak(id, "Hi").await;
        client.hear_until("done", id).await;
    }
    client.start("c").await;
    let error = client.context_fails("c", "RATE_LIMITED").await;
    assert_eq!(error["retryable"], true);
    assert!(error["retry_after_ms"].as_f64().is_some_and(|ms| ms > 1e6), "{error}");
}

#[tokio::test]
async fn a_full_engine_refuses_contexts() {
    let server = Server::with(|c| {
        c.engine.max_sessions = 1;
        c.engine.queue = 0;
    })
    .await;
    let mut one = server.connect().await;
    one.start("a").await;
    one.say("a", &"x".repeat(500)).await;
    one.hear_until("audio_start", "a").await;
    let mut two = server.connect().await;
    two.speak("b", "Hi").await;
    assert_eq!(two.context_fails("b", "OVERLOADED").await["retryable"], true);
    one.order("cancel", "a").await;
    one.hear_until("cancelled", "a").await;
    server.becomes_idle().await;
    two.speak("b", "Hi").await;
    two.hear_until("done", "b").await;
}
