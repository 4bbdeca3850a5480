//! Everything beside synthesis.

use crate::support::Server;
use mynah::audio::decode;
use serde_json::json;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[tokio::test]
async fn root_and_health() {
    let server = Server::start().await;
    let root = server.get("/").await;
    assert_eq!(root.status, 200);
    for (key, value) in [
        ("message", json!("IndexTTS API 服务运行中")),
        ("version", json!("1.0.0")),
        ("status", json!("running")),
        ("model_loaded", json!(true)),
    ] {
        assert_eq!(root.json()[key], value, "{key}");
    }

    let health = server.get("/health").await.json();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs_f64();
    let timestamp = health["timestamp"].as_f64().expect("seconds");
    assert!((timestamp - now).abs() < 10.0);
    let expected = json!({
        "message": "Ok", "status": "healthy", "model_loaded": true, "timestamp": timestamp
    });
    assert_eq!(health, expected);
}

#[tokio::test]
async fn reference_audios_are_the_registered_voices() {
    let server = Server::start().await;
    let expected = json!({
        "reference_audios": [
            { "index": 0, "path": "voices/default.wav", "exists": true, "filename": "default.wav" }
        ],
        "total_count": 1
    });
    assert_eq!(server.get("/reference_audios").await.json(), expected);

    let file = server.get("/download_reference_audio/0").await;
    assert_eq!(file.status, 200);
    assert_eq!(file.header("content-type"), "audio/wav");
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"default.wav\"");
    // The silent engine's voice has no samples.
    assert!(file.body.starts_with(b"RIFF") && file.body.len() == 44);

    for unknown in ["1", "-1", "9223372036854775807"] {
        let answer = server.get(&format!("/download_reference_audio/{unknown}")).await;
        answer.is_error(404, "NOT_FOUND");
        assert!(answer.json()["detail"].to_string().contains("valid are 0 to 0"));
    }
    for odd in ["one", "0.5", "99999999999999999999", "..%2F..%2Fetc"] {
        let answer = server.get(&format!("/download_reference_audio/{odd}")).await;
        answer.is_error(422, "VALIDATION_FAILED");
    }
}

#[tokio::test]
async fn the_model_is_described() {
    let server = Server::with(|config| config.model.dtype = "f16".into()).await;
    let expected = json!({
        "model_loaded": true,
        "device": "cpu",
        "is_fp16": true,
        "use_cuda_kernel": false,
        "model_version": "CosyVoice2",
        "config_path": "mynah-mini/config.json",
        "model_dir": "mynah-mini"
    });
    assert_eq!(server.get("/model_info").await.json(), expected);
}

#[tokio::test]
async fn the_test_speaks_a_fixed_text() {
    let server = Server::start().await;
    let answer = server.get("/test").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "audio/wav"));
    let clip = decode(&answer.body, 10.0).expect("a WAV file");
    // 20 ms for each of the characters of 欢迎使用TTS服务.
    assert_eq!(clip.samples.len(), 9 * 480);
}

#[tokio::test]
async fn lines_come_each_second_and_end_with_the_client() {
    let server = Server::start().await;
    let start = Instant::now();
    let request = server.http.get(server.url("/test_stream"));
    let mut response = request.send().await.expect("an answer");
    let media_type = response.headers()["content-type"].to_str().expect("text");
    assert!(media_type.starts_with("text/plain"), "{media_type}");
    for line in 1..=3 {
        let chunk = response.chunk().await.expect("a chunk").expect("a line");
        let text = String::from_utf8(chunk.into()).expect("text");
        let rest = text.strip_prefix(&format!("数据块 {line}/10 - 时间戳: ")).expect(&text);
        assert!(rest.ends_with('\n') && rest.trim().parse::<f64>().is_ok(), "{text}");
        let due = Duration::from_secs(line - 1);
        let late = start.elapsed().checked_sub(due).expect("not before its second");
        assert!(late < Duration::from_millis(900), "{late:?}");
    }
}
