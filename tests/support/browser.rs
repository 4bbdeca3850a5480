//! A small client of headless Chromium's DevTools protocol: a page, keys, clicks, pictures.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The longest any one step of the protocol may take.
const STEP: Duration = Duration::from_secs(60);

/// The browser's executable, if this machine has one.
pub fn find_chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)))
        .find(|file| file.is_file())
}

/// A browser with one page. Dropping it ends the browser.
pub struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    next_id: u64,
    /// Uncaught exceptions and errors on the page's console.
    pub problems: Vec<String>,
    browser: Child,
    _profile: tempfile::TempDir,
}

impl Page {
    /// Starts the browser with an empty profile. `more` are further flags.
    pub async fn launch(chromium: &Path, more: &[&str]) -> Self {
        let profile = tempfile::tempdir().expect("a folder for the browser's profile");
        let browser = Command::new(chromium)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
            ])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--disable-dev-shm-usage", "--mute-audio"])
            .arg("--autoplay-policy=no-user-gesture-required")
            .args(["--remote-debugging-port=0", "--window-size=1000,900"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(more)
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let address = devtools_address(profile.path()).await;
        let (socket, _) = connect_async(address).await.expect("the browser's socket opens");
        let mut page = Self {
            socket,
            session: None,
            next_id: 0,
            problems: vec![],
            browser,
            _profile: profile,
        };
        let target = page.command("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = page.command("Target.attachToTarget", attach).await;
        page.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "DOM"] {
            page.command(&format!("{domain}.enable"), json!({})).await;
        }
        page
    }

    /// Sends a command and returns its result. Events that come meanwhile are noted.
    pub async fn command(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let mut message = json!({"id": self.next_id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let text = Message::text(message.to_string());
        self.socket.send(text).await.expect("the browser takes a command");
        let answer = timeout(STEP, self.answer()).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer to {method} in {STEP:?}"));
        assert!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    async fn answer(&mut self) -> Value {
        while let Some(message) = self.socket.next().await {
            let message = message.expect("the browser's socket lives");
            let Ok(text) = message.to_text() else { continue };
            let Ok(value) = serde_json::from_str::<Value>(text) else { continue };
            if value["id"] == self.next_id {
                return value;
            }
            self.note(&value);
        }
        panic!("the browser closed its socket");
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        let is_problem = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => params["type"] == "error",
            Some("Log.entryAdded") => params["entry"]["level"] == "error",
            _ => false,
        };
        if is_problem {
            self.problems.push(params.to_string());
        }
    }

    pub async fn open(&mut self, url: &str) {
        self.command("Page.navigate", json!({"url": url})).await;
        self.wait_for("document.readyState === 'complete'", STEP).await;
    }

    /// The value of a JavaScript expression.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.command("Runtime.evaluate", params).await;
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub async fn wait_for(&mut self, expression: &str, limit: Duration) {
        let start = Instant::now();
        while self.evaluate(expression).await != json!(true) {
            if start.elapsed() > limit {
                let status = self.evaluate("document.getElementById('status')?.outerHTML").await;
                panic!("not in {limit:?}: {expression}; {status}; {:?}", self.problems);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Presses and releases the keys of `text`, one after another.
    pub async fn type_keys(&mut self, text: &str) {
        for key in text.chars().map(String::from) {
            let down = json!({"type": "keyDown", "key": key, "text": key});
            self.command("Input.dispatchKeyEvent", down).await;
            self.command("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key})).await;
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Presses a key that writes nothing, or (Enter) `text`.
    pub async fn press(&mut self, key: &str, code: u32, text: &str) {
        let params = json!({"key": key, "code": key, "windowsVirtualKeyCode": code});
        let mut down = params.clone();
        down["type"] = json!(if text.is_empty() { "rawKeyDown" } else { "keyDown" });
        down["text"] = json!(text);
        self.command("Input.dispatchKeyEvent", down).await;
        let mut up = params;
        up["type"] = json!("keyUp");
        self.command("Input.dispatchKeyEvent", up).await;
    }

    /// Clicks in the middle of an element, as far as nothing lies over it.
    pub async fn click(&mut self, selector: &str) {
        let middle = format!(
            "(() => {{ const e = document.querySelector({selector:?}); \
             e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect(); \
             return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        );
        let at = self.evaluate(&middle).await;
        for event in ["mousePressed", "mouseReleased"] {
            let params =
                json!({"type": event, "x": at[0], "y": at[1], "button": "left", "clickCount": 1});
            self.command("Input.dispatchMouseEvent", params).await;
        }
    }

    /// Puts a file into a file field.
    pub async fn choose_file(&mut self, selector: &str, file: &Path) {
        let root = self.command("DOM.getDocument", json!({})).await;
        let query = json!({"nodeId": root["root"]["nodeId"], "selector": selector});
        let field = self.command("DOM.querySelector", query).await;
        let params = json!({"nodeId": field["nodeId"], "files": [file]});
        self.command("DOM.setFileInputFiles", params).await;
    }

    /// Sets the width of the window and the colour scheme the user prefers.
    pub async fn resize(&mut self, width: u32, height: u32, scheme: &str) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// Writes a PNG of what the window shows.
    pub async fn screenshot(&mut self, file: &Path) {
        let shot = self.command("Page.captureScreenshot", json!({"format": "png"})).await;
        let bytes = base64(shot["data"].as_str().unwrap_or_default());
        assert!(bytes.starts_with(b"\x89PNG"), "the browser sent no picture");
        std::fs::write(file, bytes).expect("the picture can be written");
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}

/// Where the browser listens: it writes port and path into its profile.
async fn devtools_address(profile: &Path) -> String {
    let start = Instant::now();
    loop {
        let written = std::fs::read_to_string(profile.join("DevToolsActivePort"));
        if let Some((port, path)) = written.unwrap_or_default().trim().split_once('\n') {
            return format!("ws://127.0.0.1:{port}{path}");
        }
        assert!(start.elapsed() < STEP, "the browser did not start in {STEP:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn base64(text: &str) -> Vec<u8> {
    let (mut bits, mut held, mut bytes) = (0u32, 0, Vec::with_capacity(text.len() / 4 * 3));
    for c in text.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}
