//! Who is asking.

use axum::http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

/// The other end of the connection a request came by.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The address of the client: the peer's own, or, where the peer is a trusted proxy, the last
/// address in `X-Forwarded-For` that is not a trusted proxy itself. Entries before that one were
/// written by the client or by strangers.
pub fn address(peer: Peer, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|t| t.to_canonical() == *ip);
    let peer = peer.0.ip().to_canonical();
    if !is_trusted(&peer) {
        return peer;
    }
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let mut client = peer;
    let hops: Vec<_> = lines.flat_map(|line| line.split(',')).collect();
    for hop in hops.into_iter().rev() {
        match parse(hop) {
            Some(ip) => client = ip,
            None => return client,
        }
        if !is_trusted(&client) {
            return client;
        }
    }
    client
}

/// An address, as proxies write it: bare, with a port, or in brackets.
fn parse(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(hop);
    let ip = bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|a| a.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().expect("a header"));
        }
        let trusted = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().expect("an address"));
        let peer = Peer(SocketAddr::new(peer.parse().expect("an address"), 1));
        address(peer, &headers, &trusted).to_string()
    }

    #[test]
    fn strangers_cannot_name_themselves() {
        assert_eq!(seen("192.0.2.9", &["127.0.0.1"]), "192.0.2.9");
    }

    #[test]
    fn a_trusted_proxy_names_its_client() {
        assert_eq!(seen("10.0.0.1", &["192.0.2.7"]), "192.0.2.7");
        assert_eq!(seen("::ffff:10.0.0.1", &["192.0.2.7:4711"]), "192.0.2.7");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_the_client_wrote_before_its_proxy_is_not_believed() {
        assert_eq!(seen("10.0.0.1", &["127.0.0.1, 192.0.2.7"]), "192.0.2.7");
        assert_eq!(seen("10.0.0.1", &["127.0.0.1", "192.0.2.7, 10.0.0.2"]), "192.0.2.7");
        assert_eq!(seen("10.0.0.1", &["192.0.2.7, rubbish, 10.0.0.2"]), "10.0.0.2");
    }
}
