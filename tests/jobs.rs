//! Jobs, uploads and results, and the `tasks` dialect, with an engine that emits silence on a
//! clock: a character lasts 20 ms.

#[path = "jobs_cases/support.rs"]
mod support;

#[path = "jobs_cases/crash.rs"]
mod crash;
#[path = "jobs_cases/drain.rs"]
mod drain;
#[path = "jobs_cases/full.rs"]
mod full;
#[path = "jobs_cases/life.rs"]
mod life;
#[path = "jobs_cases/redis.rs"]
mod redis;
#[path = "jobs_cases/tasks.rs"]
mod tasks;
#[path = "jobs_cases/uploads.rs"]
mod uploads;
