//! `/api/v1/…` of the IndexTTS2 REST API.

use crate::support::{Server, tone};
use mynah::audio::decode;
use reqwest::multipart::Form;
use serde_json::{Value, json};

const TEXT: &str = "你好，这是一个测试语音。";

/// 24 kHz, 20 ms per character.
const SAMPLES_PER_CHAR: usize = 480;

fn request(prompt: &Value) -> Value {
    json!({
        "text": TEXT,
        "prompt_audio_id": prompt,
        "emo_control_method": 0,
        "max_text_tokens_per_segment": 120,
    })
}

#[track_caller]
fn is_speech(audio: &[u8], text: &str) {
    let clip = decode(audio, 60.0).expect("a WAV file");
    let expected = text.chars().count() * SAMPLES_PER_CHAR;
    assert_eq!((clip.rate, clip.samples.len()), (24_000, expected));
}

/// The documented client, call by call.
#[tokio::test]
async fn upload_synthesize_poll_download() {
    let server = Server::start().await;
    let upload = server.upload("prompt.wav", tone(1.0, 16_000)).await.good();
    assert_eq!((&upload["success"], &upload["is_duplicate"]), (&json!(true), &json!(false)));
    assert_eq!(upload["filename"], "prompt.wav");
    assert_eq!(upload["size"], tone(1.0, 16_000).len());
    let file_id = &upload["file_id"];
    assert!(file_id.as_str().is_some_and(|id| id.len() == 64));

    let info = server.get(&format!("/api/v1/file/{}", file_id.as_str().unwrap_or(""))).await.good();
    assert_eq!((&info["file_id"], &info["filename"]), (file_id, &json!("prompt.wav")));
    assert_eq!(info["file_size"], upload["size"]);

    let created = server.post("/api/v1/tts", request(file_id)).await;
    assert_eq!(created.header("x-ignored-parameters"), "");
    let created = created.good();
    assert_eq!(created["success"], true);
    let task_id = created["task_id"].as_str().expect("an id").to_string();
    assert!(task_id.len() == 32 && task_id.bytes().all(|b| b.is_ascii_hexdigit()), "{task_id}");

    let path = format!("/api/v1/task/{task_id}");
    let done = server.poll(&path, |task| {
        let progress = task["progress"].as_f64().expect("a number");
        assert!((0.0..=1.0).contains(&progress), "{task}");
        assert_ne!(task["status"], "failed", "{task}");
        task["status"] == "completed"
    });
    let done = done.await;
    assert_eq!((&done["progress"], &done["duration"]), (&json!(1.0), &json!(240)));
    assert_eq!(done["audio_url"], format!("/api/v1/audio/{task_id}.wav"));
    assert!(done["completed_at"].as_f64() >= done["created_at"].as_f64());

    for path in [format!("/api/v1/audio/{task_id}"), format!("/api/v1/audio/{task_id}.wav")] {
        let audio = server.get(&path).await;
        assert_eq!((audio.status, audio.header("content-type")), (200, "audio/wav"));
        assert!(audio.header("content-disposition").contains(&format!("tts_{task_id}.wav")));
        is_speech(&audio.body, TEXT);
    }
}

#[tokio::test]
async fn equal_content_is_stored_once() {
    let server = Server::start().await;
    let first = server.upload("a.wav", tone(1.0, 16_000)).await.good();
    let again = server.upload("b.WAV", tone(1.0, 16_000)).await.good();
    assert_eq!(again["file_id"], first["file_id"]);
    assert_eq!(again["is_duplicate"], true);
    let other = server.upload("c.wav", tone(1.5, 16_000)).await.good();
    assert_ne!(other["file_id"], first["file_id"]);
    let files = server.get("/api/v1/files").await.good();
    assert_eq!((&files["success"], &files["count"]), (&json!(true), &json!(2)));
    assert!(files["files"][first["file_id"].as_str().unwrap_or("")].is_string(), "{files}");
}

#[tokio::test]
async fn uploads_that_are_no_recordings() {
    let server = Server::start().await;
    let wrong = server.upload("prompt.ogg", tone(1.0, 16_000)).await;
    assert_eq!(wrong.is_error(400, "UNSUPPORTED_AUDIO")["success"], false);
    server.upload("prompt.wav", b"rubbish".to_vec()).await.is_error(400, "UNSUPPORTED_AUDIO");
    server.upload("prompt.wav", tone(0.2, 16_000)).await.is_error(400, "UNSUPPORTED_AUDIO");
    server.upload("prompt.wav", tone(31.0, 8_000)).await.is_error(422, "VALIDATION_FAILED");
    let url = server.url("/api/v1/upload/audio");
    let form = Form::new().text("other", "x");
    let none = server.send(server.http.post(&url).multipart(form)).await;
    none.is_error(400, "INVALID_PARAMETER");
    server.send(server.http.post(&url).body("{}")).await.is_error(400, "INVALID_PARAMETER");
    let small = Server::with(|c| c.limits.max_file_size = 1000).await;
    small.upload("prompt.wav", tone(1.0, 16_000)).await.is_error(413, "PAYLOAD_TOO_LARGE");
}

