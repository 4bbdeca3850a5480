//! A client's recording and transcript on their way to a voice.

use crate::audio::{self, Clip, Prepared, PromptCare, PromptWarning};
use crate::telemetry::metrics;
use crate::text;

/// Prepares a recording that [`audio::check_prompt`] accepts, and says what is wrong with it or
/// with its transcript. An empty transcript is one that is not known.
///
/// What it changes it changes before anybody takes a [`Prompt::digest`](super::Prompt::digest), so
/// voices made with other settings are other voices.
pub fn prepare_prompt(clip: Clip, transcript: &str, care: PromptCare) -> Prepared {
    audio::prepare(clip, text::syllables(transcript), care)
}

/// Tells those who run the server of a recording that a voice is to be made of.
pub fn report_prompt(warnings: &[PromptWarning]) {
    if warnings.is_empty() {
        return;
    }
    for warning in warnings {
        metrics::prompt_warning(warning.code());
    }
    let lines: Vec<String> = warnings.iter().map(PromptWarning::line).collect();
    tracing::warn!(warnings = lines.join("; "), "a prompt may not serve well");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that come with the model, and what is said in them.
    fn bundled() -> Vec<(Clip, String)> {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/model_weights/mynah-mini/prompts");
        let mut all = Vec::new();
        for entry in std::fs::read_dir(dir).expect("the bundled prompts") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|e| e == "wav") {
                let bytes = std::fs::read(&path).expect("a recording");
                let text = std::fs::read_to_string(path.with_extension("txt"));
                all.push((audio::decode_prompt(&bytes).expect("a prompt"), text.expect("a text")));
            }
        }
        assert!(all.len() >= 3);
        all
    }

    fn codes(clip: &Clip, text: &str) -> Vec<&'static str> {
        let care = PromptCare { trim: true, loudness: None };
        let warnings = prepare_prompt(clip.clone(), text, care).warnings;
        warnings.iter().map(PromptWarning::code).collect()
    }

    /// Clients that send them get the voices of the same names, to the last bit.
    #[test]
    fn good_recordings_stay_as_they_are() {
        for (clip, text) in bundled() {
            let care = PromptCare { trim: true, loudness: None };
            let prepared = prepare_prompt(clip.clone(), &text, care);
            assert_eq!((prepared.clip, prepared.warnings), (clip, vec![]), "{text}");
        }
    }

    #[test]
    fn transcripts_of_something_else_are_noticed() {
        for (clip, text) in bundled() {
            assert_eq!(codes(&clip, ""), [""; 0]);
            assert_eq!(codes(&clip, "Yes."), ["PROMPT_TEXT_TOO_SHORT"]);
            assert_eq!(codes(&clip, &text.repeat(3)), ["PROMPT_TEXT_TOO_LONG"]);
            assert_eq!(codes(&clip, "今天的公交车因为大雨晚点了。"), [""; 0]);
            let long = "今天的公交车因为大雨晚点了。".repeat(4);
            assert_eq!(codes(&clip, &long), ["PROMPT_TEXT_TOO_LONG"]);
        }
    }
}
