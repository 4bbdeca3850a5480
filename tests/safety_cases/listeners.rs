//! Several addresses, each with its interfaces.

use crate::support::{Server, ZERO_SHOT, code, listener, voiced};
use std::time::Duration;
use tokio::net::TcpStream;

#[tokio::test]
async fn each_address_serves_its_interfaces_and_no_others() {
    let server = Server::with(|config| {
        config.listeners = vec![listener(Some(&["light"])), listener(Some(&["openai", "tasks"]))];
    })
    .await;
    let get = async |at: usize, path: &str| {
        let url = format!("http://{}{path}", server.addresses[at]);
        let answer = server.http.get(url).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    assert_eq!(get(0, "/query_tts_model").await.0, 200);
    let (status, body) = get(1, "/query_tts_model").await;
    assert_eq!((status, code(&body).as_str()), (404, "NOT_FOUND"));
    for at in [0, 1] {
        for path in ["/health", "/metrics", "/readiness", "/demo"] {
            assert_eq!(get(at, path).await.0, 200, "{at} {path}");
        }
    }
}

#[tokio::test]
async fn all_addresses_drain_together() {
    let mut server = Server::with(|config| {
        config.listeners = vec![listener(None), listener(Some(&["light"]))];
    })
    .await;
    let mut playing = Vec::new();
    for address in &server.addresses {
        let url = format!("http://{address}{ZERO_SHOT}");
        playing.push(tokio::spawn(server.http.post(url).multipart(voiced(&"x".repeat(30))).send()));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.shut_down();
    for answer in playing {
        let answer = answer.await.expect("no panic").expect("an answer");
        assert_eq!(answer.bytes().await.expect("a body").len(), 44 + 30 * 960);
    }
    let end = tokio::time::timeout(Duration::from_secs(5), server.run).await;
    end.expect("the server ended").expect("no panic").expect("no error");
    for address in &server.addresses {
        assert!(TcpStream::connect(address).await.is_err(), "{address} is still open");
    }
}
