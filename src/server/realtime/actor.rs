//! One conversation: obeys the client's frames, and keeps the contexts running.

use super::context::{Context, Shared};
use super::events;
use super::outbox::Outbox;
use super::protocol::{self, Command, ContextId, Frame, Limits, Start, Voice};
use crate::engine::TextEvent;
use crate::server::app::App;
use crate::server::client::Peer;
use crate::server::error::ApiError;
use crate::server::request::RequestId;
use crate::server::upload::Room;
use crate::telemetry::metrics;
use axum::extract::ws::{Message, WebSocket};
use axum::http::HeaderMap;
use futures::StreamExt;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::{FuturesUnordered, SplitStream};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval_at, sleep_until};

/// Contexts at a time on one socket, speaking or waiting.
pub const MAX_CONTEXTS: usize = 16;

/// Flushes of a context that may be unanswered.
pub const MAX_FLUSHES: usize = 64;

/// Contexts that ended, whose names are remembered: what the client sent before it knew is no
/// mistake.
const REMEMBERED: usize = 64;

/// Keeps proxies from taking a silent socket for a dead one.
const PING: Duration = Duration::from_secs(10);

/// Who is at the other end, and how it wants to be spoken to.
pub struct Caller {
    pub id: RequestId,
    pub peer: Peer,
    /// Of the request that became the socket.
    pub headers: HeaderMap,
    /// As the address says.
    pub multiplex: bool,
}

/// How a conversation ends.
pub enum End {
    /// The client went first.
    Gone,
    Failed(ApiError),
}

impl From<ApiError> for End {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// A context that has not ended.
struct Live {
    text: mpsc::UnboundedSender<TextEvent>,
    abort: AbortHandle,
    shared: Arc<Shared>,
    chars: usize,
    closed: bool,
}

type Running = BoxFuture<'static, (ContextId, bool)>;

pub struct Actor {
    app: Arc<App>,
    caller: Caller,
    outbox: Arc<Outbox>,
    /// Bytes of the largest frame.
    frame_limit: usize,
    limits: Limits,
    /// Whether contexts speak at the same time, once that is settled.
    multiplex: Option<bool>,
    turn: Arc<Semaphore>,
    live: HashMap<ContextId, Live>,
    running: FuturesUnordered<Running>,
    ended: VecDeque<ContextId>,
    /// Contexts so far.
    count: usize,
    /// When the client last said anything.
    stirred: Instant,
}

impl Actor {
    pub fn new(app: Arc<App>, caller: Caller, outbox: Arc<Outbox>, frame_limit: usize) -> Self {
        let limits = Limits {
            frame_chars: app.settings.max_text_length,
            prompt_bytes: app.settings.max_file_size,
        };
        outbox.push(events::ready(&app, &caller.id.0, caller.multiplex));
        Self {
            multiplex: caller.multiplex.then_some(true),
            app,
            caller,
            outbox,
            frame_limit,
            limits,
            turn: Arc::new(Semaphore::new(1)),
            live: HashMap::new(),
            running: FuturesUnordered::new(),
            ended: VecDeque::new(),
            count: 0,
            stirred: Instant::now(),
        }
    }

