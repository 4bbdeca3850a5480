//! What waits for the client to read it: frames in order, of which those of one context can be
//! taken back.

use super::protocol::ContextId;
use axum::extract::ws::Message;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Frames of audio that may wait. More of them stay with the engine, which pauses.
const AUDIO: usize = 6;

/// Frames of any kind past which the client is not listened to until it has read some. What one
/// word of the client, or one packet of the engine, becomes still fits behind.
const CROWDED: usize = 256;

struct Entry {
    context: Option<ContextId>,
    audio: bool,
    message: Message,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Entry>,
    audio: usize,
    closed: bool,
}

/// The frames of one socket that are not written yet.
pub struct Outbox {
    queue: Mutex<Queue>,
    /// Until when the client can play what it was given.
    playing: Mutex<Instant>,
    filled: Notify,
    drained: Notify,
}

impl Outbox {
    pub fn new() -> Self {
        Self {
            queue: Mutex::default(),
            playing: Mutex::new(Instant::now()),
            filled: Notify::new(),
            drained: Notify::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame of the socket itself in line.
    pub fn push(&self, message: Message) {
        self.add(Entry { context: None, audio: false, message });
    }

    /// Puts a context's frame in line.
    pub fn push_of(&self, context: &ContextId, message: Message) {
        self.add(Entry { context: Some(context.clone()), audio: false, message });
    }

    /// Puts a context's audio in line, that lasts so long.
    pub fn push_audio(&self, context: &ContextId, message: Message, length: Duration) {
        {
            let mut playing = self.playing.lock().unwrap_or_else(PoisonError::into_inner);
            *playing = (*playing).max(Instant::now()) + length;
        }
        self.add(Entry { context: Some(context.clone()), audio: true, message });
    }

    fn add(&self, entry: Entry) {
        let mut queue = self.queue();
        if !queue.closed {
            queue.audio += usize::from(entry.audio);
            queue.frames.push_back(entry);
        }
        self.filled.notify_one();
    }

    /// Until when the client can play what was put in line, if it plays one after the other.
    pub fn playing_until(&self) -> Instant {
        *self.playing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back all frames of a context, and says so to the client before it says anything else.
    pub fn retract(&self, context: &ContextId, notice: Message) {
        let mut queue = self.queue();
        queue.frames.retain(|entry| entry.context.as_ref() != Some(context));
        queue.audio = queue.frames.iter().filter(|entry| entry.audio).count();
        if !queue.closed {
            let entry = Entry { context: None, audio: false, message: notice };
            queue.frames.push_front(entry);
        }
        drop(queue);
        // Nothing of it will be played, so the client is silent from now on.
        *self.playing.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Returns once there is room for audio.
    pub async fn room(&self) {
        self.until(|queue| queue.audio < AUDIO && queue.frames.len() < CROWDED).await;
    }

    /// Returns once there is room for answers.
    pub async fn calm(&self) {
        self.until(|queue| queue.frames.len() < CROWDED).await;
    }

    async fn until(&self, holds: impl Fn(&Queue) -> bool) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            // Registers before the look, so that no change is missed.
            drained.as_mut().enable();
            if holds(&self.queue()) {
                return;
            }
            drained.await;
        }
    }

    /// The next frame to write. None once all is written and nothing more comes.
    pub async fn next(&self) -> Option<Message> {
        loop {
            {
                let mut queue = self.queue();
                if let Some(entry) = queue.frames.pop_front() {
                    queue.audio -= usize::from(entry.audio);
                    drop(queue);
                    self.drained.notify_waiters();
                    return Some(entry.message);
                }
                if queue.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.queue().closed = true;
        self.filled.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn text(message: Option<Message>) -> String {
        message.and_then(|m| m.into_text().ok().map(|t| t.to_string())).unwrap_or_default()
    }

    #[tokio::test]
    async fn a_context_is_taken_back_whole() {
        let outbox = Outbox::new();
        let (a, b): (ContextId, ContextId) = ("a".into(), "b".into());
        for name in [&a, &b, &a] {
            outbox.push_audio(name, Message::text(&**name), Duration::from_secs(1));
        }
        outbox.push_of(&a, Message::text("done a"));
        outbox.push(Message::text("other"));
        outbox.retract(&a, Message::text("cancelled a"));
        outbox.close();
        assert_eq!(text(outbox.next().await), "cancelled a");
        assert_eq!(text(outbox.next().await), "b");
        assert_eq!(text(outbox.next().await), "other");
        assert!(outbox.next().await.is_none());
    }

    #[tokio::test]
    async fn audio_waits_for_the_reader() {
        let outbox = Outbox::new();
        let a: ContextId = "a".into();
        for _ in 0..AUDIO {
            assert!(outbox.room().now_or_never().is_some());
            outbox.push_audio(&a, Message::text("x"), Duration::ZERO);
        }
        assert!(outbox.room().now_or_never().is_none());
        assert!(outbox.calm().now_or_never().is_some(), "answers still fit");
        outbox.next().await;
        assert!(outbox.room().now_or_never().is_some());
        for _ in 0..CROWDED {
            outbox.push(Message::text("answer"));
        }
        assert!(outbox.calm().now_or_never().is_none());
    }
}
