//! The thread that owns the model: admits sessions, steps them in turn, sleeps when none can go on.

use super::handle::{Shared, Submission};
use super::session::{Progress, SessionState};
use super::voices::{Registry, VoiceDesk};
use super::{EngineError, EngineHandle};
use crate::config::{EngineConfig, LimitsConfig};
use crate::model::cosyvoice2::{CosyVoice2, ModelError, Voice};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// What the engine needs besides its model.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    pub engine: EngineConfig,
    pub limits: LimitsConfig,
    pub registry: Registry,
    /// Samples per second that the model will produce.
    pub sample_rate: u32,
}

/// Starts the engine thread. `load` runs on it; the receiver tells how it went. Until then
/// requests are refused with [`EngineError::NotReady`].
///
/// # Errors
/// When the system refuses a thread.
pub fn start(
    settings: EngineSettings,
    load: impl FnOnce() -> Result<CosyVoice2, ModelError> + Send + 'static,
) -> std::io::Result<(EngineHandle, oneshot::Receiver<Result<(), ModelError>>)> {
    let shared =
        Arc::new(Shared::new(CosyVoice2::NAME, settings.sample_rate, settings.registry.clone()));
    let (handle, incoming) = EngineHandle::new(
        shared.clone(),
        settings.engine.max_sessions + settings.engine.queue,
        settings.engine.output_packets,
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (loaded, on_loaded) = oneshot::channel();
    std::thread::Builder::new().name("engine".into()).spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|panic| {
            Err(ModelError::Failed(format!("loading panicked: {}", panic_message(&*panic))))
        });
        let model = match result {
            Ok(model) => model,
            Err(e) => {
                let _ = loaded.send(Err(e));
                return;
            }
        };
        let mut engine = Engine {
            voices: VoiceDesk::new(settings.engine.voice_cache_mib << 20),
            model,
            settings,
            shared,
            incoming,
            waiting: VecDeque::new(),
            sessions: Vec::new(),
            closed: false,
        };
        engine.warm_up();
        engine.shared.ready.store(true, Ordering::Release);
        let _ = loaded.send(Ok(()));
        engine.run(&runtime);
    })?;
    Ok((handle, on_loaded))
}

/// What a step may use of the engine.
pub(super) struct Context<'a> {
    pub model: &'a CosyVoice2,
    pub voices: &'a mut VoiceDesk<Voice>,
    pub settings: &'a EngineSettings,
}

struct Engine {
    model: CosyVoice2,
    voices: VoiceDesk<Voice>,
    settings: EngineSettings,
    shared: Arc<Shared>,
    incoming: mpsc::Receiver<Submission>,
    /// Bounded by the places of the handle.
    waiting: VecDeque<Submission>,
    sessions: Vec<SessionState>,
    /// Every handle is gone.
    closed: bool,
}

impl Engine {
    /// Makes the default voice ready and runs every part of the model once, so that the first
    /// client does not pay for it.
    fn warm_up(&mut self) {
        let (session, mut events) = SessionState::warm_up();
        self.sessions.push(session);
        while !self.sessions.is_empty() {
            self.step_all();
            while events.try_recv().is_ok() {}
        }
    }

    fn run(&mut self, runtime: &tokio::runtime::Runtime) {
        loop {
            self.receive();
            self.admit();
            if self.sessions.is_empty() && self.waiting.is_empty() && self.closed {
                return;
            }
            if !self.step_all() {
                runtime.block_on(self.sleep());
            }
        }
    }

    /// Takes what has been submitted, without waiting.
    fn receive(&mut self) {
        loop {
            match self.incoming.try_recv() {
                Ok(submission) => self.waiting.push_back(submission),
                Err(mpsc::error::TryRecvError::Empty) => return,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }

    /// Lets waiting requests in, first come first served, and turns away those that are gone or
    /// have waited too long.
    fn admit(&mut self) {
        let timeout = Duration::from_secs_f64(self.settings.limits.queue_timeout);
        self.waiting.retain(|submission| {
            let late = submission.submitted.elapsed() > timeout;
            if late {
                let retry_after = Duration::from_secs(2);
                let _ = submission
                    .events
                    .try_send(super::AudioEvent::Failed(EngineError::Overloaded { retry_after }));
            }
            let keep = !late && !submission.events.is_closed();
            if !keep {
                self.shared.queued.fetch_sub(1, Ordering::AcqRel);
            }
            keep
        });
        while self.sessions.len() < self.settings.engine.max_sessions
            && let Some(submission) = self.waiting.pop_front()
        {
            self.shared.active.fetch_add(1, Ordering::AcqRel);
            self.shared.queued.fetch_sub(1, Ordering::AcqRel);
            self.sessions.push(SessionState::new(submission));
        }
    }

    /// One step of every session that can go on. False when none can.
    ///
    /// A session that panics ends alone: its state is dropped with it, and the model is never
    /// changed by a step.
    fn step_all(&mut self) -> bool {
        let mut worked = false;
        let mut index = 0;
        while index < self.sessions.len() {
            let mut context =
                Context { model: &self.model, voices: &mut self.voices, settings: &self.settings };
            let session = &mut self.sessions[index];
            self.shared.begin_step();
            let progress = catch_unwind(AssertUnwindSafe(|| session.step(&mut context)))
                .unwrap_or_else(|panic| {
                    session.fail(EngineError::Failed(format!("panic: {}", panic_message(&*panic))));
                    Progress::Ended
                });
            self.shared.end_step();
            match progress {
                Progress::Worked => worked = true,
                Progress::Waiting => {}
                Progress::Ended => {
                    worked = true;
                    let ended = self.sessions.remove(index);
                    if ended.is_counted() {
                        self.shared.active.fetch_sub(1, Ordering::AcqRel);
                    }
                    continue;
                }
            }
            index += 1;
        }
        worked
    }

    /// Until something may have changed: a request comes, a session's text or client moves, or a
    /// timeout is due.
    async fn sleep(&mut self) {
        let queue_check = Duration::from_millis(200);
        let has_waiting = !self.waiting.is_empty();
        let wakes = self.sessions.iter_mut().map(|s| Box::pin(s.wake(&self.settings)));
        let any_session = async {
            let wakes: Vec<_> = wakes.collect();
            if wakes.is_empty() {
                std::future::pending().await
            } else {
                futures::future::select_all(wakes).await;
            }
        };
        tokio::select! {
            submission = self.incoming.recv(), if !self.closed => match submission {
                Some(submission) => self.waiting.push_back(submission),
                None => self.closed = true,
            },
            () = any_session => {}
            () = tokio::time::sleep(queue_check), if has_waiting => {}
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".into())
}

/// `Instant` arithmetic that cannot overflow.
pub(super) fn remaining(since: Instant, limit: Duration) -> Duration {
    limit.saturating_sub(since.elapsed())
}
