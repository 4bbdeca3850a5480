//! Parity with the original implementation: every component against tensors it made.
//!
//! Cases are found in the folder `MYNAH_GOLDEN` names (default `tests/golden`), sizes in each
//! case's `config.json`.

#[path = "golden_cases/support.rs"]
mod support;

#[path = "golden_cases/campplus.rs"]
mod campplus;
#[path = "golden_cases/devices.rs"]
mod devices;
#[path = "golden_cases/e2e.rs"]
mod e2e;
#[path = "golden_cases/features.rs"]
mod features;
#[path = "golden_cases/flow.rs"]
mod flow;
#[path = "golden_cases/hift.rs"]
mod hift;
#[path = "golden_cases/llm.rs"]
mod llm;
#[path = "golden_cases/mini.rs"]
mod mini;
#[path = "golden_cases/ras_sampling.rs"]
mod ras_sampling;
#[path = "golden_cases/seams.rs"]
mod seams;
#[path = "golden_cases/speech_tokenizer.rs"]
mod speech_tokenizer;
#[path = "golden_cases/text.rs"]
mod text;
