//! A step of work on several sessions at once, in which each answers for itself.

use super::EngineError;
use super::session::{SessionState, failed};
use crate::model::cosyvoice2::{CosyVoice2, Generation};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The indices as [`generations`] finds them.
pub(super) fn in_order(rows: &[usize]) -> impl Iterator<Item = usize> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows.into_iter()
}

/// The utterances of the sessions `rows`, which all have one, in the sessions' order.
pub(super) fn generations<'a>(
    sessions: &'a mut [SessionState],
    rows: &[usize],
) -> Vec<&'a mut Generation> {
    let chosen = sessions.iter_mut().enumerate().filter(|(index, _)| rows.contains(index));
    chosen.filter_map(|(_, session)| session.generation()).collect()
}

/// One step of the language model for all of `rows`, in their order. A step that fails as a whole
/// is repeated row by row, so that only the culprit fails.
pub(super) fn decode(
    model: &CosyVoice2,
    rows: &mut [&mut Generation],
) -> Vec<Result<(), EngineError>> {
    step(model, rows).unwrap_or_else(|| {
        let alone = rows.iter_mut().map(|row| {
            let result = step(model, &mut [&mut **row]).and_then(|mut results| results.pop());
            let broken = EngineError::Failed("the language model's step failed".into());
            result.unwrap_or(Err(broken))
        });
        alone.collect()
    })
}

/// Each row's result, or None if the step as a whole failed and has changed nothing.
fn step(model: &CosyVoice2, rows: &mut [&mut Generation]) -> Option<Vec<Result<(), EngineError>>> {
    match guarded(|| Generation::decode(model, rows)) {
        Ok(Ok(results)) => Some(results.into_iter().map(|r| r.map_err(failed)).collect()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a step of the language model failed");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "a step of the language model panicked");
            None
        }
    }
}

/// Runs work on the threads that compute, where handing parts of it to one another is cheapest.
/// A panic becomes an error: the model is never changed by a step, and what the step changed is
/// dropped with its session.
pub(super) fn guarded<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(|| rayon::scope(|_| work()))).map_err(|panic| panicked(&*panic))
}

pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> EngineError {
    EngineError::Failed(format!("panic: {}", panic_message(panic)))
}

pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cosyvoice2::{GenerationOptions, LoadOptions, Next, Slots, Voice};
    use burn::tensor::Device;
    use std::path::Path;
    use std::sync::Arc;

    fn model() -> (CosyVoice2, Arc<Voice>) {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
        let model = CosyVoice2::load(&dir, &Device::flex(), LoadOptions::default()).unwrap();
        let prompt = std::fs::read(dir.join("prompts/slt.wav")).unwrap();
        let audio = crate::audio::decode_prompt(&prompt).unwrap();
        let voice = Arc::new(model.voice(&audio, "Any words.", 10).unwrap());
        (model, voice)
    }

    fn options() -> GenerationOptions {
        GenerationOptions {
            seed: 3,
            streaming: true,
            speed: 1.0,
            max_text_tokens: 100,
            first_hop: 10,
            adaptive: false,
            sampling: Default::default(),
            guards: false,
        }
    }

    /// An utterance that is ready for its second token.
    fn begun(model: &CosyVoice2, slots: &mut Slots, voice: &Arc<Voice>) -> Generation {
        let mut generation = Generation::whole(model, slots, voice, &[5, 6, 7, 8], options());
        while generation.next() == Next::Prefill {
            generation.prefill(model).unwrap();
        }
        assert!(generation.takes_token());
        generation
    }

    /// A row that cannot be stepped spoils the step, and yet the others take it, as if alone.
    #[test]
    fn the_culprit_of_a_failed_step_fails_alone() {
        let (model, voice) = model();
        let mut slots = model.slots(4, 0);
        let mut alone = begun(&model, &mut slots, &voice);
        let (mut one, mut two) =
            (begun(&model, &mut slots, &voice), begun(&model, &mut slots, &voice));
        // Has no text, so nothing to decode.
        let mut broken = Generation::streamed(&model, &mut slots, &voice, options()).unwrap();
        for _ in 0..3 {
            assert!(decode(&model, &mut [&mut alone])[0].is_ok());
            let results = decode(&model, &mut [&mut one, &mut broken, &mut two]);
            let ok: Vec<bool> = results.iter().map(Result::is_ok).collect();
            assert_eq!(ok, [true, false, true]);
        }
        assert_eq!(one.speech_tokens(), alone.speech_tokens());
        assert_eq!(two.speech_tokens(), alone.speech_tokens());
    }

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let result = guarded(|| -> u8 { panic!("of row {}", 7) });
        assert!(matches!(result, Err(EngineError::Failed(words)) if words == "panic: of row 7"));
        assert!(matches!(guarded(|| 5), Ok(5)));
    }
}
