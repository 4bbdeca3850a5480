//! Two measurements side by side, figure by figure.

use super::Failure;
use super::spread::round;
use crate::telemetry::metrics::Stage;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Ratios this close to 1 are no difference.
const SAME: f64 = 0.02;

/// What must be equal for a ratio to mean anything.
const CONDITIONS: [&str; 9] = [
    "/machine/cpu",
    "/machine/cores",
    "/machine/device",
    "/machine/gpu",
    "/precision",
    "/model",
    "/text",
    "/voice",
    "/pace",
];

/// Figures of a run of which less is better, and those of which more is. None depends on how many
/// utterances there were.
const LESS: [&str; 22] = [
    "first_packet_ms/p50",
    "first_packet_ms/p95",
    "first_packet_ms/p99",
    "first_packet_ms/max",
    "first_packet_after_text_ms/p50",
    "first_packet_after_text_ms/p95",
    "first_packet_after_text_ms/p99",
    "queued_ms/p50",
    "queued_ms/p99",
    "packet_gap_ms/p50",
    "packet_gap_ms/p99",
    "refusal_ms/p99",
    "refused_share",
    "underruns/share",
    "rtf",
    "processor_seconds_per_audio_second",
    "resident_mib/peak",
    "resident_mib/per_session",
    "device_mib/peak",
    "device_mib/per_session",
    "cache_mib/sessions",
    "cache_mib/voices",
];
const MORE: [&str; 2] = ["audio_seconds_per_second", "underruns/smallest_margin_ms"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Better,
    Same,
    Worse,
}

/// One figure, before and now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ratio {
    pub run: String,
    pub figure: String,
    pub old: f64,
    pub new: f64,
    /// New by old. None where the old is zero, or one of them negative.
    pub ratio: Option<f64>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub file: PathBuf,
    /// Conditions that were not the same, each with what it was and is.
    pub differs: Vec<String>,
    pub figures: Vec<Ratio>,
}

/// What an earlier `mynah bench --json` printed.
///
/// # Errors
/// A file that cannot be read or is something else.
pub fn read(file: &Path) -> Result<Value, Failure> {
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let text = std::fs::read_to_string(file).map_err(|e| named(&e))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| named(&e))?;
    if value["runs"].is_array() && value["machine"].is_object() {
        Ok(value)
    } else {
        Err(named(&"not the output of `mynah bench --json`").into())
    }
}

/// Ratios of all figures that both have.
pub fn compare(file: &Path, old: &Value, new: &Value) -> Comparison {
    let differs = CONDITIONS.iter().filter_map(|path| {
        let (old, new) = (old.pointer(path)?, new.pointer(path)?);
        (old != new).then(|| format!("{}: {old} then, {new} now", dotted(&path[1..])))
    });
    let mut figures = Vec::new();
    for new in new["runs"].as_array().into_iter().flatten() {
        let same = |old: &&Value| old["sessions"] == new["sessions"] && old["rate"] == new["rate"];
        let Some(old) = old["runs"].as_array().into_iter().flatten().find(same) else { continue };
        let name = match new["sessions"].as_u64() {
            Some(1) => "1 session".into(),
            Some(sessions) => format!("{sessions} sessions"),
            None => format!("{} per second", new["rate"]),
        };
        let stages = Stage::ALL.map(|stage| format!("stages/{}/mean_ms", stage.name()));
        let less = LESS.iter().copied().chain(stages.iter().map(String::as_str));
        let all = less.map(|path| (path, false)).chain(MORE.map(|path| (path, true)));
        figures.extend(all.filter_map(|(path, more)| ratio(&name, path, more, old, new)));
    }
    for (part, paths) in [
        (
            "server_only",
            &["delivery_ms/p50", "delivery_ms/p99", "delivery_ms/max", "lateness_ms/p99"][..],
        ),
        ("hops", &["flatness"][..]),
    ] {
        let (old, new) = (&old[part], &new[part]);
        figures.extend(paths.iter().filter_map(|path| ratio(part, path, false, old, new)));
    }
    for hop in new["hops"]["cost_ms"].as_object().into_iter().flatten().map(|(hop, _)| hop) {
        let path = format!("cost_ms/{hop}");
        figures.extend(ratio("hops", &path, false, &old["hops"], &new["hops"]));
    }
    Comparison { file: file.into(), differs: differs.collect(), figures }
}

fn ratio(run: &str, path: &str, more: bool, old: &Value, new: &Value) -> Option<Ratio> {
    let of = |value: &Value| value.pointer(&format!("/{path}"))?.as_f64();
    let (old, new) = (of(old)?, of(new)?);
    let ratio = (old > 0.0 && new >= 0.0).then(|| round(new / old));
    let equal = ratio.map_or(old == new, |ratio| (ratio - 1.0).abs() <= SAME);
    let verdict = match (equal, (new > old) == more) {
        (true, _) => Verdict::Same,
        (false, true) => Verdict::Better,
        (false, false) => Verdict::Worse,
    };
    Some(Ratio { run: run.into(), figure: dotted(path), old, new, ratio, verdict })
}

fn dotted(path: &str) -> String {
    path.replace('/', ".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(sessions: u64, p50: f64, speed: f64, margin: f64) -> Value {
        json!({
            "machine": {"cpu": "a"},
            "pace": "max",
            "runs": [{
                "sessions": sessions,
                "rate": null,
                "first_packet_ms": {"p50": p50},
                "audio_seconds_per_second": speed,
                "underruns": {"smallest_margin_ms": margin, "share": 0},
            }],
        })
    }

    fn verdicts(comparison: &Comparison) -> Vec<(&str, Option<f64>, Verdict)> {
        comparison.figures.iter().map(|f| (f.figure.as_str(), f.ratio, f.verdict)).collect()
    }

    #[test]
    fn less_or_more_is_better_by_the_figure() {
        let comparison =
            compare(Path::new("x"), &report(4, 100.0, 4.0, -5.0), &report(4, 150.0, 6.0, 10.0));
        assert_eq!(
            verdicts(&comparison),
            [
                ("first_packet_ms.p50", Some(1.5), Verdict::Worse),
                // Nothing was and nothing is: no ratio, and no difference.
                ("underruns.share", None, Verdict::Same),
                ("audio_seconds_per_second", Some(1.5), Verdict::Better),
                ("underruns.smallest_margin_ms", None, Verdict::Better),
            ]
        );
        assert!(comparison.figures.iter().all(|figure| figure.run == "4 sessions"));
        assert_eq!(comparison.differs, [""; 0]);
    }

    #[test]
    fn a_measurement_equals_itself() {
        let report = report(1, 100.0, 4.0, 3.0);
        let comparison = compare(Path::new("x"), &report, &report);
        assert_eq!(comparison.figures.len(), 4);
        assert!(comparison.figures.iter().all(|figure| figure.verdict == Verdict::Same));
    }

    /// Four sessions say nothing about eight.
    #[test]
    fn only_equal_runs_are_compared_and_other_conditions_told() {
        let mut other = report(8, 1.0, 1.0, 1.0);
        other["machine"]["cpu"] = json!("b");
        let comparison = compare(Path::new("x"), &report(4, 1.0, 1.0, 1.0), &other);
        assert_eq!(verdicts(&comparison), []);
        assert_eq!(comparison.differs, [r#"machine.cpu: "a" then, "b" now"#]);
    }

    #[test]
    fn other_files_are_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for text in ["", "[]", "{\"runs\": 1}"] {
            std::fs::write(file.path(), text).expect("written");
            let error = read(file.path()).expect_err(text).to_string();
            assert!(error.contains(&file.path().display().to_string()), "{error}");
        }
    }
}
