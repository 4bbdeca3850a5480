//! What happens when there is no room.

use crate::support::{PATIENCE, Setup, is, samples, spec, tone};
use mynah::jobs::{JobError, JobState};
use std::path::Path;
use std::process::Command;

#[tokio::test]
async fn the_limit_holds_and_deleting_makes_room() {
    // The database alone takes about a megabyte and a half.
    let setup = Setup::with(|config| config.storage.max_bytes = 4 << 20);
    let jobs = setup.jobs().await;
    let mut ids = Vec::new();
    let full = loop {
        assert!(ids.len() < 100);
        let mut bytes = tone(10.0);
        bytes.push(ids.len() as u8);
        match jobs.put_upload("a.wav", bytes).await {
            Ok(info) => ids.push(info.file_id),
            Err(error) => break error,
        }
    };
    assert_eq!(full, JobError::StorageFull);
    assert!(!ids.is_empty());
    let statistics = jobs.statistics().await.expect("counts");
    assert!(statistics.storage_bytes <= statistics.storage_limit);

    // A job that fits, whose result does not.
    let id = jobs.submit(spec(&"a".repeat(400)), None).await.expect("an id");
    let record = jobs.wait(id.as_str(), PATIENCE).await.expect("a job");
    is(&record, JobState::Failed);
    assert_eq!(record.error_code.as_deref(), Some("INSUFFICIENT_MEMORY"));

    for id in ids.drain(..2) {
        jobs.delete_upload(&id).await.expect("deleted");
    }
    let id = jobs.submit(spec(&"a".repeat(400)), None).await.expect("an id");
    is(&jobs.wait(id.as_str(), PATIENCE).await.expect("a job"), JobState::Completed);
}

/// A small file system of its own, unmounted when dropped.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(at).ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(at);
        mount.output().ok().filter(|out| out.status.success()).map(|_| Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing() {
    let setup = Setup::new();
    let data = setup.config.storage.dir.clone();
    let Some(_small) = Small::mount(&data) else {
        eprintln!("skipped: this user may not mount a small file system");
        return;
    };
    let jobs = setup.jobs().await;
    jobs.submit(spec("early"), Some("early".into())).await.expect("an id");
    is(&jobs.wait("early", PATIENCE).await.expect("a job"), JobState::Completed);

    // Everything else is taken, to the last block.
    let filler = data.join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    for size in [1 << 20, 4096] {
        while std::io::Write::write_all(&mut file, &vec![1; size]).is_ok() {}
    }

    assert_eq!(jobs.put_upload("a.wav", tone(1.0)).await, Err(JobError::StorageFull));
    // Records fit where there is a free page in the database, until there is none.
    let mut accepted = Vec::new();
    let refused = loop {
        match jobs.submit(spec("a"), None).await {
            Ok(id) => accepted.push(id),
            Err(error) => break error,
        }
        assert!(accepted.len() < 2000);
    };
    assert_eq!(refused, JobError::StorageFull);
    assert_eq!(samples(&jobs.result_bytes("early").await.expect("a result")), 2400);

    drop(file);
    std::fs::remove_file(&filler).expect("removed");
    for id in &accepted {
        let record = jobs.wait(id.as_str(), PATIENCE).await.expect("a job");
        let known = match record.state {
            JobState::Completed => jobs.result(id.as_str()).await.is_ok(),
            _ => record.error_code.as_deref() == Some("INSUFFICIENT_MEMORY"),
        };
        assert!(known, "{record:?}");
    }
    jobs.submit(spec("late"), Some("late".into())).await.expect("an id");
    is(&jobs.wait("late", PATIENCE).await.expect("a job"), JobState::Completed);
    drop(jobs);
    setup.becomes_idle().await;
    let jobs = setup.jobs().await;
    for id in ["early", "late"] {
        assert!(jobs.result(id).await.is_ok());
    }
    drop(jobs);
    setup.becomes_idle().await;
}
