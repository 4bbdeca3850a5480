//! The description of the interfaces, as it is served.

use crate::support::{Server, listener, sent};
use reqwest::Method;
use serde_json::Value;

#[tokio::test]
async fn each_listener_describes_itself_and_truly() {
    let server = Server::with(|config| {
        config.listeners = vec![listener(Some(&["light"])), listener(Some(&["tasks"]))];
        config.auth.keys = vec!["key".into()];
    })
    .await;
    let spec = async |at: usize| {
        let url = format!("http://{}/openapi.json", server.addresses[at]);
        let text = server.http.get(url).send().await.expect("an answer").text().await;
        serde_json::from_str::<Value>(&text.expect("text")).expect("JSON")
    };
    let light = spec(0).await;
    assert_eq!(light["openapi"], "3.1.0");
    assert!(light["security"][0]["bearer"].is_array(), "{}", light["security"]);
    assert!(spec(1).await["paths"].get("/inference_zero_shot").is_none());
    for (path, operations) in light["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let status = sent(server.request(method, path).bearer_auth("key")).await.status();
            assert!(!matches!(status.as_u16(), 404 | 405), "{path} is described, but {status}");
        }
    }
}

#[tokio::test]
async fn the_page_is_open_and_closed_to_others_scripts() {
    let server = Server::with(|config| config.auth.keys = vec!["key".into()]).await;
    for path in ["/docs", "/docs/docs.js", "/docs/docs.css"] {
        let answer = sent(server.request(Method::GET, path)).await;
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().expect("text");
        assert!(policy.contains("default-src 'none'"), "{policy}");
    }
}
