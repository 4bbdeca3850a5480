//! The engine with the bundled voice, without a server: one session's trouble is its own.

use mynah::audio::Clip;
use mynah::config::{EngineConfig, LimitsConfig, TextConfig};
use mynah::engine::{
    self, AudioEvent, DEFAULT_VOICE, EngineError, EngineHandle, EngineSettings, Readings, Registry,
    Session, SpeakRequest, TextEvent, TextInput, VoiceSource,
};
use mynah::model::cosyvoice2::{CosyVoice2, LoadOptions, fingerprint};
use mynah::model::device;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Tests take turns: they share the machine, and the registry of metrics.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|e| e.into_inner())
}

fn start() -> EngineHandle {
    start_with(unhindered(), LimitsConfig::default())
}

/// Sound that does not depend on the speed of this machine, and room for all, whatever it is.
fn unhindered() -> EngineConfig {
    EngineConfig { adaptive_first_hop: false, max_load: 100.0, ..Default::default() }
}

fn start_with(engine: EngineConfig, limits: LimitsConfig) -> EngineHandle {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
    let settings = EngineSettings {
        engine,
        limits,
        registry: Registry::from_dir(&dir.join("prompts")).expect("the bundled prompts"),
        readings: Readings::open(&TextConfig::default()).expect("no lexicon"),
        sample_rate: 24_000,
    };
    let device = device::by_name("cpu").expect("the CPU");
    let load = move || CosyVoice2::load(&dir, &device, LoadOptions::default());
    let (handle, loaded) = engine::start(settings, load).expect("a thread");
    loaded.blocking_recv().expect("an answer").expect("the bundled model");
    handle
}

