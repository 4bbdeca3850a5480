//! The dashboard and the alerts of `examples/monitoring` ask only for metrics that Mynah has.

#[path = "support/server.rs"]
#[allow(dead_code, reason = "these tests need little of it")]
mod server;

use mynah::telemetry::metrics::jobs::JobStore;
use mynah::telemetry::metrics::{self, Stage};
use server::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use yaml_rust2::{Yaml, YamlLoader};

/// Metrics of Prometheus itself and of its blackbox exporter.
const OTHERS: [&str; 2] = ["up", "probe_success"];
/// Labels that Prometheus adds, and those of its histograms.
const ADDED: [&str; 3] = ["job", "instance", "le"];

fn example(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/monitoring");
    std::fs::read_to_string(format!("{folder}/{name}")).expect("the file")
}

/// All expressions of the dashboard's panels, by the panel's title.
fn dashboard() -> Vec<(String, String)> {
    let board: serde_json::Value =
        serde_json::from_str(&example("grafana-dashboard.json")).expect("JSON");
    let panels = board["panels"].as_array().expect("panels");
    let expressions = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title").to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        let texts = targets.into_iter().map(|t| t["expr"].as_str().expect("a text").to_owned());
        texts.map(move |text| (title.clone(), text)).collect::<Vec<_>>()
    });
    expressions.collect()
}

/// All expressions of the alerts, by the alert's name.
fn alerts() -> Vec<(String, String)> {
    let files = YamlLoader::load_from_str(&example("alerts.yml")).expect("YAML");
    let list = |yaml: &Yaml| yaml.as_vec().expect("a list").clone();
    let rules = list(&files[0]["groups"]).into_iter().flat_map(|group| list(&group["rules"]));
    let text = |rule: &Yaml, key: &str| rule[key].as_str().expect(key).to_owned();
    rules.map(|rule| (text(&rule, "alert"), text(&rule, "expr"))).collect()
}

/// What an expression of PromQL asks for.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

/// Reads names and labels out of an expression. What stands before a parenthesis is a function or
/// an aggregation; lists after `by` and the like, and the left sides of selectors, are labels.
fn asked(expression: &str) -> Asked {
    const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    const WORDS: [&str; 10] =
        ["and", "or", "unless", "bool", "offset", "sum", "min", "max", "avg", "count"];
    let mut asked = Asked::default();
    let mut rest = expression;
    let mut list = false;
    let mut selector = false;
    while let Some(c) = rest.chars().next() {
        let name_len = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(rest.len());
        if c.is_ascii_digit() {
            rest = &rest[name_len..];
            continue;
        }
        if name_len > 0 {
            let (name, after) = rest.split_at(name_len);
            rest = after;
            if list || selector {
                asked.labels.insert(name.into());
            } else if LISTS.contains(&name) {
                list = true;
            } else if !WORDS.contains(&name) && !after.trim_start().starts_with('(') {
                asked.metrics.insert(name.into());
            }
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            ')' => list = false,
            '{' => selector = true,
            '}' => selector = false,
            '"' => rest = rest.split_once('"').expect("a text that ends").1,
            '[' => rest = rest.split_once(']').expect("a range that ends").1,
            _ => {}
        }
    }
    asked
}

/// Metrics by name, each with the labels it has.
type Known = BTreeMap<String, BTreeSet<String>>;

/// What a registry's text shows.
fn shown(text: &str) -> Known {
    let mut known = Known::new();
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        known.entry(name.into()).or_default();
    }
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let sample = line.rsplit_once(' ').expect("a value").0;
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let owner = known.get_mut(family(name));
        let Some(owner) = owner else { continue };
        let labels = labels.trim_end_matches('}').split("\",");
        owner.extend(labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned())));
    }
    known
}

