//! OpenAI's own clients, where this machine can have them: installed once, below the folder that
//! cargo keeps for tests.

use crate::support::{Server, tone};
use std::path::{Path, PathBuf};
use std::process::Command;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openai_cases");

/// Runs a command. What it said, or why it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("{command:?}: {} {}", text(&output.stdout), text(&output.stderr))),
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A Python that has the client.
fn python() -> Result<PathBuf, String> {
    let folder = folder("openai-python");
    let python = folder.join("bin/python");
    if run(Command::new(&python).args(["-c", "import openai"])).is_err() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let pip = ["-m", "pip", "install", "--quiet", "--retries", "1", "openai"];
        run(Command::new(&python).args(pip))?;
    }
    Ok(python)
}

/// A folder with the client for Node.
fn node() -> Result<PathBuf, String> {
    let folder = folder("openai-node");
    if !folder.join("node_modules/openai/package.json").is_file() {
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let npm = ["install", "--silent", "--no-save", "--prefix"];
        run(Command::new("npm").args(npm).arg(&folder).arg("openai"))?;
    }
    Ok(folder)
}

/// Runs a client's program against a server, or says why there is no client.
async fn converse(
    find: impl FnOnce() -> Result<PathBuf, String> + Send + 'static,
    program: impl FnOnce(&Path, &str) -> Command + Send + 'static,
) {
    let server = Server::start().await;
    let url = server.url("/v1");
    let work = tokio::task::spawn_blocking(move || match find() {
        Ok(found) => Some(run(&mut program(&found, &url))),
        Err(reason) => {
            eprintln!("skipped, the client cannot be had here: {reason}");
            None
        }
    });
    match work.await.expect("the client's thread") {
        Some(Ok(said)) => println!("content: {said}"),
        Some(Err(reason)) => panic!("{reason}"),
        None => {}
    }
}

#[tokio::test]
async fn the_python_client_is_content() {
    let sample = tempfile::NamedTempFile::with_suffix(".wav").expect("a file");
    std::fs::write(sample.path(), tone(1.0)).expect("written");
    let file = sample.path().to_path_buf();
    let program = move |python: &Path, url: &str| {
        let mut command = Command::new(python);
        command.arg(format!("{CASES}/client.py")).arg(url).arg(file);
        command
    };
    converse(python, program).await;
}

#[tokio::test]
async fn the_node_client_is_content() {
    let program = |folder: &Path, url: &str| {
        let mut command = Command::new("node");
        command.arg(format!("{CASES}/client.mjs")).arg(url).arg(folder);
        command
    };
    converse(node, program).await;
}
