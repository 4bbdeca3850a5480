//! The line before an endpoint that serves one request at a time.
//!
//! A client that reads slowly does not hold the line: once it has been waited for long enough, its
//! speech goes on and the next request is served beside it.

use crate::server::app::App;
use crate::server::error::{ApiError, RETRY};
use crate::server::health::unix_seconds;
use axum::Json;
use axum::extract::State;
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Characters of a text that others may read.
const PREVIEW: usize = 50;

/// One request is served, a bounded number waits in the order they came.
pub struct OpusQueue {
    /// One permit per request that is served or waits.
    places: Arc<Semaphore>,
    /// The one permit of who is served; tokio's semaphores are fair.
    turn: Arc<Semaphore>,
    /// How long the client of a turn is waited for in all.
    patience: Duration,
    current: Mutex<Option<Current>>,
}

/// The request that is served.
struct Current {
    text_preview: String,
    index: usize,
    since: Instant,
    /// Seconds since 1970.
    start_time: f64,
}

/// A place in the line, given back when it is dropped.
pub struct Place {
    queue: Arc<OpusQueue>,
    _permit: OwnedSemaphorePermit,
}

/// The time of one request, over when it is dropped.
pub struct Turn {
    served: Arc<Mutex<Option<Served>>>,
    /// Until when the client is waited for; None while it waits for us.
    deadline: watch::Sender<Option<Instant>>,
    /// When the wait for the client began, and how much longer it may be waited for.
    since: Instant,
    patience: Duration,
}

/// What the request that is served holds.
struct Served {
    place: Place,
    _permit: OwnedSemaphorePermit,
}

/// `GET /opus_queue_status`.
#[utoipa::path(
    get,
    path = "/opus_queue_status",
    tag = "index",
    operation_id = "index_opus_queue_status",
    summary = "The line of Opus streams",
    responses((status = 200, description = "Who is served", body = super::api::IndexQueue))
)]
pub async fn status(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.opus_queue.status(unix_seconds()))
}

impl OpusQueue {
    /// With room for one that is served and `waiting` behind it. A client is waited for during
    /// `patience` in all.
    pub fn new(waiting: usize, patience: Duration) -> Self {
        let places = waiting.saturating_add(1).min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places)),
            turn: Arc::new(Semaphore::new(1)),
            patience,
            current: Mutex::new(None),
        }
    }

    /// # Errors
    /// [`ApiError::Overloaded`] when the line is full.
    pub fn enter(self: &Arc<Self>) -> Result<Place, ApiError> {
        let permit = self.places.clone().try_acquire_owned();
        let permit = permit.map_err(|_| ApiError::Overloaded {
            reason: "too many requests wait for Opus streams",
            retry_after: RETRY,
        })?;
        Ok(Place { queue: self.clone(), _permit: permit })
    }

    /// What `/opus_queue_status` says at `now`, in seconds since 1970.
    pub fn status(&self, now: f64) -> Value {
        let current = self.current();
        let mut status = json!({
            "is_processing": current.is_some(),
            "queue_available": current.is_none(),
            "timestamp": now,
        });
        if let Some(current) = &*current {
            let seconds = current.since.elapsed().as_secs_f64();
            status["current_request"] = json!({
                "text_preview": current.text_preview,
                "reference_audio_index": current.index,
                "processing_duration_seconds": (seconds * 100.0).round() / 100.0,
                "start_time": current.start_time,
            });
        }
        status
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The turn of this request, if nobody is served or waits before it.
    ///
    /// # Errors
    /// The place itself.
    pub fn try_turn(self, text: &str, index: usize, now: f64) -> Result<Turn, Self> {
        match self.queue.turn.clone().try_acquire_owned() {
            Ok(permit) => Ok(self.take(permit, text, index, now)),
            Err(_) => Err(self),
        }
    }

    /// The turn of this request, once it comes. Dropping the future leaves the line.
    pub async fn turn(
        self,
        text: &str,
        index: usize,
        clock: impl FnOnce() -> f64,
    ) -> Result<Turn, ApiError> {
        let permit = self.queue.turn.clone().acquire_owned().await;
        let permit = permit.map_err(|e| ApiError::Processing(e.to_string()))?;
        Ok(self.take(permit, text, index, clock()))
    }

    fn take(self, permit: OwnedSemaphorePermit, text: &str, index: usize, now: f64) -> Turn {
        let current =
            Current { text_preview: preview(text), index, since: Instant::now(), start_time: now };
        *self.queue.current() = Some(current);
        let patience = self.queue.patience;
        let served = Arc::new(Mutex::new(Some(Served { place: self, _permit: permit })));
        let (deadline, changes) = watch::channel(None);
        tokio::spawn(end_at(changes, served.clone()));
        Turn { served, deadline, since: Instant::now(), patience }
    }
}

/// Ends a turn at its deadline, if it does not end before.
async fn end_at(
    mut deadline: watch::Receiver<Option<Instant>>,
    served: Arc<Mutex<Option<Served>>>,
) {
    loop {
        let at = *deadline.borrow_and_update();
        let over = async {
            match at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => return end(&served),
            changed = deadline.changed() => if changed.is_err() { return },
        }
    }
}

