//! The demo page in a real browser, against the real binary: `tests/demo/page.mjs` uses it as a
//! reader would, driven by Playwright.

#[allow(dead_code, reason = "shared with tests that use more of it")]
#[path = "support/server.rs"]
mod server;

use server::Server;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the second server wants. All of these characters have to be escaped in an address.
const KEY: &str = "a+key/of=100%&more";

/// A program's file, if one of its names is in PATH.
fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    names
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)))
        .find(|file| file.is_file())
}

/// Says why nothing was tested. Not by a macro: the harness hides what those print in a test that
/// passes.
fn skip(why: &str) {
    let line = format!("SKIPPED the_demo_page_works: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr");
}

/// The test's script in a folder where it finds Playwright; None where npm cannot get it.
fn script(npm: &Path, root: &Path) -> Option<PathBuf> {
    let folder = root.join("target/demo_test");
    std::fs::create_dir_all(&folder).expect("a folder for the script");
    let files = ["package.json", "package-lock.json", "page.mjs"];
    for file in files {
        std::fs::copy(root.join("tests/demo").join(file), folder.join(file)).expect("copy a file");
    }
    let install = ["ci", "--no-audit", "--no-fund", "--prefer-offline"];
    let output = Command::new(npm).args(install).current_dir(&folder).output().expect("npm starts");
    output.status.success().then(|| folder.join("page.mjs"))
}

#[test]
fn the_demo_page_works() {
    let Some(chromium) = find(&["chromium", "chromium-browser", "google-chrome"]) else {
        return skip("no chromium, chromium-browser or google-chrome in PATH");
    };
    let (Some(node), Some(npm)) = (find(&["node"]), find(&["npm"])) else {
        return skip("no node and npm in PATH");
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(script) = script(&npm, root) else {
        return skip("npm could not install playwright-core");
    };
    let voices = tempfile::tempdir().expect("a folder for voices");
    let voices = voices.path().to_str().expect("a path in Unicode");
    let server = Server::start_with(&[], &[("MYNAH_STORAGE__VOICES_DIR", voices)]);
    let others = tempfile::tempdir().expect("a folder for voices");
    let others = others.path().to_str().expect("a path in Unicode");
    let settings = [("MYNAH_STORAGE__VOICES_DIR", others), ("MYNAH_API_KEYS", KEY)];
    let locked = Server::start_with(&[], &settings);
    let output = Command::new(node)
        .arg(script)
        .arg(server.url("/demo"))
        .arg(chromium)
        .arg(root.join("target/demo_pictures"))
        .arg(root.join("model_weights/mynah-mini/prompts/rms.wav"))
        .args([&locked.url("/demo"), KEY])
        .output()
        .expect("node starts");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}{}", said[0], said[1]);
}
