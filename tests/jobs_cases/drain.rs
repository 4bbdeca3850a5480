//! A server that is asked to end lets what it speaks come to its end, within its deadline.

use crate::support::{PATIENCE, Setup, config, is, samples, spec};
use mynah::config::{Config, ConfigError};
use mynah::engine::start_silent;
use mynah::jobs::{JobRecord, JobState, Jobs};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server whose store lies in a folder of the test's.
struct Server {
    url: String,
    http: reqwest::Client,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), ConfigError>>,
}

impl Server {
    /// As soon as whoever had the store before has closed it.
    async fn start(config: &Config) -> Self {
        let start = Instant::now();
        loop {
            let server = Self::try_start(config.clone()).await;
            if server.http.get(format!("{}/liveness", server.url)).send().await.is_ok() {
                return server;
            }
            let error = server.run.await.expect("no panic").expect_err("it does not answer");
            assert!(error.to_string().contains("in use") && start.elapsed() < PATIENCE, "{error}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn try_start(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let engine = start_silent(&config.engine);
        let (stop, wish) = oneshot::channel::<()>();
        let wish = async {
            let _ = wish.await;
        };
        let run = tokio::spawn(mynah::server::run(listener, engine, config, wish));
        Self { url, http: reqwest::Client::new(), stop, run }
    }

    /// Submits a task of so many characters.
    async fn submit(&self, characters: usize) -> String {
        let body = serde_json::json!({ "text": "a".repeat(characters), "output_path": "." });
        let request = self.http.post(format!("{}/api/tts/tasks", self.url)).json(&body);
        let answer = request.send().await.expect("an answer");
        let answer: serde_json::Value = answer.json().await.expect("JSON");
        answer["task_id"].as_str().expect("an id").into()
    }

    async fn becomes(&self, id: &str, status: &str) {
        let start = Instant::now();
        loop {
            let request = self.http.get(format!("{}/api/tts/tasks/{id}", self.url));
            let answer = request.send().await.expect("an answer");
            let task: serde_json::Value = answer.json().await.expect("JSON");
            if task["status"] == status {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{task}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Asks it to end, and waits for that.
    async fn end(self) {
        self.stop.send(()).expect("it runs");
        let end = tokio::time::timeout(PATIENCE, self.run).await.expect("it ends");
        end.expect("no panic").expect("no error");
    }
}

/// What a server left behind, before another one goes on with it.
async fn left(dir: &Path, id: &str) -> JobRecord {
    let mut config = config(dir);
    // Nobody works on it while it is looked at.
    config.jobs.workers = 0;
    let engine = start_silent(&config.engine);
    let jobs = crate::support::open((&config).into(), &engine).await.expect("a store");
    jobs.get(id).await.expect("a job")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_spoken_is_finished_and_nothing_else_begun() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = config(dir.path());
    config.jobs.workers = 1;
    config.server.drain_timeout = PATIENCE.as_secs_f64();
    let server = Server::start(&config).await;
    let (first, second) = (server.submit(100).await, server.submit(100).await);
    server.becomes(&first, "processing").await;
    server.end().await;

    let record = left(dir.path(), &first).await;
    is(&record, JobState::Completed);
    assert_eq!((record.attempts, record.duration_ms), (1, Some(2000)));
    let result = std::fs::read(record.spec.output.expect("a path")).expect("a file");
    assert_eq!(samples(&result), 100 * 480);
    let record = left(dir.path(), &second).await;
    is(&record, JobState::Pending);
    assert_eq!(record.attempts, 0);
}

/// Not only must it wait again: ending in good order is no crash, of which there may be five.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_waits_as_if_never_begun() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = config(dir.path());
    config.server.drain_timeout = 0.3;
    // Twenty seconds of sound, which take as long.
    let server = Server::start(&config).await;
    let id = server.submit(1000).await;
    server.end().await;
    for _ in 0..7 {
        let server = Server::start(&config).await;
        server.becomes(&id, "processing").await;
        server.end().await;
        let record = left(dir.path(), &id).await;
        is(&record, JobState::Pending);
        assert_eq!((record.attempts, record.progress, record.started_at), (0, 0.0, None));
    }
}

#[tokio::test]
async fn a_store_that_drains_begins_nothing() {
    let setup = Setup::with(|config| config.jobs.workers = 2);
    let jobs: Jobs = setup.jobs().await;
    tokio::time::timeout(PATIENCE, jobs.drain()).await.expect("nothing is waited for");
    jobs.submit(spec("a"), Some("late".into())).await.expect("an id");
    tokio::time::timeout(PATIENCE, jobs.stop()).await.expect("nothing is waited for");
    is(&jobs.get("late").await.expect("a job"), JobState::Pending);
}
