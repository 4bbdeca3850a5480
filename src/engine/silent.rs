//! An engine that emits silence on a clock, to measure and test the server alone.

use super::handle::{Shared, Submission};
use super::{AudioEvent, DEFAULT_VOICE, EngineHandle, Prompt, Summary, TextEvent, TextInput};
use crate::audio::Clip;
use crate::config::EngineConfig;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SAMPLE_RATE: u32 = 24_000;
const HOP: Duration = Duration::from_millis(20);

/// Starts it on the current tokio runtime. Every character of text lasts 20 ms.
pub fn start_silent(config: &EngineConfig) -> EngineHandle {
    let silence = Clip { samples: Vec::new(), rate: SAMPLE_RATE };
    let voice = (DEFAULT_VOICE.to_owned(), Prompt::new(Arc::new(silence), ""));
    let registry = [voice].into_iter().collect();
    let shared = Arc::new(Shared::new("CosyVoice2", SAMPLE_RATE, registry));
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
            let shared = shared.clone();
            tokio::spawn(async move {
                hush(submission).await;
                shared.active.fetch_sub(1, Ordering::AcqRel);
                drop(permit);
            });
        }
    });
    handle
}

/// One session. Ends early when its client is gone.
async fn hush(mut submission: Submission) {
    let start = Instant::now();
    let mut summary = Summary::default();
    let queued = submission.submitted.elapsed();
    let _ = submission.events.send(AudioEvent::Started { queued, voice_cached: true }).await;
    let mut pending = match &submission.request.text {
        TextInput::Whole(text) => text.chars().count(),
        TextInput::Stream => 0,
    };
    let mut open = matches!(submission.request.text, TextInput::Stream);
    while pending > 0 || open {
        if pending == 0 {
            match submission.text.recv().await {
                Some(TextEvent::Append(text)) => pending += text.chars().count(),
                Some(TextEvent::Flush) => {}
                Some(TextEvent::Finish) | None => open = false,
            }
            continue;
        }
        tokio::time::sleep(HOP).await;
        pending -= 1;
        summary.first_packet.get_or_insert(start.elapsed());
        summary.audio_seconds += HOP.as_secs_f64();
        let samples = vec![0.0; SAMPLE_RATE as usize / 50];
        if submission.events.send(AudioEvent::Audio(samples)).await.is_err() {
            return;
        }
    }
    summary.elapsed = start.elapsed();
    let _ = submission.events.send(AudioEvent::Done(summary)).await;
}
