//! What pages of other servers may do.

use crate::support::{Server, ZERO_SHOT, sent};
use reqwest::Method;

const PAGE: &str = "https://example.org";

async fn preflight(server: &Server, origin: &str, method: &str) -> reqwest::Response {
    let request = server.request(Method::OPTIONS, ZERO_SHOT);
    let request = request.header("origin", origin).header("access-control-request-method", method);
    sent(request.header("access-control-request-headers", "authorization,x-mine")).await
}

fn header(response: &reqwest::Response, name: &str) -> String {
    response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_string()
}

#[tokio::test]
async fn pages_are_allowed_without_a_key_to_ask_with_one() {
    let server = Server::with(|config| config.auth.keys = vec!["key".into()]).await;
    let answer = preflight(&server, PAGE, "POST").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "access-control-allow-origin"), "*");
    assert_eq!(header(&answer, "access-control-allow-methods"), "GET,POST");
    assert_eq!(header(&answer, "access-control-allow-headers"), "authorization,x-mine");
    assert_eq!(header(&answer, "access-control-allow-credentials"), "");
    // Pages can read why they were refused.
    for path in [ZERO_SHOT, "/health"] {
        let answer = sent(server.request(Method::GET, path).header("origin", PAGE)).await;
        assert_eq!(header(&answer, "access-control-allow-origin"), "*", "{path}");
        assert_eq!(header(&answer, "access-control-expose-headers"), "*", "{path}");
    }
}

#[tokio::test]
async fn pages_can_be_chosen_or_shut_out() {
    let server = Server::with(|config| config.cors.origins = vec![PAGE.into()]).await;
    let allowed = "access-control-allow-origin";
    assert_eq!(header(&preflight(&server, PAGE, "POST").await, allowed), PAGE);
    assert_eq!(header(&preflight(&server, "https://other.org", "POST").await, allowed), "");
    let server = Server::with(|config| config.cors.origins = vec![]).await;
    let answer = preflight(&server, PAGE, "POST").await;
    assert_eq!((answer.status().as_u16(), header(&answer, allowed)), (405, String::new()));
}
