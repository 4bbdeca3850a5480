//! The task API over real sockets.

use crate::support::{PATIENCE, config, samples};
use mynah::engine::start_silent;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpListener;

struct Server {
    url: String,
    http: reqwest::Client,
    dir: TempDir,
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let config = config(dir.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let engine = start_silent(&config.engine);
        tokio::spawn(mynah::server::run(listener, engine, config, std::future::pending()));
        Self { url, http: reqwest::Client::new(), dir }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn post(&self, body: impl ToString) -> (u16, Value) {
        let request = self.http.post(format!("{}/api/tts/tasks", self.url));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_way_of_a_task() {
    let server = Server::start().await;
    assert_eq!(server.get("/api/tts/health").await, (200, json!({ "status": "ok" })));
    let prompts = json!({ "prompts": ["default.wav"] });
    assert_eq!(server.get("/api/tts/prompts").await, (200, prompts));

    let asked = json!({
        "text": "你好，这是一段测试文本", "output_path": "batch/1", "infer_mode": "普通推理",
    });
    let (status, created) = server.post(&asked).await;
    assert_eq!((status, keys(&created)), (200, vec!["status", "task_id"]), "{created}");
    assert_eq!(created["status"], "pending");
    let id = created["task_id"].as_str().expect("an id");
    let parts: Vec<&str> = id.split('_').collect();
    assert!(parts.len() == 3 && parts[0] == "task", "{id}");
    assert!(parts[1..].iter().all(|part| part.parse::<u64>().is_ok()), "{id}");

    let start = Instant::now();
    let task = loop {
        let (status, task) = server.get(&format!("/api/tts/tasks/{id}")).await;
        assert_eq!((status, &task["task_id"]), (200, &created["task_id"]));
        assert_eq!(task["output_path"], "batch/1");
        match task["status"].as_str() {
            Some("pending" | "processing") => {
                assert_eq!(keys(&task), ["output_path", "status", "task_id"]);
            }
            _ => break task,
        }
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(task["status"], "completed", "{task}");
    assert!(task["process_time"].as_f64().is_some_and(|s| s > 0.1), "{task}");
    assert!(task.get("error").is_none());
    let file = server.dir.path().join("outputs/batch/1").join(format!("{id}.wav"));
    assert_eq!(samples(&std::fs::read(file).expect("the file")), 11 * 480);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_cannot_be_are_refused_at_once() {
    let server = Server::start().await;
    let outputs = server.dir.path().join("outputs");
    std::fs::create_dir_all(&outputs).expect("made");
    std::fs::write(outputs.join("file"), "x").expect("written");
    std::os::unix::fs::symlink("/tmp", outputs.join("link")).expect("a link");
    let task = |path: &str| json!({ "text": "a", "output_path": path });
    for (body, status, code) in [
        (json!({ "output_path": "." }), 400, "INVALID_PARAMETER"),
        (json!({ "text": " ", "output_path": "." }), 400, "INVALID_PARAMETER"),
        (json!({ "text": "a" }), 400, "INVALID_PARAMETER"),
        (json!({ "text": 7, "output_path": "." }), 400, "INVALID_PARAMETER"),
        (json!([]), 400, "INVALID_PARAMETER"),
        (json!({ "text": "a".repeat(1001), "output_path": "." }), 422, "TEXT_TOO_LONG"),
        (task("/path/to/output/directory"), 400, "INVALID_PARAMETER"),
        (task("../data"), 400, "INVALID_PARAMETER"),
        (task("link/x"), 400, "INVALID_PARAMETER"),
        (task("a\0b"), 400, "INVALID_PARAMETER"),
        (task("file"), 400, "INVALID_PARAMETER"),
    ] {
        let (found, answer) = server.post(&body).await;
        assert_eq!((found, answer["error_code"].as_str()), (status, Some(code)), "{body}");
        assert!(answer["detail"].is_string() && answer["message"].is_string());
    }
    let (_, answer) = server.post(task("/path/to/output/directory")).await;
    assert!(answer["detail"].as_str().is_some_and(|d| d.contains("storage.output_dir")));
    for (key, value) in [("infer_mode", "quick"), ("prompt_path", "nobody.wav")] {
        let mut body = task(".");
        body[key] = json!(value);
        let (status, answer) = server.post(&body).await;
        assert_eq!((status, &answer["error_code"]), (400, &json!("INVALID_PARAMETER")), "{body}");
        assert!(answer["detail"].as_str().is_some_and(|d| d.contains(key)), "{answer}");
    }
    assert_eq!(server.post("{not json").await.0, 400);
    let absolute = outputs.join("x").to_string_lossy().into_owned();
    let mut body = task(&absolute);
    body["prompt_path"] = json!("default.wav");
    assert_eq!(server.post(&body).await.0, 200, "a folder inside may be named in full");
    for id in ["task_1709123456_0", "..", "%00", "x%2Fy", &"9".repeat(200)] {
        let (status, answer) = server.get(&format!("/api/tts/tasks/{id}")).await;
        assert_eq!((status, &answer["error_code"]), (404, &json!("NOT_FOUND")), "{id}");
    }
}