fn request(voice: VoiceSource, text: TextInput) -> SpeakRequest {
    SpeakRequest {
        id: "test".into(),
        voice,
        text,
        streaming: true,
        speed: 1.0,
        seed: Some(3),
        sampling: Default::default(),
        timestamps: false,
        normalize: None,
    }
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
            Some(AudioEvent::Started { .. } | AudioEvent::Words { .. } | AudioEvent::Flushed) => {}
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

/// Clients that ask which model speaks are told of the one that is loaded.
#[test]
fn the_version_is_that_of_the_loaded_weights() {
    let _turn = turn();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
    let print = fingerprint(&dir).expect("the bundled model");
    let print: String = print.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(start().status().model_version, Some(format!("2.0+{print}")));
}

/// A prompt that no model can use (the server would refuse it) fails its own session, whether by
/// an error or by a panic; what plays beside it goes on to the same end as alone.
#[test]
fn a_failing_session_ends_alone() {
    let _turn = turn();
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

/// What a request says decides, else the settings; words keep their place in what was written.
#[test]
fn text_is_read_as_the_request_says() {
    let _turn = turn();
    let engine = start();
    let written = "He ran 12 km today.";
    let speak = |normalize, text| {
        let request = SpeakRequest { normalize, timestamps: true, ..request(named(), text) };
        let mut session = engine.speak(request).expect("a place");
        // Of a text that is known in full these are ignored.
        for piece in ["He ran 1", "2 k", "m today."] {
            let _ = session.text.blocking_send(TextEvent::Append(piece.into()));
        }
        let _ = session.text.blocking_send(TextEvent::Finish);
        let mut settled = Vec::new();
        loop {
            match session.events.blocking_recv().expect("an event") {
                AudioEvent::Words { words, settled: true } => settled.extend(words),
                AudioEvent::Done(summary) => return (summary.text_tokens, settled),
                AudioEvent::Failed(error) => panic!("{error}"),
                _ => {}
            }
        }
    };
    let (as_written, _) = speak(Some(false), whole(written));
    let (by_default, words) = speak(None, whole(written));
    assert!(by_default > as_written, "{by_default} tokens, {as_written} as written");
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(texts, ["He", "ran", "12 km", "today"]);
    assert_eq!((words[2].from, words[2].to), (7, 12));
    let (streamed, words) = speak(Some(true), TextInput::Stream);
    assert_eq!(streamed, by_default);
    assert_eq!(words.iter().map(|word| word.text.as_str()).collect::<Vec<&str>>(), texts);
}

/// A session whose client is gone stops at its next step, also while it waits for text.
#[test]
fn dropped_sessions_are_gone_at_once() {
    let _turn = turn();
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

/// Batches change who shares a step, not what comes out of it: a seed gives the same speech to the
/// last bit, alone and among seven others.
#[test]
fn speech_does_not_depend_on_the_neighbours() {
    let _turn = turn();
    let engine = start();
    let text = "The old man walked slowly across the bridge.";
    let alone = listen(engine.speak(request(named(), whole(text))).expect("a place"));
    let alone = alone.expect("speech");
    assert!(alone.len() > 24_000);
    let others = [
        "Yes.",
        "Good morning and welcome to the show.",
        "We had dinner with our friends last night. It was late.",
        "The bus was late because of the heavy rain.",
    ];
    let neighbours: Vec<Session> = (0..7)
        .map(|i| {
            let text = whole(others[i % others.len()]);
            let request = SpeakRequest { seed: Some(100 + i as u64), ..request(named(), text) };
            engine.speak(request).expect("a place")
        })
        .collect();
    let among = engine.speak(request(named(), whole(text))).expect("a place");
    let listeners: Vec<_> =
        neighbours.into_iter().map(|s| std::thread::spawn(move || listen(s))).collect();
    let among = listen(among).expect("speech");
    for listener in listeners {
        assert!(!listener.join().expect("a listener").expect("speech").is_empty());
    }
    assert!(among == alone, "{} and {} samples differ", among.len(), alone.len());
}

/// Sessions that want the same new voice at the same time wait for one computation of it.
#[test]
fn equal_voices_are_made_once() {
    let _turn = turn();
    let registry = mynah::telemetry::metrics::install();
    let made = || {
        let text = registry.render();
        let count = "mynah_stage_seconds_count{stage=\"voice\"} ";
        let line = text.lines().find_map(|l| l.strip_prefix(count));
        line.map_or(0, |n| n.parse::<u64>().expect("a number"))
    };
    let engine = start();
    let mut samples: Vec<f32> =
        (0..24_000 * 4).map(|i| (i as f32 * 0.07).sin() * (i as f32 * 0.0003).sin()).collect();
    samples[0] = 0.123;
    let audio = Arc::new(Clip { samples, rate: 24_000 });
    let voice = || VoiceSource::Prompt { audio: audio.clone(), text: "A hum.".into() };
    let before = made();
    let sessions: Vec<Session> =
        (0..4).map(|_| engine.speak(request(voice(), whole("Yes."))).expect("a place")).collect();
    let cached = |mut session: Session| match session.events.blocking_recv() {
        Some(AudioEvent::Started { voice_cached, .. }) => voice_cached,
        other => panic!("{other:?}"),
    };
    assert!(sessions.into_iter().map(cached).all(|cached| !cached));
    assert_eq!(made() - before, 1);
    let again = engine.speak(request(voice(), whole("Yes."))).expect("a place");
    assert!(cached(again));
    assert_eq!(made() - before, 1);
}

/// A client that does not read stops its own session, which is dropped when it goes on for too
/// long, and nobody else's.
#[test]
fn a_client_that_does_not_read_is_dropped() {
    let _turn = turn();
    let engine = start_with(
        EngineConfig { output_packets: 2, ..unhindered() },
        LimitsConfig { stall_timeout: 0.5, ..Default::default() },
    );
    let text = "We had dinner with our friends last night. ".repeat(12);
    let mut unread = engine.speak(request(named(), whole(&text))).expect("a place");
    listen(engine.speak(request(named(), whole("Yes, it is."))).expect("a place")).expect("speech");
    let since = Instant::now();
    while engine.status().active > 0 {
        assert!(since.elapsed() < Duration::from_secs(20), "still active");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut packets = 0;
    while let Some(event) = unread.events.blocking_recv() {
        assert!(!matches!(event, AudioEvent::Done(_)), "the session went on to its end");
        packets += 1;
    }
    assert_eq!(packets, 2, "the channel held what it has room for");
}

/// A hundred clients that leave at any moment leave nothing behind.
#[test]
fn cancelled_sessions_leave_nothing() {
    let _turn = turn();
    let engine = start();
    let text = "We had dinner with our friends last night. ".repeat(3);
    let mut refused = 0;
    for i in 0u64..100 {
        match engine.speak(request(named(), whole(&text))) {
            Ok(session) => {
                // Some leave while they wait, some before the first packet, some while they play.
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(i * 37 % 400));
                    drop(session);
                });
            }
            Err(EngineError::Overloaded { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        std::thread::sleep(Duration::from_millis(15));
    }
    std::thread::sleep(Duration::from_millis(400));
    idle(&engine);
    assert_eq!(engine.status().queued, 0);
    assert!(refused < 100);
    listen(engine.speak(request(named(), whole("Yes."))).expect("a place")).expect("speech");
}

/// Speech that does not end is sampled again, and cut at last. What is done depends on the seed alone: not on the speed of the machine,
/// not on what else it speaks.
#[test]
fn speech_that_goes_wrong_is_sampled_again_or_cut() {
    let _turn = turn();
    let registry = mynah::telemetry::metrics::install();
    let counted = |action: &str| {
        let text = registry.render();
        let label = format!("action=\"{action}\"");
        let lines = text.lines().filter(|l| l.starts_with("mynah_guard_total{"));
        let of = lines.filter(|line| line.contains(&label));
        let count = |line: &str| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok());
        of.map(|line| count(line).expect("a number")).sum::<u64>()
    };
    // Almost any token, so that the one that ends speech hardly ever comes.
    let sampling = mynah::engine::SamplingOptions {
        temperature: Some(9.0),
        top_p: Some(1.0),
        top_k: Some(6000),
        ..Default::default()
    };
    let babble = |streaming| SpeakRequest {
        streaming,
        sampling,
        ..request(named(), whole("Good morning and welcome."))
    };
    let engine = start();
    let mut guarded = Vec::new();
    for streaming in [false, true] {
        let before = (counted("resampled"), counted("cut"));
        let speech = listen(engine.speak(babble(streaming)).expect("a place")).expect("speech");
        let after = (counted("resampled"), counted("cut"));
        // Silence in it may be cut too.
        assert!(after.1 > before.1);
        // In a stream only what ends before its first packet can be.
        assert!(streaming || after.0 > before.0);
        let seconds = speech.len() as f64 / 24_000.0;
        assert!((2.0..6.0).contains(&seconds), "{seconds} s");
        // No click at the end.
        assert!(speech[speech.len() - 5..].iter().all(|sample| sample.abs() < 0.001));

        let among: Vec<Session> = (0..3)
            .map(|i| {
                let seed = if i == 1 { Some(3) } else { Some(50 + i) };
                engine.speak(SpeakRequest { seed, ..babble(streaming) }).expect("a place")
            })
            .collect();
        let listeners: Vec<_> =
            among.into_iter().map(|s| std::thread::spawn(move || listen(s))).collect();
        let mut heard = listeners.into_iter().map(|l| l.join().expect("a listener"));
        assert!(heard.nth(1).expect("the second").expect("speech") == speech);
        guarded.push(speech);
    }
    drop(engine);

    let unguarded = EngineConfig { guards: false, ..unhindered() };
    let engine = start_with(unguarded, LimitsConfig::default());
    let before = (counted("resampled"), counted("cut"));
    let speech = listen(engine.speak(babble(false)).expect("a place")).expect("speech");
    assert!(speech != guarded[0], "the guards did nothing");
    assert_eq!((counted("resampled"), counted("cut")), before);
}
