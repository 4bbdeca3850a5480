//! Voices: which there are, where they are kept, and which are ready to be used again.

mod cache;
mod care;
mod making;
mod name;
mod prompt;
mod registry;
mod store;

pub use cache::VoiceCache;
pub use care::{prepare_prompt, report_prompt};
pub use making::Making;
pub use name::{NameError, VoiceName};
pub use prompt::{Prompt, VoiceKey};
pub use registry::{DEFAULT_VOICE, Found, PromptError, Registry};
pub use store::{Recording, Store, StoreError};
