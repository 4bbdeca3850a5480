//! The real binary on the command line: exit codes, what it prints, and what it refuses.

#[path = "support/recordings.rs"]
mod recordings;
#[path = "support/server.rs"]
#[allow(dead_code, reason = "these tests need little of it")]
mod server;

use serde_json::Value;
use server::Server;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/model_weights/mynah-mini");

fn mynah(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mynah"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("it runs")
}

/// The one line on standard error of a command that fails.
#[track_caller]
fn refused(args: &[&str]) -> String {
    let start = Instant::now();
    let output = mynah(args);
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{args:?}: {error}");
    assert!(error.starts_with("mynah: "), "{args:?}: {error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{args:?}: {:?}", start.elapsed());
    error
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn a_sentence_goes_to_standard_output() {
    let wav = mynah(&["say", "Hello there.", "-o", "-", "--seed", "1"]);
    assert_eq!(wav.status.code(), Some(0));
    let reader = hound::WavReader::new(&wav.stdout[..]).expect("a WAV file");
    assert!(reader.len() > 12_000, "{} samples", reader.len());
    let raw = mynah(&["say", "Hello there.", "-o", "-", "--seed", "1", "--raw", "-q"]);
    assert_eq!((raw.status.code(), raw.stderr.as_slice()), (Some(0), &b""[..]));
    assert!(raw.stdout.len() > 24_000 && raw.stdout.len().is_multiple_of(2));
}

#[test]
fn wrong_usage_is_two() {
    for args in [
        &[][..],
        &["sing"],
        &["say"],
        &["say", "hi", "--speed", "3"],
        &["say", "hi", "--prompt-text", "x"],
        &["serve", "--port", "70000"],
        &["serve", "--device", "tpu"],
        &["check"],
        &["bench", "--sessions", "0"],
        &["bench", "--sessions", "1,x"],
        &["bench", "--sessions", "1", "--rate", "2"],
        &["bench", "--rate", "-1"],
        &["bench", "--pace", "slow"],
        &["bench", "--token-rate", "5"],
        &["bench", "--hops", "--new-voice"],
        &["bench", "--server-only", "--bistream"],
    ] {
        assert_eq!(mynah(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn failures_are_one_line_that_says_what() {
    for (args, words) in [
        (&["say", "?!"][..], "nothing that can be spoken"),
        (&["say", "hi", "--voice", "nobody"], "nobody"),
        (&["say", "hi", "-o", "/nowhere/x.wav"], "/nowhere/x.wav"),
        (&["say", "hi", "-o", "/"], "directory"),
        (&["say", "hi", "--model-dir", "/nowhere"], "does not exist"),
        (&["say", "hi", "--model-dir", "Cargo.toml"], "not a directory"),
        (&["say", "hi", "--prompt-wav", "/nowhere.wav", "--prompt-text", "x"], "/nowhere.wav"),
        (&["tokens", "Cargo.toml"], "format is not known"),
        (&["check", "/nowhere"], "not a directory"),
        (&["serve", "--config", "/nowhere.toml"], "/nowhere.toml"),
        (&["serve", "--log", "shout"], "shout"),
        (&["serve", "--rate-limit", "often"], "limits.rate_limit"),
        (&["serve", "--idle-timeout", "0"], "limits.idle_timeout"),
        (&["bench", "--model-dir", "/nowhere"], "does not exist"),
        (&["bench", "--duration", "3"], "--duration"),
        (&["bench", "--server-only", "--sessions", "1,2"], "one number"),
        (&["bench", "--compare", "/nowhere.json"], "/nowhere.json"),
        (&["bench", "--compare", "Cargo.toml"], "Cargo.toml"),
    ] {
        let error = refused(args);
        assert!(error.contains(words), "{args:?}: {error}");
    }
}

/// A file may be a device that never ends.
#[cfg(target_os = "linux")]
#[test]
fn endless_files_are_given_up() {
    assert!(refused(&["tokens", "/dev/zero"]).contains("longer than"));
}

/// The number of positions is bound by no weight, but memory is taken for each.
#[test]
fn absurd_sizes_are_refused_before_memory_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(Path::new(BUNDLED), folder.path());
    let file: PathBuf = folder.path().join("CosyVoice-BlankEN/config.json");
    let text = std::fs::read_to_string(&file).expect("sizes");
    let mut sizes: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    sizes["max_position_embeddings"] = 1_000_000_000.into();
    std::fs::write(&file, sizes.to_string()).expect("written");
    let dir = folder.path().to_str().expect("a name");
    assert!(refused(&["check", dir]).contains("max_position_embeddings"));
    assert!(refused(&["say", "hi", "--model-dir", dir]).contains("max_position_embeddings"));
}

/// The store of a test: a folder of its own.
struct Voices(tempfile::TempDir);

impl Voices {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join("voices").join(file)
    }

    /// Exit code, standard output and standard error of a command.
    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mynah"));
        command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
        command.env("MYNAH_STORAGE__VOICES_DIR", self.path(""));
        let output = command.output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(args);
        assert_eq!(code, Some(0), "{args:?}: {stderr}");
        stdout
    }

    #[track_caller]
    fn refused(&self, args: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(args);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        stderr
    }

    /// Adds the bundled recording of `awb`.
    #[track_caller]
    fn add(&self, name: &str, more: &[&str]) -> String {
        let (audio, text) = awb();
        let args = ["voice", "add", name, "--audio", &audio, "--text-file", &text];
        self.done(&[&args, more].concat())
    }

    /// Samples of a sentence in a voice.
    #[track_caller]
    fn say(&self, name: &str) -> (Vec<i16>, String) {
        let wav = self.0.path().join("said.wav");
        let file = wav.to_str().expect("a name");
        let args = ["say", "Hello there.", "--voice", name, "--seed", "1", "-o", file];
        let (code, _, stderr) = self.run(&args);
        assert_eq!(code, Some(0), "{stderr}");
        let mut reader = hound::WavReader::open(wav).expect("a WAV file");
        (reader.samples().map(|s| s.expect("a sample")).collect(), stderr)
    }
}

/// A bundled recording that the engine does not warm up with, and its transcript.
fn awb() -> (String, String) {
    let prompt = |end| format!("{BUNDLED}/prompts/awb.{end}");
    (prompt("wav"), prompt("txt"))
}

/// A registered voice says what the recording says when it is sent along.
#[test]
fn a_voice_is_added_listed_spoken_with_and_removed() {
    let voices = Voices::new();
    let added = voices.add("Anna-2", &[]);
    assert!(added.contains("Anna-2") && added.contains(" s, in "), "{added}");
    for file in ["audio.wav", "text.txt", "voice.safetensors"] {
        assert!(voices.path("Anna-2").join(file).is_file(), "{file}");
    }

    let table = voices.done(&["voice", "list"]);
    let names: Vec<_> = table.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["Anna-2", "awb", "default", "rms", "slt"]);
    let list = voices.done(&["voice", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list[0]["name"], "Anna-2");
    assert_eq!(list[0]["text"], list[1]["text"]);
    assert!(list[0]["path"].is_string() && list[1]["path"].is_null());
    assert!(list[0]["seconds"].as_f64().is_some_and(|s| s > 0.5 && s < 30.0), "{list}");

    let (spoken, _) = voices.say("Anna-2");
    assert!(spoken.len() > 12_000, "{} samples", spoken.len());
    assert_eq!(spoken, voices.say("awb").0);

    assert!(voices.refused(&["voice", "rm", "anna"]).contains("did you mean Anna-2?"));
    voices.done(&["voice", "rm", "Anna-2"]);
    assert!(!voices.path("Anna-2").exists());
    assert!(voices.refused(&["voice", "rm", "Anna-2"]).contains("there are none"));
    assert!(voices.refused(&["say", "hi", "--voice", "Anna-2"]).contains("Anna-2"));
}

/// Whoever records a voice learns at once what is wrong with the recording.
#[test]
fn poor_recordings_are_warned_of_and_trimmed() {
    let voices = Voices::new();
    let file = voices.0.path().join("poor.wav");
    std::fs::write(&file, recordings::poor()).expect("written");
    let (audio, text) = (file.to_str().expect("a name"), recordings::TOO_LONG);
    let (code, _, stderr) = voices.run(&["voice", "add", "a", "--audio", audio, "--text", text]);
    assert_eq!(code, Some(0), "{stderr}");
    let told = |stderr: &str| stderr.lines().filter(|l| l.starts_with("mynah: warning: ")).count();
    assert_eq!(told(&stderr), recordings::CODES.len(), "{stderr}");
    let wav = hound::WavReader::open(voices.path("a/audio.wav")).expect("a WAV file");
    assert!((1.0..1.5).contains(&(f64::from(wav.duration()) / f64::from(recordings::RATE))));

    // Before the time is spent to load a model.
    let say = |text| {
        let args = ["say", "hi", "--prompt-wav", audio, "--prompt-text", text, "-o", "/"];
        told(&voices.run(&args).2)
    };
    assert_eq!((say(text), say("So I say.")), (3, 2));
}

/// Nothing is restarted, and nothing of a voice that is gone is heard again.
#[test]
fn voices_are_added_and_removed_beside_a_running_server() {
    let voices = Voices::new();
    let dir = voices.path("");
    let store = ("MYNAH_STORAGE__VOICES_DIR", dir.to_str().expect("a name"));
    let server = Server::start_with(&[], &[store]);
    let ask = || post(&server.address, "/inference_zero_shot", "tts_text=Hello.&voice=anna");
    assert!(ask().starts_with("HTTP/1.1 404"));
    voices.add("anna", &[]);
    let answer = ask();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.len() > 12_000, "{}", answer.len());
    voices.done(&["voice", "rm", "anna"]);
    assert!(ask().starts_with("HTTP/1.1 404"));
}

/// The answer to a form, whatever bytes it has.
fn post(address: &str, path: &str, form: &str) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(address).expect("a connection");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    );
    socket.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn what_cannot_be_a_voice_is_refused_and_leaves_nothing() {
    let voices = Voices::new();
    let (audio, text) = awb();
    let (audio, text) = (audio.as_str(), text.as_str());
    let add = |name: &str, audio: &str, text: &str| {
        voices.refused(&["voice", "add", name, "--audio", audio, "--text", text])
    };
    for name in ["", "..", ".a", "a/b", "../a", "a b", "ä", &"x".repeat(65)] {
        assert!(add(name, audio, "x").contains("cannot name a voice"), "{name}");
        assert!(voices.refused(&["voice", "rm", name]).contains("cannot name"), "{name}");
    }
    assert!(add("a", audio, " ").contains("transcript is empty"));
    assert!(add("a", audio, &"x".repeat(1001)).contains("1000 characters"));
    assert!(add("a", "/nowhere.wav", "x").contains("/nowhere.wav"));
    assert!(add("a", "Cargo.toml", "x").contains("format is not known"));
    let long = ["voice", "add", "a", "--audio", audio, "--text-file", "/dev/zero"];
    assert!(voices.refused(&long).contains("characters"));
    assert!(!voices.path("").exists());

    assert!(voices.refused(&["voice", "rm", "awb"]).contains("comes with the model"));
    for args in [
        &["voice"][..],
        &["voice", "add", "a", "--audio", audio],
        &["voice", "add", "a", "--text", "x"],
        &["voice", "add", "a", "--audio", audio, "--text", "x", "--text-file", text],
        &["voice", "rm"],
    ] {
        assert_eq!(voices.run(args).0, Some(2), "{args:?}");
    }
}

