use super::{Action, DecodeError, LengthLimits, Masked, STOP_IDS, Sample};
use super::{speech_inputs, text_inputs};
use crate::model::cosyvoice2::llm::LlmInput;

/// Decoding of a text that is known in full:
/// `SOS, prompt text, text, TASK, prompt speech`, then speech until a stop id or the length limit.
#[derive(Debug, Clone)]
pub struct WholeDecoder {
    eos: u32,
    min_len: usize,
    max_len: usize,
    /// What the next forward appends.
    inputs: Vec<LlmInput>,
    generated: Vec<u32>,
    stopped: bool,
}

impl WholeDecoder {
    /// `eos` is the size of the speech codebook. An empty `text` gives no speech.
    pub fn new(
        eos: u32,
        limits: LengthLimits,
        prompt_text: &[u32],
        text: &[u32],
        prompt_speech: &[u32],
    ) -> Self {
        let mut inputs = vec![LlmInput::Sos];
        inputs.extend(text_inputs(prompt_text.iter().chain(text).copied()));
        inputs.push(LlmInput::Task);
        inputs.extend(speech_inputs(prompt_speech.iter().copied()));
        Self {
            eos,
            min_len: limits.min(text.len()),
            max_len: limits.max(text.len()),
            inputs,
            generated: Vec::new(),
            stopped: false,
        }
    }

    /// See [`Decoder::next_action`](super::Decoder::next_action).
    pub fn next_action(&self) -> Action {
        if self.is_done() {
            return Action::Done;
        }
        // Only EOS: the original lets its two other stop ids end an utterance early.
        let masked = if self.generated.len() < self.min_len { Masked::Eos } else { Masked::None };
        Action::Forward { inputs: self.inputs.clone(), then: Sample::Draw(masked) }
    }

    /// See [`Decoder::sampled`](super::Decoder::sampled).
    pub fn sampled(&mut self, token: u32) -> Result<Option<u32>, DecodeError> {
        if self.is_done() {
            return Err(DecodeError::NotAwaited);
        }
        if (self.eos..self.eos + STOP_IDS).contains(&token) {
            self.stopped = true;
            return Ok(None);
        }
        if token > self.eos {
            return Err(DecodeError::Unexpected(token));
        }
        self.generated.push(token);
        self.inputs = vec![LlmInput::Speech(token)];
        Ok(Some(token))
    }

    /// See [`Decoder::stop`](super::Decoder::stop).
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Ids generated so far.
    pub fn history(&self) -> &[u32] {
        &self.generated
    }

    fn is_done(&self) -> bool {
        self.stopped || self.generated.len() >= self.max_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LlmInput::{Sos, Speech, Task, Text};

    fn decoder(text: &[u32]) -> WholeDecoder {
        WholeDecoder::new(100, LengthLimits::default(), &[1, 2], text, &[50])
    }

    fn then(decoder: &WholeDecoder) -> Option<Sample> {
        match decoder.next_action() {
            Action::Forward { then, .. } => Some(then),
            _ => None,
        }
    }

    #[test]
    fn the_prompt_is_sent_once_and_then_each_token() {
        let mut d = decoder(&[3]);
        let Action::Forward { inputs, .. } = d.next_action() else { panic!() };
        assert_eq!(inputs, [Sos, Text(1), Text(2), Text(3), Task, Speech(50)]);
        assert_eq!(d.sampled(7), Ok(Some(7)));
        let Action::Forward { inputs, .. } = d.next_action() else { panic!() };
        assert_eq!(inputs, [Speech(7)]);
        assert_eq!(d.history(), [7]);
    }

    #[test]
    fn eos_is_masked_below_two_tokens_per_text_token_and_the_end_comes_at_twenty() {
        let mut d = decoder(&[3]);
        for i in 0..20 {
            let masked = if i < 2 { Masked::Eos } else { Masked::None };
            assert_eq!(then(&d), Some(Sample::Draw(masked)));
            assert_eq!(d.sampled(i), Ok(Some(i)));
        }
        assert_eq!(d.next_action(), Action::Done);
        assert_eq!(d.sampled(1), Err(DecodeError::NotAwaited));
    }

    #[test]
    fn every_stop_id_ends_the_speech_and_is_not_heard() {
        for stop in 100..103 {
            let mut d = decoder(&[3]);
            assert_eq!(d.sampled(stop), Ok(None));
            assert_eq!(d.next_action(), Action::Done);
        }
        assert_eq!(decoder(&[3]).sampled(103), Err(DecodeError::Unexpected(103)));
    }

    #[test]
    fn no_text_gives_no_speech() {
        assert_eq!(decoder(&[]).next_action(), Action::Done);
    }
}