/// The documented curl call, and the shape that later clients of this interface expect.
#[tokio::test]
async fn synchronously() {
    let server = Server::start().await;
    let upload = server.upload("prompt.wav", tone(1.0, 16_000)).await.good();
    let url = server.url("/api/v1/tts/sync");
    for accept in [None, Some("*/*"), Some("application/json, text/plain, */*")] {
        let mut post = server.http.post(&url).json(&request(&upload["file_id"]));
        if let Some(accept) = accept {
            post = post.header("accept", accept);
        }
        let audio = server.send(post).await;
        assert_eq!((audio.status, audio.header("content-type")), (200, "audio/wav"));
        is_speech(&audio.body, TEXT);
        let task = server.get(&format!("/api/v1/task/{}", audio.header("x-task-id"))).await.good();
        assert_eq!(task["status"], "completed");
    }
    let post = server.http.post(&url).json(&json!({"text": TEXT}));
    let told = server.send(post.header("accept", "application/json")).await.good();
    assert_eq!((&told["success"], &told["duration"]), (&json!(true), &json!(240)));
    let audio = server.get(told["audio_url"].as_str().expect("a path")).await;
    is_speech(&audio.body, TEXT);
}

#[tokio::test]
async fn requests_that_are_refused() {
    let server = Server::start().await;
    let unknown = "0".repeat(64);
    for (body, status, code) in [
        (json!({}), 400, "INVALID_PARAMETER"),
        (json!({"text": " "}), 400, "INVALID_PARAMETER"),
        (json!({"text": "长".repeat(1001)}), 422, "TEXT_TOO_LONG"),
        (json!({"text": "a", "temperature": 5}), 422, "VALIDATION_FAILED"),
        (json!({"text": "a", "emo_control_method": 7}), 422, "VALIDATION_FAILED"),
        (json!({"text": "a", "emo_control_method": 2}), 400, "INVALID_PARAMETER"),
        (json!({"text": "a", "prompt_audio_id": "../x"}), 400, "INVALID_PARAMETER"),
        (json!({"text": "a", "prompt_audio_id": unknown}), 404, "NOT_FOUND"),
        (
            // The documented vector.
            json!({
                "text": "a",
                "emo_control_method": 2,
                "emo_vector": [0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.3],
            }),
            501,
            "UNSUPPORTED_BY_MODEL",
        ),
    ] {
        for path in ["/api/v1/tts", "/api/v1/tts/sync"] {
            let error = server.post(path, body.clone()).await.is_error(status, code);
            assert_eq!(error["success"], false, "{body}");
        }
    }
    for body in ["", "[]", "{\"text\":", "text=hello"] {
        let post = server.http.post(server.url("/api/v1/tts")).body(body);
        server.send(post).await.is_error(400, "INVALID_PARAMETER");
    }
    assert_eq!(server.get("/api/v1/tasks").await.good()["tasks"], json!([]));
}

