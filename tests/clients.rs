//! The packages of `clients/` with their own tests, against the real binary, where this machine can
//! have what they need: installed once, below the folder that cargo keeps for tests.
//!
//! `MYNAH_BIN` names another binary to test than the one that was built.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// One package at a time: they would take the machine from each other.
static TURN: Mutex<()> = Mutex::new(());

/// Runs a command. What it said, or why it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    match output.status.success() {
        true => Ok(said.concat()),
        false => Err(format!("{command:?}: {}\n{}", output.status, said.concat())),
    }
}

/// Says why nothing was tested. Not by a macro: the harness hides what those print in a test that
/// passes.
fn skip(name: &str, why: &str) {
    let line = format!("SKIPPED {name}: {}\n", why.replace('\n', " "));
    std::io::stderr().write_all(line.as_bytes()).expect("stderr");
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A command that finds the server.
fn client(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    let binary = std::env::var_os("MYNAH_BIN").unwrap_or(env!("CARGO_BIN_EXE_mynah").into());
    command.env("MYNAH_BIN", binary).env("MYNAH_ROOT", ROOT);
    command
}

/// A Python with the package and what its tests need.
fn python() -> Result<PathBuf, String> {
    let folder = folder("clients-python");
    let python = folder.join("bin/python");
    let needs = "import httpx, websockets, pytest, mypy";
    if run(Command::new(&python).args(["-c", needs])).is_err() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let pip = ["-m", "pip", "install", "--quiet", "--retries", "1"];
        let package = format!("{ROOT}/clients/python[test]");
        run(Command::new(&python).args(pip).arg(package))?;
    }
    Ok(python)
}

/// A copy of the package for Node with what it is built and tested with: neither belongs into the
/// sources.
fn node() -> Result<PathBuf, String> {
    let (from, to) = (Path::new(ROOT).join("clients/node"), folder("clients-node"));
    for part in ["src", "test", "scripts"] {
        // A file that was removed must not stay.
        let _ = std::fs::remove_dir_all(to.join(part));
        copy(&from.join(part), &to.join(part)).map_err(|e| format!("copying {part}: {e}"))?;
    }
    for file in ["package.json", "tsconfig.json"] {
        std::fs::copy(from.join(file), to.join(file)).map_err(|e| format!("{file}: {e}"))?;
    }
    let install = ["install", "--silent", "--no-audit", "--no-fund", "--prefer-offline"];
    run(Command::new("npm").args(install).current_dir(&to))?;
    Ok(to)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

#[test]
fn the_python_package_passes_its_tests() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let python = match python() {
        Ok(python) => python,
        Err(why) => return skip("the_python_package_passes_its_tests", &why),
    };
    let package = Path::new(ROOT).join("clients/python");
    let cache = folder("clients-python-types");
    let types = ["-m", "mypy", "--cache-dir"];
    let typed = run(Command::new(&python).args(types).arg(cache).current_dir(&package));
    println!("{}", typed.unwrap_or_else(|why| panic!("{why}")));
    let tests = ["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"];
    let said = run(client(&python).args(tests).current_dir(&package));
    let said = said.unwrap_or_else(|why| panic!("{why}"));
    assert!(!said.contains("skipped"), "{said}");
    println!("{said}");
}

#[test]
fn the_node_package_passes_its_tests() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let package = match node() {
        Ok(package) => package,
        Err(why) => return skip("the_node_package_passes_its_tests", &why),
    };
    let said = run(client("npm").arg("test").current_dir(&package));
    let said = said.unwrap_or_else(|why| panic!("{why}"));
    assert!(said.contains("# fail 0") && !said.contains("# pass 0"), "{said}");
    println!("{said}");
}
