//! A server that is killed in the middle of anything leaves a store that can be read.

use crate::support::{config, is, open, samples, spec, tone};
use mynah::engine::start_silent;
use mynah::jobs::{JobState, Jobs};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Names the folder of the process that is killed.
const FOLDER: &str = "MYNAH_JOBS_CRASH_FOLDER";

const KILLS: u64 = 50;

/// What the process promised, a line each.
const JOURNAL: &str = "journal";

/// Not a test: the process that [`nothing_promised_is_lost`] kills. It submits, uploads and
/// finishes jobs, and notes what has been answered for.
#[test]
#[ignore = "runs until it is killed"]
fn worker_process() {
    let Some(dir) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut config = config(&dir);
        config.jobs.workers = 8;
        let engine = start_silent(&config.engine);
        let jobs = open((&config).into(), &engine).await.expect("a store");
        println!("begun");
        let note = |line: String| {
            let file = File::options().append(true).create(true).open(dir.join(JOURNAL));
            file.and_then(|mut f| f.write_all(format!("{line}\n").as_bytes())).expect("noted");
        };
        for i in 0u32.. {
            let id = jobs.submit(spec("a"), None).await.expect("submitted");
            note(format!("job {id}"));
            let jobs = jobs.clone();
            let wait = async move {
                let record = jobs.wait(id.as_str(), Duration::from_secs(60)).await;
                (record.is_ok_and(|r| r.state == JobState::Completed)).then(|| id.to_string())
            };
            if i % 3 == 0 {
                if let Some(id) = wait.await {
                    note(format!("done {id}"));
                }
            } else {
                tokio::spawn(wait);
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_promised_is_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = config(dir.path());
    let engine = start_silent(&config.engine);
    for round in 0..KILLS {
        let upload = tone(0.1 + round as f64 / 100.0);
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "crash::worker_process", "--ignored", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let begun = lines.map_while(Result::ok).any(|line| line.ends_with("begun"));
        assert!(begun, "the store could not be opened in round {round}");
        // Every time at another moment.
        std::thread::sleep(Duration::from_millis(5 + round * 37 % 96));
        child.kill().expect("killed");
        child.wait().expect("ended");

        let jobs = open((&config).into(), &engine).await.expect("the store can be read");
        check(&jobs, dir.path()).await;
        let info = jobs.put_upload("a.wav", upload.clone()).await.expect("an upload");
        assert_eq!(jobs.upload_bytes(&info.file_id).await, Ok(upload));
    }
    let jobs = open((&config).into(), &engine).await.expect("the store can be read");
    let (submitted, done) = check(&jobs, dir.path()).await;
    assert!(submitted > KILLS as usize && done > 10, "{submitted} submitted, {done} done");
    assert_eq!(jobs.uploads().await.map(|list| list.len()), Ok(KILLS as usize));
}

/// Everything in the journal is there: how many jobs were submitted, and how many of them done.
async fn check(jobs: &Jobs, dir: &Path) -> (usize, usize) {
    let journal = std::fs::read_to_string(dir.join(JOURNAL)).unwrap_or_default();
    let (mut submitted, mut done) = (BTreeSet::new(), BTreeSet::new());
    // A line without an end was not promised.
    for line in journal.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        match line.split_once(' ') {
            Some(("job", id)) => submitted.insert(id),
            Some(("done", id)) => done.insert(id),
            _ => panic!("{line}"),
        };
    }
    for id in &submitted {
        let record = jobs.get(id).await.expect("a submitted job is known");
        if done.contains(id) {
            is(&record, JobState::Completed);
            let result = jobs.result_bytes(id).await.expect("a done job has its result");
            assert_eq!(samples(&result), 480);
        }
    }
    (submitted.len(), done.len())
}