#[test]
fn a_voice_is_replaced_only_by_force() {
    let voices = Voices::new();
    voices.add("a", &[]);
    let (audio, _) = awb();
    let again = ["voice", "add", "a", "--audio", &audio, "--text", "Another."];
    assert!(voices.refused(&again).contains("--force"));
    voices.done(&[&again[..], &["--force"]].concat());
    assert_eq!(std::fs::read_to_string(voices.path("a/text.txt")).expect("text"), "Another.\n");
    assert_eq!(std::fs::read_dir(voices.path("")).expect("a folder").count(), 1);
}

/// Whatever happened to what was computed, the recording still speaks, and what was computed is
/// there again afterwards.
#[test]
fn damaged_and_outdated_tensors_are_made_anew() {
    let voices = Voices::new();
    voices.add("a", &[]);
    let (spoken, _) = voices.say("a");
    let file = voices.path("a/voice.safetensors");
    let sound = std::fs::read(&file).expect("a file");
    // The header's keys have no order.
    let parts = |file: &[u8]| {
        let header = 8 + usize::from(file[0]) + 256 * usize::from(file[1]);
        let json: serde_json::Value = serde_json::from_slice(&file[8..header]).expect("JSON");
        (json, file[header..].to_vec())
    };
    let at = |words: &[u8]| sound.windows(words.len()).position(|w| w == words).expect("words");
    let mut old_format = sound.clone();
    let format = at(b"\"format\":\"") + 10;
    old_format[format] = b'0';
    let mut other_model = sound.clone();
    let model = at(b"\"model\":\"") + 9;
    other_model[model] ^= 1;
    let mut no_number = sound.clone();
    no_number.truncate(sound.len() - 4);
    no_number.extend(f32::NAN.to_le_bytes());
    let half = sound[..sound.len() / 2].to_vec();
    let absurd = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    for (what, bytes) in [
        ("old format", old_format),
        ("other model", other_model),
        ("no number", no_number),
        ("half", half),
        ("absurd", absurd),
        ("empty", Vec::new()),
    ] {
        std::fs::write(&file, bytes).expect("written");
        assert!(voices.say("a").0 == spoken, "{what}");
        let renewed = std::fs::read(&file).expect("a file");
        assert_eq!(parts(&renewed), parts(&sound), "{what}");
    }
    std::fs::write(voices.path("a/audio.wav"), "no sound").expect("written");
    assert!(voices.refused(&["say", "hi", "--voice", "a"]).contains("audio.wav"));
    assert!(voices.done(&["voice", "list"]).contains("cannot be used"));
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let first = Server::start_cold(&[]);
    let port = first.address.rsplit(':').next().expect("a port").to_string();
    let error = refused(&["serve", "--host", "127.0.0.1", "--port", &port]);
    assert!(error.contains(&first.address), "{error}");
}

