//! Several servers that share their jobs, with a Redis server of the machine.

use crate::support::{PATIENCE, Setup, is, samples, spec};
use mynah::config::Config;
use mynah::jobs::{Filter, JobError, JobState, Jobs};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Server {
    process: Child,
    url: String,
    _dir: tempfile::TempDir,
}

impl Server {
    /// None where there is no Redis.
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a folder");
        let port =
            TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it").port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = process else {
            eprintln!("skipped: there is no redis-server on this machine");
            return None;
        };
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "Redis does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { process, url: format!("redis://127.0.0.1:{port}"), _dir: dir })
    }

    fn setup(&self, change: impl FnOnce(&mut Config)) -> Setup {
        Setup::with(|config| {
            config.jobs.backend = "redis".into();
            config.jobs.redis_url = self.url.clone();
            config.jobs.lease = 1.0;
            change(config);
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_server_that_dies_are_spoken_by_another() {
    let Some(server) = Server::start() else { return };
    let one = server.setup(|_| {});
    // The other has an engine of its own, and the same folders.
    let two = server.setup(|config| config.storage = one.config.storage.clone());
    let (first, second) = (one.jobs().await, two.jobs().await);
    let text = "a".repeat(25);
    for i in 0..20 {
        first.submit(spec(&text), Some(format!("job{i}"))).await.expect("an id");
    }
    let again = second.submit(spec("x"), Some("job3".into())).await;
    assert_eq!(again, Err(JobError::Duplicate("job3".into())));
    // Both are at it.
    let start = Instant::now();
    while one.engine.status().active == 0 || two.engine.status().active == 0 {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(first);
    for i in 0..20 {
        let record = second.wait(&format!("job{i}"), PATIENCE).await.expect("a job");
        is(&record, JobState::Completed);
        let result = second.result_bytes(&format!("job{i}")).await.expect("a result");
        assert_eq!(samples(&result), 25 * 480);
    }
    let list = second.list(100, Filter::default()).await.expect("a list");
    assert_eq!(list.len(), 20);
    let twice = list.iter().filter(|record| record.attempts > 1).count();
    assert!((1..=2).contains(&twice), "{twice} jobs were begun again");
    assert!(list.is_sorted_by(|a, b| a.created_at >= b.created_at));
    let statistics = second.statistics().await.expect("counts");
    assert_eq!((statistics.completed, statistics.pending), (20, 0));
}

/// A job that takes longer than the lease is not taken from a server that lives, its progress is
/// known to others, and they can cancel it.
#[tokio::test(flavor = "multi_thread")]
async fn long_jobs_stay_with_their_server() {
    let Some(server) = Server::start() else { return };
    let one = server.setup(|config| config.jobs.workers = 1);
    let two = server.setup(|config| config.storage = one.config.storage.clone());
    let first = one.jobs().await;
    first.submit(spec(&"a".repeat(150)), Some("long".into())).await.expect("an id");
    while one.engine.status().active == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = two.jobs().await;
    let mut most = 0f32;
    let record = loop {
        let record = second.get("long").await.expect("a job");
        if record.state.is_final() {
            break record;
        }
        assert!(record.progress >= most, "{record:?}");
        most = record.progress;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    is(&record, JobState::Completed);
    assert_eq!(record.attempts, 1);
    assert!(most > 0.0);

    first.submit(spec(&"a".repeat(3000)), Some("cancelled".into())).await.expect("an id");
    let start = Instant::now();
    while one.engine.status().active + two.engine.status().active == 0 {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // By the one that does not speak it.
    let other = if one.engine.status().active == 0 { &first } else { &second };
    is(&other.cancel("cancelled").await.expect("a job"), JobState::Cancelled);
    one.becomes_idle().await;
    two.becomes_idle().await;
    is(&first.get("cancelled").await.expect("a job"), JobState::Cancelled);
    first.delete("cancelled").await.expect("deleted");
    assert!(matches!(second.get("cancelled").await, Err(JobError::NotFound(_))));
}

/// A server that ends in good order gives its jobs away at once, not when their lease ends.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_server_that_stops_are_spoken_by_another() {
    let Some(server) = Server::start() else { return };
    let change = |config: &mut Config| (config.jobs.workers, config.jobs.lease) = (1, 3600.0);
    let one = server.setup(change);
    let two = server.setup(|config| {
        change(config);
        config.storage = one.config.storage.clone();
    });
    let first = one.jobs().await;
    first.submit(spec(&"a".repeat(300)), Some("long".into())).await.expect("an id");
    while one.engine.status().active == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.submit(spec("a"), Some("short".into())).await.expect("an id");
    assert_eq!(first.load().await.and_then(|load| load.queued), Some(1));
    tokio::time::timeout(PATIENCE, first.stop()).await.expect("the job is put back");
    one.becomes_idle().await;
    let record = first.get("long").await.expect("a job");
    assert_eq!((record.state, record.attempts), (JobState::Pending, 0));
    assert_eq!(first.load().await.and_then(|load| load.queued), Some(2));

    let second = two.jobs().await;
    for id in ["short", "long"] {
        let record = second.wait(id, PATIENCE).await.expect("a job");
        is(&record, JobState::Completed);
        assert_eq!(record.attempts, 1);
    }
    assert_eq!(second.load().await.and_then(|load| load.queued), Some(0));
}

#[tokio::test]
async fn no_redis_is_told_at_the_start() {
    let setup = Setup::with(|config| {
        config.jobs.backend = "redis".into();
        config.jobs.redis_url = "redis://127.0.0.1:1".into();
    });
    let opened = Jobs::open((&setup.config).into(), setup.engine.clone()).await;
    assert!(matches!(opened.err(), Some(JobError::Unavailable(_))));
}
