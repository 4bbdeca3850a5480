//! All that was measured, and where: as JSON, or as tables.

use super::compare::{Comparison, Verdict};
use super::hops::Hops;
use super::machine::Machine;
use super::run::Run;
use super::server_only::ServerOnly;
use super::spread::Spread;
use super::stages::StageFigures;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The object that `--json` prints. Every key is always there; null is what was not measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub version: &'static str,
    /// What `MYNAH_COMMIT` said when the binary was built.
    pub commit: Option<&'static str>,
    pub machine: Machine,
    /// Of the language model's weights; everything else is f32.
    pub precision: String,
    /// The model directory's name. None without a model.
    pub model: Option<String>,
    /// `whole` or `bistream`.
    pub text: &'static str,
    /// Words per second of a bistream that does not come at once.
    pub token_rate: Option<f64>,
    /// `cached` or `new`.
    pub voice: &'static str,
    /// `max` or `realtime`.
    pub pace: &'static str,
    /// Every run is preceded by one that warms up; what is cold says so in its name.
    pub warm: bool,
    pub load_seconds: Option<f64>,
    /// Of the first request after the load.
    pub cold_first_packet_ms: Option<f64>,
    pub runs: Vec<Run>,
    pub hops: Option<Hops>,
    pub server_only: Option<ServerOnly>,
    pub compare: Option<Comparison>,
}

/// A line of a table: what it is, and its value in each run.
type Row<'a> = (&'a str, Value<'a>);
type OfStage = fn(&StageFigures) -> Option<f64>;
type Value<'a> = Box<dyn Fn(&Run) -> Option<f64> + 'a>;

impl Report {
    /// For people: one column per run.
    pub fn table(&self) -> String {
        let mut out = self.head();
        if !self.runs.is_empty() {
            self.runs_table(&mut out);
            self.stages_table(&mut out);
        }
        if let Some(hops) = &self.hops {
            hops_table(&mut out, hops);
        }
        if let Some(server) = &self.server_only {
            let (packets, seconds) = (server.packets, server.seconds);
            line(
                &mut out,
                &format!(
                    "\nserver alone, {} WebSockets, {packets} packets in {seconds:.1} s; engine, server and clients share this process",
                    server.sessions
                ),
            );
            line(
                &mut out,
                &format!("{:LABEL$}{:>COLUMN$}{:>COLUMN$}{:>COLUMN$}", "", "p50", "p99", "max"),
            );
            for (name, spread) in [
                ("engine's send to client, ms", server.delivery_ms),
                ("engine's clock to client, ms", server.lateness_ms),
            ] {
                let Some(Spread { p50, p99, max, .. }) = spread else { continue };
                line(
                    &mut out,
                    &format!("{name:LABEL$}{p50:>COLUMN$.3}{p99:>COLUMN$.3}{max:>COLUMN$.3}"),
                );
            }
        }
        if let Some(comparison) = &self.compare {
            comparison_table(&mut out, comparison);
        }
        out
    }

    fn head(&self) -> String {
        let machine = &self.machine;
        let name = machine.gpu.as_ref().or(machine.cpu.as_ref());
        let commit = self.commit.map(|commit| format!(" ({commit})")).unwrap_or_default();
        let load = machine.load_average.map_or("unknown".into(), |load| format!("{load:.2}"));
        let mut out = format!(
            "mynah {}{commit} on {}, {} cores, device {}, load average {load}\n",
            self.version,
            name.map_or("an unknown machine", String::as_str),
            machine.cores,
            machine.device,
        );
        let Some(model) = &self.model else { return out };
        let rate = self.token_rate.map(|rate| format!(" at {rate} words a second"));
        let temperature = if self.warm { "warm" } else { "cold" };
        line(
            &mut out,
            &format!(
                "{model}, {}, {temperature}; {} text{}, {} voice, pace {}",
                self.precision,
                self.text,
                rate.unwrap_or_default(),
                self.voice,
                self.pace
            ),
        );
        if let Some(load) = self.load_seconds {
            let first = self.cold_first_packet_ms;
            let first =
                first.map(|ms| format!("; first packet of the first request (cold) {ms:.0} ms"));
            line(&mut out, &format!("load {load:.2} s{}", first.unwrap_or_default()));
        }
        out
    }