/// The histogram that a series belongs to, or the name itself.
fn family(name: &str) -> &str {
    let ends = ["_bucket", "_sum", "_count"];
    // A counter of LightTTS' names ends like a histogram's.
    if name == "lightllm_request_count" {
        return name;
    }
    ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

/// Everything that this process can count, after each event has happened once.
fn known() -> Known {
    let handle = metrics::install();
    metrics::synthesis_began();
    metrics::synthesis_ended("done", Duration::from_secs(1));
    metrics::first_packet(Duration::from_millis(100));
    metrics::request("light", 200);
    metrics::queue_wait(Duration::from_millis(1));
    metrics::stage(Stage::LlmStep, Duration::from_millis(1), 1);
    metrics::cache_bytes("voices", 1);
    metrics::load(0.5);
    metrics::jobs::began(0.1);
    metrics::jobs::ended("completed", Some(1.0));
    let queued = Some(0);
    let store = JobStore { queued, running: 0, stored_bytes: 1, limit_bytes: 2 };
    metrics::jobs::observe(store);
    shown(&metrics::render(&handle))
}

/// Names and labels that nobody shows.
fn unknown(expression: &str, known: &Known) -> Vec<String> {
    let Asked { metrics, labels } = asked(expression);
    let ours = |name: &&String| !OTHERS.contains(&name.as_str());
    let metrics: Vec<&String> = metrics.iter().filter(ours).collect();
    let all: BTreeSet<&str> = metrics
        .iter()
        .filter_map(|name| known.get(family(name)))
        .flatten()
        .map(String::as_str)
        .chain(ADDED)
        .collect();
    let names = metrics.iter().filter(|name| !known.contains_key(family(name)));
    let labels = labels.iter().filter(|label| !all.contains(label.as_str()));
    names.map(|name| (*name).clone()).chain(labels.cloned()).collect()
}

#[test]
fn every_expression_asks_for_what_there_is() {
    let known = known();
    let expressions = [dashboard(), alerts()].concat();
    assert!(expressions.len() > 30, "{} expressions", expressions.len());
    for (title, expression) in expressions {
        assert!(!asked(&expression).metrics.is_empty(), "{title} asks for nothing: {expression}");
        assert_eq!(unknown(&expression, &known), [""; 0], "{title}: {expression}");
    }
}

/// Without this, the test above could pass because it reads nothing.
#[test]
fn a_wrong_name_or_label_is_found() {
    let known = known();
    let wrong = "sum by (le, phase) (rate(mynah_first_packets_bucket{job=~\"a{2}\"}[5m])) / mynah_load_ratio";
    assert_eq!(unknown(wrong, &known), ["mynah_first_packets_bucket", "phase"]);
    let right = "histogram_quantile(0.95, sum by (le, stage) (rate(mynah_stage_seconds_bucket{stage=\"x\"}[5m]))) > 1e9";
    assert_eq!(unknown(right, &known), [""; 0]);
    let asked = asked("max by (instance) (a{b=\"c\", d!~\"e f\"}) unless on (g) h offset 5m");
    assert_eq!(asked.metrics, ["a", "h"].map(String::from).into());
    assert_eq!(asked.labels, ["b", "d", "g", "instance"].map(String::from).into());
}

/// What the tests above take for the registry is what the real binary shows.
#[tokio::test]
async fn the_binary_shows_the_same_names() {
    let server = Server::start(&[]);
    let client = reqwest::Client::new();
    let form = reqwest::multipart::Form::new().text("tts_text", "Hello.").text("voice", "default");
    let answer = client.post(server.url("/inference_zero_shot")).multipart(form).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let text = client.get(server.url("/metrics")).send().await.expect("metrics").text().await;
    let (seen, known) = (shown(&text.expect("text")), known());
    for (name, labels) in &seen {
        let ours = known.get(name).unwrap_or_else(|| panic!("{name} is not in the registry"));
        assert!(labels.is_subset(ours), "{name}: {labels:?} and {ours:?}");
    }
    for name in ["mynah_first_packet_seconds", "mynah_sessions_active", "mynah_underruns_total"] {
        assert!(seen.contains_key(name), "{name} in {seen:?}");
    }
}

/// The value of a series, written as it is in the text.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[tokio::test]
async fn jobs_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().to_str().expect("a path in Unicode");
    let settings = [("MYNAH_STORAGE__DIR", dir), ("MYNAH_JOBS__WORKERS", "1")];
    let server = Server::start_with(&[], &settings);
    let client = reqwest::Client::new();
    let metrics = async || {
        let answer = client.get(server.url("/metrics")).send().await.expect("metrics");
        answer.text().await.expect("text")
    };
    let submit = async |text: &str| {
        let body = serde_json::json!({ "text": text });
        let answer = client.post(server.url("/api/v1/tts")).json(&body).send().await;
        let answer: serde_json::Value = answer.expect("an answer").json().await.expect("an object");
        answer["task_id"].as_str().expect("an id").to_owned()
    };
    let before = metrics().await;
    assert_eq!(value(&before, "mynah_jobs_running "), Some(0.0), "{before}");
    assert_eq!(value(&before, "mynah_job_storage_bytes "), Some(0.0));

    let long = submit(&"A long way to go. ".repeat(50)).await;
    let short = submit("Hi.").await;
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let until = async |series: &str, wanted: f64| loop {
        let text = metrics().await;
        if value(&text, series) == Some(wanted) {
            return text;
        }
        assert!(std::time::Instant::now() < deadline, "{series} is not {wanted}: {text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let text = until("mynah_jobs_running ", 1.0).await;
    assert_eq!(value(&text, "mynah_jobs_queued "), Some(1.0), "the short one waits: {text}");
    assert!(value(&text, "mynah_job_storage_bytes ").is_some_and(|bytes| bytes > 0.0));
    assert_eq!(value(&text, "mynah_job_store_up "), Some(1.0));

    let ended = client.delete(server.url(&format!("/api/v1/task/{long}"))).send().await;
    assert_eq!(ended.expect("an answer").status(), 200);
    let text = until("mynah_jobs_ended_total{state=\"completed\"} ", 1.0).await;
    assert_eq!(value(&text, "mynah_jobs_ended_total{state=\"cancelled\"} "), Some(1.0), "{text}");
    assert_eq!(value(&text, "mynah_jobs_ended_total{state=\"failed\"} "), Some(0.0));
    assert_eq!(value(&text, "mynah_job_wait_seconds_count "), Some(2.0), "{text}");
    assert_eq!(value(&text, "mynah_job_seconds_count "), Some(2.0), "{text}");
    let text = until("mynah_jobs_running ", 0.0).await;
    assert_eq!(value(&text, "mynah_jobs_queued "), Some(0.0), "{short}: {text}");
}

/// What Grafana needs to import the dashboard and to draw it.
#[test]
fn the_dashboard_is_whole() {
    let board: serde_json::Value =
        serde_json::from_str(&example("grafana-dashboard.json")).expect("JSON");
    assert!(board["schemaVersion"].as_u64().is_some_and(|version| version >= 38));
    assert!(board["id"].is_null() && board["uid"].is_string());
    let mut ids = BTreeSet::new();
    for panel in board["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64()), "two panels of id {}", panel["id"]);
        let at = &panel["gridPos"];
        let side = |key: &str| at[key].as_u64().expect("a number");
        assert!(side("x") + side("w") <= 24, "{} leaves the grid", panel["title"]);
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}");
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()));
        }
    }
}
