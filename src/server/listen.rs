//! Addresses that are listened on, and what is served at each.

use super::dialect::{Dialect, Dialects};
use super::tls;
use crate::config::{Config, ConfigError, ListenerConfig};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A socket, the interfaces it serves, and whether in clear.
pub struct Listener {
    socket: TcpListener,
    pub(super) dialects: Dialects,
    pub(super) tls: Option<TlsAcceptor>,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot listen on {address}: {source}")]
    Bind { address: String, source: io::Error },
}

impl Listener {
    /// Serves every interface, in clear.
    pub fn new(socket: TcpListener) -> Self {
        Self { socket, dialects: Dialects::ALL, tls: None }
    }

    /// Serves these alone.
    pub fn serving(self, dialects: Dialects) -> Self {
        Self { dialects, ..self }
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// For people and scripts: its URL, and what is served there where that is not everything.
    pub fn describe(&self) -> io::Result<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", self.address()?);
        if self.dialects == Dialects::ALL {
            return Ok(url);
        }
        let names: Vec<_> = self.dialects.iter().map(Dialect::name).collect();
        Ok(format!("{url} ({})", names.join(", ")))
    }
}

/// A listener as the settings describe it, before it listens.
struct Plan {
    address: String,
    dialects: Dialects,
    tls: Option<TlsAcceptor>,
}

fn plan(config: &Config) -> Result<Vec<Plan>, ConfigError> {
    let tls = tls::acceptor(&config.tls)?;
    if config.listeners.is_empty() {
        let host = &config.server.host;
        // Of an IPv6 address, colons are part.
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let address = format!("{host}:{}", config.server.port);
        return Ok(vec![Plan { address, dialects: Dialects::ALL, tls }]);
    }
    let plan = |listener: &ListenerConfig| {
        let dialects = match &listener.dialects {
            None => Dialects::ALL,
            Some(names) => Dialects::by_names(names).map_err(|reason| ConfigError::Value {
                key: "listeners.dialects",
                value: format!("{names:?}"),
                reason,
            })?,
        };
        let tls = match (listener.tls, &tls) {
            (Some(false), _) | (None, None) => None,
            (_, Some(tls)) => Some(tls.clone()),
            (Some(true), None) => {
                return Err(ConfigError::Value {
                    key: "listeners.tls",
                    value: "true".into(),
                    reason: "needs `tls.cert` and `tls.key`".into(),
                });
            }
        };
        Ok(Plan { address: listener.address.clone(), dialects, tls })
    };
    config.listeners.iter().map(plan).collect()
}

/// Says what is wrong with the listeners of the settings, without listening.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    plan(config).map(drop)
}

/// Listens on every address of the settings.
///
/// # Errors
/// A setting that cannot be used, or an address that cannot be had.
pub async fn bind(config: &Config) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    for Plan { address, dialects, tls } in plan(config)? {
        let socket = TcpListener::bind(&address).await;
        let socket = socket.map_err(|source| ListenError::Bind { address, source })?;
        listeners.push(Listener { socket, dialects, tls });
    }
    Ok(listeners)
}

/// The next connection of any listener, and which one's. They take turns.
pub(super) async fn accept(
    listeners: &[Listener],
    turn: &mut usize,
) -> (usize, io::Result<(TcpStream, SocketAddr)>) {
    poll_fn(|cx| {
        for step in 1..=listeners.len() {
            let at = turn.wrapping_add(step) % listeners.len();
            if let Some(listener) = listeners.get(at)
                && let Poll::Ready(accepted) = listener.socket.poll_accept(cx)
            {
                *turn = at;
                return Poll::Ready((at, accepted));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(dialects: Option<&[&str]>, tls: Option<bool>) -> ListenerConfig {
        let dialects = dialects.map(|names| names.iter().map(ToString::to_string).collect());
        ListenerConfig { address: "127.0.0.1:0".into(), dialects, tls }
    }

    fn key_of(listener: ListenerConfig) -> Option<&'static str> {
        match check(&Config { listeners: vec![listener], ..Config::default() }) {
            Err(ConfigError::Value { key, .. }) => Some(key),
            _ => None,
        }
    }

    #[test]
    fn listeners_that_make_no_sense_are_refused() {
        assert_eq!(key_of(listener(Some(&["light", "openai"]), Some(false))), None);
        assert_eq!(key_of(listener(None, None)), None);
        for odd in [&["heavy"][..], &[], &["common"]] {
            assert_eq!(key_of(listener(Some(odd), None)), Some("listeners.dialects"), "{odd:?}");
        }
        assert_eq!(key_of(listener(None, Some(true))), Some("listeners.tls"));
    }

    #[tokio::test]
    async fn the_default_listener_is_the_servers_address() {
        for host in ["127.0.0.1", "localhost"] {
            let mut config = Config::default();
            (config.server.host, config.server.port) = (host.into(), 0);
            let listeners = bind(&config).await.expect("a port");
            let described = listeners[0].describe().expect("an address");
            assert!(described.starts_with("http://") && !described.contains(' '), "{described}");
        }
        let mut config = Config::default();
        (config.server.host, config.server.port) = ("::1".into(), 8080);
        assert_eq!(plan(&config).expect("sound")[0].address, "[::1]:8080");
    }
}
