//! OpenAPI 3.1, as far as that can be checked without its schema from the network.

use crate::support::{DIALECTS, METHODS, Server, object, operations};
use serde_json::Value;
use std::collections::HashSet;

#[tokio::test]
async fn every_selection_has_a_valid_description() {
    let mut selections: Vec<&[&str]> = DIALECTS.iter().map(std::slice::from_ref).collect();
    selections.extend([&DIALECTS[..], &["light", "tasks"], &["workflow", "index2", "openai"]]);
    for locked in [false, true] {
        let keys = move |config: &mut mynah::config::Config| {
            if locked {
                config.auth.keys = vec!["key".into()];
            }
        };
        let server = Server::serving(&selections, keys).await;
        for (at, selection) in selections.iter().enumerate() {
            let document = server.description(at).await;
            check(&document);
            assert_eq!(document.get("security").is_some(), locked, "{selection:?}");
            let tags: Vec<_> = document["tags"].as_array().expect("tags").iter().collect();
            let tags = tags.iter().map(|tag| tag["name"].as_str().expect("a name"));
            let expected: HashSet<_> = selection.iter().copied().chain(["common"]).collect();
            assert_eq!(tags.collect::<HashSet<_>>(), expected, "{selection:?}");
        }
    }
}

/// Settings that change what may be asked for change its description.
#[tokio::test]
async fn limits_are_those_of_the_settings() {
    let server = Server::serving(&[&DIALECTS], |config| config.limits.max_text_length = 321).await;
    let document = server.description(0).await;
    assert_eq!(document["components"]["schemas"]["Text"]["maxLength"], 321);
}

fn check(document: &Value) {
    assert_eq!(document["openapi"], "3.1.0");
    for name in ["title", "version"] {
        assert!(document["info"][name].is_string(), "info.{name}");
    }
    let mut ids = HashSet::new();
    for (path, method, operation) in operations(document) {
        let at = format!("{method} {path}");
        assert!(path.starts_with('/') && METHODS.contains(&method), "{at}");
        let id = operation["operationId"].as_str().expect("an id");
        assert!(ids.insert(id), "{at} has the id of another");
        assert!(!operation["summary"].as_str().expect("a summary").is_empty(), "{at}");
        parameters(path, &at, operation);
        if let Some(body) = operation.get("requestBody") {
            assert!(!object(body, "content").is_empty(), "{at} has a body of no kind");
        }
        let responses = object(operation, "responses");
        assert!(responses.keys().any(|status| status < &"400".to_string()), "{at}");
        for (status, response) in responses {
            assert!(matches!(status.parse(), Ok(100u16..=599)), "{at}: {status}");
            assert!(response["description"].is_string(), "{at}: {status}");
            assert!(response["headers"]["X-Request-Id"].is_object(), "{at}: {status}");
        }
        let requirements = operation.get("security").or(document.get("security"));
        for requirement in requirements.and_then(Value::as_array).into_iter().flatten() {
            for scheme in requirement.as_object().expect("a requirement").keys() {
                let known = &document["components"]["securitySchemes"][scheme];
                assert!(known["type"].is_string(), "{at}: no scheme {scheme}");
            }
        }
    }
    schemas(document, document, "");
}

fn parameters(path: &str, at: &str, operation: &Value) {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut seen = HashSet::new();
    for parameter in parameters {
        let (name, place) = (&parameter["name"], &parameter["in"]);
        assert!(
            seen.insert((name.as_str().expect("a name"), place.as_str())),
            "{at}: {name} twice"
        );
        assert!(parameter["schema"].is_object(), "{at}: {name}");
        match place.as_str() {
            Some("path") => {
                assert!(path.contains(&format!("{{{}}}", name.as_str().expect("a name"))), "{at}");
                assert_eq!(parameter["required"], true, "{at}: {name}");
            }
            Some("query" | "header") => {}
            other => panic!("{at}: {name} in {other:?}"),
        }
    }
    let templates = path.matches('{').count();
    let named = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
    assert_eq!(named, templates, "{at}");
}

/// References resolve, types are JSON Schema's, and nothing is left of OpenAPI 3.0.
fn schemas(document: &Value, value: &Value, at: &str) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').expect("a reference within");
                assert!(document.pointer(pointer).is_some(), "{at}: {reference} is nowhere");
            }
            // Below `properties` and in examples, names are anybody's.
            let is_schema = at.ends_with("/schema") || at.ends_with("/items");
            if is_schema {
                assert!(!members.contains_key("nullable"), "{at}");
                for bound in ["exclusiveMinimum", "exclusiveMaximum"] {
                    assert!(!members.get(bound).is_some_and(Value::is_boolean), "{at}");
                }
                let types = members.get("type").cloned().unwrap_or(Value::Array(vec![]));
                let types = types.as_array().cloned().unwrap_or_else(|| vec![types]);
                for name in &types {
                    let known =
                        ["array", "boolean", "integer", "null", "number", "object", "string"];
                    assert!(known.contains(&name.as_str().unwrap_or_default()), "{at}: {name}");
                }
            }
            for (name, member) in members {
                schemas(document, member, &format!("{at}/{name}"));
            }
        }
        Value::Array(values) => {
            for value in values {
                schemas(document, value, &format!("{at}/[]"));
            }
        }
        _ => {}
    }
}
