//! `/api/v1/monitoring/…`: it says nothing that is not so.

use crate::support::Server;
use serde_json::json;

const LOCK: &str = "/api/v1/monitoring/gpu-lock/health";
const HEARTBEATS: &str = "/api/v1/monitoring/heartbeat/all";
const STATISTICS: &str = "/api/v1/monitoring/statistics";

/// What is unknown is null, not zero.
#[tokio::test]
async fn a_server_that_did_nothing_yet() {
    let server = Server::start().await;
    let lock = server.get(LOCK).await.good();
    assert_eq!((&lock["status"], &lock["device"]), (&json!("healthy"), &json!("cpu")));
    assert_eq!((&lock["total_locks"], &lock["active_locks"]), (&json!(1), &json!(0)));
    let free = json!([{
        "lock_key": "gpu_lock:0", "locked": false, "last_acquired": null, "expires_at": null,
    }]);
    assert_eq!(lock["locks"], free);
    let thresholds = json!({"min_success_rate": 0.8, "max_timeout_rate": 0.2});
    assert_eq!(lock["health_thresholds"], thresholds);

    let beats = server.get(HEARTBEATS).await.good();
    assert_eq!(beats, json!({"total_tasks": 0, "active_tasks": 0, "tasks": []}));

    let statistics = server.get(STATISTICS).await.good();
    let system = &statistics["system"];
    assert_eq!(system["total_tasks"], 0);
    assert!(system["success_rate"].is_null() && system["avg_processing_time"].is_null());
    assert!(statistics["gpu"]["utilization"].is_null());
    assert_eq!(statistics["workers"], json!({"total": 2, "active": 0, "idle": 2}));
}

#[tokio::test]
async fn jobs_that_run_beat() {
    let server = Server::with(|c| c.jobs.workers = 1).await;
    let long = json!({"text": "长".repeat(1000)});
    let first = server.post("/api/v1/tts", long.clone()).await.good();
    server.post("/api/v1/tts", long).await.good();
    let beats = server.poll(HEARTBEATS, |beats| beats["active_tasks"] == 1).await;
    assert_eq!(beats["total_tasks"], 2);
    let beat = &beats["tasks"][0];
    assert_eq!(beat["task_id"], first["task_id"]);
    assert_eq!((&beat["task_name"], &beat["status"]), (&json!("index2"), &json!("running")));
    let since = beat["last_heartbeat"].as_str().expect("a time").to_string();
    assert!(since.len() == 20 && since.ends_with('Z'), "{since}");
    // Times are whole seconds; they go on while sound is made.
    let later = |beats: &serde_json::Value| {
        beats["tasks"][0]["last_heartbeat"].as_str().is_some_and(|time| *time > *since)
    };
    server.poll(HEARTBEATS, later).await;

    let lock = server.get(LOCK).await.good();
    assert_eq!((&lock["active_locks"], &lock["locks"][0]["locked"]), (&json!(1), &json!(true)));
    assert!(lock["locks"][0]["last_acquired"].is_string());
    let statistics = server.get(STATISTICS).await.good();
    assert_eq!(statistics["workers"], json!({"total": 1, "active": 1, "idle": 0}));
    assert_eq!(statistics["system"]["pending_tasks"], 1);
}

#[tokio::test]
async fn what_was_done_counts() {
    let server = Server::start().await;
    for _ in 0..3 {
        assert_eq!(server.post("/api/v1/tts/sync", json!({"text": "abc"})).await.status, 200);
    }
    // A recording that is none.
    std::fs::write(server.path("shared/broken.wav"), b"rubbish").expect("written");
    let body = json!({"workflow_config": {
        "workflow_chain": ["indextts.generate_speech"],
        "indextts_config": {
            "text": "a",
            "output_path": "a.wav",
            "reference_audio": server.path("shared/broken.wav"),
        },
    }});
    server.post("/v1/workflows", body).await.is_error(400, "UNSUPPORTED_AUDIO");
    let system = server.get(STATISTICS).await.good()["system"].clone();
    assert_eq!((&system["total_tasks"], &system["successful_tasks"]), (&json!(4), &json!(3)));
    assert_eq!((&system["failed_tasks"], &system["success_rate"]), (&json!(1), &json!(0.75)));
    assert!(system["avg_processing_time"].as_f64().is_some_and(|s| s > 0.0 && s < 5.0));
    // Too many fail.
    assert_eq!(server.get(LOCK).await.good()["status"], "degraded");
}
