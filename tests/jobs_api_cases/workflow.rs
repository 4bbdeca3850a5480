//! `/v1/workflows`.

use crate::support::{Answer, Server, tone};
use mynah::audio::decode;
use serde_json::{Value, json};
use std::time::Duration;

/// The documented request with these settings.
pub async fn speak(server: &Server, settings: Value) -> Answer {
    let body = json!({
        "video_path": "/app/videos/api_request.mp4",
        "workflow_config": {
            "workflow_chain": ["indextts.generate_speech"],
            "indextts_config": settings,
        },
    });
    server.post("/v1/workflows", body).await
}

/// A documented request without settings.
async fn ask(server: &Server, task: &str) -> Answer {
    let body = json!({
        "video_path": "/app/videos/health_check.mp4",
        "workflow_config": {"workflow_chain": [task]},
    });
    server.post("/v1/workflows", body).await
}

fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 20 && text.ends_with('Z') && &text[10..11] == "T"
}

/// The documented Python client and curl calls: text, voice, calm.
#[tokio::test]
async fn speech_is_written_where_the_client_says() {
    let server = Server::start().await;
    std::fs::write(server.path("shared/target_voice.wav"), tone(1.0, 16_000)).expect("written");
    let text = "这是使用音色克隆生成的语音。";
    let output = server.path("output/sub/cloned.wav");
    let reference = server.path("shared/target_voice.wav");
    let answer = speak(
        &server,
        json!({
            "text": text,
            "output_path": output,
            "reference_audio": reference,
            "emotion_alpha": 0.5,
            "emotion_vector": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9],
        }),
    );
    let done = answer.await.good();
    assert_eq!((&done["status"], &done["output_path"]), (&json!("success"), &json!(output)));
    assert_eq!((&done["duration"], &done["sample_rate"]), (&json!(0.28), &json!(24_000)));
    assert_eq!(done["text_length"], 14);
    assert!(done["processing_time"].as_f64().is_some_and(|s| s >= 0.0));
    assert_eq!(done["model_info"]["model_type"], "CosyVoice2");
    assert_eq!(done["model_info"]["model_version"], "silent");
    assert_eq!(done["model_info"]["device"], "cpu");
    let parameters = json!({
        "reference_audio": reference,
        "emotion_alpha": 0.5,
        "emotion_vector": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9],
        "use_random": false,
        "max_text_tokens_per_segment": 120,
    });
    assert_eq!(done["parameters"], parameters);
    let written = std::fs::read(&output).expect("the file");
    assert_eq!(decode(&written, 9.0).map(|clip| clip.samples.len()), Ok(14 * 480));

    let id = done["workflow_id"].as_str().expect("an id");
    assert!(id.starts_with("workflow_"), "{id}");
    let task = done["task_id"].as_str().expect("an id");
    assert_eq!(task.strip_prefix("task_"), id.strip_prefix("workflow_"));
    let status = server.get(&format!("/v1/workflows/status/{id}")).await.good();
    assert_eq!((&status["workflow_id"], &status["progress"]), (&json!(id), &json!(100)));
    assert_eq!(status["status"], "completed");
    assert_eq!(status["current_stage"], "indextts.generate_speech");
    let stage = &status["stages"][0];
    assert_eq!(stage["name"], "indextts.generate_speech");
    assert_eq!(stage["output"]["processing_time"], done["processing_time"]);
    assert!(is_time(&status["created_at"]) && is_time(&status["updated_at"]), "{status}");
    assert!(is_time(&stage["started_at"]), "{status}");
    assert_eq!(status["result"], done);
}

#[tokio::test]
async fn the_shortest_request_speaks_with_the_default_voice() {
    let server = Server::start().await;
    let answer = speak(&server, json!({"text": "Hello, this is a test.", "output_path": "t.wav"}));
    let answer = answer.await;
    assert_eq!(answer.header("x-ignored-parameters"), "");
    let done = answer.good();
    assert_eq!((&done["output_path"], &done["duration"]), (&json!("t.wav"), &json!(0.44)));
    assert!(done["parameters"]["reference_audio"].is_null());
    assert!(std::fs::exists(server.path("output/t.wav")).unwrap_or(false));
    let random = json!({"text": "a", "output_path": "r.wav", "use_random": true});
    assert_eq!(speak(&server, random).await.header("x-ignored-parameters"), "use_random");
}

