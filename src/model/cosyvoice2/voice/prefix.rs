//! The beginnings of the language model's sequences that depend on the prompt alone.

use crate::model::cosyvoice2::config::ModelConfig;
use crate::model::cosyvoice2::decode::{
    Action, BistreamDecoder, BistreamOptions, DecodeError, Decoder, LengthLimits, Rules,
    WholeDecoder,
};
use crate::model::cosyvoice2::llm::{Llm, LlmError, LlmInput};
use crate::model::nn::KvCache;

/// A text token that no vocabulary has: stands for whatever a session may say.
const ANY_TEXT: u32 = u32::MAX;
/// Positions per forward: few enough to take no longer than a step of the flow.
const STEP: usize = 32;

/// Inputs and the keys and values they leave behind.
pub struct Prefix {
    inputs: Vec<LlmInput>,
    cache: KvCache,
}

impl Prefix {
    /// One to be filled. Inputs beyond the model's positions are left out.
    pub fn new(llm: &Llm, mut inputs: Vec<LlmInput>) -> Self {
        let cache = llm.new_cache(inputs.len());
        inputs.truncate(cache.capacity());
        Self { inputs, cache }
    }

    /// Computes some more positions. True when all are there.
    pub fn fill(&mut self, llm: &Llm) -> Result<bool, LlmError> {
        let rest = self.inputs.get(self.cache.len()..).unwrap_or_default();
        let next = &rest[..rest.len().min(STEP)];
        if !next.is_empty() {
            llm.forward(next, &mut self.cache)?;
        }
        Ok(self.cache.len() >= self.inputs.len())
    }

    #[cfg(test)]
    pub fn inputs(&self) -> &[LlmInput] {
        &self.inputs
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.inputs.len() * size_of::<LlmInput>() + self.cache.bytes()
    }
}

/// See [`Voice::prefix_of`](super::Voice::prefix_of).
pub fn longest<'a>(prefixes: &'a [Prefix], inputs: &[LlmInput]) -> Option<(&'a KvCache, usize)> {
    let most = inputs.len().saturating_sub(1);
    let common = |prefix: &'a Prefix| {
        let equal = prefix.inputs.iter().zip(inputs).take_while(|(a, b)| a == b).count();
        (&prefix.cache, equal.min(most).min(prefix.cache.len()))
    };
    prefixes.iter().map(common).max_by_key(|(_, length)| *length).filter(|(_, length)| *length > 0)
}

/// What the sequences of whole and of streamed text begin with, before the first token of the
/// text itself.
pub fn beginnings(
    config: &ModelConfig,
    prompt_text: &[u32],
    prompt_speech: &[u32],
) -> Result<Vec<Vec<LlmInput>>, DecodeError> {
    let eos = config.speech_token_size as u32;
    let limits = LengthLimits::default();
    let whole = WholeDecoder::new(eos, limits, prompt_text, &[ANY_TEXT], prompt_speech);
    let options = BistreamOptions {
        eos,
        mix_ratio: config.mix_ratio,
        limits,
        max_text: 1,
        rules: Rules::Trained,
    };
    let mut streamed = BistreamDecoder::new(options, prompt_text, prompt_speech)?;
    streamed.push_text(&[ANY_TEXT])?;
    streamed.finish_text();

    let beginning = |decoder: Decoder| {
        let Action::Forward { inputs, .. } = decoder.next_action() else { return Vec::new() };
        let of_prompt = |input: &LlmInput| *input != LlmInput::Text(ANY_TEXT);
        inputs.into_iter().take_while(of_prompt).collect()
    };
    let mut both = [beginning(Decoder::Bistream(streamed)), beginning(Decoder::Whole(whole))];
    both.sort_by_key(|beginning| std::cmp::Reverse(beginning.len()));
    let [longer, shorter] = both;
    let needed = !longer.starts_with(&shorter);
    Ok(std::iter::once(longer).chain(needed.then_some(shorter)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use LlmInput::{Sos, Speech, Text};

    fn of(prompt_text: &[u32], prompt_speech: &[u32]) -> Vec<Vec<LlmInput>> {
        let config = ModelConfig { mix_ratio: [2, 3], ..Default::default() };
        beginnings(&config, prompt_text, prompt_speech).unwrap()
    }

    /// Nothing of the text may be in them, and everything before it must be.
    #[test]
    fn beginnings_end_where_the_text_begins() {
        // Two full blocks; the third's text is one short and waits for the session's.
        let blocks = [
            [Sos, Text(1), Text(2)].to_vec(),
            [Speech(10), Speech(11), Speech(12), Text(3), Text(4)].to_vec(),
            [Speech(13), Speech(14), Speech(15), Text(5)].to_vec(),
        ];
        let whole = [Sos, Text(1), Text(2), Text(3), Text(4), Text(5)].to_vec();
        let found = of(&[1, 2, 3, 4, 5], &[10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(found, [blocks.concat(), whole]);

        // All speech has text: what is left of the prompt's text comes after the first block.
        let streamed = [Sos, Text(1), Text(2), Speech(10)].to_vec();
        let whole = [Sos, Text(1), Text(2), Text(3)].to_vec();
        assert_eq!(of(&[1, 2, 3], &[10]), [streamed, whole]);

        // The one is how the other begins.
        assert_eq!(of(&[1], &[10]), [[Sos, Text(1)]]);
        assert_eq!(of(&[], &[10]), [[Sos]]);
    }
}
