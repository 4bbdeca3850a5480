//! Who gets in, by which door, and what hostile clients can do: with the silent engine, over real
//! sockets.

#[path = "safety_cases/support.rs"]
mod support;

#[path = "safety_cases/cors.rs"]
mod cors;
#[path = "safety_cases/docs.rs"]
mod docs;
#[path = "safety_cases/encrypted.rs"]
mod encrypted;
#[path = "safety_cases/keys.rs"]
mod keys;
#[path = "safety_cases/listeners.rs"]
mod listeners;
#[path = "safety_cases/logs.rs"]
mod logs;
#[path = "safety_cases/mutations.rs"]
mod mutations;
#[path = "safety_cases/proxies.rs"]
mod proxies;
#[path = "safety_cases/recordings.rs"]
mod recordings;
