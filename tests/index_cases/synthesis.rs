//! `/synthesize`, `/synthesize_simple` and `/synthesize_stream`.

use crate::support::{PATIENCE, Server};
use crate::{documented, post, post_raw, with};
use mynah::audio::decode;
use serde_json::{Value, json};

/// 24 kHz, 20 ms per character.
const SAMPLES_PER_CHAR: usize = 480;

const ALL: [&str; 4] =
    ["/synthesize", "/synthesize_simple", "/synthesize_stream", "/synthesize_stream_opus"];

#[tokio::test]
async fn the_documented_request_gives_a_wav_file() {
    let server = Server::start().await;
    let characters = documented()["text"].as_str().expect("text").chars().count();
    for path in ["/synthesize", "/synthesize/"] {
        let answer = post(&server, path, &documented()).await;
        assert_eq!(answer.status, 200);
        for (name, value) in [
            ("content-type", "audio/wav"),
            ("content-disposition", "attachment; filename=synthesized_audio.wav"),
            ("x-sample-rate", "24000"),
            ("x-bit-depth", "16"),
            ("x-channels", "1"),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        let ignored = answer.header("x-ignored-parameters");
        for name in ["num_beams", "length_penalty", "use_fast_inference", "verbose"] {
            assert!(ignored.contains(name), "{ignored}");
        }
        assert!(!ignored.contains("top_p"), "{ignored}");
        let clip = decode(&answer.body, 10.0).expect("a WAV file");
        assert_eq!((clip.rate, clip.samples.len()), (24_000, characters * SAMPLES_PER_CHAR));
    }
}

#[tokio::test]
async fn the_simple_request_and_its_defaults() {
    let server = Server::start().await;
    let text = "这是一个简单的测试。";
    for body in [
        json!({ "text": text, "reference_audio_index": 0 }),
        json!({ "text": text }),
        json!({ "text": text, "reference_audio_index": "0", "unknown": [1], "top_p": "odd" }),
    ] {
        let answer = post(&server, "/synthesize_simple", &body).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "audio/wav"), "{body}");
        assert_eq!(answer.body.len(), 44 + 2 * SAMPLES_PER_CHAR * text.chars().count());
        assert!(!answer.headers.contains_key("x-ignored-parameters"));
    }
    let body = "{\"text\": \"no media type\"}";
    assert_eq!(post_raw(&server, "/synthesize_simple", body).await.status, 200);
}

#[tokio::test]
async fn raw_samples_come_while_they_are_made() {
    let server = Server::start().await;
    // What this endpoint does not have is not looked at.
    let body = with(json!({ "use_fast_inference": "odd", "sentences_bucket_max_size": -1 }));
    let request = server.http.post(server.url("/synthesize_stream")).json(&body);
    let mut response = request.send().await.expect("an answer");
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment; filename=synthesized_audio.pcm"),
        ("x-sample-rate", "24000"),
        ("x-bit-depth", "16"),
        ("x-channels", "1"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(response.headers()[name], value, "{name}");
    }
    let (mut chunks, mut bytes) = (0, 0);
    while let Some(chunk) = response.chunk().await.expect("a chunk") {
        (chunks, bytes) = (chunks + 1, bytes + chunk.len());
    }
    let characters = documented()["text"].as_str().expect("text").chars().count();
    assert_eq!(bytes, 2 * SAMPLES_PER_CHAR * characters);
    assert!(chunks > 3, "{chunks} chunks");
}

#[tokio::test]
async fn what_cannot_be_spoken_is_refused_everywhere() {
    let server = Server::with(|config| config.limits.max_text_length = 100).await;
    for path in ALL {
        for body in
            [json!({ "text": "" }), json!({ "text": " \n" }), json!({}), json!({"text": null})]
        {
            let answer = post(&server, path, &body).await;
            answer.is_error(400, "INVALID_PARAMETER");
            assert!(answer.json()["detail"].to_string().contains("文本不能为空"));
        }
        for index in [1, -1, i64::MAX] {
            let body = json!({ "text": "hello", "reference_audio_index": index });
            let answer = post(&server, path, &body).await;
            answer.is_error(400, "INVALID_PARAMETER");
            let detail = answer.json()["detail"].to_string();
            assert!(detail.contains("valid are 0 to 0") && detail.contains("有效范围: 0-0"));
        }
        let long = json!({ "text": "字".repeat(101) });
        post(&server, path, &long).await.is_error(422, "TEXT_TOO_LONG");
        for body in ["", "{\"text\": \"a", "text=hello"] {
            post_raw(&server, path, body).await.is_error(400, "INVALID_PARAMETER");
        }
        for body in [
            json!({ "text": 7 }),
            json!({ "text": "hello", "reference_audio_index": "first" }),
            json!({ "text": "hello", "reference_audio_index": 0.5 }),
            json!(["hello"]),
        ] {
            post(&server, path, &body).await.is_error(422, "VALIDATION_FAILED");
        }
        let large = json!({ "text": "hello", "more": "x".repeat(1 << 20) });
        post(&server, path, &large).await.is_error(413, "PAYLOAD_TOO_LARGE");
        server.get(path).await.is_error(405, "METHOD_NOT_ALLOWED");
    }
}

#[tokio::test]
async fn parameters_are_checked_where_there_are_any() {
    let server = Server::start().await;
    let odd: [Value; 6] = [
        json!({ "top_p": 1.01 }),
        json!({ "temperature": 0 }),
        json!({ "num_beams": "many" }),
        json!({ "do_sample": "perhaps" }),
        json!({ "max_mel_tokens": 0 }),
        json!({ "max_text_tokens_per_sentence": [] }),
    ];
    for change in odd {
        for path in ["/synthesize", "/synthesize_stream"] {
            let answer = post(&server, path, &with(change.clone())).await;
            answer.is_error(422, "VALIDATION_FAILED");
        }
        assert_eq!(post(&server, "/synthesize_simple", &with(change)).await.status, 200);
    }
    let fast = with(json!({ "sentences_bucket_max_size": 0 }));
    post(&server, "/synthesize", &fast).await.is_error(422, "VALIDATION_FAILED");
}

#[tokio::test]
async fn requests_count_against_the_clients_allowance() {
    let server = Server::with(|config| {
        config.limits.rate_limit = "2/hour".into();
        config.limits.rate_limit_loopback = true;
    })
    .await;
    assert_eq!(server.get("/test").await.status, 200);
    assert_eq!(post(&server, "/synthesize_simple", &json!({ "text": "a" })).await.status, 200);
    for path in ALL {
        post(&server, path, &documented()).await.is_error(429, "RATE_LIMITED");
    }
    assert_eq!(server.get("/model_info").await.status, 200);
}

#[tokio::test]
async fn a_draining_server_takes_nothing_new() {
    let server = Server::start().await;
    server.engine.drain();
    for path in ALL {
        post(&server, path, &documented()).await.is_error(503, "DRAINING");
    }
    server.get("/test").await.is_error(503, "DRAINING");
    assert_eq!(server.get("/opus_queue_status").await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_session() {
    let server = Server::start().await;
    for path in ["/synthesize_stream", "/synthesize"] {
        let body = json!({ "text": "x".repeat(900) });
        let request = server.http.post(server.url(path)).json(&body).send();
        let waiting = tokio::spawn(request);
        let start = std::time::Instant::now();
        while server.engine.status().active == 0 {
            assert!(start.elapsed() < PATIENCE);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        waiting.abort();
        drop(waiting.await);
        server.becomes_idle().await;
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    }
}