#[tokio::test]
async fn what_is_not_heeded_is_told() {
    let server = Server::start().await;
    let body = json!({"text": "a", "num_beams": 1, "do_sample": false, "temperature": 0.9});
    for path in ["/api/v1/tts", "/api/v1/tts/sync"] {
        let answer = server.post(path, body.clone()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ignored-parameters"), "do_sample, num_beams");
    }
}

#[tokio::test]
async fn what_is_not_there() {
    let server = Server::start().await;
    let id = "0123456789abcdef0123456789abcdef";
    for path in [
        format!("/api/v1/task/{id}"),
        "/api/v1/task/no%2F..%2Fid".into(),
        format!("/api/v1/audio/{id}"),
        format!("/api/v1/audio/{id}.wav"),
        format!("/api/v1/file/{}", "0".repeat(64)),
        "/api/v1/nothing".into(),
    ] {
        let error = server.get(&path).await.is_error(404, "NOT_FOUND");
        assert_eq!(error["success"], false, "{path}");
    }
    server.delete(&format!("/api/v1/task/{id}")).await.is_error(404, "NOT_FOUND");
    for id in ["short", "..%2F..%2Fetc%2Fpasswd", &"g".repeat(64)] {
        server.get(&format!("/api/v1/file/{id}")).await.is_error(400, "INVALID_PARAMETER");
    }
    server.get("/api/v1/tts").await.is_error(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn a_task_deleted_while_it_runs_is_gone() {
    let server = Server::with(|c| c.jobs.workers = 1).await;
    let long = json!({"text": "长".repeat(1000)});
    let first = server.post("/api/v1/tts", long.clone()).await.good();
    let second = server.post("/api/v1/tts", long).await.good();
    let path = |task: &Value| format!("/api/v1/task/{}", task["task_id"].as_str().unwrap_or(""));
    let running = server.poll(&path(&first), |task| task["status"] == "processing").await;
    assert!(running["audio_url"].is_null() && running["duration"].is_null(), "{running}");
    let audio = format!("/api/v1/audio/{}", running["task_id"].as_str().unwrap_or(""));
    let early = server.get(&audio).await.is_error(400, "INVALID_PARAMETER");
    assert_eq!(early["message"], "音频尚未生成完成");
    assert_eq!(server.get(&path(&second)).await.good()["status"], "pending");

    let deleted = server.delete(&path(&first)).await.good();
    assert_eq!((&deleted["success"], &deleted["message"]), (&json!(true), &json!("任务已删除")));
    server.get(&path(&first)).await.is_error(404, "NOT_FOUND");
    // Its worker is free for the next.
    server.poll(&path(&second), |task| task["status"] == "processing").await;
    server.delete(&path(&second)).await.good();
    assert_eq!(server.get("/api/v1/tasks").await.good()["tasks"], json!([]));
}

#[tokio::test]
async fn lists_are_newest_first() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for text in ["a", "b", "c"] {
        let answer = server.post("/api/v1/tts/sync", json!({ "text": text })).await;
        ids.insert(0, answer.header("x-task-id").to_string());
    }
    // Jobs of another interface are none of this one's.
    let workflow = json!({"workflow_config": {
        "workflow_chain": ["indextts.generate_speech"],
        "indextts_config": {"text": "x", "output_path": "x.wav"},
    }});
    let workflow = server.post("/v1/workflows", workflow).await.good();
    let other = format!("/api/v1/task/{}", workflow["workflow_id"].as_str().unwrap_or(""));
    server.get(&other).await.is_error(404, "NOT_FOUND");

    let listed = async |query: &str| {
        let tasks = server.get(&format!("/api/v1/tasks{query}")).await.good()["tasks"].clone();
        let tasks = tasks.as_array().expect("a list").clone();
        tasks.iter().map(|t| t["task_id"].as_str().unwrap_or("").into()).collect::<Vec<String>>()
    };
    assert_eq!(listed("").await, ids);
    assert_eq!(listed("?limit=2&status=completed").await, ids[..2]);
    assert!(listed("?status=failed").await.is_empty());
    server.get("/api/v1/tasks?limit=x").await.is_error(400, "INVALID_PARAMETER");
    server.get("/api/v1/tasks?limit=0").await.is_error(422, "VALIDATION_FAILED");
    server.get("/api/v1/tasks?status=lost").await.is_error(400, "INVALID_PARAMETER");
}

#[tokio::test]
async fn health() {
    let server = Server::start().await;
    let health = server.get("/api/v1/health").await.good();
    assert_eq!(health, json!({"status": "healthy", "model_loaded": true}));
}

/// Nobody waits for what a client that has hung up asked for.
#[tokio::test]
async fn a_synchronous_client_that_leaves_takes_its_task_along() {
    let server = Server::start().await;
    let post = server.http.post(server.url("/api/v1/tts/sync"));
    let request = post.json(&json!({"text": "长".repeat(1000)})).send();
    let gone = tokio::time::timeout(std::time::Duration::from_millis(300), request).await;
    assert!(gone.is_err(), "20 s of speech in no time");
    server.poll("/api/v1/tasks", |list| list["tasks"][0]["status"] == "failed").await;
}

#[tokio::test]
async fn too_many_requests() {
    let server = Server::with(|c| {
        c.limits.rate_limit = "1/hour".into();
        c.limits.rate_limit_loopback = true;
    });
    let server = server.await;
    server.post("/api/v1/tts", json!({"text": "a"})).await.good();
    let refused = server.post("/api/v1/tts", json!({"text": "a"})).await;
    assert_eq!(refused.is_error(429, "RATE_LIMITED")["success"], false);
    let body = json!({"workflow_config": {
        "workflow_chain": ["indextts.generate_speech"],
        "indextts_config": {"text": "x", "output_path": "x.wav"},
    }});
    server.post("/v1/workflows", body).await.is_error(429, "RATE_LIMITED");
}

/// What runs is heard to its end; what has not begun would not be, and is refused.
#[tokio::test]
async fn a_draining_server_ends_what_it_began() {
    let mut server = Server::with(|c| c.jobs.workers = 1).await;
    let url = server.url("/api/v1/tts/sync");
    let http = server.http.clone();
    let ask = |text: String| tokio::spawn(http.post(&url).json(&json!({ "text": text })).send());
    let first = ask("长".repeat(75));
    let running = |list: &Value| list["tasks"][0]["status"] == "processing";
    server.poll("/api/v1/tasks", running).await;
    let second = ask("长".repeat(1000));
    server.poll("/api/v1/tasks?status=pending", |list| list["tasks"][0].is_object()).await;
    server.shut_down();
    let first = first.await.expect("no panic").expect("an answer");
    assert_eq!(first.status(), 200);
    is_speech(&first.bytes().await.expect("a body"), &"长".repeat(75));
    let second = second.await.expect("no panic").expect("an answer");
    assert_eq!(second.status(), 503);
}
