//! The `openai` dialect over real sockets, with an engine that emits silence on a clock: what it
//! answers, and that OpenAI's own clients are content with it.

#[path = "support/recordings.rs"]
mod recordings;
#[path = "openai_cases/support.rs"]
mod support;

#[path = "openai_cases/sdk.rs"]
mod sdk;
#[path = "openai_cases/speech.rs"]
mod speech;
#[path = "openai_cases/voices.rs"]
mod voices;
