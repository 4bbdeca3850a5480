//! The real binary on the command line: exit codes, what it prints, and what it refuses.

#[path = "support/server.rs"]
#[allow(dead_code, reason = "these tests need little of it")]
mod server;

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