/// The examples' own paths, where the operator opens their folder.
#[tokio::test]
async fn the_documented_folder_can_be_the_servers() {
    let shared = tempfile::TempDir::new().expect("a folder");
    let folder = shared.path().join("workflows/output");
    let server = Server::with(|c| c.storage.output_dir = folder.clone()).await;
    let path = folder.join("hello.wav").display().to_string();
    speak(&server, json!({"text": "你好", "output_path": path})).await.good();
    assert!(folder.join("hello.wav").is_file());
}

/// Every error has the ids of what failed, and its words where clients look for them.
#[tokio::test]
async fn requests_that_are_refused() {
    let server = Server::start().await;
    std::fs::write(server.path("secret.wav"), tone(1.0, 16_000)).expect("written");
    std::fs::create_dir(server.path("output")).expect("a folder");
    let with = |changes: Value| {
        let mut settings = json!({"text": "a", "output_path": "a.wav"});
        for (name, value) in changes.as_object().into_iter().flatten() {
            settings[name] = value.clone();
        }
        settings
    };
    for (changes, status, code, words) in [
        (json!({"text": ""}), 400, "INVALID_INPUT", "输入文本不能为空"),
        (json!({"text": null}), 400, "INVALID_INPUT", "输入文本不能为空"),
        (json!({"output_path": null}), 400, "INVALID_INPUT", "输出路径不能为空"),
        (json!({"output_path": "../a.wav"}), 400, "INVALID_INPUT", "storage.output_dir"),
        (json!({"output_path": server.path("output")}), 400, "INVALID_INPUT", "folder"),
        (json!({"output_path": "/etc/a.wav"}), 400, "INVALID_INPUT", "storage.output_dir"),
        (
            json!({"reference_audio": server.path("secret.wav")}),
            400,
            "INVALID_INPUT",
            "storage.shared_dir",
        ),
        (
            json!({"reference_audio": server.path("shared/../secret.wav")}),
            400,
            "INVALID_INPUT",
            "storage.shared_dir",
        ),
        (
            json!({"reference_audio": server.path("shared/none.wav")}),
            400,
            "INVALID_INPUT",
            "no such file",
        ),
        (json!({"emotion_alpha": 2}), 422, "VALIDATION_FAILED", "emotion_alpha"),
        (json!({"text": "长".repeat(1001)}), 422, "TEXT_TOO_LONG", "1000"),
        // The emotions of the documented requests.
        (
            json!({"emotion_reference": "/path/to/emotion.wav"}),
            501,
            "UNSUPPORTED_BY_MODEL",
            "emotion_reference",
        ),
        (
            json!({"emotion_vector": [0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0]}),
            501,
            "UNSUPPORTED_BY_MODEL",
            "emotion_vector",
        ),
        (
            json!({"emotion_text": "请用开心的语气说这句话"}),
            501,
            "UNSUPPORTED_BY_MODEL",
            "emotion_text",
        ),
    ] {
        let error = speak(&server, with(changes)).await.is_error(status, code);
        assert_eq!(error["status"], "error");
        assert!(error["error"].as_str().is_some_and(|e| e.contains(words)), "{error}");
        assert!(error["workflow_id"].as_str().is_some_and(|id| id.starts_with("workflow_")));
        assert!(error["task_id"].as_str().is_some_and(|id| id.starts_with("task_")));
    }
    ask(&server, "ffmpeg.extract_audio").await.is_error(400, "INVALID_INPUT");
    ask(&server, "indextts.generate_speech").await.is_error(400, "INVALID_INPUT");
    server.post("/v1/workflows", json!([])).await.is_error(400, "INVALID_INPUT");
    server.get("/v1/workflows").await.is_error(405, "METHOD_NOT_ALLOWED");
    let unknown = server.get("/v1/workflows/status/workflow_123456").await;
    let unknown = unknown.is_error(404, "NOT_FOUND");
    assert_eq!(
        (&unknown["status"], &unknown["workflow_id"]),
        (&json!("error"), &json!("workflow_123456"))
    );
}