    fn runs_table(&self, out: &mut String) {
        let mut rows: Vec<Row> = vec![("utterances", Box::new(|run| Some(run.utterances as f64)))];
        let mut spread = |names: [&'static str; 4], of: fn(&Run) -> Option<Spread>| {
            for (name, part) in names.into_iter().zip(PARTS) {
                rows.push((name, Box::new(move |run| of(run).as_ref().map(part))));
            }
        };
        spread(
            [
                "first packet p50, ms",
                "first packet p95, ms",
                "first packet p99, ms",
                "first packet max, ms",
            ],
            |run| run.first_packet_ms,
        );
        spread(
            ["… after the text's end p50, ms", "… p95, ms", "… p99, ms", "… max, ms"],
            |run| run.first_packet_after_text_ms,
        );
        rows.push(("waiting for a session p99, ms", Box::new(|run| run.queued_ms.map(|s| s.p99))));
        rows.push(("packet gap p99, ms", Box::new(|run| run.packet_gap_ms.map(|s| s.p99))));
        rows.push(("audio seconds per second", Box::new(|run| Some(run.audio_seconds_per_second))));
        rows.push(("real-time factor", Box::new(|run| Some(run.rtf))));
        rows.push(("wall time, s", Box::new(|run| Some(run.seconds))));
        rows.push(("processor time, s", Box::new(|run| run.processor_seconds)));
        rows.push((
            "… by second of audio, s",
            Box::new(|run| run.processor_seconds_per_audio_second),
        ));
        rows.push((
            "streams with an underrun, %",
            Box::new(|run| Some(run.underruns.share * 100.0)),
        ));
        rows.push(("underruns", Box::new(|run| Some(run.underruns.gaps as f64))));
        rows.push(("silence in them, s", Box::new(|run| Some(run.underruns.gap_seconds))));
        rows.push(("smallest margin, ms", Box::new(|run| run.underruns.smallest_margin_ms)));
        rows.push(("refused", Box::new(|run| Some(run.refused as f64))));
        for (name, part) in ["refusal p50, ms", "refusal p99, ms", "refusal max, ms"]
            .into_iter()
            .zip([PARTS[0], PARTS[2], PARTS[3]])
        {
            rows.push((name, Box::new(move |run| run.refusal_ms.as_ref().map(part))));
        }
        rows.push(("resident before, MiB", Box::new(|run| Some(run.resident_mib.before))));
        rows.push(("resident after, MiB", Box::new(|run| Some(run.resident_mib.after))));
        rows.push(("resident peak, MiB", Box::new(|run| Some(run.resident_mib.peak))));
        rows.push(("… per session, MiB", Box::new(|run| Some(run.resident_mib.per_session))));
        rows.push(("device memory peak, MiB", Box::new(|run| run.device_mib.map(|m| m.peak))));
        rows.push(("… per session, MiB", Box::new(|run| run.device_mib.map(|m| m.per_session))));
        rows.push(("caches of sessions, MiB", Box::new(|run| Some(run.cache_mib.sessions))));
        rows.push(("caches of voices, MiB", Box::new(|run| Some(run.cache_mib.voices))));
        out.push('\n');
        self.grid(out, rows);
    }

    fn stages_table(&self, out: &mut String) {
        let stages: Vec<&str> =
            self.runs.first().map(|run| run.stages.keys().copied().collect()).unwrap_or_default();
        let figures: [(&str, OfStage); 4] = [
            ("stage, % of wall time", |s| (s.count > 0).then_some(s.share * 100.0)),
            ("stage, mean ms", |s| s.mean_ms),
            ("stage, sessions a piece serves", |s| s.rows),
            ("stage, audio seconds per second", |s| s.audio_seconds_per_second),
        ];
        for (title, of) in figures {
            let value =
                |stage| -> Value { Box::new(move |run| run.stages.get(stage).and_then(of)) };
            let rows: Vec<Row> = stages.iter().map(|stage| (*stage, value(*stage))).collect();
            let mut grid = String::new();
            self.grid(&mut grid, rows);
            // Engines that time nothing leave nothing to show.
            if grid.lines().count() > 1 {
                let _ = writeln!(out, "\n{title}");
                out.push_str(&grid);
            }
        }
    }

    /// One line per row that has a value in any run.
    fn grid(&self, out: &mut String, rows: Vec<Row>) {
        let mut head = format!("{:LABEL$}", "");
        for run in &self.runs {
            let _ = write!(head, "{:>COLUMN$}", run.name());
        }
        line(out, &head);
        for (name, value) in rows {
            let values: Vec<Option<f64>> = self.runs.iter().map(value).collect();
            if values.iter().all(Option::is_none) {
                continue;
            }
            let mut text = format!("{name:LABEL$}");
            for value in values {
                let value = value.map_or("-".into(), number);
                let _ = write!(text, "{value:>COLUMN$}");
            }
            line(out, &text);
        }
    }
}

const LABEL: usize = 34;
const COLUMN: usize = 14;
const PARTS: [fn(&Spread) -> f64; 4] = [|s| s.p50, |s| s.p95, |s| s.p99, |s| s.max];

fn hops_table(out: &mut String, hops: &Hops) {
    let row = |out: &mut String, name: &str, values: [&str; 3]| {
        let [a, b, c] = values;
        line(out, &format!("{name:LABEL$}{a:>COLUMN$}{b:>COLUMN$}{c:>COLUMN$}"));
    };
    out.push('\n');
    row(out, "cost of hop n, ms", ["in all", "mel, samples", "processor"]);
    let of =
        |values: &BTreeMap<usize, f64>, hop| values.get(hop).copied().map_or("-".into(), number);
    for hop in hops.cost_ms.keys() {
        let values = [&hops.cost_ms, &hops.token_to_wave_ms, &hops.processor_ms];
        let [a, b, c]: [String; 3] = values.map(|values| of(values, hop));
        row(out, &format!("n = {hop}"), [&a, &b, &c]);
    }
    if let Some(flatness) = hops.flatness {
        row(out, "the last by the second of them", [&number(flatness), "", ""]);
    }
}

fn comparison_table(out: &mut String, comparison: &Comparison) {
    let _ = writeln!(out, "\ncompared with {}: then, now, now by then", comparison.file.display());
    for condition in &comparison.differs {
        line(out, &format!("not the same {condition}"));
    }
    if comparison.figures.is_empty() {
        line(out, "nothing was measured in both");
    }
    for figure in &comparison.figures {
        let ratio = figure.ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
        let word = match figure.verdict {
            Verdict::Better => "→ better",
            Verdict::Same => "",
            Verdict::Worse => "→ worse",
        };
        let text = format!(
            "{:12}{:36}{:>12}{:>12}{ratio:>8}  {word}",
            figure.run,
            figure.figure,
            number(figure.old),
            number(figure.new)
        );
        line(out, &text);
    }
}

/// Whole numbers as such, others to a useful number of digits.
fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else if value.abs() < 10.0 {
        format!("{value:.3}")
    } else {
        format!("{value:.1}")
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}
