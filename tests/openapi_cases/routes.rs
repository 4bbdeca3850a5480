//! What is described is answered, and what is answered is described.

use crate::support::{DIALECTS, METHODS, Server, operations};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The methods of each path that a listener describes.
fn described(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, method, _) in operations(document) {
        paths.entry(path.into()).or_default().insert(method.into());
    }
    paths
}

/// A place that a path with parameters stands for.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "0" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// The detail of an error, whichever dialect's.
async fn detail(answer: reqwest::Response) -> String {
    let json: Value = answer.json().await.expect("JSON");
    let words = json["detail"].as_str().or(json["error"]["message"].as_str());
    words.unwrap_or_else(|| panic!("no words in {json}")).to_string()
}

const NOWHERE: &str = "there is nothing at this path";

#[tokio::test]
async fn each_listener_answers_what_it_describes_and_nothing_else() {
    let mut selections: Vec<&[&str]> = DIALECTS.iter().map(std::slice::from_ref).collect();
    selections.push(&DIALECTS);
    let server = Server::serving(&selections, |_| {}).await;
    let all = described(&server.description(DIALECTS.len()).await);
    for (at, selection) in selections.iter().enumerate() {
        let here = described(&server.description(at).await);
        for path in all.keys() {
            let none = BTreeSet::new();
            let methods = here.get(path).unwrap_or(&none);
            for method in METHODS {
                let answer = server.send(at, method, &filled(path)).await;
                let status = answer.status().as_u16();
                let what = format!("{selection:?}: {method} {path} answers {status}");
                if methods.is_empty() {
                    assert_eq!(status, 404, "{what}");
                    assert_eq!(detail(answer).await, NOWHERE, "{what}");
                } else if methods.contains(method) {
                    assert_ne!(status, 405, "{what}");
                    // What is asked for may not be there.
                    assert!(status != 404 || detail(answer).await != NOWHERE, "{what}");
                } else {
                    assert_eq!(status, 405, "{what}");
                    let allowed = answer.headers()["allow"].to_str().expect("text");
                    let allowed = allowed.to_lowercase();
                    let allowed = allowed.split(',').map(str::trim).filter(|m| *m != "head");
                    let allowed: BTreeSet<_> = allowed.map(str::to_string).collect();
                    assert_eq!(&allowed, methods, "{what}");
                }
            }
        }
    }
}

/// What a path's parameter is, or is not, never makes an answer that is no JSON.
#[tokio::test]
async fn parameters_that_are_no_text_are_told_so() {
    let server = Server::serving(&[&DIALECTS], |_| {}).await;
    let mut count = 0;
    for (path, method, _) in operations(&server.description(0).await) {
        let Some((before, _)) = path.split_once('{') else { continue };
        let answer = server.send(0, method, &format!("{before}%ff")).await;
        assert_eq!(answer.status(), 400, "{path}");
        assert!(detail(answer).await.contains("UTF-8"), "{path}");
        count += 1;
    }
    assert!(count > 5, "{count}");
}

/// A route is written as `.route("/path", …)`: the description of all dialects has to know it.
#[tokio::test]
async fn every_route_of_the_source_is_described() {
    let server = Server::serving(&[&DIALECTS], |_| {}).await;
    let described: BTreeSet<_> = described(&server.description(0).await).into_keys().collect();
    // These are routed from lists of their files.
    let mut found = BTreeSet::from(["/docs", "/demo"].map(str::to_string));
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the source") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(source) = std::fs::read_to_string(&path) else { continue };
            for rest in source.split(".route(").skip(1) {
                let Some(rest) = rest.trim_start().strip_prefix('"') else { continue };
                let (route, _) = rest.split_once('"').expect("the end of a path");
                found.insert(route.to_string());
            }
        }
    }
    assert_eq!(found, described);
}

/// People and programs who ask at `/` learn of everything.
#[tokio::test]
async fn the_root_lists_what_is_described() {
    let server = Server::serving(&[&["tasks"], &DIALECTS], |_| {}).await;
    for at in 0..2 {
        let root: Value = server.send(at, "get", "/").await.json().await.expect("JSON");
        let listed: BTreeSet<_> = root["endpoints"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|endpoint| endpoint.as_str().expect("text").to_string())
            .collect();
        let document = server.description(at).await;
        let described = operations(&document).map(|(path, method, operation)| {
            let socket = operation["responses"].get("101").is_some();
            let method = if socket { "WebSocket".into() } else { method.to_uppercase() };
            format!("{method} {path}")
        });
        assert_eq!(listed, described.collect());
    }
}
