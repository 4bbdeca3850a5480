//! Bodies of requests: bounded in size, in time, and all together in memory.

use super::error::{ApiError, RETRY};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use futures::StreamExt;
use futures::stream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// What a permit of the budget stands for.
const UNIT: usize = 16 * 1024;

/// A body slower than this on average, in bytes per second, is given up.
const SLOWEST: f64 = 8.0 * 1024.0;

/// Memory for what clients send, shared by all of them.
pub struct Budget(Arc<Semaphore>);

/// A part of a [`Budget`]. Clones share it; it is given back when the last is dropped, which has to
/// be where the last of the bytes are.
#[derive(Clone)]
pub struct Room(Arc<Mutex<Part>>);

struct Part {
    budget: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
    used: usize,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.div_ceil(UNIT).clamp(1, u32::MAX as usize >> 4))))
    }

    pub fn room(&self) -> Room {
        Room(Arc::new(Mutex::new(Part { budget: self.0.clone(), taken: None, used: 0 })))
    }
}

impl Room {
    /// Makes room for more bytes.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] when others hold it.
    pub fn grow(&self, bytes: usize) -> Result<(), ApiError> {
        let overloaded =
            || ApiError::Overloaded { reason: "too many uploads at a time", retry_after: RETRY };
        let mut part = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        part.used = part.used.saturating_add(bytes);
        let held = part.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = part.used.div_ceil(UNIT).saturating_sub(held);
        let more = u32::try_from(more).map_err(|_| overloaded())?;
        if more == 0 {
            return Ok(());
        }
        let more = part.budget.clone().try_acquire_many_owned(more).map_err(|_| overloaded())?;
        match &mut part.taken {
            Some(taken) => taken.merge(more),
            None => part.taken = Some(more),
        }
        Ok(())
    }
}

/// What bounds a body.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub bytes: usize,
    /// Longest wait for the next bytes; and, twice over, the time before slowness counts.
    pub idle: Duration,
}

/// A body that fails where it leaves its bounds. The failure's source is an [`ApiError`], which
/// [`reason`] finds.
///
/// # Errors
/// [`ApiError::PayloadTooLarge`] at once where the headers say so.
pub fn bounded(
    body: Body,
    headers: &HeaderMap,
    bounds: Bounds,
    room: Room,
) -> Result<Body, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > bounds.bytes as u64) {
        return Err(ApiError::PayloadTooLarge { limit: bounds.bytes });
    }
    let state = Some((body.into_data_stream(), room, Instant::now(), 0usize));
    let stream = stream::unfold(state, move |state| async move {
        let (mut data, room, start, before) = state?;
        let slowest = 2 * bounds.idle + Duration::from_secs_f64(before as f64 / SLOWEST);
        let deadline = (Instant::now() + bounds.idle).min(start + slowest);
        let next = match tokio::time::timeout_at(deadline, data.next()).await {
            Err(_) => Err(ApiError::Timeout("the request's body came too slowly".into())),
            Ok(None) => return None,
            Ok(Some(Err(e))) => Err(ApiError::InvalidParameter(format!("the body broke off: {e}"))),
            Ok(Some(Ok(bytes))) => check(before, bytes, bounds.bytes, &room),
        };
        match next {
            Ok(bytes) => {
                let state = Some((data, room, start, before + bytes.len()));
                Some((Ok(bytes), state))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(Body::from_stream(stream))
}

fn check(before: usize, bytes: Bytes, limit: usize, room: &Room) -> Result<Bytes, ApiError> {
    if before.saturating_add(bytes.len()) > limit {
        return Err(ApiError::PayloadTooLarge { limit });
    }
    room.grow(bytes.len())?;
    Ok(bytes)
}

/// The [`ApiError`] among the sources of an error of a [`bounded`] body, or else the error itself
/// as the client's mistake.
pub fn reason(error: &(dyn std::error::Error + 'static)) -> ApiError {
    let mut source = Some(error);
    while let Some(e) = source {
        if let Some(api) = e.downcast_ref::<ApiError>() {
            return api.clone();
        }
        source = e.source();
    }
    ApiError::InvalidParameter(format!("the body is malformed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 100, idle: Duration::from_millis(200) };

    async fn read(body: Body, headers: &HeaderMap, room: Room) -> Result<usize, ApiError> {
        let body = bounded(body, headers, BOUNDS, room)?;
        match axum::body::to_bytes(body, usize::MAX).await {
            Ok(bytes) => Ok(bytes.len()),
            Err(e) => Err(reason(&e)),
        }
    }

    #[tokio::test]
    async fn the_size_counts_whether_announced_or_not() {
        let (headers, budget) = (HeaderMap::new(), Budget::new(UNIT));
        let body = |len: usize| Body::from(vec![0; len]);
        let limit = Err(ApiError::PayloadTooLarge { limit: 100 });
        assert_eq!(read(body(100), &headers, budget.room()).await, Ok(100));
        assert_eq!(read(body(101), &headers, budget.room()).await, limit);
        let announced = HeaderMap::from_iter([(header::CONTENT_LENGTH, 101.into())]);
        assert_eq!(read(body(0), &announced, budget.room()).await, limit);
    }

    /// A client that sends a byte now and then holds its memory and its connection for ever.
    #[tokio::test]
    async fn a_body_that_stops_or_drips_is_given_up() {
        for (pause, most) in [(300, 290), (50, 600)] {
            let start = Instant::now();
            let drip = stream::unfold((), move |()| async move {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
            });
            let result =
                read(Body::from_stream(drip), &HeaderMap::new(), Budget::new(UNIT).room()).await;
            assert!(matches!(result, Err(ApiError::Timeout(_))), "{result:?}");
            assert!(start.elapsed() <= Duration::from_millis(most), "{:?}", start.elapsed());
        }
    }

    #[test]
    fn all_uploads_share_one_budget() {
        let budget = Budget::new(2 * UNIT);
        let (one, two) = (budget.room(), budget.room());
        assert_eq!(one.grow(UNIT), Ok(()));
        assert_eq!(two.grow(10), Ok(()));
        assert!(matches!(two.grow(UNIT), Err(ApiError::Overloaded { .. })));
        drop(one);
        assert_eq!(two.grow(0), Ok(()));
    }
}
