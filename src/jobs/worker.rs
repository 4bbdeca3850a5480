//! One job after another, from its claim to its end.

use super::JobError;
use super::backend::{Backend, Claim};
use super::record::{JobId, JobRecord, JobSpec, JobState, JobVoice, now};
use super::service::{Shared, Speaking, run};
use crate::audio::{self, Clip, wav};
use crate::engine::{AudioEvent, EngineError, Session, SpeakRequest, TextInput, VoiceSource};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often a job is begun whose server ends before the job does: it may be the cause.
const MOST_ATTEMPTS: u32 = 5;

/// Between two tries of what should soon be possible, at first and at most.
const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_secs(5);

/// Bytes that are read of a recording; half a minute is far below it.
const MOST_BYTES: u64 = 256 << 20;

/// Progress of a job all of whose audio there may be, but not yet its result.
const ALMOST: f32 = 0.99;

/// Speaks jobs, one at a time, for ever.
pub async fn work(shared: Arc<Shared>, backend: Arc<Backend>) {
    loop {
        match backend.next().await {
            Ok(claim) => Work { shared: &shared, backend: &backend }.job(claim).await,
            Err(error) => {
                tracing::warn!(%error, "no job can be had");
                tokio::time::sleep(LATER).await;
            }
        }
    }
}

/// How speaking ended.
enum Ending {
    Spoken {
        samples: Vec<f32>,
        rate: u32,
    },
    Failed {
        code: &'static str,
        message: String,
    },
    /// It was cancelled, or another server has it: its record is not ours any more.
    Lost,
    /// The server is shutting down.
    NotNow,
}

impl Ending {
    fn failed(code: &'static str, message: impl ToString) -> Self {
        Self::Failed { code, message: message.to_string() }
    }
}

struct Work<'a> {
    shared: &'a Arc<Shared>,
    backend: &'a Backend,
}

