//! The thread that owns the model: admits sessions, does the most urgent step of work, sleeps when
//! there is none.

use super::batch::{self, generations, guarded, in_order, panic_message, panicked};
use super::handle::{Shared, Submission};
use super::meter::Meter;
use super::schedule::{Batching, Candidate, Plan, plan};
use super::session::{Context, Progress, SessionState, failed};
use super::voices::{Making, Registry, VoiceCache, VoiceKey};
use super::{EngineError, EngineHandle, Readings};
use crate::config::{EngineConfig, LimitsConfig};
use crate::model::cosyvoice2::{CosyVoice2, Generation, ModelError, Next, Slots, Voice, WaveShape};
use crate::telemetry::metrics::{self, Stage};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Speech tokens of a hop that has a block of the flow's mask to itself.
const FULL_HOP: usize = 25;
/// Room for the stacks of threads that compute, of which no more is taken than is used: kernels of
/// GPUs are put together in deep calls.
const STACK: usize = 32 << 20;
/// A session whose client has this much to play does not compete with those that have just begun.
const AT_EASE: Duration = Duration::from_millis(1500);

/// What the engine needs besides its model.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    pub engine: EngineConfig,
    pub limits: LimitsConfig,
    pub registry: Registry,
    pub readings: Readings,
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
    let shared = Arc::new(Shared::new(
        CosyVoice2::NAME,
        settings.sample_rate,
        settings.registry.clone(),
        settings.readings.clone(),
    ));
    let (handle, incoming) = EngineHandle::new(
        shared.clone(),
        settings.engine.max_sessions + settings.engine.queue,
        settings.engine.output_packets,
    );
    let threads = compute_threads(settings.engine.threads);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (loaded, on_loaded) = oneshot::channel();
    let thread = std::thread::Builder::new().name("engine".into()).stack_size(STACK);
    thread.spawn(move || {
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
        shared.model_version.get_or_init(|| model.version());
        let batching = if model.is_on_cpu() { Batching::cpu(threads) } else { Batching::gpu() };
        let voices = settings.engine.voice_cache_mib << 20;
        model.plan_memory((settings.engine.cache_mib << 20).saturating_add(voices));
        let mut engine = Engine {
            voices: VoiceCache::new(voices),
            slots: model.slots(settings.engine.max_sessions, voices),
            model,
            settings,
            shared,
            incoming,
            waiting: VecDeque::new(),
            sessions: Vec::new(),
            in_work: Vec::new(),
            meter: Meter::default(),
            batching,
            typical_bytes: 0,
            closed: false,
        };
        let _ = engine.shared.device.set(engine.model.device().clone());
        if let Err(reason) = engine.warm_up() {
            let _ = loaded.send(Err(ModelError::Failed(reason)));
            return;
        }
        engine.shared.ready.store(true, Ordering::Release);
        let _ = loaded.send(Ok(()));
        engine.run(&runtime);
    })?;
    Ok((handle, on_loaded))
}

/// Sizes the pool of threads that compute: as many as asked for, or one per physical core. Returns
/// how many there are: a pool that exists already, as in tests, stays as it is.
fn compute_threads(asked: usize) -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if asked > 0 { asked } else { num_cpus::get_physical().clamp(1, allowed) };
    // Refused only where there is one.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("compute-{i}"))
        .stack_size(STACK)
        .build_global();
    rayon::current_num_threads()
}

/// A voice being made, and the time that it has taken.
struct InWork {
    key: VoiceKey,
    making: Making,
    spent: Duration,
}

struct Engine {
    model: CosyVoice2,
    voices: VoiceCache<Voice>,
    slots: Slots,
    settings: EngineSettings,
    shared: Arc<Shared>,
    incoming: mpsc::Receiver<Submission>,
    /// Bounded by the places of the handle.
    waiting: VecDeque<Submission>,
    sessions: Vec<SessionState>,
    /// One for all sessions that want the same; at most one per session.
    in_work: Vec<InWork>,
    meter: Meter,
    batching: Batching,
    /// Most memory that a session has taken.
    typical_bytes: usize,
    /// Every handle is gone.
    closed: bool,
}

impl Engine {
    /// Makes the default voice ready and runs every part of the model, so that the first client
    /// does not pay for it, and so that the speed of the machine is known. A GPU compiles other
    /// kernels for several sessions than for one.
    ///
    /// # Errors
    /// What the model failed of. A GPU tells only now what went wrong while it was loaded.
    fn warm_up(&mut self) -> Result<(), String> {
        let most = self.settings.engine.max_sessions;
        let several = [2, 4, 8].into_iter().filter(|sessions| *sessions <= most);
        let several = several.filter(|_| !self.model.is_on_cpu());
        // One session last: the meter shall know what it takes alone.
        let rounds: Vec<usize> = [1].into_iter().chain(several).chain([1]).collect();
        for sessions in rounds {
            // What a cold machine took says little about the next time.
            self.meter = Meter::default();
            let (waiting, mut events): (Vec<_>, Vec<_>) =
                (0..sessions).map(|_| SessionState::warm_up()).unzip();
            self.sessions.extend(waiting);
            while !self.sessions.is_empty() {
                self.poll();
                self.step();
                while let Some(event) = events.iter_mut().find_map(|events| events.try_recv().ok())
                {
                    if let super::AudioEvent::Failed(error @ EngineError::Failed(_)) = event {
                        return Err(format!("the model was loaded but cannot speak: {error}"));
                    }
                }
            }
            // A model without the default voice is not warm, but it can speak with other voices.
        }
        Ok(())
    }