/// A job that fails after it was accepted has the status of its failure.
#[tokio::test]
async fn what_fails_later_is_told_all_the_same() {
    let server = Server::start().await;
    std::fs::write(server.path("shared/broken.wav"), b"rubbish").expect("written");
    let broken = server.path("shared/broken.wav");
    let settings = json!({"text": "a", "output_path": "a.wav", "reference_audio": broken});
    let error = speak(&server, settings).await.is_error(400, "UNSUPPORTED_AUDIO");
    let path = format!("/v1/workflows/status/{}", error["workflow_id"].as_str().unwrap_or(""));
    let status = server.get(&path).await.good();
    assert_eq!((&status["status"], &status["error"]), (&json!("failed"), &error["error"]));
    assert_eq!(status["stages"][0]["status"], "failed");

    let short = Server::with(|c| c.jobs.timeout = 0.2).await;
    let long = json!({"text": "长".repeat(1000), "output_path": "a.wav"});
    speak(&short, long).await.is_error(408, "TASK_TIMEOUT");
}

#[tokio::test]
async fn a_request_waits_for_so_long_and_no_longer() {
    let server = Server::with(|c| c.workflow.wait = 0.2).await;
    let long = json!({"text": "长".repeat(100), "output_path": "long.wav"});
    let answer = speak(&server, long).await;
    let running = answer.json();
    assert_eq!((answer.status, &running["status"]), (202, &json!("running")), "{running}");
    assert!(running["task_id"].as_str().is_some_and(|id| id.starts_with("task_")));
    let path = format!("/v1/workflows/status/{}", running["workflow_id"].as_str().unwrap_or(""));
    let half = server.get(&path).await.good();
    assert_eq!(
        (&half["status"], &half["stages"][0]["status"]),
        (&json!("running"), &json!("running"))
    );
    assert!(half["progress"].as_u64().is_some_and(|p| p < 100), "{half}");
    assert!(half["stages"][0]["output"]["processing_time"].is_null(), "{half}");
    let done = server.poll(&path, |status| status["status"] == "completed").await;
    assert_eq!(done["result"]["duration"], 2.0);
}

/// A server that is to end does not keep its clients until then; the job is in its store.
#[tokio::test]
async fn a_draining_server_lets_go_of_who_waits() {
    let mut server = Server::start().await;
    let body = json!({"workflow_config": {
        "workflow_chain": ["indextts.generate_speech"],
        "indextts_config": {"text": "长".repeat(1000), "output_path": "a.wav"},
    }});
    let request = server.http.post(server.url("/v1/workflows")).json(&body).send();
    let answer = tokio::spawn(request);
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.shut_down();
    let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
    let answer = answer.expect("an answer in time").expect("no panic").expect("an answer");
    assert_eq!(answer.status(), 202);
    server.run.abort();
}

#[tokio::test]
async fn health_model_and_presets() {
    let server = Server::start().await;
    let health = ask(&server, "indextts.health_check").await.good();
    assert_eq!(
        (&health["status"], &health["service"]),
        (&json!("healthy"), &json!("indextts_service"))
    );
    assert_eq!(health["gpu"], json!({"available": false, "count": 0, "name": null}));
    assert_eq!((&health["model"], &health["gpu_lock"]), (&json!("ready"), &json!("available")));

    let model = ask(&server, "indextts.get_model_info").await.good();
    assert_eq!(model["status"], "success");
    let info = &model["model_info"];
    assert_eq!((&info["model_type"], &info["status"]), (&json!("CosyVoice2"), &json!("ready")));
    assert_eq!(info["model_version"], "silent");
    assert_eq!(info["capabilities"]["emotion_control"], false);

    let presets = ask(&server, "indextts.list_voice_presets").await.good();
    assert_eq!((&presets["status"], &presets["total_count"]), (&json!("success"), &json!(1)));
    assert_eq!(presets["presets"]["default"]["name"], "default");
}
