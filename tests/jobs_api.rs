//! The dialects that work by jobs, over real sockets, with an engine that emits silence on a clock.

#[path = "support/recordings.rs"]
mod recordings;
#[path = "jobs_api_cases/support.rs"]
mod support;

#[path = "jobs_api_cases/index2.rs"]
mod index2;
#[path = "jobs_api_cases/monitoring.rs"]
mod monitoring;
#[path = "jobs_api_cases/warnings.rs"]
mod warnings;
#[path = "jobs_api_cases/workflow.rs"]
mod workflow;
