//! What is deployed by the examples fits the server: its settings exist, its times leave room to
//! drain, and what scales it is a metric that there is.

use mynah::config::Config;
use mynah::telemetry::metrics;
use serde_json::json;
use yaml_rust2::{Yaml, YamlLoader};

/// Seconds that the server takes to say goodbye after `server.drain_timeout`.
const FAREWELL: f64 = 2.0;

fn read(path: &str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    std::fs::read_to_string(format!("{root}/{path}")).expect("the file")
}

fn yaml(path: &str) -> Yaml {
    let documents = YamlLoader::load_from_str(&read(path)).expect("YAML");
    documents.into_iter().next().expect("a document")
}

/// The settings in the ConfigMap, as the server reads them.
fn settings() -> Config {
    let map = yaml("examples/kubernetes/configmap.yaml");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = map["data"]["config.toml"].as_str().expect("a text");
    std::fs::write(file.path(), text).expect("written");
    Config::load(Some(file.path()), json!({})).expect("settings that the server takes")
}

#[test]
fn a_pod_has_time_to_drain() {
    let pod = &yaml("examples/kubernetes/deployment.yaml")["spec"]["template"]["spec"];
    let grace = pod["terminationGracePeriodSeconds"].as_i64().expect("seconds");
    let stop = &pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"];
    assert_eq!(stop[0].as_str(), Some("sleep"));
    let sleep: f64 = stop[1].as_str().expect("seconds").parse().expect("a number");
    let needed = sleep + settings().server.drain_timeout + FAREWELL;
    assert!(grace as f64 > needed, "{grace} s of {needed}");
}

#[test]
fn a_container_has_time_to_drain() {
    for path in ["compose.yaml", "compose.cuda.yaml"] {
        let service = &yaml(path)["services"]["mynah"];
        let seconds = |text: &str| -> f64 { text.trim_end_matches('s').parse().expect("a number") };
        let grace = seconds(service["stop_grace_period"].as_str().expect("a time"));
        let drain = service["environment"]["MYNAH_SERVER__DRAIN_TIMEOUT"].as_str();
        let needed = seconds(drain.expect("a time")) + FAREWELL;
        assert!(grace > needed, "{path}: {grace} s of {needed}");
    }
}

#[test]
fn what_scales_it_is_counted() {
    let handle = metrics::install();
    metrics::observe(1, 0, 0);
    let shown = metrics::render(&handle);
    let scaler = yaml("examples/kubernetes/autoscaler.yaml");
    let metric = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"].as_str().expect("a name");
    assert!(shown.contains(&format!("# TYPE {metric} gauge")), "{metric} is not in:\n{shown}");
    let adapter = yaml("examples/kubernetes/prometheus-adapter.yaml");
    let rule = &adapter["rules"]["custom"][0];
    assert_eq!(rule["name"]["matches"].as_str(), Some(metric));
    assert!(rule["seriesQuery"].as_str().is_some_and(|query| query.starts_with(metric)));
}

/// The probes ask what the server answers, and the volumes hold what it writes.
#[test]
fn the_pod_fits_the_image() {
    let pod = &yaml("examples/kubernetes/deployment.yaml")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    for (probe, path) in [
        ("startupProbe", "/readiness"),
        ("readinessProbe", "/readiness"),
        ("livenessProbe", "/liveness"),
    ] {
        assert_eq!(container[probe]["httpGet"]["path"].as_str(), Some(path), "{probe}");
    }
    let image = read("Dockerfile.cuda");
    let user = pod["securityContext"]["runAsUser"].as_i64().expect("a number");
    assert!(image.contains(&format!("USER {user}:")), "the image's user is not {user}");
    let mounts = container["volumeMounts"].as_vec().expect("a list");
    let mounted = |at: &str| mounts.iter().any(|mount| mount["mountPath"].as_str() == Some(at));
    let line = image.lines().find_map(|line| line.strip_prefix("VOLUME ")).expect("volumes");
    let volumes: Vec<String> = serde_json::from_str(line).expect("a list");
    for volume in volumes {
        assert!(mounted(&volume), "nothing is mounted at {volume}, and the root is read-only");
    }
}