    fn run(&mut self, runtime: &tokio::runtime::Runtime) {
        loop {
            self.receive();
            self.admit();
            if self.sessions.is_empty() && self.waiting.is_empty() && self.closed {
                return;
            }
            self.poll();
            if !self.step() {
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

    /// Lets waiting requests in, first come first served, while their slot, their memory and their
    /// share of the machine's speed fit; turns away those that are gone or have waited too long.
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
        while !self.waiting.is_empty() && self.has_room() {
            let Some(submission) = self.waiting.pop_front() else { return };
            self.shared.active.fetch_add(1, Ordering::AcqRel);
            self.shared.queued.fetch_sub(1, Ordering::AcqRel);
            let session = SessionState::new(submission);
            metrics::queue_wait(session.queued());
            self.sessions.push(session);
            self.report();
        }
    }

    fn has_room(&self) -> bool {
        let EngineConfig { max_sessions, max_load, cache_mib, .. } = self.settings.engine;
        let active = self.sessions.len();
        // Sessions grow: each is counted at least as what others came to.
        let held: usize = self.sessions.iter().map(|s| s.bytes.max(self.typical_bytes)).sum();
        let fits = active == 0 || held + self.typical_bytes <= cache_mib << 20;
        active < max_sessions && fits && self.meter.admits(active, max_load)
    }

    /// Moves text and events of every session, and removes those that have ended.
    fn poll(&mut self) {
        let mut index = 0;
        while index < self.sessions.len() {
            let mut context =
                Context { model: &self.model, slots: &mut self.slots, settings: &self.settings };
            let session = &mut self.sessions[index];
            let progress = catch_unwind(AssertUnwindSafe(|| session.poll(&mut context)))
                .unwrap_or_else(|panic| {
                    session.fail(panicked(&*panic));
                    Progress::Ended
                });
            if progress == Progress::Ended {
                let ended = self.sessions.swap_remove(index);
                if ended.is_counted() {
                    self.shared.active.fetch_sub(1, Ordering::AcqRel);
                }
                ended.end(&mut self.slots);
                self.report();
            } else {
                index += 1;
            }
        }
        let sessions = &self.sessions;
        let wanted = |key: &VoiceKey| {
            sessions.iter().any(|s| s.wants_voice().is_some_and(|(wanted, _)| wanted == key))
        };
        self.in_work.retain(|work| wanted(&work.key));
    }

    /// Does the most urgent step of work. False when there is none.
    fn step(&mut self) -> bool {
        if self.find_voices() {
            return true;
        }
        let now = Instant::now();
        let hop = self.meter.hop_cost();
        let hurried = self.sessions.iter().filter(|s| s.slack(now) < AT_EASE).count();
        let configured = self.settings.engine.first_hop;
        let (soon, late) = (
            self.meter.first_hop(configured, FULL_HOP, hurried.saturating_sub(1)),
            FULL_HOP.max(configured),
        );
        let mut candidates = Vec::with_capacity(self.sessions.len());
        for (index, session) in self.sessions.iter_mut().enumerate() {
            let at_ease = session.slack(now) >= AT_EASE;
            if let Some(generation) = session.generation()
                && generation.awaits_first_hop()
            {
                generation.set_first_hop(if at_ease { late } else { soon });
            }
            if let Some(need) = session.need() {
                let urgency = session.urgency(hop, now);
                let takes_token = session.takes_token();
                candidates.push(Candidate { index, urgency, need, takes_token });
            }
        }
        let Some(plan) = plan(&candidates, self.batching) else { return false };
        self.shared.begin_step();
        match plan {
            Plan::Voice(index) => self.advance_voice(index),
            Plan::Prefill(index) => self.prefill(index),
            Plan::Tokens(rows) => self.decode(&rows),
            Plan::Wave(rows) => self.wave(&rows),
        }
        self.shared.end_step();
        true
    }

    /// Looks up the voices of sessions that have just begun. Whether there were any.
    fn find_voices(&mut self) -> bool {
        let mut asked = false;
        for session in &mut self.sessions {
            let Some(source) = session.asks_for_voice() else { continue };
            asked = true;
            let found = match self.settings.registry.resolve(source) {
                Ok(found) => found,
                Err(error) => {
                    session.fail(error);
                    continue;
                }
            };
            let key = found.key(self.model.fingerprint());
            let voice = self.voices.get(&key);
            metrics::voice_cache(voice.is_some());
            match voice {
                Some(voice) => session.begin(voice, &self.model),
                None => session.wait_for_voice(key, found),
            }
        }
        asked
    }

    /// One step of making a voice, for all sessions that want it.
    fn advance_voice(&mut self, index: usize) {
        let Some(session) = self.sessions.get(index) else { return };
        let Some((key, found)) = session.wants_voice() else { return };
        let (key, model, registry) = (*key, &self.model, &self.settings.registry);
        let began = Instant::now();
        let (in_work, first_hop) = (&mut self.in_work, self.settings.engine.first_hop);
        let result = guarded(|| {
            let position = match in_work.iter().position(|work| work.key == key) {
                Some(position) => position,
                None => {
                    let making = registry.begin(found, model, first_hop)?;
                    in_work.push(InWork { key, making, spent: Duration::ZERO });
                    in_work.len() - 1
                }
            };
            let work = &mut in_work[position];
            let voice = work.making.step(model).map_err(failed)?;
            work.spent += began.elapsed();
            Ok(voice.map(|voice| (voice, work.spent)))
        });
        let wanting = self
            .sessions
            .iter_mut()
            .filter(|s| s.wants_voice().is_some_and(|(wanted, _)| *wanted == key));
        match result.and_then(|result| result) {
            Ok(None) => return,
            Ok(Some((voice, spent))) => {
                metrics::stage(Stage::Voice, spent, 1);
                let (bytes, voice) = (voice.bytes(), Arc::new(voice));
                wanting.for_each(|session| session.begin(voice.clone(), &self.model));
                self.voices.insert(key, voice, bytes);
                metrics::cache_bytes("voices", self.voices.bytes());
            }
            Err(error) => wanting.for_each(|session| session.fail(error.clone())),
        }
        self.in_work.retain(|work| work.key != key);
    }

    /// A part of one session's prompt through the language model.
    fn prefill(&mut self, index: usize) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Some(generation) = session.generation() else { return };
        let began = Instant::now();
        let result = guarded(|| generation.prefill(&self.model));
        metrics::stage(Stage::Prefill, began.elapsed(), 1);
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => session.fail(failed(error)),
            Err(error) => session.fail(error),
        }
    }