/// Whoever stops a server that still loads does not wait for its model.
#[test]
fn sigterm_while_loading_ends_at_once() {
    let mut server = Server::start_cold(&[]);
    server.terminate();
    assert_eq!(server.exit_code(Duration::from_secs(3)), Some(0));
}

/// Runs `mynah bench --json` with `args` and returns what it printed, the text and the object.
#[track_caller]
fn measured(args: &[&str]) -> (String, Value) {
    let output = mynah(&[&["bench", "--json"], args].concat());
    let (text, error) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    assert_eq!(output.status.code(), Some(0), "{args:?}: {error:?}");
    let text = text.expect("text");
    assert_eq!(text.lines().count(), 1, "one object and nothing else: {text}");
    let report = serde_json::from_str(&text).expect("JSON");
    (text, report)
}

#[track_caller]
fn number(value: &Value, path: &str) -> f64 {
    let found = value.pointer(path).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no number {path} in {value}"))
}

/// Whoever keeps the output of each release reads the same keys from all of them.
#[test]
fn a_measurement_has_all_its_keys_and_can_be_compared() {
    let args = ["--sessions", "1,2", "-n", "1"];
    let (text, report) = measured(&args);
    let keys = report.as_object().expect("an object").keys().map(String::as_str);
    assert_eq!(
        keys.collect::<std::collections::BTreeSet<_>>(),
        [
            "version",
            "commit",
            "machine",
            "precision",
            "model",
            "text",
            "token_rate",
            "voice",
            "pace",
            "warm",
            "load_seconds",
            "cold_first_packet_ms",
            "runs",
            "hops",
            "server_only",
            "compare",
        ]
        .into()
    );
    assert_eq!(report["model"], "mynah-mini");
    assert!(number(&report, "/machine/cores") >= 1.0);
    let runs = report["runs"].as_array().expect("runs");
    for (run, sessions) in runs.iter().zip([1.0, 2.0]) {
        assert_eq!(number(run, "/sessions"), sessions);
        assert_eq!(number(run, "/utterances"), sessions);
        for spread in ["first_packet_ms", "packet_gap_ms", "queued_ms"] {
            let part = |part: &str| number(run, &format!("/{spread}/{part}"));
            let parts = [part("p50"), part("p95"), part("p99"), part("max")];
            assert!(parts[0] >= 0.0 && parts.is_sorted(), "{spread}: {parts:?}");
        }
        // A sentence takes some seconds to say.
        let audio = number(run, "/audio_seconds") / sessions;
        assert!((0.5..15.0).contains(&audio), "{audio} s");
        let speed = number(run, "/audio_seconds") / number(run, "/seconds");
        assert!((number(run, "/audio_seconds_per_second") / speed - 1.0).abs() < 0.01);
        assert!(number(run, "/first_packet_ms/max") < number(run, "/seconds") * 1e3);
        assert!((0.0..=1.0).contains(&number(run, "/underruns/share")));
        assert!(number(run, "/resident_mib/peak") >= number(run, "/resident_mib/before"));
        for stage in ["llm_step", "prefill", "flow_hop", "vocoder_hop", "voice"] {
            assert!(number(run, &format!("/stages/{stage}/seconds")) >= 0.0);
        }
        for key in ["rtf", "underruns/smallest_margin_ms", "cache_mib/sessions", "refused"] {
            number(run, &format!("/{key}"));
        }
        assert_eq!(run["first_packet_after_text_ms"], Value::Null);
    }
    assert_eq!(runs.len(), 2);

    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    let name = file.path().to_str().expect("a name");
    let (_, again) = measured(&["--sessions", "2", "-n", "1", "--compare", name]);
    let figures = again["compare"]["figures"].as_array().expect("figures");
    let of = |figure: &str| figures.iter().find(|f| f["figure"] == figure);
    let first = of("first_packet_ms.p50").expect("the figure that matters most");
    assert_eq!(first["run"], "2 sessions");
    assert_eq!(first["old"], runs[1]["first_packet_ms"]["p50"]);
    assert_eq!(first["new"], again["runs"][0]["first_packet_ms"]["p50"]);
    let ratio = number(first, "/new") / number(first, "/old");
    assert!((number(first, "/ratio") - ratio).abs() < 1e-3);
    assert_eq!(again["compare"]["differs"], serde_json::json!([]));
    assert!(figures.iter().all(|figure| figure["run"] == "2 sessions"));
}