impl Work<'_> {
    async fn job(&self, claim: Claim) {
        let Some(record) = self.begin(&claim.id).await else {
            return self.release(claim).await;
        };
        let cancelled = Arc::new(Notify::new());
        let speaking = Speaking { progress: 0.0, updated_at: now(), cancelled: cancelled.clone() };
        self.shared.speaking().insert(record.id.clone(), speaking);
        let ending = self.attend(&record, &claim, &cancelled).await;
        let put_back = matches!(ending, Ending::NotNow);
        self.end(&record, ending).await;
        self.shared.speaking().remove(&record.id);
        self.shared.announce();
        if put_back {
            let _ = self.backend.put_back(claim).await;
            // The engine takes nothing any more.
            tokio::time::sleep(LATER).await;
        } else {
            self.release(claim).await;
        }
    }

    async fn release(&self, claim: Claim) {
        if let Err(error) = self.backend.done(claim).await {
            tracing::warn!(%error, "a job that has ended stays in the queue for a while");
        }
    }

    /// Marks a job as begun. None where there is nothing to do.
    async fn begin(&self, id: &JobId) -> Option<JobRecord> {
        let begun = self
            .change(id, |record| {
                if record.attempts >= MOST_ATTEMPTS {
                    let words = format!("the server ended {MOST_ATTEMPTS} times while at it");
                    record.fail("PROCESSING_ERROR", words);
                } else {
                    record.start();
                }
                true
            })
            .await;
        self.shared.announce();
        begun.filter(|record| record.state == JobState::Processing)
    }

    /// Speaks a job for as long as it is ours and within its time.
    async fn attend(&self, record: &JobRecord, claim: &Claim, cancelled: &Notify) -> Ending {
        let timeout = Duration::from_secs_f64(self.shared.settings.jobs.timeout);
        let progress = || self.shared.speaking().get(&record.id).map_or(0.0, |s| s.progress);
        tokio::select! {
            ending = self.speak(record) => ending,
            () = cancelled.notified() => Ending::Lost,
            () = self.backend.lose(claim, record, progress) => Ending::Lost,
            () = tokio::time::sleep(timeout) => {
                let words = format!("the job took more than {} s", timeout.as_secs());
                Ending::failed("TASK_TIMEOUT", words)
            }
        }
    }

    async fn speak(&self, record: &JobRecord) -> Ending {
        let voice = match self.voice(&record.spec).await {
            Ok(voice) => voice,
            Err(ending) => return ending,
        };
        let JobSpec { text, speed, seed, sampling, .. } = &record.spec;
        let request = SpeakRequest {
            id: record.id.to_string(),
            voice,
            text: TextInput::Whole(text.clone()),
            streaming: false,
            speed: *speed,
            timestamps: false,
            normalize: None,
            seed: *seed,
            sampling: *sampling,
        };
        let mut session = match self.session(request).await {
            Ok(session) => session,
            Err(error) => return self.told(&record.id, error),
        };
        let rate = self.shared.engine.status().sample_rate;
        let expected = expected_seconds(text) / f64::from(speed.clamp(0.1, 10.0)) * f64::from(rate);
        let mut samples: Vec<f32> = Vec::new();
        while let Some(event) = session.events.recv().await {
            match event {
                AudioEvent::Started { .. } | AudioEvent::Words { .. } | AudioEvent::Flushed => {}
                AudioEvent::Audio(more) => {
                    samples.extend_from_slice(&more);
                    let part = samples.len() as f64 / expected.max(1.0);
                    self.progress(&record.id, part as f32);
                }
                AudioEvent::Done(_) => return Ending::Spoken { samples, rate },
                AudioEvent::Failed(error) => return self.told(&record.id, error),
            }
        }
        self.told(&record.id, EngineError::Failed("the engine dropped the session".into()))
    }

    /// A session, as soon as the engine has a place for it.
    async fn session(&self, request: SpeakRequest) -> Result<Session, EngineError> {
        loop {
            match self.shared.engine.speak(request.clone()) {
                Err(EngineError::Overloaded { retry_after }) => {
                    tokio::time::sleep(retry_after.min(LATER)).await;
                }
                Err(EngineError::NotReady) => tokio::time::sleep(SOON).await,
                other => return other,
            }
        }
    }

    fn told(&self, id: &JobId, error: EngineError) -> Ending {
        match error {
            EngineError::Draining => Ending::NotNow,
            EngineError::UnknownVoice(_) => Ending::failed("NOT_FOUND", error),
            EngineError::InvalidParameter(_) => Ending::failed("INVALID_PARAMETER", error),
            error => {
                tracing::error!(%id, reason = %error, "a job failed");
                Ending::failed("PROCESSING_ERROR", format!("the log has the cause under {id}"))
            }
        }
    }

    async fn voice(&self, spec: &JobSpec) -> Result<VoiceSource, Ending> {
        let (text, bytes) = match &spec.voice {
            JobVoice::Named(name) => return Ok(VoiceSource::Named(name.clone())),
            JobVoice::Upload { file_id, text } => {
                let (shared, file_id) = (self.shared.clone(), file_id.clone());
                (text, run(move || shared.files.upload_bytes(&file_id)).await)
            }
            JobVoice::File { path, text } => {
                let path = path.clone();
                (text, run(move || read(&path)).await)
            }
        };
        let bytes = bytes.map_err(|e| Ending::failed("NOT_FOUND", e))?;
        let decoded = tokio::task::spawn_blocking(move || audio::decode_prompt(&bytes)).await;
        let clip: Clip = match decoded {
            Ok(Ok(clip)) => clip,
            Ok(Err(error)) => return Err(Ending::failed("UNSUPPORTED_AUDIO", error)),
            Err(error) => return Err(Ending::failed("UNSUPPORTED_AUDIO", error)),
        };
        Ok(VoiceSource::Prompt { audio: Arc::new(clip), text: text.clone() })
    }

    fn progress(&self, id: &JobId, part: f32) {
        if let Some(speaking) = self.shared.speaking().get_mut(id) {
            speaking.progress = part.clamp(speaking.progress, ALMOST);
            speaking.updated_at = now();
        }
    }

    /// Writes the result and then the record.
    async fn end(&self, record: &JobRecord, ending: Ending) {
        let (samples, rate) = match ending {
            Ending::Lost => return,
            Ending::NotNow => {
                self.settle(record, |record| record.put_back()).await;
                return;
            }
            Ending::Failed { code, message } => {
                self.settle(record, |record| record.fail(code, message.as_str())).await;
                return;
            }
            Ending::Spoken { samples, rate } => (samples, rate),
        };
        let duration_ms = samples.len() as u64 * 1000 / u64::from(rate.max(1));
        match self.write(record, samples, rate).await {
            Ok(()) => {
                let settled = self
                    .settle(record, |record| {
                        record.end(JobState::Completed);
                        record.progress = 1.0;
                        record.duration_ms = Some(duration_ms);
                        record.sample_rate = Some(rate);
                    })
                    .await;
                if !settled {
                    self.discard_unwanted(&record.id).await;
                }
            }
            Err(error) => {
                let (code, words) = match &error {
                    JobError::StorageFull => ("INSUFFICIENT_MEMORY", error.to_string()),
                    JobError::Invalid(words) => ("INVALID_PARAMETER", words.clone()),
                    _ => ("PROCESSING_ERROR", "the result could not be written".into()),
                };
                tracing::error!(id = %record.id, %error, "a result could not be written");
                self.settle(record, |record| record.fail(code, words.as_str())).await;
            }
        }
    }

    /// Removes the result of a job that was cancelled or removed while it was written. Where
    /// another server has taken the job over the result is that server's.
    async fn discard_unwanted(&self, id: &JobId) {
        let unwanted = match self.backend.get(id).await {
            Ok(None) => true,
            Ok(Some(record)) => record.state == JobState::Cancelled,
            Err(_) => false,
        };
        if unwanted {
            let (shared, id) = (self.shared.clone(), id.clone());
            let _ = run(move || Ok(shared.files.remove_result(&id))).await;
        }
    }

    async fn write(
        &self,
        record: &JobRecord,
        samples: Vec<f32>,
        rate: u32,
    ) -> Result<(), JobError> {
        let (shared, id) = (self.shared.clone(), record.id.clone());
        let (output, database) = (record.spec.output.clone(), self.backend.bytes());
        run(move || {
            let bytes = wav::encode(&samples, rate);
            match output {
                Some(path) => shared.files.write_output(&path, &bytes),
                None => shared.files.write_result(&id, &bytes, database),
            }
        })
        .await
    }

    /// Changes the record of a job that we speak. False where it is not ours any more.
    async fn settle(&self, ours: &JobRecord, change: impl Fn(&mut JobRecord)) -> bool {
        let changed = self.change(&ours.id, |record| {
            let still = record.is_same_attempt(ours);
            if still {
                change(record);
            }
            still
        });
        let changed = changed.await;
        if let Some(record) = &changed {
            tracing::info!(
                id = %record.id,
                kind = record.spec.kind,
                state = record.state.name(),
                audio_ms = record.duration_ms,
                elapsed_ms = record.process_seconds.map(|s| (s * 1e3) as u64),
                "job ended"
            );
        }
        changed.is_some()
    }

    /// Changes a record, however often it takes: what has been done must not be forgotten because
    /// the disk is full just now. None where there is no record that has not ended, or `change`
    /// wants none.
    async fn change(
        &self,
        id: &JobId,
        change: impl Fn(&mut JobRecord) -> bool,
    ) -> Option<JobRecord> {
        let mut pause = SOON;
        loop {
            let error = match self.backend.get(id).await {
                Ok(None) => return None,
                Ok(Some(record)) if record.state.is_final() => return None,
                Ok(Some(mut record)) => {
                    if !change(&mut record) {
                        return None;
                    }
                    match self.backend.replace(&record).await {
                        Ok(true) => return Some(record),
                        Ok(false) => continue,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            tracing::warn!(%id, %error, "a job's record cannot be changed yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LATER);
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, JobError> {
    let missing = |_| JobError::NotFound("such recording");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(missing)?;
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(missing)?;
    Ok(bytes)
}

/// How long a text takes to say, roughly: it is only for the progress.
fn expected_seconds(text: &str) -> f64 {
    let seconds = |c: char| match c {
        c if c.is_ascii() => 0.07,
        _ => 0.22,
    };
    text.chars().map(seconds).sum::<f64>() + 0.2
}
