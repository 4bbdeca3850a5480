//! Whose word about a client's address is taken.

use crate::support::{Server, ZERO_SHOT, told, voiced};
use reqwest::Method;

/// Statuses of requests that name these clients.
async fn statuses(trusted: &[&str], forwarded: &[&str]) -> Vec<u16> {
    let server = Server::with(|config| {
        config.limits.rate_limit = "1/hour".into();
        config.limits.rate_limit_loopback = true;
        let trusted = trusted.iter().map(|ip| ip.parse().expect("an address"));
        config.server.trusted_proxies = trusted.collect();
    })
    .await;
    let mut statuses = Vec::new();
    for client in forwarded {
        let post = server.request(Method::POST, ZERO_SHOT).header("x-forwarded-for", *client);
        statuses.push(told(post.multipart(voiced("hi"))).await.0);
    }
    statuses
}

#[tokio::test]
async fn only_trusted_proxies_name_clients() {
    let each = ["192.0.2.1", "192.0.2.2", "192.0.2.1"];
    assert_eq!(statuses(&["127.0.0.1"], &each).await, [200, 200, 429]);
    assert_eq!(statuses(&[], &each).await, [200, 429, 429]);
    assert_eq!(statuses(&["192.0.2.1"], &each).await, [200, 429, 429]);
    // What a client wrote before its proxy did is the client's own invention.
    let invented = ["198.51.100.1, 192.0.2.1", "198.51.100.2, 192.0.2.1"];
    assert_eq!(statuses(&["127.0.0.1"], &invented).await, [200, 429]);
}