    /// Goes on until one side ends it.
    pub async fn converse(&mut self, stream: &mut SplitStream<WebSocket>) -> End {
        let app = self.app.clone();
        let outbox = self.outbox.clone();
        let mut pings = interval_at((Instant::now() + PING).into(), PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let idle = self.idle_at();
            let step = tokio::select! {
                frame = async {
                    outbox.calm().await;
                    stream.next().await
                } => self.hear(frame),
                Some((context, aborted)) = self.running.next(), if !self.running.is_empty() => {
                    if !aborted {
                        self.forget(&context);
                    }
                    Ok(())
                }
                _ = pings.tick() => {
                    outbox.push(Message::Ping(Vec::new().into()));
                    outbox.calm().await;
                    Ok(())
                }
                () = sleep_until(idle.into()) => self.rest(idle),
                () = app.lifecycle.draining(), if self.running.is_empty() => {
                    Err(ApiError::Draining.into())
                }
                () = app.lifecycle.stopping() => Err(ApiError::Draining.into()),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// When the client has said nothing, and had nothing to play, for too long.
    fn idle_at(&self) -> Instant {
        self.stirred.max(self.outbox.playing_until()) + self.app.settings.idle_timeout
    }

    /// The client was idle until then, unless something was sent meanwhile, or it has reason to
    /// wait: for the end of what it has said all of.
    fn rest(&mut self, idle: Instant) -> Result<(), End> {
        let waits = |live: &Live| live.closed && live.shared.begun.load(Ordering::Relaxed);
        if self.live.values().any(waits) {
            self.stirred = Instant::now();
        }
        if self.idle_at() > idle {
            return Ok(());
        }
        let words = format!("nothing came for {:?}", self.app.settings.idle_timeout);
        Err(ApiError::Timeout(words).into())
    }

    fn hear(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let frame = match frame {
            None | Some(Ok(Message::Close(_))) => return Err(End::Gone),
            Some(Err(error)) => return Err(read_error(error, self.frame_limit)),
            // They show that the client's machine lives, not that it will speak.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Binary(_))) => {
                let words = "frames are JSON text; a recording goes into `prompt.audio` as base64";
                return Err(ApiError::WrongOrder(words.into()).into());
            }
            Some(Ok(Message::Text(frame))) => frame,
        };
        self.stirred = Instant::now();
        let room = self.app.uploads.room();
        room.grow(frame.len())?;
        let Frame { context, command } = protocol::read(&frame, self.limits)?;
        drop(frame);
        if matches!(command, Ok(Command::Start(_))) && self.live.contains_key(&context) {
            let words = "`start` names a context that has not ended";
            return Err(ApiError::WrongOrder(words.into()).into());
        }
        let result = match command {
            Ok(Command::Start(start)) => self.start(&context, *start, room),
            Ok(Command::Cancel) => {
                self.cancel(&context);
                Ok(())
            }
            Ok(Command::Text(text)) => self.tell(&context, TextEvent::Append(text)),
            Ok(Command::Flush) => self.tell(&context, TextEvent::Flush),
            Ok(Command::Close) => self.tell(&context, TextEvent::Finish),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            self.fail(&context, &error);
        }
        Ok(())
    }

    fn start(&mut self, id: &ContextId, start: Start, room: Room) -> Result<(), ApiError> {
        if self.live.len() >= MAX_CONTEXTS {
            return Err(ApiError::Overloaded {
                reason: "all contexts of this socket are taken",
                retry_after: crate::server::error::RETRY,
            });
        }
        if start.multiplex.is_some_and(|wish| self.multiplex.is_some_and(|is| is != wish)) {
            let words = "`multiplex` is settled with the first `start` of a socket";
            return Err(ApiError::InvalidParameter(words.into()));
        }
        if let Voice::Named(name) = &start.voice
            && !self.app.engine.status().voices.contains(name)
        {
            return Err(ApiError::NotFound("no voice of that name is registered".into()));
        }
        self.app.open()?;
        self.app.charge(self.caller.peer, &self.caller.headers)?;
        let multiplex = *self.multiplex.get_or_insert(start.multiplex.unwrap_or(false));
        self.count += 1;
        let request_id = RequestId(format!("{}-{}", self.caller.id.0, self.count).into());
        let shared = Arc::new(Shared::default());
        // Bounded by `tell`: so many characters in frames that are not empty, so many flushes.
        let (text, texts) = mpsc::unbounded_channel();
        let context = Context {
            app: self.app.clone(),
            id: id.clone(),
            request_id,
            start,
            room,
            text: texts,
            outbox: self.outbox.clone(),
            turn: (!multiplex).then(|| self.turn.clone()),
            shared: shared.clone(),
        };
        let (abort, registration) = AbortHandle::new_pair();
        let running = Abortable::new(context.run(), registration);
        let name = id.clone();
        self.running.push(Box::pin(async move { (name, running.await.is_err()) }));
        self.live.insert(id.clone(), Live { text, abort, shared, chars: 0, closed: false });
        Ok(())
    }

    /// Passes text on to a context.
    fn tell(&mut self, id: &ContextId, event: TextEvent) -> Result<(), ApiError> {
        let Some(live) = self.live.get_mut(id) else {
            if self.ended.contains(id) {
                return Ok(());
            }
            return Err(ApiError::NotFound("no context of that name was started".into()));
        };
        if live.closed {
            let words = "nothing may follow `close_context`";
            return Err(ApiError::WrongOrder(words.into()));
        }
        match &event {
            TextEvent::Append(text) => {
                live.chars += text.chars().count();
                let limit = self.app.settings.max_stream_text;
                if live.chars > limit {
                    return Err(ApiError::TextTooLong { limit });
                }
                if text.is_empty() {
                    return Ok(());
                }
            }
            TextEvent::Flush => {
                if live.shared.flushes.fetch_add(1, Ordering::Relaxed) >= MAX_FLUSHES {
                    let words = format!("{MAX_FLUSHES} flushes are not answered yet");
                    return Err(ApiError::InvalidParameter(words));
                }
            }
            TextEvent::Finish => live.closed = true,
        }
        // Fails only where the context has just ended.
        let _ = live.text.send(event);
        Ok(())
    }

    /// Silences a context, at once and for good.
    fn cancel(&mut self, id: &ContextId) {
        self.silence(id, events::cancelled(id));
    }

    /// Ends a context with an error.
    fn fail(&mut self, id: &ContextId, error: &ApiError) {
        if error.is_rejection() {
            metrics::rejected(error.code());
        }
        let frame = events::error(error, &self.caller.id.0, Some(&**id));
        if self.live.contains_key(id) {
            self.silence(id, frame);
        } else {
            self.outbox.push(frame);
        }
    }

    fn silence(&mut self, id: &ContextId, last: Message) {
        if let Some(live) = self.live.get(id) {
            live.abort.abort();
            self.forget(id);
        }
        // Also of a context that has ended: its last frames may still be in line.
        self.outbox.retract(id, last);
    }

    fn forget(&mut self, id: &ContextId) {
        if self.live.remove(id).is_some() && !self.ended.contains(id) {
            self.ended.push_back(id.clone());
            if self.ended.len() > REMEMBERED {
                self.ended.pop_front();
            }
        }
    }
}

/// What broke the reading of a frame.
fn read_error(error: axum::Error, limit: usize) -> End {
    use tungstenite::Error as E;
    match error.into_inner().downcast_ref::<E>() {
        Some(E::Capacity(_)) => ApiError::PayloadTooLarge { limit }.into(),
        Some(E::Utf8(_)) => ApiError::InvalidParameter("the frame is not UTF-8".into()).into(),
        Some(E::Protocol(e))
            if *e != tungstenite::error::ProtocolError::ResetWithoutClosingHandshake =>
        {
            ApiError::InvalidParameter(format!("not the WebSocket protocol: {e}")).into()
        }
        _ => End::Gone,
    }
}
