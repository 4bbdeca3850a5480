//! `/synthesize_stream_opus` and its line.

use crate::support::{PATIENCE, Server};
use crate::{post, with};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATH: &str = "/synthesize_stream_opus";

/// Waits until the line's status is as wanted.
async fn becomes(server: &Server, wanted: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let status = server.get("/opus_queue_status").await.json();
        if wanted(&status) {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "{status}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn is_idle(status: &Value) -> bool {
    status["is_processing"] == json!(false)
}

async fn request(server: &Server, text: &str) -> reqwest::Response {
    let body = json!({ "text": text });
    server.http.post(server.url(PATH)).json(&body).send().await.expect("an answer")
}

#[tokio::test]
async fn the_documented_request_gives_an_ogg_stream() {
    let server = Server::start().await;
    let text = "这是一个流式 Opus 合成测试。";
    let body = with(json!({ "text": text, "opus_bitrate": 32000, "opus_complexity": 10 }));
    let answer = post(&server, PATH, &body).await;
    assert_eq!(answer.status, 200);
    for (name, value) in [
        ("content-type", "audio/ogg"),
        ("x-opus-sample-rate", "48000"),
        ("x-original-sample-rate", "24000"),
        ("x-opus-bitrate", "32000"),
        ("x-opus-complexity", "10"),
        ("x-channels", "1"),
        ("x-queue-info", "sequential-processing"),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
        ("expires", "0"),
        ("x-accel-buffering", "no"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.body.starts_with(b"OggS"));
    assert!(answer.body.windows(8).any(|bytes| bytes == b"OpusHead"));
    assert!(is_idle(&becomes(&server, is_idle).await));
}

#[tokio::test]
async fn bitrates_and_complexities_within_their_ranges() {
    let server = Server::start().await;
    for good in [
        json!({ "text": "a", "opus_bitrate": 8000, "opus_complexity": 0 }),
        json!({ "text": "a", "opus_bitrate": 512_000, "opus_complexity": 10 }),
        json!({ "text": "a", "opus_bitrate": "64000" }),
    ] {
        let answer = post(&server, PATH, &good).await;
        assert_eq!(answer.status, 200, "{good}");
        assert!(answer.body.starts_with(b"OggS"), "{good}");
    }
    for odd in [
        json!({ "text": "a", "opus_bitrate": 7999 }),
        json!({ "text": "a", "opus_bitrate": 512_001 }),
        json!({ "text": "a", "opus_bitrate": "fast" }),
        json!({ "text": "a", "opus_complexity": 11 }),
        json!({ "text": "a", "opus_complexity": -1 }),
    ] {
        post(&server, PATH, &odd).await.is_error(422, "VALIDATION_FAILED");
    }
}

#[tokio::test]
async fn one_at_a_time_in_order() {
    let server = Server::start().await;
    let idle = server.get("/opus_queue_status").await.json();
    assert!(idle["timestamp"].is_f64());
    let documented =
        json!({ "is_processing": false, "queue_available": true, "timestamp": idle["timestamp"] });
    assert_eq!(idle, documented);

    let text = format!("{}!", "字".repeat(79));
    let mut first = request(&server, &text).await;
    // The second has its headers at once, and its bytes when the first is through.
    let asked = Instant::now();
    let mut second = request(&server, "two").await;
    assert_eq!(second.status(), 200);
    assert_eq!(second.headers()["x-queue-info"], "sequential-processing");
    assert!(asked.elapsed() < Duration::from_millis(800), "{:?}", asked.elapsed());

    let status = becomes(&server, |status| status["is_processing"] == json!(true)).await;
    assert_eq!(status["queue_available"], json!(false));
    let current = &status["current_request"];
    assert_eq!(current["text_preview"], json!(format!("{}...", "字".repeat(50))));
    assert_eq!(current["reference_audio_index"], json!(0));
    let (began, now) = (current["start_time"].as_f64(), status["timestamp"].as_f64());
    let duration = current["processing_duration_seconds"].as_f64().expect("seconds");
    let since = now.expect("seconds") - began.expect("seconds");
    assert!((since - duration).abs() < 0.1, "{status}");

    let second = tokio::spawn(async move {
        let chunk = second.chunk().await.expect("a chunk").expect("bytes");
        assert!(chunk.starts_with(b"OggS"));
        let came = Instant::now();
        while second.chunk().await.expect("a chunk").is_some() {}
        came
    });
    while first.chunk().await.expect("a chunk").is_some() {}
    let through = Instant::now();
    let came = second.await.expect("no panic");
    // The last bytes of the one and the first of the other may be read in any order.
    assert!(came + Duration::from_millis(100) > through);
    becomes(&server, is_idle).await;
}

#[tokio::test]
async fn who_leaves_is_not_waited_for() {
    let server = Server::start().await;
    let long = "x".repeat(900);
    let first = request(&server, &long).await;
    let waiting = request(&server, &long).await;
    let mut last = request(&server, "last").await;
    drop(waiting);
    drop(first);
    let start = Instant::now();
    let mut bytes = 0;
    while let Some(chunk) = last.chunk().await.expect("a chunk") {
        bytes += chunk.len();
    }
    assert!(bytes > 0);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    server.becomes_idle().await;
    becomes(&server, is_idle).await;
}

#[tokio::test]
async fn the_line_has_an_end() {
    let server = Server::with(|config| config.engine.queue = 1).await;
    let long = "x".repeat(400);
    let (first, second) = (request(&server, &long).await, request(&server, &long).await);
    let third = post(&server, PATH, &json!({ "text": "three" })).await;
    third.is_error(503, "OVERLOADED");
    drop((first, second));
    becomes(&server, is_idle).await;
}

/// Audio that has begun is heard to its end; what waits is told at once that it waits in vain.
#[tokio::test]
async fn a_draining_server_ends_the_line() {
    let mut server = Server::start().await;
    let mut first = request(&server, &"x".repeat(60)).await;
    let mut waiting = request(&server, "two").await;
    server.shut_down();
    let broken = async {
        while waiting.chunk().await?.is_some() {}
        reqwest::Result::Ok(())
    };
    assert!(broken.await.is_err());
    while first.chunk().await.expect("a chunk").is_some() {}
}
