//! The demo page in a real browser, against the real binary.

#[path = "support/browser.rs"]
mod browser;
#[allow(dead_code, reason = "shared with tests that use more of it")]
#[path = "support/server.rs"]
mod server;

use browser::{Page, find_chromium};
use serde_json::json;
use server::Server;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Loading and speaking on a machine with much else to do.
const LONG: Duration = Duration::from_secs(180);
const SHORT: Duration = Duration::from_secs(20);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn picture(name: &str) -> PathBuf {
    let dir = root().join("target/demo");
    std::fs::create_dir_all(&dir).expect("a folder for pictures");
    dir.join(name)
}

fn state_is(state: &str) -> String {
    format!("document.getElementById('status').dataset.state === '{state}'")
}

/// What the page shows of the last utterance: samples received, samples played.
async fn counts(page: &mut Page) -> (f64, f64) {
    let mut number = async |id: &str| {
        let value =
            page.evaluate(&format!("+document.getElementById('{id}').dataset.samples")).await;
        value.as_f64().unwrap_or_default()
    };
    (number("samples").await, number("played").await)
}

/// Asserts that the utterance under way ends well, with sound, all of it played.
async fn assert_spoken(page: &mut Page) {
    page.wait_for(&format!("{} || {}", state_is("done"), state_is("error")), LONG).await;
    let status = page.evaluate("document.getElementById('status').innerText").await;
    assert_eq!(page.evaluate(&state_is("done")).await, json!(true), "{status}");
    let (received, played) = counts(page).await;
    assert!(received > 12_000.0, "only {received} samples of speech");
    assert_eq!(received, played, "all that came is played");
    let first = page.evaluate("+document.getElementById('first-packet').dataset.ms").await;
    assert!(first.as_f64().is_some_and(|ms| ms > 0.0), "no time of the first packet: {first}");
    assert_eq!(page.evaluate("document.getElementById('text').value").await, json!(""));
}

async fn open(page: &mut Page, url: &str) {
    page.open(url).await;
    page.wait_for("document.getElementById('server').dataset.state === 'ready'", LONG).await;
}

/// Words leave while one types, before Speak; the button finishes.
async fn speaks_while_one_types(page: &mut Page) {
    page.click("#text").await;
    page.type_keys("Good morning and welcome to the sh").await;
    let sent = "document.querySelector('#sent mark').textContent";
    assert_eq!(page.evaluate(sent).await, json!("Good morning and welcome to the "));
    page.type_keys("ow.").await;
    page.click("#speak").await;
    page.wait_for(&state_is("playing"), LONG).await;
    page.screenshot(&picture("playing.png")).await;
    assert_spoken(page).await;
    page.screenshot(&picture("done.png")).await;
}

/// The page can be used again, by keyboard alone, on a phone, in the dark.
async fn speaks_again_on_a_phone(page: &mut Page) {
    page.resize(390, 844, "dark").await;
    let focus = page.evaluate("document.activeElement.id").await;
    assert_eq!(focus, json!("text"), "after an utterance the box takes the next");
    page.type_keys("We had dinner with our friends last night.").await;
    page.press("Enter", 13, "\r").await;
    page.wait_for(&state_is("playing"), LONG).await;
    page.screenshot(&picture("phone_dark_playing.png")).await;
    assert_spoken(page).await;
    let width = page.evaluate("document.documentElement.scrollWidth").await;
    assert!(width.as_f64().is_some_and(|w| w <= 390.0), "{width} pixels wide on a phone");
    page.screenshot(&picture("phone_dark_done.png")).await;
    assert_eq!(page.evaluate("document.querySelectorAll('#history li').length").await, json!(2));
    page.resize(1000, 900, "light").await;
}

/// Escape silences the page at once and leaves the text.
async fn stops(page: &mut Page) {
    page.type_keys("There are many books on the top shelf, and nobody reads them.").await;
    page.press("Enter", 13, "\r").await;
    page.wait_for(&state_is("playing"), LONG).await;
    page.press("Escape", 27, "").await;
    assert_eq!(page.evaluate(&state_is("stopped")).await, json!(true));
    let before = counts(page).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(counts(page).await, before, "nothing comes after stop");
    let left = page.evaluate("document.getElementById('text').value.length").await;
    assert_eq!(left, json!(61));
    page.click("#text").await;
    page.evaluate("document.getElementById('text').select()").await;
}

/// A recording of one's own; what is wrong with it is said in words.
async fn speaks_with_a_recording(page: &mut Page) {
    page.click("input[value=prompt]").await;
    page.click("#text").await;
    page.evaluate("document.getElementById('text').select()").await;
    page.type_keys("Turn left.").await;
    page.click("#speak").await;
    page.wait_for(&state_is("error"), SHORT).await;

    let bad = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(bad.path(), "this is no sound").expect("a file can be written");
    page.choose_file("#prompt-wav", bad.path()).await;
    page.click("#prompt-text").await;
    page.type_keys("Learning at some schools is like drinking from a firehose.").await;
    page.click("#speak").await;
    page.wait_for(
        &format!("{} && !document.getElementById('speak').disabled", state_is("error")),
        SHORT,
    )
    .await;
    let words = page.evaluate("document.getElementById('status').innerText").await;
    assert!(words.as_str().is_some_and(|words| words.len() > 10), "{words}");
    page.screenshot(&picture("error.png")).await;

    let good = root().join("model_weights/mynah-mini/prompts/rms.wav");
    page.choose_file("#prompt-wav", &good).await;
    page.click("#speak").await;
    assert_spoken(page).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_page_speaks() {
    let Some(chromium) = find_chromium() else {
        // Not by a macro: the harness hides what those print in a test that passes.
        let line = "SKIPPED the_demo_page_speaks: no chromium, chromium-browser or google-chrome in PATH\n";
        std::io::stderr().write_all(line.as_bytes()).expect("stderr");
        return;
    };
    let server = Server::start(&[]);
    let mut page =
        Page::launch(&chromium, &["--host-resolver-rules=MAP mynah.test 127.0.0.1"]).await;
    open(&mut page, &server.url("/demo")).await;
    assert_eq!(page.evaluate("isSecureContext").await, json!(true));
    speaks_while_one_types(&mut page).await;
    speaks_again_on_a_phone(&mut page).await;
    stops(&mut page).await;
    speaks_with_a_recording(&mut page).await;

    // Plain http from another machine: browsers offer no AudioWorklet there.
    open(&mut page, &server.url("/demo/").replace("127.0.0.1", "mynah.test")).await;
    assert_eq!(page.evaluate("isSecureContext").await, json!(false));
    speaks_while_one_types(&mut page).await;
    assert!(page.problems.is_empty(), "{:#?}", page.problems);
}