fn end(served: &Mutex<Option<Served>>) {
    drop(served.lock().unwrap_or_else(PoisonError::into_inner).take());
}

impl Turn {
    /// Passes a stream on. The turn lasts until its end, or until whoever reads it has kept it
    /// waiting for too long in all; the stream goes on then.
    pub fn during<S: Stream + Send>(self, stream: S) -> impl Stream<Item = S::Item> + Send {
        stream::unfold((Box::pin(stream), self), |(mut stream, mut turn)| async move {
            turn.works();
            let item = stream.next().await?;
            turn.waits();
            Some((item, (stream, turn)))
        })
    }

    /// The client waits for us.
    fn works(&mut self) {
        if self.deadline.send_replace(None).is_some() {
            self.patience = self.patience.saturating_sub(self.since.elapsed());
        }
    }

    /// The client is waited for.
    fn waits(&mut self) {
        self.since = Instant::now();
        self.deadline.send_replace(Some(self.since + self.patience));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        end(&self.served);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Before the permit goes on, so that what the next one writes stays.
        *self.place.queue.current() = None;
    }
}

/// The beginning of a text.
fn preview(text: &str) -> String {
    match text.char_indices().nth(PREVIEW) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or(text)),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn turns_come_in_order_and_end_with_their_owner() {
        let queue = Arc::new(OpusQueue::new(2, PATIENCE));
        let place = || queue.enter().expect("a place");
        let first = place().try_turn("one", 3, 5.0).ok().expect("nobody is before it");
        let status = queue.status(7.0);
        assert_eq!(status["is_processing"], json!(true));
        assert_eq!(status["queue_available"], json!(false));
        assert_eq!(status["current_request"]["text_preview"], json!("one"));
        assert_eq!(status["current_request"]["reference_audio_index"], json!(3));
        assert_eq!(status["current_request"]["start_time"], json!(5.0));

        let second = tokio::spawn(place().turn("two", 0, || 6.0));
        let place = place().try_turn("three", 0, 6.0).err().expect("others are before it");
        assert!(matches!(queue.enter(), Err(ApiError::Overloaded { .. })));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!second.is_finished());
        drop(first);
        let second = second.await.expect("no panic").expect("its turn");
        assert_eq!(queue.status(7.0)["current_request"]["text_preview"], json!("two"));

        // Who leaves the line is not waited for.
        drop(place);
        drop(second);
        let idle = json!({ "is_processing": false, "queue_available": true, "timestamp": 7.0 });
        assert_eq!(queue.status(7.0), idle);
        assert!(queue.enter().expect("room").try_turn("four", 0, 8.0).is_ok());
    }

    /// Else one client could keep all others from being served, with a byte now and then.
    #[tokio::test]
    async fn who_reads_slowly_does_not_hold_the_line() {
        let queue = Arc::new(OpusQueue::new(2, PATIENCE));
        let place = || queue.enter().expect("a place");
        let first = place().try_turn("one", 0, 5.0).ok().expect("nobody is before it");
        let mut slow = Box::pin(first.during(stream::iter(0..20)));
        let second = tokio::spawn(place().turn("two", 0, || 6.0));
        let mut read = 0;
        while !second.is_finished() {
            assert_eq!(slow.next().await, Some(read), "the stream goes on");
            read += 1;
            // Never as long as the line's patience.
            tokio::time::sleep(PATIENCE / 5).await;
        }
        assert!(read > 1, "it has some time");
        assert_eq!(queue.status(7.0)["current_request"]["text_preview"], json!("two"));
        assert_eq!(slow.collect::<Vec<_>>().await, (read..20).collect::<Vec<_>>());
        // The end of the first is not that of the second.
        assert_eq!(queue.status(7.0)["current_request"]["text_preview"], json!("two"));
    }

    /// What takes long to make is waited for by its client, not the other way round.
    #[tokio::test]
    async fn who_waits_for_its_speech_keeps_its_turn() {
        let queue = Arc::new(OpusQueue::new(2, PATIENCE));
        let turn = queue.enter().expect("a place").try_turn("one", 0, 5.0).ok();
        let made = stream::iter(0..3).then(|part| async move {
            tokio::time::sleep(PATIENCE).await;
            part
        });
        let mut speech = Box::pin(turn.expect("nobody is before it").during(made));
        while speech.next().await.is_some() {
            assert_eq!(queue.status(7.0)["is_processing"], json!(true));
        }
        assert_eq!(queue.status(7.0)["is_processing"], json!(false));
    }

    #[test]
    fn previews_are_cut_between_characters() {
        assert_eq!(preview("这是一个"), "这是一个");
        assert_eq!(preview(&"字".repeat(50)), "字".repeat(50));
        assert_eq!(preview(&"字".repeat(51)), format!("{}...", "字".repeat(50)));
    }
}
