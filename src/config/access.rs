//! Who may use the server, from where, and how it is reached: `[[listeners]]`, `[auth]`, `[cors]`
//! and `[tls]`.

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// An address that is listened on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// `host:port`; port 0 lets the system choose.
    pub address: String,
    /// Interfaces that are served there, by name. Unset: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialects: Option<Vec<String>>,
    /// Whether it speaks TLS. Unset: where `[tls]` names a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
}

/// Keys of clients. Without any, everybody may use the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    #[serde(deserialize_with = "keys")]
    pub keys: Vec<KeyConfig>,
    /// A file of further keys, one a line.
    pub keys_file: Option<PathBuf>,
    /// Whether `/metrics` needs a key as well.
    pub metrics: bool,
}

/// One client's key, and what it allows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyConfig {
    pub key: Secret,
    /// As the log calls it.
    pub name: Option<String>,
    /// Requests that ask for work, as in `100/minute`. Takes the place of `limits.rate_limit`.
    pub rate_limit: Option<String>,
    /// Requests and WebSockets that ask for work, at a time.
    pub sessions: Option<usize>,
}

impl From<&str> for KeyConfig {
    /// A bare key, without limits of its own.
    fn from(key: &str) -> Self {
        Self { key: Secret(key.to_string()), ..Self::default() }
    }
}

/// A key, or its SHA-256 as `sha256:HEX`. Never shown.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Secret(#[serde(deserialize_with = "secret")] pub String);

const HIDDEN: &str = "[hidden]";

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

/// Which web pages may read the answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// `*`, or origins such as `https://example.org`. None at all: only pages of this server.
    pub origins: Vec<String>,
    /// What they may do.
    pub methods: Vec<String>,
}

impl Default for CorsConfig {
    fn default() -> Self {
        Self { origins: vec!["*".into()], methods: vec!["GET".into(), "POST".into()] }
    }
}

/// PEM files. Both or none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate, followed by those that vouch for it.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

// What follows reads keys without ever repeating in an error what was read: serde's own errors
// say what they found.

/// A comma-separated string, or a list whose entries are keys or tables.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<KeyConfig>, D::Error> {
    struct Entry(KeyConfig);
    struct OfEntry;
    impl<'de> Visitor<'de> for OfEntry {
        type Value = Entry;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a key")
        }
        fn visit_str<E: de::Error>(self, key: &str) -> Result<Entry, E> {
            Ok(Entry(key.into()))
        }
        fn visit_u64<E: de::Error>(self, _: u64) -> Result<Entry, E> {
            Err(unquoted())
        }
        fn visit_i64<E: de::Error>(self, _: i64) -> Result<Entry, E> {
            Err(unquoted())
        }
        fn visit_f64<E: de::Error>(self, _: f64) -> Result<Entry, E> {
            Err(unquoted())
        }
        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
            KeyConfig::deserialize(MapAccessDeserializer::new(map)).map(Entry)
        }
    }
    impl<'de> Deserialize<'de> for Entry {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(OfEntry)
        }
    }
    struct OfList;
    impl<'de> Visitor<'de> for OfList {
        type Value = Vec<KeyConfig>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of keys")
        }
        fn visit_str<E: de::Error>(self, keys: &str) -> Result<Self::Value, E> {
            Ok(listed(keys))
        }
        fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Err(unquoted())
        }
        fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Err(unquoted())
        }
        fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Err(unquoted())
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut keys = Vec::new();
            while let Some(Entry(key)) = seq.next_element()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    deserializer.deserialize_any(OfList)
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a key")
        }
        fn visit_str<E: de::Error>(self, key: &str) -> Result<String, E> {
            Ok(key.to_string())
        }
        fn visit_u64<E: de::Error>(self, _: u64) -> Result<String, E> {
            Err(unquoted())
        }
        fn visit_i64<E: de::Error>(self, _: i64) -> Result<String, E> {
            Err(unquoted())
        }
        fn visit_f64<E: de::Error>(self, _: f64) -> Result<String, E> {
            Err(unquoted())
        }
    }
    deserializer.deserialize_any(Text)
}

fn unquoted<E: de::Error>() -> E {
    E::custom("a key that looks like a number has to be written in quotes")
}

/// Keys as an environment variable holds them, separated by commas.
pub fn listed(keys: &str) -> Vec<KeyConfig> {
    keys.split(',').map(str::trim).filter(|key| !key.is_empty()).map(KeyConfig::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(keys: serde_json::Value) -> Result<AuthConfig, String> {
        serde_json::from_value(json!({ "keys": keys })).map_err(|e| e.to_string())
    }

    #[test]
    fn keys_are_written_in_several_ways() {
        let bare = |key: &str| KeyConfig::from(key);
        let full = KeyConfig {
            name: Some("shop".into()),
            rate_limit: Some("5/minute".into()),
            sessions: Some(2),
            ..bare("c")
        };
        let table = json!({"key": "c", "name": "shop", "rate_limit": "5/minute", "sessions": 2});
        for (written, expected) in [
            (json!("a, b,"), vec![bare("a"), bare("b")]),
            (json!(["a", table]), vec![bare("a"), full]),
            (json!([]), vec![]),
        ] {
            assert_eq!(read(written.clone()).map(|auth| auth.keys), Ok(expected), "{written}");
        }
    }

    /// Settings are printed where they are wrong, and shown where someone looks for a mistake.
    #[test]
    fn keys_are_never_shown() {
        for wrong in [
            json!(5550123),
            json!([5550123]),
            json!([{ "key": 5550123 }]),
            json!([{ "key": "5550123", "nmae": "x" }]),
            json!([{ "key": "5550123", "sessions": "many" }]),
        ] {
            let error = read(wrong.clone()).expect_err("it is wrong");
            assert!(!error.contains("555"), "{wrong}: {error}");
        }
        let auth = read(json!("5550123")).expect("a key");
        let shown = format!("{auth:?} {}", json!(auth));
        assert!(!shown.contains("555") && shown.contains(HIDDEN), "{shown}");
    }
}
