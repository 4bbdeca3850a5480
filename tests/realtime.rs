//! The `realtime` dialect over real sockets, with an engine that emits silence on a clock: every
//! character of text is 20 ms.

#[path = "support/recordings.rs"]
mod recordings;
#[path = "realtime_cases/support.rs"]
mod support;

#[path = "realtime_cases/contexts.rs"]
mod contexts;
#[path = "realtime_cases/errors.rs"]
mod errors;
#[path = "realtime_cases/life.rs"]
mod life;
#[path = "realtime_cases/words.rs"]
mod words;