/// A player that listens to the end, a text that comes word by word, and a voice nobody knows.
#[test]
fn a_measurement_in_real_time_lasts_as_long_as_the_speech() {
    let args = ["--sessions", "1", "-n", "2", "--bistream", "--token-rate", "20", "--new-voice"];
    let (_, report) = measured(&[&args[..], &["--pace", "realtime"]].concat());
    assert_eq!(report["text"], "bistream");
    assert_eq!(report["voice"], "new");
    let run = &report["runs"][0];
    assert!(number(run, "/seconds") > number(run, "/audio_seconds"));
    // The text of eight words or so is complete after 0.3 s, later than its first word.
    let after = number(run, "/first_packet_after_text_ms/p50");
    assert!(after < number(run, "/first_packet_ms/p50") - 200.0);
}

#[test]
fn an_open_loop_and_the_server_alone_are_measured() {
    let (_, report) = measured(&["--rate", "2", "--duration", "2"]);
    let run = &report["runs"][0];
    assert_eq!((&run["sessions"], number(run, "/rate")), (&Value::Null, 2.0));
    assert!(number(run, "/utterances") + number(run, "/refused") >= 1.0);
    let (_, report) = measured(&["--server-only", "--sessions", "4", "--duration", "0.5"]);
    assert_eq!(report["runs"], serde_json::json!([]));
    assert_eq!(report["model"], Value::Null);
    let server = &report["server_only"];
    assert_eq!(number(server, "/sessions"), 4.0);
    assert!(number(server, "/packets") > 4.0 * 25.0);
    assert!(number(server, "/delivery_ms/p50") <= number(server, "/lateness_ms/p50"));
}

