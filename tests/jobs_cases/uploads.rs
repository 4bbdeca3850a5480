//! Recordings that clients leave for their jobs.

use crate::support::{Setup, tone};
use mynah::jobs::{JobError, now};

#[tokio::test]
async fn equal_content_is_stored_once() {
    let setup = Setup::new();
    let jobs = setup.jobs().await;
    let bytes = tone(0.5);
    let first = jobs.put_upload("first.wav", bytes.clone()).await.expect("stored");
    assert!(!first.is_duplicate);
    assert_eq!((first.filename.as_str(), first.size), ("first.wav", bytes.len() as u64));
    assert!(first.expires > now() + 3500.0 && first.expires < now() + 3700.0);
    let second = jobs.put_upload("second.wav", bytes.clone()).await.expect("stored");
    assert!(second.is_duplicate && second.file_id == first.file_id);
    assert_eq!(second.filename, "first.wav");
    assert_eq!(jobs.uploads().await.expect("a list").len(), 1);
    assert_eq!(jobs.upload_bytes(&first.file_id).await, Ok(bytes));

    let other = jobs.put_upload("../../etc/passwd", tone(0.6)).await.expect("stored");
    assert_ne!(other.file_id, first.file_id);
    let missing = JobError::NotFound("upload of this id");
    for odd in ["", "..", "../uploads", &first.file_id[1..], &first.file_id.to_uppercase()] {
        assert_eq!(jobs.upload(odd).await, Err(missing.clone()), "{odd}");
        assert_eq!(jobs.upload_bytes(odd).await, Err(missing.clone()), "{odd}");
    }
    jobs.delete_upload(&first.file_id).await.expect("deleted");
    assert_eq!(jobs.upload(&first.file_id).await, Err(missing.clone()));
    assert_eq!(jobs.delete_upload(&first.file_id).await, Err(missing));

    drop(jobs);
    let jobs = setup.jobs().await;
    assert_eq!(jobs.upload(&other.file_id).await.map(|f| f.size), Ok(other.size));
}

#[tokio::test]
async fn uploads_are_gone_after_their_time() {
    let setup = Setup::with(|config| config.storage.upload_hours = 0.2 / 3600.0);
    let jobs = setup.jobs().await;
    let info = jobs.put_upload("a.wav", tone(0.5)).await.expect("stored");
    assert!(jobs.upload(&info.file_id).await.is_ok());
    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    assert!(matches!(jobs.upload(&info.file_id).await, Err(JobError::NotFound(_))));
    assert_eq!(jobs.uploads().await, Ok(vec![]));
    // An hour later it would be removed; the file says that it was written then.
    let dir = setup.config.storage.dir.join("uploads");
    let hour = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for entry in std::fs::read_dir(&dir).expect("a folder").flatten() {
        let file = std::fs::File::options().append(true).open(entry.path()).expect("a file");
        file.set_modified(hour).expect("set");
    }
    jobs.expire().await.expect("done");
    assert_eq!(std::fs::read_dir(&dir).expect("a folder").count(), 0);
}
