//! Everything beside synthesis.

use crate::support::{BISTREAM, Server, ZERO_SHOT, voiced};
use serde_json::json;

#[tokio::test]
async fn health_and_models_with_and_without_slashes() {
    let server = Server::start().await;
    for path in ["/healthz", "/liveness", "/readiness"] {
        for path in [path.to_string(), format!("{path}/")] {
            let answer = server.get(&path).await;
            assert_eq!((answer.status, answer.json()), (200, json!({ "message": "Ok" })), "{path}");
        }
    }
    for path in ["/health", "/health/"] {
        let answer = server.get(path).await;
        // Other dialects have keys of their own in it.
        assert_eq!((answer.status, &answer.json()["message"]), (200, &json!("Ok")));
    }
    let models = json!({ "tts_models": ["CosyVoice2"] });
    for path in ["/query_tts_model", "/query_tts_model/"] {
        assert_eq!(server.get(path).await.json(), models);
        let answer = server.http.post(server.url(path)).body("{}").send().await.expect("answer");
        assert_eq!(answer.json::<serde_json::Value>().await.expect("JSON"), models);
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_have_error_bodies() {
    let server = Server::start().await;
    for path in ["/nothing", "/inference_zero_shot/more", "/demo/nothing"] {
        server.get(path).await.is_error(404, "NOT_FOUND");
    }
    server.get(ZERO_SHOT).await.is_error(405, "METHOD_NOT_ALLOWED");
    server.get(BISTREAM).await.is_error(400, "INVALID_PARAMETER");
    let put = server.http.put(server.url("/health")).send().await.expect("an answer");
    assert_eq!(put.status(), 405);
    assert_eq!(put.headers()["allow"], "GET,HEAD");
    let json: serde_json::Value = put.json().await.expect("JSON");
    assert_eq!(json["error_code"], "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn request_ids_go_both_ways() {
    let server = Server::start().await;
    let id = async |given: &str| {
        let request = server.http.get(server.url("/health")).header("x-request-id", given);
        let answer = request.send().await.expect("an answer");
        answer.headers()["x-request-id"].to_str().expect("text").to_string()
    };
    assert_eq!(id("mine-7").await, "mine-7");
    assert_ne!(id("no good").await, "no good");
}

#[tokio::test]
async fn browsers_see_the_page_and_programs_the_endpoints() {
    let server = Server::start().await;
    let browser = server.http.get(server.url("/")).header("accept", "text/html,*/*;q=0.8");
    let answer = browser.send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.url().path()), (200, "/demo"));
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert!(answer.text().await.expect("text").contains("<html"));
    let answer = server.get("/").await.json();
    assert!(answer["message"].is_string());
    assert!(answer["endpoints"].to_string().contains(ZERO_SHOT));
}

/// Metrics belong to the process, in which other tests run: only growth can be tested.
#[tokio::test]
async fn metrics_count() {
    let server = Server::start().await;
    let names = [
        "lightllm_request_count ",
        "lightllm_request_success ",
        "lightllm_request_failure ",
        "mynah_audio_seconds_total ",
        "mynah_rejected_total{reason=\"overloaded\"} ",
    ];
    let mut before = Vec::new();
    for name in names {
        before.push(server.metric(name).await);
    }
    assert_eq!(server.post(voiced("hello")).await.status, 200);
    server.post(voiced("")).await.is_error(400, "INVALID_PARAMETER");
    for (i, least) in [(0, 2.0), (1, 1.0), (2, 1.0), (3, 0.09)] {
        let now = server.metric(names[i]).await;
        assert!(now >= before[i] + least, "{} was {}, is {now}", names[i], before[i]);
    }
    let ok = "mynah_requests_total{dialect=\"light\",status=\"200\"} ";
    assert!(server.metric(ok).await >= 1.0);
    assert!(server.metric("lightllm_request_latency_count ").await >= 2.0);
    assert!(server.metric("mynah_first_packet_seconds_count ").await >= 1.0);
    assert!(server.metric("mynah_process_resident_memory_bytes ").await > 1e6);
    server.metric("mynah_sessions_active ").await;
    server.metric("mynah_sessions_queued ").await;
    let answer = server.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
}
