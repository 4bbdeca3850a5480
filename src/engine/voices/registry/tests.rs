use super::super::Recording;
use super::*;
use crate::audio::Clip;
use crate::model::cosyvoice2::VoiceTensors;
use burn::tensor::Device;
use tempfile::TempDir;

const MODEL: [u8; 32] = [7; 32];

fn clip(pitch: f32) -> Clip {
    Clip { samples: (0..8000).map(|i| (i as f32 * pitch).sin() * 0.3).collect(), rate: 8000 }
}

fn bundled(names: &[&str]) -> Registry {
    let prompt = |name: &&str| ((*name).to_owned(), Prompt::new(Arc::new(clip(0.2)), *name));
    names.iter().map(prompt).collect()
}

fn add(store: &Store, name: &str, text: &str) {
    let tensors = VoiceTensors { text: vec![], speech: vec![], mel: vec![], embedding: vec![] };
    let recording = Recording::new(&clip(0.1), text).expect("a prompt");
    let name = VoiceName::new(name).expect("a name");
    store.add(&name, &recording, &tensors, &MODEL, true).expect("stored");
}

/// A registry of one model's voices `default` and `rms`, and an empty store.
fn registry() -> (TempDir, Store, Registry) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::new(dir.path().join("voices"));
    let registry = bundled(&["default", "rms"]).with_store(store.clone());
    (dir, store, registry)
}

fn key(registry: &Registry, name: &str) -> Result<VoiceKey, EngineError> {
    registry.resolve(&VoiceSource::Named(name.into())).map(|found| found.key(&MODEL))
}

/// `mynah voice` works beside a server that was started before.
#[test]
fn voices_come_and_go_while_the_registry_is_in_use() {
    let (_dir, store, registry) = registry();
    assert_eq!(registry.names(), ["default", "rms"]);
    assert!(matches!(key(&registry, "anna"), Err(EngineError::UnknownVoice(n)) if n == "anna"));
    add(&store, "anna", "Hello.");
    assert_eq!(registry.names(), ["anna", "default", "rms"]);
    let first = key(&registry, "anna").expect("a voice");
    assert_eq!(key(&registry, "anna").expect("a voice"), first);
    add(&store, "anna", "Goodbye.");
    let second = key(&registry, "anna").expect("a voice");
    assert_ne!(second, first, "another transcript is another voice");
    store.remove(&VoiceName::new("anna").expect("a name")).expect("removed");
    assert!(key(&registry, "anna").is_err() && !registry.contains("anna"));
    assert_eq!(registry.names(), ["default", "rms"]);
}

#[test]
fn a_stored_voice_takes_the_place_of_a_bundled_one() {
    let (_dir, store, registry) = registry();
    let before = key(&registry, DEFAULT_VOICE).expect("a voice");
    let heard = || registry.prompt(DEFAULT_VOICE).expect("a prompt").text;
    assert_eq!(heard(), DEFAULT_VOICE);
    add(&store, DEFAULT_VOICE, "Hello.");
    assert_ne!(key(&registry, DEFAULT_VOICE).expect("a voice"), before);
    assert_eq!(heard(), "Hello.");
    assert_eq!(registry.names(), ["default", "rms"]);
}

/// The same recording under two names, or sent by a client, is one voice of the cache.
#[test]
fn a_voice_is_known_by_what_it_is_made_of() {
    let (_dir, store, registry) = registry();
    add(&store, "a", "Hello.");
    add(&store, "b", "Hello.");
    let one = key(&registry, "a").expect("a voice");
    assert_eq!(key(&registry, "b").expect("a voice"), one);
    let heard = Recording::new(&clip(0.1), "Hello.").expect("a prompt").prompt;
    let sent = VoiceSource::Prompt { audio: heard.audio, text: heard.text };
    let found = registry.resolve(&sent).expect("a voice");
    assert_eq!(found.key(&MODEL), one);
    assert_ne!(found.key(&[8; 32]), one);
}

/// Names come from clients.
#[test]
fn hostile_names_are_unknown_voices() {
    let (dir, store, registry) = registry();
    add(&store, "anna", "Hello.");
    std::fs::rename(dir.path().join("voices/anna"), dir.path().join("outside")).expect("moved");
    let names = ["../outside", "/etc", "", ".", "..", "anna/../../outside", "a\0b"];
    for name in names {
        assert!(matches!(key(&registry, name), Err(EngineError::UnknownVoice(_))), "{name:?}");
        assert!(matches!(registry.prompt(name), Err(EngineError::UnknownVoice(_))), "{name:?}");
        assert!(!registry.contains(name));
    }
}

/// Whatever lies beside the recording, the voice is the recording's, and the next start finds its
/// tensors sound.
#[test]
fn damaged_tensors_are_made_anew_and_kept() {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
    let model = CosyVoice2::load(
        &bundled,
        &Device::flex(),
        crate::model::cosyvoice2::LoadOptions::default(),
    )
    .expect("the bundled model");
    let (_dir, store, registry) = registry();
    // Its tensors are another model's, and could be no voice of any.
    add(&store, "anna", "Hello.");
    let found = registry.resolve(&VoiceSource::Named("anna".into())).expect("a voice");
    let make = || {
        let mut making = registry.begin(&found, &model, 10).expect("begun");
        let mut steps = 0;
        loop {
            steps += 1;
            if let Some(voice) = making.step(&model).expect("a step") {
                return (voice, steps);
            }
        }
    };
    let (made, steps) = make();
    let (read, fewer) = make();
    assert!(fewer < steps, "{fewer} steps after {steps}");
    assert_eq!(read.tensors(), made.tensors());
    let prompt = store.prompt(&VoiceName::new("anna").expect("a name")).expect("a prompt");
    let heard = model.encode_prompt(&prompt.audio, &prompt.text).expect("tensors");
    assert_eq!(made.tensors(), heard);
}
