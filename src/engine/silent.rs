//! An engine that emits silence on a clock, to measure and test the server alone.

use super::handle::{Shared, Submission};
use super::{
    AudioEvent, DEFAULT_VOICE, EngineHandle, Prompt, Readings, Registry, Store, Summary, TextEvent,
    TextInput, WordTime,
};
use crate::audio::Clip;
use crate::config::EngineConfig;
use crate::text::{Word, WordSplitter};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SAMPLE_RATE: u32 = 24_000;
const HOP: Duration = Duration::from_millis(20);

/// One packet that the silent engine hands over.
#[derive(Debug, Clone, Copy)]
pub struct Tick<'a> {
    /// The request's id.
    pub id: &'a str,
    /// When the clock said that the packet was to leave, and when it left.
    pub due: Instant,
    pub sent: Instant,
}

/// Told of every packet, just before it goes.
pub type OnTick = Arc<dyn Fn(Tick) + Send + Sync>;

/// Starts it on the current tokio runtime. Every character of text lasts 20 ms.
pub fn start_silent(config: &EngineConfig) -> EngineHandle {
    start_silent_observed(config, Arc::new(|_| {}))
}

/// Likewise, with somebody who looks at the clock.
pub fn start_silent_observed(config: &EngineConfig, on_tick: OnTick) -> EngineHandle {
    start(config, on_tick, registry())
}

/// Likewise, with a store of voices beside the one that it has.
pub fn start_silent_with_store(config: &EngineConfig, store: Store) -> EngineHandle {
    start(config, Arc::new(|_| {}), registry().with_store(store))
}

fn registry() -> Registry {
    let silence = Clip { samples: Vec::new(), rate: SAMPLE_RATE };
    let voice = (DEFAULT_VOICE.to_owned(), Prompt::new(Arc::new(silence), ""));
    [voice].into_iter().collect()
}

fn start(config: &EngineConfig, on_tick: OnTick, registry: Registry) -> EngineHandle {
    let shared = Arc::new(Shared::new("CosyVoice2", SAMPLE_RATE, registry, Readings::default()));
    shared.ready.store(true, Ordering::Release);
    let (handle, mut incoming) = EngineHandle::new(
        shared.clone(),
        config.max_sessions + config.queue,
        config.output_packets,
    );
    let slots = Arc::new(tokio::sync::Semaphore::new(config.max_sessions));
    tokio::spawn(async move {
        while let Some(submission) = incoming.recv().await {
            let Ok(permit) = slots.clone().acquire_owned().await else { return };
            shared.queued.fetch_sub(1, Ordering::AcqRel);
            shared.active.fetch_add(1, Ordering::AcqRel);
            let (shared, on_tick) = (shared.clone(), on_tick.clone());
            tokio::spawn(async move {
                hush(submission, &on_tick).await;
                shared.active.fetch_sub(1, Ordering::AcqRel);
                drop(permit);
            });
        }
    });
    handle
}

/// One session. Ends early when its client is gone.
async fn hush(mut submission: Submission, on_tick: &OnTick) {
    let start = Instant::now();
    let mut summary = Summary::default();
    let queued = submission.submitted.elapsed();
    let _ = submission.events.send(AudioEvent::Started { queued, voice_cached: true }).await;
    let mut pending = match &submission.request.text {
        TextInput::Whole(text) => text.chars().count(),
        TextInput::Stream => 0,
    };
    let mut words = Words { wanted: submission.request.timestamps, ..Words::default() };
    if let TextInput::Whole(text) = &submission.request.text {
        words.push(text);
        words.close();
    }
    let mut open = matches!(submission.request.text, TextInput::Stream);
    let mut due = Instant::now();
    let mut played = 0;
    while pending > 0 || open {
        if pending == 0 {
            let flushed = match submission.text.recv().await {
                Some(TextEvent::Append(text)) => {
                    pending += text.chars().count();
                    words.push(&text);
                    continue;
                }
                Some(TextEvent::Flush) => true,
                Some(TextEvent::Finish) | None => {
                    open = false;
                    false
                }
            };
            words.close();
            if let Some(event) = words.settled(played) {
                let _ = submission.events.send(event).await;
            }
            if flushed {
                let _ = submission.events.send(AudioEvent::Flushed).await;
            }
            continue;
        }
        // Counted from tick to tick, not from waking to waking, so that the clock does not drift;
        // anew after a pause.
        let now = Instant::now();
        due = if now > due + HOP { now } else { due } + HOP;
        tokio::time::sleep_until(due.into()).await;
        pending -= 1;
        summary.first_packet.get_or_insert(start.elapsed());
        summary.audio_seconds += HOP.as_secs_f64();
        let samples = vec![0.0; SAMPLE_RATE as usize / 50];
        on_tick(Tick { id: &submission.request.id, due, sent: Instant::now() });
        played += 1;
        let told = [words.expected(played), words.settled(played)];
        for event in told.into_iter().flatten().chain([AudioEvent::Audio(samples)]) {
            if submission.events.send(event).await.is_err() {
                return;
            }
        }
    }
    summary.elapsed = start.elapsed();
    let _ = submission.events.send(AudioEvent::Done(summary)).await;
}

/// The words of one session, of which the clock says exactly when they are spoken.
#[derive(Default)]
struct Words {
    wanted: bool,
    splitter: WordSplitter,
    /// Those that are still to be told, first to be spoken first.
    complete: VecDeque<Word>,
    /// How many of them are announced.
    announced: usize,
}

impl Words {
    fn push(&mut self, text: &str) {
        if self.wanted {
            self.complete.extend(self.splitter.push_plain(text));
        }
    }

    fn close(&mut self) {
        self.complete.extend(self.splitter.close());
    }

    /// The words that begin before so many characters are played, and were not announced.
    fn expected(&mut self, played: usize) -> Option<AudioEvent> {
        let begun = self.complete.iter().take_while(|word| word.from < played).count();
        let new = self.complete.range(self.announced.min(begun)..begun);
        let words: Vec<WordTime> = new.map(time).collect();
        self.announced = self.announced.max(begun);
        (!words.is_empty()).then_some(AudioEvent::Words { words, settled: false })
    }

    /// The words that end with so many characters.
    fn settled(&mut self, played: usize) -> Option<AudioEvent> {
        let ended = self.complete.iter().take_while(|word| word.to <= played).count();
        let words: Vec<WordTime> = self.complete.drain(..ended).map(|word| time(&word)).collect();
        self.announced = self.announced.saturating_sub(ended);
        (!words.is_empty()).then_some(AudioEvent::Words { words, settled: true })
    }
}

fn time(word: &Word) -> WordTime {
    let at = |chars: usize| chars as f64 * HOP.as_secs_f64();
    let (from, to) = (word.from, word.to);
    WordTime { text: word.text.clone(), start: at(from), end: at(to), from, to }
}