/// A model of random weights speaks as long as its text lets expect, neither on and on nor not at
/// all.
#[test]
fn random_weights_speak_at_the_length_of_their_text() {
    let seconds = |text: &str| {
        let of = ["--random-weights", "mini", "--sessions", "1", "-n", "1", "--text", text];
        let (_, report) = measured(&of);
        assert_eq!(report["model"], "random-mini");
        number(&report["runs"][0], "/audio_seconds")
    };
    let (short, long) = (
        seconds("Good morning."),
        seconds("The old man walked slowly across the bridge and looked at the water."),
    );
    assert!((0.4..4.0).contains(&short), "{short} s");
    assert!((2.0 * short..12.0).contains(&long), "{short} s, {long} s");
}

/// `cuda` on a machine without one ends with what is missing and what to do; `auto` speaks all the
/// same.
#[test]
fn without_a_gpu_cuda_is_refused_and_auto_is_the_cpu() {
    let say =
        |device| mynah(&["say", "Hello.", "-q", "-o", "-", "--seed", "1", "--device", device]);
    let cuda = say("cuda");
    if cuda.status.code() != Some(0) {
        let error = refused(&["say", "Hello.", "-o", "-", "--device", "cuda"]);
        assert!(error.contains("use device `cpu`"), "{error}");
        assert_eq!(say("auto").stdout, say("cpu").stdout);
    }
    assert_eq!(say("auto").status.code(), Some(0));
}

/// People get tables that name what was measured.
#[test]
fn tables_name_machine_precision_and_sessions() {
    let output = mynah(&["bench", "--sessions", "1", "-n", "1"]);
    let text = String::from_utf8(output.stdout).expect("text");
    for words in ["cores, device cpu", "mynah-mini, f32, warm", "1 session", "first packet p50, ms"]
    {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
}
