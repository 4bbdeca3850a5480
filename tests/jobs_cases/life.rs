//! From submission to the end, whichever it is.

use crate::support::{PATIENCE, Setup, is, samples, spec, tone};
use mynah::jobs::{Filter, JobError, JobSpec, JobState, JobVoice, is_file_id};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_job_is_spoken_and_kept() {
    let setup = Setup::new();
    let jobs = setup.jobs().await;
    assert!(!setup.config.storage.dir.exists(), "a server without jobs needs no disk");
    assert_eq!(jobs.list(10, Filter::default()).await, Ok(vec![]));

    let asked = JobSpec { extra: json!({"mine": [1]}), ..spec("twenty-one characters") };
    let id = jobs.submit(asked.clone(), Some("mine_1".into())).await.expect("an id");
    let mut last = 0.0;
    let record = loop {
        let record = jobs.get(id.as_str()).await.expect("a job");
        assert!(record.progress >= last && record.progress <= 1.0, "{record:?}");
        last = record.progress;
        if record.state.is_final() {
            break record;
        }
        assert!(record.progress < 1.0);
        if record.state == JobState::Pending || record.state == JobState::Processing {
            let early = jobs.result(id.as_str()).await;
            assert!(matches!(early, Err(JobError::NotCompleted(_)) | Ok(_)), "{early:?}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    is(&record, JobState::Completed);
    assert_eq!((record.progress, &record.spec), (1.0, &asked));
    assert_eq!((record.duration_ms, record.sample_rate), (Some(420), Some(24_000)));
    let (start, end) = (record.started_at.expect("begun"), record.completed_at.expect("ended"));
    assert!(record.created_at <= start && start <= end);
    assert!(record.process_seconds.is_some_and(|s| s > 0.3 && s < 30.0));
    let bytes = jobs.result_bytes("mine_1").await.expect("a result");
    assert_eq!(samples(&bytes), 24_000 * 42 / 100);

    let again = jobs.submit(spec("x"), Some("mine_1".into())).await;
    assert_eq!(again, Err(JobError::Duplicate("mine_1".into())));
    for odd in ["", "../x", "a b", "a/b", &"x".repeat(101)] {
        assert!(matches!(
            jobs.submit(spec("x"), Some(odd.into())).await,
            Err(JobError::Invalid(_))
        ));
        assert!(matches!(jobs.get(odd).await, Err(JobError::NotFound(_))));
    }
    let path = jobs.result("mine_1").await.expect("a path");
    jobs.delete("mine_1").await.expect("deleted");
    assert!(!path.exists());
    assert!(matches!(jobs.get("mine_1").await, Err(JobError::NotFound(_))));
    assert!(matches!(jobs.delete("mine_1").await, Err(JobError::NotFound(_))));
}

#[tokio::test]
async fn progress_grows_while_a_job_is_spoken() {
    let setup = Setup::new();
    let jobs = setup.jobs().await;
    let id = jobs.submit(spec(&"word ".repeat(30)), None).await.expect("an id");
    let mut seen = Vec::new();
    loop {
        let record = jobs.get(id.as_str()).await.expect("a job");
        if record.state.is_final() {
            break;
        }
        seen.push(record.progress);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.iter().filter(|p| **p > 0.0 && **p < 1.0).count() > 3, "{seen:?}");
}

#[tokio::test]
async fn lists_are_newest_first_and_filtered() {
    let setup = Setup::with(|config| config.jobs.workers = 1);
    let jobs = setup.jobs().await;
    for i in 0..4 {
        let kind = ["even", "odd"][i % 2].into();
        let spec = JobSpec { kind, ..spec("a") };
        jobs.submit(spec, Some(format!("job{i}"))).await.expect("an id");
    }
    jobs.wait("job3", PATIENCE).await.expect("ended");
    let ids = async |limit, filter| {
        let list = jobs.list(limit, filter).await.expect("a list");
        list.into_iter().map(|record| record.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(9, Filter::default()).await, ["job3", "job2", "job1", "job0"]);
    assert_eq!(ids(2, Filter::default()).await, ["job3", "job2"]);
    let odd = Filter { kind: Some("odd".into()), ..Filter::default() };
    assert_eq!(ids(9, odd).await, ["job3", "job1"]);
    let failed = Filter { state: Some(JobState::Failed), ..Filter::default() };
    assert_eq!(ids(9, failed).await, [""; 0]);
    let statistics = jobs.statistics().await.expect("counts");
    assert_eq!((statistics.completed, statistics.pending), (4, 0));
    assert!(statistics.storage_bytes > 0 && statistics.mean_process_seconds > 0.0);
}

#[tokio::test]
async fn cancelling_ends_the_session_at_once() {
    let setup = Setup::with(|config| config.jobs.workers = 1);
    let jobs = setup.jobs().await;
    let long = "a".repeat(3000);
    jobs.submit(spec(&long), Some("speaking".into())).await.expect("an id");
    jobs.submit(spec(&long), Some("waiting".into())).await.expect("an id");
    jobs.submit(spec("a"), Some("last".into())).await.expect("an id");
    while setup.engine.status().active == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let start = Instant::now();
    is(&jobs.cancel("waiting").await.expect("a job"), JobState::Cancelled);
    is(&jobs.cancel("speaking").await.expect("a job"), JobState::Cancelled);
    is(&jobs.wait("last", PATIENCE).await.expect("a job"), JobState::Completed);
    assert!(start.elapsed() < Duration::from_secs(20), "a minute of speech was waited for");
    setup.becomes_idle().await;
    for id in ["speaking", "waiting"] {
        is(&jobs.get(id).await.expect("a job"), JobState::Cancelled);
        let none = jobs.result(id).await;
        assert_eq!(none, Err(JobError::NotCompleted(JobState::Cancelled)));
    }
    is(&jobs.cancel("last").await.expect("a job"), JobState::Completed);

    jobs.submit(spec(&long), Some("deleted".into())).await.expect("an id");
    while setup.engine.status().active == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    jobs.delete("deleted").await.expect("deleted");
    setup.becomes_idle().await;
}

#[tokio::test]
async fn jobs_outlive_their_server() {
    let setup = Setup::with(|config| config.jobs.workers = 1);
    let jobs = setup.jobs().await;
    jobs.submit(spec("early"), Some("early".into())).await.expect("an id");
    jobs.wait("early", PATIENCE).await.expect("ended");
    jobs.submit(spec(&"a".repeat(100)), Some("speaking".into())).await.expect("an id");
    jobs.submit(spec("late"), Some("waiting".into())).await.expect("an id");
    while jobs.get("speaking").await.expect("a job").state == JobState::Pending {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(jobs);
    setup.becomes_idle().await;

    let jobs = setup.jobs().await;
    let bytes = jobs.result_bytes("early").await.expect("a result");
    assert_eq!(samples(&bytes), 24_000 / 10);
    let record = jobs.wait("speaking", PATIENCE).await.expect("a job");
    is(&record, JobState::Completed);
    assert_eq!((record.attempts, record.duration_ms), (2, Some(2000)));
    is(&jobs.wait("waiting", PATIENCE).await.expect("a job"), JobState::Completed);
}

/// Two servers in one folder would speak every job twice.
#[tokio::test]
async fn a_store_has_one_server() {
    let setup = Setup::new();
    let jobs = setup.jobs().await;
    jobs.submit(spec("a"), None).await.expect("an id");
    let second = mynah::jobs::Jobs::open((&setup.config).into(), setup.engine.clone()).await;
    let error = second.err().expect("refused").to_string();
    assert!(error.contains("in use") && error.contains("redis"), "{error}");
}

#[tokio::test]
async fn a_busy_engine_is_waited_for() {
    let setup = Setup::with(|config| {
        config.engine.max_sessions = 1;
        config.engine.queue = 0;
        config.jobs.workers = 3;
    });
    let jobs = setup.jobs().await;
    for id in ["a", "b", "c"] {
        jobs.submit(spec("twenty characters..."), Some(id.into())).await.expect("an id");
    }
    for id in ["a", "b", "c"] {
        is(&jobs.wait(id, PATIENCE).await.expect("a job"), JobState::Completed);
    }
}

#[tokio::test]
async fn too_many_waiting_jobs_are_refused() {
    let setup = Setup::with(|config| (config.jobs.workers, config.jobs.queue) = (1, 2));
    let jobs = setup.jobs().await;
    let mut refused = 0;
    for _ in 0..6 {
        match jobs.submit(spec(&"a".repeat(500)), None).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, JobError::QueueFull);
                refused += 1;
            }
        }
    }
    assert!((3..=4).contains(&refused), "{refused}");
}

#[tokio::test]
async fn failures_say_why() {
    let setup = Setup::with(|config| config.jobs.timeout = 0.5);
    std::fs::create_dir_all(&setup.config.storage.shared_dir).expect("made");
    let noise = setup.config.storage.shared_dir.join("noise.wav");
    std::fs::write(&noise, "not a recording").expect("written");
    let jobs = setup.jobs().await;
    let file = |path: &std::path::Path| JobVoice::File { path: path.into(), text: String::new() };
    let upload = jobs.put_upload("a.wav", tone(1.0)).await.expect("stored").file_id;
    assert!(is_file_id(&upload));
    let known = JobVoice::Upload { file_id: upload.clone(), text: String::new() };
    for (voice, text, state, code) in [
        (file(&noise), "a", JobState::Failed, Some("UNSUPPORTED_AUDIO")),
        (file("/nowhere/x.wav".as_ref()), "a", JobState::Failed, Some("NOT_FOUND")),
        (
            JobVoice::Named("default".into()),
            &"a".repeat(500),
            JobState::Failed,
            Some("TASK_TIMEOUT"),
        ),
        (known, "a", JobState::Completed, None),
    ] {
        let spec = JobSpec { voice, ..spec(text) };
        let id = jobs.submit(spec, None).await.expect("an id");
        let record = jobs.wait(id.as_str(), PATIENCE).await.expect("a job");
        is(&record, state);
        assert_eq!(record.error_code.as_deref(), code);
        assert_eq!(record.message.is_empty(), code.is_none());
        assert!(record.completed_at.is_some());
    }
    let voice = JobVoice::Upload { file_id: "0".repeat(64), text: String::new() };
    let unknown = jobs.submit(JobSpec { voice, ..spec("a") }, None).await;
    assert!(matches!(unknown, Err(JobError::NotFound(_))));
}

/// A link that was laid after the job came must not lead its result out of the folder.
#[tokio::test]
async fn results_are_written_inside_of_the_output_folder_alone() {
    let setup = Setup::with(|config| config.jobs.workers = 1);
    let jobs = setup.jobs().await;
    let outside = setup.dir.path().join("outside");
    std::fs::create_dir_all(&outside).expect("made");
    let path = |name: &str| jobs.writable(name).expect("inside");
    let good = JobSpec { output: Some(path("new/folder/a.wav")), ..spec("a") };
    let bad = JobSpec { output: Some(path("link/a.wav")), ..spec(&"a".repeat(30)) };
    jobs.submit(good, Some("good".into())).await.expect("an id");
    jobs.submit(bad, Some("bad".into())).await.expect("an id");
    std::fs::create_dir_all(&setup.config.storage.output_dir).expect("made");
    std::os::unix::fs::symlink(&outside, setup.config.storage.output_dir.join("link"))
        .expect("a link");
    is(&jobs.wait("good", PATIENCE).await.expect("a job"), JobState::Completed);
    assert_eq!(jobs.result("good").await, Ok(path("new/folder/a.wav")));
    assert_eq!(samples(&jobs.result_bytes("good").await.expect("a file")), 480);
    let record = jobs.wait("bad", PATIENCE).await.expect("a job");
    is(&record, JobState::Failed);
    assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 0);

    jobs.delete("good").await.expect("deleted");
    assert!(path("new/folder/a.wav").exists(), "it is the client's");
}

#[tokio::test]
async fn old_jobs_are_removed() {
    let setup = Setup::with(|config| config.storage.result_hours = 0.0);
    let jobs = setup.jobs().await;
    jobs.submit(spec("a"), Some("old".into())).await.expect("an id");
    jobs.wait("old", PATIENCE).await.expect("ended");
    let path = jobs.result("old").await;
    jobs.submit(spec(&"a".repeat(500)), Some("young".into())).await.expect("an id");
    jobs.expire().await.expect("done");
    assert!(matches!(jobs.get("old").await, Err(JobError::NotFound(_))));
    assert!(path.is_ok_and(|path| !path.exists()));
    assert!(jobs.get("young").await.is_ok());
}