    /// One step of the language model for all of `rows`.
    fn decode(&mut self, rows: &[usize]) {
        let began = Instant::now();
        let mut generations = generations(&mut self.sessions, rows);
        let count = generations.len();
        let results = batch::decode(&self.model, &mut generations);
        drop(generations);
        let elapsed = began.elapsed();
        self.meter.step(elapsed, count);
        metrics::stage(Stage::LlmStep, elapsed, count);
        for (index, result) in in_order(rows).zip(results) {
            if let (Err(error), Some(session)) = (result, self.sessions.get_mut(index)) {
                session.fail(error);
            }
        }
    }

    /// One step of token-to-wave for all of `rows`, whose steps are of one shape.
    fn wave(&mut self, rows: &[usize]) {
        let began = Instant::now();
        let mut generations = generations(&mut self.sessions, rows);
        let count = generations.len().max(1);
        let shape = generations.first().map(|generation| generation.next());
        let results = guarded(|| Generation::wave(&self.model, &mut generations));
        drop(generations);
        let elapsed = began.elapsed();
        let results = match results {
            Ok(results) => results.into_iter().map(|result| result.map_err(failed)).collect(),
            Err(error) => vec![Err(error); rows.len()],
        };
        for (index, result) in in_order(rows).zip(results) {
            let Some(session) = self.sessions.get_mut(index) else { continue };
            match result {
                Err(error) => session.fail(error),
                Ok(samples) => {
                    let share = elapsed / count as u32;
                    if let Some(hop) = session.worked(shape, share, count) {
                        self.meter.hop(hop);
                    }
                    session.emit(samples, self.settings.sample_rate);
                }
            }
        }
        if matches!(shape, Some(Next::Wave(WaveShape::Vocoder { .. }))) {
            metrics::stage(Stage::VocoderHop, elapsed, count);
            self.report();
        }
    }

    /// Tells the registry what is held and how much of the machine is spoken for.
    fn report(&mut self) {
        let held = self.sessions.iter().map(|s| s.bytes);
        self.typical_bytes = held.clone().max().unwrap_or_default().max(self.typical_bytes);
        metrics::cache_bytes("sessions", held.sum::<usize>() + self.slots.bytes());
        metrics::load(self.sessions.len() as f64 * self.meter.session_load());
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

/// `Instant` arithmetic that cannot overflow.
pub(super) fn remaining(since: Instant, limit: Duration) -> Duration {
    limit.saturating_sub(since.elapsed())
}
