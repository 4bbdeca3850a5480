//! What the language model is fed, step by step, and what may be drawn from its answers.
//!
//! A decoder owns no tensors. Its driver asks for the [`next_action`](Decoder::next_action), runs
//! the forward, draws a token under the action's rule and reports it. So many sessions can be
//! stepped in one batch.

mod bistream;
mod whole;

pub use bistream::{BistreamDecoder, BistreamOptions, Rules};
pub use whole::WholeDecoder;

use super::llm::LlmInput;
use std::ops::Range;

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Append `inputs` to the sequence. Then, for [`Sample::Draw`], draw from the distribution
    /// after the last of them and call [`Decoder::sampled`]; for [`Sample::Fill`] call
    /// [`Decoder::forced`].
    Forward { inputs: Vec<LlmInput>, then: Sample },
    /// Nothing can be done before more text, or its end, has come.
    NeedText,
    /// No more speech follows.
    Done,
}

/// How the token after a forward is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Drawn, but not one of these.
    Draw(Masked),
    /// It is FILL, whatever the model says.
    Fill,
}

/// Stop ids that must not be drawn: EOS, the id after it that has no use, and FILL after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Masked {
    None,
    Eos,
    AllButEos,
    All,
}

impl Masked {
    /// The masked ids, where `eos` is the size of the speech codebook.
    pub fn ids(self, eos: u32) -> Range<u32> {
        match self {
            Self::None => eos..eos,
            Self::Eos => eos..eos + 1,
            Self::AllButEos => eos + 1..eos + STOP_IDS,
            Self::All => eos..eos + STOP_IDS,
        }
    }

    /// Makes the masked ids impossible in `logp`.
    pub fn apply(self, eos: u32, logp: &mut [f32]) {
        for id in self.ids(eos) {
            if let Some(l) = logp.get_mut(id as usize) {
                *l = f32::NEG_INFINITY;
            }
        }
    }
}

const STOP_IDS: u32 = 3;
/// FILL as an offset to EOS.
const FILL_OFFSET: u32 = 2;

/// Why a decoder cannot go on. All but `TooMuchText` and `Unexpected` are mistakes of the driver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the language model drew token {0}, which has no meaning here")]
    Unexpected(u32),
    #[error("the text has more than {limit} tokens")]
    TooMuchText { limit: usize },
    #[error("text after the end of the text")]
    TextAfterEnd,
    #[error("no token was asked for")]
    NotAwaited,
    #[error("a block of {text} text tokens and {speech} speech tokens is impossible")]
    MixRatio { text: usize, speech: usize },
}

/// Bounds on the speech tokens of an utterance, per token of its text (without the prompt's).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LengthLimits {
    pub min_ratio: f64,
    pub max_ratio: f64,
    /// Most speech tokens, however long the text.
    pub most: usize,
}

impl Default for LengthLimits {
    fn default() -> Self {
        Self { min_ratio: 2.0, max_ratio: 20.0, most: usize::MAX }
    }
}

impl LengthLimits {
    fn min(&self, text_tokens: usize) -> usize {
        ((text_tokens as f64 * self.min_ratio) as usize).min(self.most)
    }

    /// Most speech tokens for a text.
    pub fn max(&self, text_tokens: usize) -> usize {
        ((text_tokens as f64 * self.max_ratio) as usize).min(self.most)
    }
}

/// Either way of decoding.
#[derive(Debug, Clone)]
pub enum Decoder {
    Whole(WholeDecoder),
    Bistream(BistreamDecoder),
}

impl Decoder {
    /// Pure: the same until the state changes by one of the other calls.
    pub fn next_action(&self) -> Action {
        match self {
            Self::Whole(d) => d.next_action(),
            Self::Bistream(d) => d.next_action(),
        }
    }

    /// Reports the token drawn after a forward. Returns it if it is speech to be heard.
    pub fn sampled(&mut self, token: u32) -> Result<Option<u32>, DecodeError> {
        match self {
            Self::Whole(d) => d.sampled(token),
            Self::Bistream(d) => d.sampled(token),
        }
    }

    /// Reports a forward whose token was FILL by [`Sample::Fill`].
    pub fn forced(&mut self) -> Result<(), DecodeError> {
        match self {
            Self::Whole(_) => Err(DecodeError::NotAwaited),
            Self::Bistream(d) => d.forced(),
        }
    }

    /// More text, for a decoder whose text comes in pieces.
    pub fn push_text(&mut self, text: &[u32]) -> Result<(), DecodeError> {
        match self {
            Self::Whole(_) => Err(DecodeError::TextAfterEnd),
            Self::Bistream(d) => d.push_text(text),
        }
    }

    /// No more text follows. May be called again.
    pub fn finish_text(&mut self) {
        if let Self::Bistream(d) = self {
            d.finish_text();
        }
    }

    /// Whether the language model has been given all of the text.
    pub fn knows_text(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Bistream(d) => d.is_final(),
        }
    }

    /// Ends the speech here, whatever the model would say.
    pub fn stop(&mut self) {
        match self {
            Self::Whole(d) => d.stop(),
            Self::Bistream(d) => d.stop(),
        }
    }

    /// Ids generated so far, FILL among them: what the sampler searches for repetitions.
    pub fn history(&self) -> &[u32] {
        match self {
            Self::Whole(d) => d.history(),
            Self::Bistream(d) => d.history(),
        }
    }
}

fn text_inputs(ids: impl IntoIterator<Item = u32>) -> impl Iterator<Item = LlmInput> {
    ids.into_iter().map(LlmInput::Text)
}

fn speech_inputs(ids: impl IntoIterator<Item = u32>) -> impl Iterator<Item = LlmInput> {
    ids.into_iter().map(LlmInput::Speech)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_name_the_ids_behind_the_codebook() {
        let masked = |mask: Masked| {
            let mut logp = [0.0; 7];
            mask.apply(4, &mut logp);
            let ids = (0..7).filter(|i| logp[*i] == f32::NEG_INFINITY);
            ids.collect::<Vec<usize>>()
        };
        assert!(masked(Masked::None).is_empty());
        assert_eq!(masked(Masked::Eos), [4]);
        assert_eq!(masked(Masked::AllButEos), [5, 6]);
        assert_eq!(masked(Masked::All), [4, 5, 6]);
        Masked::All.apply(6, &mut [0.0; 7]);
    }
}
