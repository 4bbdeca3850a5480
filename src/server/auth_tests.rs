use super::*;
use std::path::PathBuf;

/// The hash of `abc`, from the standard.
const ABC: &str = "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn keyring(keys: Vec<KeyConfig>) -> Result<Keyring, ConfigError> {
    Keyring::new(&AuthConfig { keys, ..AuthConfig::default() })
}

fn one(key: &str) -> Keyring {
    keyring(vec![key.into()]).expect("a sound key")
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
    };
    pairs.iter().map(pair).collect()
}

#[test]
fn keys_are_found_wherever_clients_can_put_them() {
    for ring in [one("abc"), one(ABC)] {
        let passes =
            |pairs: &[(&'static str, &str)], query| ring.authorise(&headers(pairs), query).is_ok();
        for pairs in [
            ("authorization", "Bearer abc"),
            ("authorization", "bearer  abc "),
            ("x-api-key", "abc"),
            ("sec-websocket-protocol", "mynah, mynah.api_key.abc"),
        ] {
            assert!(passes(&[pairs], None), "{pairs:?}");
        }
        assert!(passes(&[], Some("a=b&api_key=%61bc")));
        assert!(passes(&[("authorization", "Bearer old"), ("x-api-key", "abc")], None));
        for pairs in [
            ("authorization", "abc"),
            ("authorization", "Basic abc"),
            ("authorization", "Bearer ab"),
            ("authorization", "Bearer abcd"),
            ("x-api-key", ""),
            ("x-api-key", "ABC"),
            ("x-api-key", ABC),
            ("sec-websocket-protocol", "abc"),
        ] {
            assert!(!passes(&[pairs], None), "{pairs:?}");
        }
        assert!(!passes(&[], Some("key=abc")));
        assert!(!passes(&[("x-api-key", &"a".repeat(MAX_KEY + 1))], None));
    }
}

#[test]
fn without_keys_everybody_is_let_in() {
    let ring = keyring(vec![]).expect("nothing to check");
    assert!(ring.authorise(&headers(&[("x-api-key", "wrong")]), None).is_ok());
}

#[test]
fn only_what_informs_is_open() {
    let ring = |metrics| {
        let keys = vec!["abc".into()];
        Keyring::new(&AuthConfig { keys, metrics, ..AuthConfig::default() }).expect("sound")
    };
    for path in ["/", "/health", "/readiness/", "/demo/app.js", "/docs", "/openapi.json"] {
        assert!(ring(true).is_open(path), "{path}");
    }
    assert!(ring(false).is_open("/metrics") && !ring(true).is_open("/metrics"));
    for path in ["/v1/models", "/healthy", "/demos", "/nothing", "/inference_zero_shot", "//x"] {
        assert!(!ring(false).is_open(path), "{path}");
    }
}

#[test]
fn files_hold_keys_and_what_they_allow() {
    let read = |text: &str| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let keys_file = Some(PathBuf::from(file.path()));
        Keyring::new(&AuthConfig { keys_file, ..AuthConfig::default() }).map_err(|e| e.to_string())
    };
    let text = format!("# keys\n\nabcd name=shop rate_limit=2/hour sessions=1\n  {ABC}\n");
    let ring = read(&text).expect("sound");
    let who = |key: &str| {
        let principal = ring.authorise(&headers(&[("x-api-key", key)]), None);
        principal.ok().and_then(|p| Some((p.name()?.to_string(), p.is_limited())))
    };
    assert_eq!(who("abcd"), Some(("shop".into(), true)));
    assert_eq!(who("abc"), Some(("key ba7816bf".into(), false)));
    assert_eq!(format!("{ring:?}"), r#"["shop", "key ba7816bf"]"#);
    for (text, words) in [
        ("# none\n", "no key"),
        ("a\nsecret1 oops", "line 2"),
        ("secret1 secret2=x", "line 1"),
        ("secret1 sessions=0", "1 or more"),
        ("secret1 sessions=-1", "whole number"),
        ("secret1 rate_limit=often", "`rate_limit`"),
        ("sha256:secret1", "64 hexadecimal"),
        ("sécret1", "ASCII"),
        ("secret1\nsecret1", "twice"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(words) && !error.contains("cret"), "{text}: {error}");
    }
    let missing = AuthConfig { keys_file: Some("/nowhere/keys".into()), ..AuthConfig::default() };
    let error = Keyring::new(&missing).expect_err("no such file").to_string();
    assert!(error.contains("auth.keys_file") && error.contains("/nowhere/keys"), "{error}");
}

#[test]
fn a_key_has_its_own_limits() {
    let limited = |rate: Option<&str>, sessions| {
        let rate_limit = rate.map(str::to_string);
        let ring = keyring(vec![KeyConfig { rate_limit, sessions, .."abc".into() }]);
        let ring = ring.expect("sound");
        ring.authorise(&headers(&[("x-api-key", "abc")]), None).expect("let in")
    };
    let principal = limited(Some("2/hour"), None);
    assert!(principal.begin().is_ok() && principal.begin().is_ok());
    assert!(matches!(principal.begin(), Err(ApiError::RateLimited { .. })));
    let principal = limited(None, Some(1));
    let first = principal.begin().expect("room");
    assert!(matches!(principal.begin(), Err(ApiError::RateLimited { .. })));
    drop(first);
    assert!(principal.begin().is_ok());
}

#[test]
fn keys_leave_the_address_and_the_subprotocols() {
    let rest = |uri: &str| without_key(&uri.parse().expect("a place")).map(|uri| uri.to_string());
    assert_eq!(rest("/a?api_key=x").as_deref(), Some("/a"));
    assert_eq!(rest("/a?b=%20&%61pi_key=x&c").as_deref(), Some("/a?b=%20&c"));
    assert_eq!(rest("/a?b=api_key"), None);
    assert_eq!(rest("/a"), None);

    let take = |offered: &str| {
        let mut headers = headers(&[("sec-websocket-protocol", offered)]);
        let agreed = take_protocols(&mut headers);
        let text = |v: &HeaderValue| v.to_str().unwrap_or_default().to_string();
        (agreed.as_ref().map(text), headers.get("sec-websocket-protocol").map(text))
    };
    let some = |text: &str| Some(text.to_string());
    assert_eq!(take("mynah, mynah.api_key.k"), (some("mynah"), some("mynah")));
    assert_eq!(take("mynah.api_key.k"), (some("mynah.api_key.k"), None));
    assert_eq!(take("chat, v2"), (None, some("chat, v2")));
}
