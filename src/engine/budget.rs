//! Whether a device's memory is enough for a model and for all that sessions may keep on it,
//! told at the start and not in the middle of a session.

use crate::config::EngineConfig;
use crate::model::cosyvoice2::Footprint;
use crate::model::device::DeviceMemory;
use std::fmt;

const MIB: u64 = 1 << 20;
/// For what a step makes and drops, compiled kernels, and pages that the backend's pools hold half
/// empty. An allowance, not a measurement.
const WORK: u64 = 1024 * MIB;
/// Seconds of speech that a session is expected to keep: a sentence and its prompt.
const SENTENCE: u64 = 10;

/// What may be taken of a device's memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub weights: u64,
    /// Caches of the language model.
    pub slots: u64,
    /// All that running sessions keep.
    pub sessions: u64,
    pub voices: u64,
    pub work: u64,
    /// What one session keeps of a sentence.
    pub sentence: u64,
}

/// A device's memory that is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model and its caches do not fit the device's memory: {budget}; {} of {} MiB are free. {}", memory.free / MIB, memory.total / MIB, self.advice()
)]
pub struct TooLarge {
    budget: Budget,
    memory: DeviceMemory,
}

impl Budget {
    /// By the bounds of the settings. `left_blocks` is how far the flow looks back, 0 without
    /// limit; a block is a second.
    pub fn new(footprint: Footprint, engine: &EngineConfig, left_blocks: usize) -> Self {
        let mib = |value: usize| (value as u64).saturating_mul(MIB);
        let kept = match left_blocks as u64 {
            0 => SENTENCE,
            // The window, the block before which it lies, and what is left of a page of four.
            blocks => SENTENCE.min(blocks.saturating_add(4)),
        };
        Self {
            weights: footprint.weights,
            slots: footprint.slot.saturating_mul(engine.max_sessions as u64),
            sessions: mib(engine.cache_mib),
            voices: mib(engine.voice_cache_mib),
            work: WORK,
            sentence: footprint.flow_second.saturating_mul(kept).saturating_add(footprint.slot),
        }
    }

    pub fn total(&self) -> u64 {
        self.without_sessions().saturating_add(self.sessions)
    }

    fn without_sessions(&self) -> u64 {
        let parts = [self.weights, self.slots, self.voices, self.work];
        parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
    }

    /// Sessions that can keep a sentence each at the same time.
    pub fn sentences(&self) -> u64 {
        self.sessions / self.sentence.max(1)
    }

    /// # Errors
    /// [`TooLarge`].
    pub fn check(&self, memory: DeviceMemory) -> Result<(), TooLarge> {
        if self.total() <= memory.free {
            return Ok(());
        }
        Err(TooLarge { budget: *self, memory })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(MIB);
        write!(
            f,
            "weights {} MiB, sessions {} MiB (engine.cache_mib), caches of the language model {} MiB (by engine.max_sessions), voices {} MiB (engine.voice_cache_mib), work in progress {} MiB: {} MiB",
            mib(self.weights),
            mib(self.sessions),
            mib(self.slots),
            mib(self.voices),
            mib(self.work),
            mib(self.total()),
        )
    }
}

impl TooLarge {
    /// What to do: the largest `engine.cache_mib` that fits, where it holds at least a sentence.
    fn advice(&self) -> String {
        let left = self.memory.free.saturating_sub(self.budget.without_sessions());
        if left >= self.budget.sentence {
            let fits = left / MIB;
            return format!(
                "Lower engine.cache_mib to {fits}, end what else uses the GPU, or use device `cpu`"
            );
        }
        let least = self.budget.weights + self.budget.work + self.budget.sentence;
        if least <= self.memory.free {
            return "Lower engine.max_sessions, engine.voice_cache_mib and engine.cache_mib, end what else uses the GPU, or use device `cpu`".into();
        }
        format!(
            "One session alone takes {} MiB: end what else uses the GPU, use one with more memory, or device `cpu`",
            least.div_ceil(MIB)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn footprint() -> Footprint {
        Footprint { weights: 3 * GIB, slot: 12 * MIB, flow_second: 220 * MIB }
    }

    fn engine(cache_mib: usize, max_sessions: usize) -> EngineConfig {
        EngineConfig { cache_mib, max_sessions, voice_cache_mib: 512, ..EngineConfig::default() }
    }

    fn free(bytes: u64) -> DeviceMemory {
        DeviceMemory { free: bytes, total: 80 * GIB }
    }

    #[test]
    fn every_part_is_counted() {
        let budget = Budget::new(footprint(), &engine(4096, 8), 0);
        let total = (3 * 1024 + 4096 + 8 * 12 + 512 + 1024) * MIB;
        assert_eq!(budget.total(), total);
        assert_eq!(budget.sentence, 2212 * MIB);
        assert_eq!(budget.sentences(), 1);
        assert!(budget.check(free(total)).is_ok());
        assert!(budget.check(free(total - 1)).is_err());
    }

    #[test]
    fn a_window_bounds_what_a_session_keeps() {
        let budget = |left| Budget::new(footprint(), &engine(8192, 8), left);
        assert_eq!(budget(2).sentence, (6 * 220 + 12) * MIB);
        assert_eq!(budget(100).sentence, budget(0).sentence);
    }

    /// The refusal gives the figures and a setting with which it fits.
    #[test]
    fn a_refusal_says_what_to_lower() {
        let engine_config = engine(64 * 1024, 16);
        let budget = Budget::new(footprint(), &engine_config, 0);
        let text = budget.check(free(16 * GIB)).expect_err("too large").to_string();
        for part in ["weights 3072 MiB", "sessions 65536 MiB", "16384 of 81920 MiB are free"] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        let (_, rest) = text.split_once("engine.cache_mib to ").expect("advice");
        let advised = rest.split(',').next().and_then(|n| n.parse().ok()).expect("a number");
        let followed = Budget::new(footprint(), &engine(advised, 16), 0);
        assert!(followed.check(free(16 * GIB)).is_ok(), "{text}");
    }

    #[test]
    fn a_device_too_small_for_one_session() {
        let budget = Budget::new(footprint(), &engine(4096, 8), 0);
        let text = budget.check(free(6 * GIB)).expect_err("too large").to_string();
        assert!(text.contains("One session alone takes 6308 MiB"), "{text}");
        // Voices and slots are what is too much.
        let text = budget.check(free(6400 * MIB)).expect_err("too large").to_string();
        assert!(text.contains("engine.voice_cache_mib"), "{text}");
    }
}
