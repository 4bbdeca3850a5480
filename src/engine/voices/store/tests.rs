use super::*;
use tempfile::TempDir;

const MODEL: [u8; 32] = [7; 32];

fn recording(text: &str) -> Recording {
    let samples = (0..8000).map(|i| (i as f32 * 0.1).sin() * 0.3).collect();
    Recording::new(&Clip { samples, rate: 8000 }, text).expect("a prompt")
}

fn tensors() -> VoiceTensors {
    VoiceTensors { text: vec![1, 2], speech: vec![3], mel: vec![0.5; 160], embedding: vec![1.0] }
}

fn name(text: &str) -> VoiceName {
    VoiceName::new(text).expect("a name")
}

/// A store with the voice `anna`.
fn store() -> (TempDir, Store, VoiceName, Recording) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::new(dir.path().join("voices"));
    let (anna, recording) = (name("anna"), recording("Hello."));
    store.add(&anna, &recording, &tensors(), &MODEL, false).expect("stored");
    (dir, store, anna, recording)
}

fn names(store: &Store) -> Vec<String> {
    store.names().iter().map(ToString::to_string).collect()
}

/// The digest is what finds the tensors again.
#[test]
fn a_voice_is_read_as_it_was_stored() {
    let (_dir, store, anna, recording) = store();
    let prompt = store.prompt(&anna).expect("a prompt");
    assert_eq!(prompt.text, "Hello.");
    assert_eq!(prompt.digest(), recording.prompt.digest());
    assert_eq!(store.tensors(&anna, prompt.digest(), &MODEL).expect("tensors"), tensors());
    assert_eq!(names(&store), ["anna"]);
    assert!(store.stamp(&name("Anna")).is_none());
    assert!(names(&Store::new("/nowhere")).is_empty());
}

#[test]
fn a_voice_is_replaced_only_on_demand_and_leaves_nothing_behind() {
    let (_dir, store, anna, _) = store();
    let before = store.stamp(&anna);
    let other = recording("Another.");
    let add = |replace| store.add(&anna, &other, &tensors(), &MODEL, replace);
    assert!(matches!(add(false), Err(StoreError::Exists(_))));
    assert_eq!(store.stamp(&anna), before);
    add(true).expect("replaced");
    assert_ne!(store.stamp(&anna), before);
    assert_eq!(store.prompt(&anna).expect("a prompt").text, "Another.");
    assert_eq!(fs::read_dir(store.dir()).expect("a folder").count(), 1);
    assert_eq!(store.remove(&anna).ok(), Some(true));
    assert_eq!(store.remove(&anna).ok(), Some(false));
    assert_eq!(fs::read_dir(store.dir()).expect("a folder").count(), 0);
}

#[test]
fn a_recording_alone_is_a_voice_whose_tensors_are_missing() {
    let (_dir, store, anna, recording) = store();
    assert!(matches!(store.add_recording(&anna, &recording), Err(StoreError::Exists(_))));
    let bob = name("bob");
    store.add_recording(&bob, &recording).expect("stored");
    assert_eq!(names(&store), ["anna", "bob"]);
    let digest = *store.prompt(&bob).expect("a prompt").digest();
    let missing = store.tensors(&bob, &digest, &MODEL).expect_err("none were made");
    assert!(missing.is_missing(), "{missing}");
    let other = store.tensors(&anna, &digest, &[8; 32]).expect_err("another model's");
    assert!(!other.is_missing(), "{other}");
}

/// The setting may name a folder with other things in it.
#[test]
fn foreign_files_are_never_removed() {
    let (_dir, store, anna, recording) = store();
    let foreign = store.path(&anna).join("thesis.tex");
    fs::write(&foreign, "years of work").expect("written");
    for result in
        [store.remove(&anna).map(|_| ()), store.add(&anna, &recording, &tensors(), &MODEL, true)]
    {
        assert!(result.is_err_and(|e| e.to_string().contains("thesis.tex")));
    }
    assert!(foreign.is_file());
    assert_eq!(fs::read_dir(store.dir()).expect("a folder").count(), 1);
}

/// Each of them is made again from the recording.
#[test]
fn tensors_of_another_kind_are_not_taken() {
    let (_dir, store, anna, recording) = store();
    let digest = recording.prompt.digest();
    let error = |digest: &[u8; 32], model: &[u8; 32]| {
        store.tensors(&anna, digest, model).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(error(digest, &MODEL), Ok(()));
    assert!(error(digest, &[8; 32]).is_err_and(|e| e.contains("another model")));
    assert!(error(&[8; 32], &MODEL).is_err_and(|e| e.contains("another recording")));

    let path = store.path(&anna).join(TENSORS);
    let sound = fs::read(&path).expect("a file");
    let old = tensors().to_safetensors(HashMap::from([("format".into(), "0".into())]));
    let long = vec![0; usize::try_from(MAX_TENSORS).expect("a size") + 1];
    for (bytes, words) in [
        (old.expect("a file"), "another format"),
        (long, "longer than"),
        (sound[..sound.len() - 1].to_vec(), "voice.safetensors"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{}".to_vec(), "voice.safetensors"),
        (Vec::new(), "voice.safetensors"),
    ] {
        fs::write(&path, bytes).expect("written");
        assert!(error(digest, &MODEL).is_err_and(|e| e.contains(words)), "{words}");
    }
    store.renew(&anna, &recording.prompt, &tensors(), &MODEL).expect("renewed");
    assert_eq!(error(digest, &MODEL), Ok(()));
    assert_eq!(fs::read_dir(store.path(&anna)).expect("a folder").count(), 3);
}

/// Folders are made and changed by hand too.
#[test]
fn prompts_that_cannot_be_used_say_why() {
    let (_dir, store, anna, _) = store();
    let folder = store.path(&anna);
    fs::write(folder.join(TEXT), " \n").expect("written");
    let error = || store.prompt(&anna).map(|_| ()).expect_err("unusable").to_string();
    assert!(error().contains("empty"));
    fs::write(folder.join(TEXT), [0xff]).expect("written");
    assert!(error().contains("text.txt"));
    fs::write(folder.join(AUDIO), "no sound").expect("written");
    assert!(error().contains("audio.wav"));
    fs::remove_file(folder.join(AUDIO)).expect("removed");
    assert!(store.stamp(&anna).is_none() && store.is_taken(&anna));
    assert!(names(&store).is_empty());
    assert_eq!(store.remove(&anna).ok(), Some(true));
}

#[test]
fn what_is_no_voice_is_not_listed() {
    let (_dir, store, ..) = store();
    fs::write(store.dir().join("notes"), "").expect("written");
    fs::create_dir(store.dir().join("empty")).expect("made");
    fs::rename(store.path(&name("anna")), store.dir().join(".hidden")).expect("renamed");
    assert!(names(&store).is_empty());
}
