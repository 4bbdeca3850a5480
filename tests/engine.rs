//! The engine with the bundled voice, without a server: one session's trouble is its own.

use mynah::audio::Clip;
use mynah::config::{EngineConfig, LimitsConfig};
use mynah::engine::{
    self, AudioEvent, DEFAULT_VOICE, EngineError, EngineHandle, EngineSettings, Registry, Session,
    SpeakRequest, TextEvent, TextInput, VoiceSource,
};
use mynah::model::cosyvoice2::CosyVoice2;
use mynah::model::device;
use mynah::model::nn::Precision;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn start() -> EngineHandle {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
    let settings = EngineSettings {
        engine: EngineConfig::default(),
        limits: LimitsConfig::default(),
        registry: Registry::from_dir(&dir.join("prompts")).expect("the bundled prompts"),
        sample_rate: 24_000,
    };
    let device = device::by_name("cpu").expect("the CPU");
    let load = move || CosyVoice2::load(&dir, &device, Precision::F32);
    let (handle, loaded) = engine::start(settings, load).expect("a thread");
    loaded.blocking_recv().expect("an answer").expect("the bundled model");
    handle
}

fn request(voice: VoiceSource, text: TextInput) -> SpeakRequest {
    SpeakRequest { id: "test".into(), voice, text, streaming: true, speed: 1.0, seed: Some(3) }
}

fn named() -> VoiceSource {
    VoiceSource::Named(DEFAULT_VOICE.into())
}

fn whole(text: &str) -> TextInput {
    TextInput::Whole(text.into())
}

/// The samples of a session, or what it failed with.
fn listen(mut session: Session) -> Result<Vec<f32>, EngineError> {
    let mut samples = Vec::new();
    loop {
        match session.events.blocking_recv() {
            Some(AudioEvent::Audio(hop)) => samples.extend(hop),
            Some(AudioEvent::Started { .. }) => {}
            Some(AudioEvent::Done(_)) => return Ok(samples),
            Some(AudioEvent::Failed(error)) => return Err(error),
            None => panic!("the engine dropped a session without a word"),
        }
    }
}

/// Within a second no session is active.
fn idle(engine: &EngineHandle) {
    let since = Instant::now();
    while engine.status().active > 0 {
        assert!(since.elapsed() < Duration::from_secs(1), "still active");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A prompt that no model can use (the server would refuse it) fails its own session, whether by
/// an error or by a panic; what plays beside it goes on to the same end as alone.
#[test]
fn a_failing_session_ends_alone() {
    let engine = start();
    let text = "The cat is sleeping under the kitchen chair.";
    let alone =
        listen(engine.speak(request(named(), whole(text))).expect("a place")).expect("speech");
    let beside = engine.speak(request(named(), whole(text))).expect("a place");
    let broken: Vec<Session> = [Vec::new(), vec![f32::NAN; 48_000], vec![0.1; 10]]
        .into_iter()
        .map(|samples| {
            let audio = Arc::new(Clip { samples, rate: 24_000 });
            let voice = VoiceSource::Prompt { audio, text: "broken".into() };
            engine.speak(request(voice, whole(text))).expect("a place")
        })
        .collect();
    let unknown = VoiceSource::Named("nobody".into());
    let unknown = engine.speak(request(unknown, whole(text))).expect("a place");
    assert!(matches!(listen(unknown), Err(EngineError::UnknownVoice(_))));
    let mut failures = 0;
    for session in broken {
        match listen(session) {
            Err(EngineError::Failed(_)) => failures += 1,
            Err(other) => panic!("{other}"),
            Ok(samples) => assert!(samples.iter().all(|s| s.is_finite())),
        }
    }
    assert!(failures > 0, "none of the broken prompts was broken enough to test anything");
    assert_eq!(listen(beside).expect("speech"), alone);
    idle(&engine);
}

/// A session whose client is gone stops at its next step, also while it waits for text.
#[test]
fn dropped_sessions_are_gone_at_once() {
    let engine = start();
    let text = "We had dinner with our friends last night. ".repeat(10);
    let playing = engine.speak(request(named(), whole(&text))).expect("a place");
    let waiting = engine.speak(request(named(), TextInput::Stream)).expect("a place");
    waiting.text.blocking_send(TextEvent::Append("Nobody".into())).expect("room");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(engine.status().active, 2);
    drop((playing, waiting));
    idle(&engine);
}
