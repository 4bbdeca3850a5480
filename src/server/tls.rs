//! TLS for listeners, from PEM files.

use crate::config::{ConfigError, TlsConfig};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What a listener needs to speak TLS. None where the settings name no certificate.
///
/// # Errors
/// [`ConfigError::Value`] that names the file that is missing, malformed, or does not fit the other.
pub fn acceptor(config: &TlsConfig) -> Result<Option<TlsAcceptor>, ConfigError> {
    let (cert, key) = match (&config.cert, &config.key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) => return Ok(None),
        (Some(cert), None) => return Err(bad("tls.cert", cert, "needs `tls.key` beside it")),
        (None, Some(key)) => return Err(bad("tls.key", key, "needs `tls.cert` beside it")),
    };
    let chain =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|e| bad("tls.cert", cert, e))?;
    if chain.is_empty() {
        return Err(bad("tls.cert", cert, "holds no certificate in PEM form"));
    }
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|e| bad("tls.key", key, format!("holds no private key in PEM form: {e}")))?;
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|e| bad("tls.key", key, format!("does not fit {}: {e}", cert.display())))?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

fn bad(key: &'static str, file: &Path, reason: impl ToString) -> ConfigError {
    ConfigError::Value { key, value: file.display().to_string(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever mixed up two files finds out which before the model is loaded.
    #[test]
    fn files_that_cannot_be_used_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("written");
            Some(path)
        };
        let pair = || {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]);
            let made = made.expect("a certificate");
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let (cert, key) = pair();
        let (cert, key) = (file("cert.pem", &cert), file("key.pem", &key));
        let other = file("other.pem", &pair().1);
        let (rubbish, none) = (file("rubbish.pem", "rubbish"), Some(dir.path().join("none.pem")));
        let tls = |cert: &Option<_>, key: &Option<_>| {
            acceptor(&TlsConfig { cert: cert.clone(), key: key.clone() })
        };
        assert!(tls(&cert, &key).is_ok_and(|made| made.is_some()));
        assert!(tls(&None, &None).is_ok_and(|made| made.is_none()));
        for (cert, key, setting, name) in [
            (&cert, &None, "tls.cert", "cert.pem"),
            (&None, &key, "tls.key", "key.pem"),
            (&none, &key, "tls.cert", "none.pem"),
            (&rubbish, &key, "tls.cert", "rubbish.pem"),
            (&key, &key, "tls.cert", "key.pem"),
            (&cert, &none, "tls.key", "none.pem"),
            (&cert, &rubbish, "tls.key", "rubbish.pem"),
            (&cert, &cert, "tls.key", "cert.pem"),
            (&cert, &other, "tls.key", "other.pem"),
        ] {
            let error = tls(cert, key).map(|_| ()).expect_err(name).to_string();
            assert!(error.contains(setting) && error.contains(name), "{error}");
        }
    }
}
