use super::{Action, DecodeError, FILL_OFFSET, LengthLimits, Masked, Sample};
use super::{speech_inputs, text_inputs};
use crate::model::cosyvoice2::llm::LlmInput;
use std::collections::VecDeque;

/// How a [`BistreamDecoder`] decodes.
#[derive(Debug, Clone, Copy)]
pub struct BistreamOptions {
    /// Size of the speech codebook, which is EOS.
    pub eos: u32,
    /// Text and speech tokens of a block.
    pub mix_ratio: [usize; 2],
    pub limits: LengthLimits,
    /// Most tokens of text that are taken, without the prompt's.
    pub max_text: usize,
    pub rules: Rules,
}

/// Where the original implementation departs from the layout the model was trained on, or trusts
/// the model to behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// The layout of the training, and an end in every case:
    /// * prompt speech that found no text to be paired with follows TASK;
    /// * a block always has its full number of speech tokens;
    /// * at the end only EOS can stop, not below the minimum length, and the maximum length does;
    /// * an empty text gives no speech.
    Trained,
    /// What the original does, mistakes included, to compare with it:
    /// * when the text ends, what was sent last is sent again;
    /// * prompt speech that found no text to be paired with is dropped;
    /// * the model may end a block early by FILL;
    /// * a stop id where it has no meaning is an error, and nothing bounds the end.
    Original,
}

/// Decoding of a text that comes in pieces. The sequence interleaves blocks of text and speech
/// (5 and 15 tokens in the released model):
/// `SOS, 5 text, 15 speech, 5 text, 15 speech, .., rest of text, TASK, rest of speech`.
/// The prompt fills the first blocks. After a block's speech the model is to say FILL, which is
/// never an input.
///
/// The sequence depends on the text alone, not on the pieces or the moments it comes in.
#[derive(Debug, Clone)]
pub struct BistreamDecoder {
    options: BistreamOptions,
    phase: Phase,
    /// What the next forward appends. By the original's rules also, between blocks, what the last
    /// one did.
    inputs: Vec<LlmInput>,
    /// Text that came but was not looked at yet.
    arrived: VecDeque<u32>,
    /// Text waiting for a block to be full; starts with the prompt's.
    text: VecDeque<u32>,
    /// Prompt speech that is not in a block yet.
    prompt_speech: VecDeque<u32>,
    /// Tokens of text, without the prompt's.
    text_tokens: usize,
    text_ended: bool,
    /// With FILLs.
    generated: Vec<u32>,
    /// Without FILLs.
    emitted: usize,
    /// Length of `generated` at which FILL is forced.
    next_fill: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between blocks.
    Text,
    /// Generating a block's speech.
    Block,
    /// Generating after TASK.
    Final,
    Done,
}

impl BistreamDecoder {
    pub fn new(
        options: BistreamOptions,
        prompt_text: &[u32],
        prompt_speech: &[u32],
    ) -> Result<Self, DecodeError> {
        let [text, speech] = options.mix_ratio;
        if text == 0 || speech == 0 {
            return Err(DecodeError::MixRatio { text, speech });
        }
        Ok(Self {
            options,
            phase: Phase::Text,
            inputs: vec![LlmInput::Sos],
            arrived: VecDeque::new(),
            text: prompt_text.iter().copied().collect(),
            prompt_speech: prompt_speech.iter().copied().collect(),
            text_tokens: 0,
            text_ended: false,
            generated: Vec::new(),
            emitted: 0,
            // What is left of the last block that the prompt speech began.
            next_fill: speech - prompt_speech.len() % speech,
        })
    }

    /// More text.
    pub fn push_text(&mut self, text: &[u32]) -> Result<(), DecodeError> {
        if self.text_ended {
            return Err(DecodeError::TextAfterEnd);
        }
        let limit = self.options.max_text;
        if text.len() > limit.saturating_sub(self.text_tokens) {
            return Err(DecodeError::TooMuchText { limit });
        }
        self.text_tokens += text.len();
        self.arrived.extend(text);
        self.advance();
        Ok(())
    }

    /// No more text follows.
    pub fn finish_text(&mut self) {
        self.text_ended = true;
        self.advance();
    }

    /// See [`Decoder::next_action`](super::Decoder::next_action).
    pub fn next_action(&self) -> Action {
        let then = match self.phase {
            Phase::Text => return Action::NeedText,
            Phase::Done => return Action::Done,
            Phase::Block if self.generated.len() == self.next_fill => Sample::Fill,
            Phase::Block => Sample::Draw(match self.options.rules {
                Rules::Trained => Masked::All,
                Rules::Original => Masked::Eos,
            }),
            Phase::Final => Sample::Draw(match self.options.rules {
                Rules::Trained if self.emitted < self.min_len() => Masked::All,
                Rules::Trained => Masked::AllButEos,
                Rules::Original => Masked::None,
            }),
        };
        Action::Forward { inputs: self.inputs.clone(), then }
    }

    /// See [`Decoder::sampled`](super::Decoder::sampled).
    pub fn sampled(&mut self, token: u32) -> Result<Option<u32>, DecodeError> {
        let eos = self.options.eos;
        match self.phase {
            Phase::Text | Phase::Done => Err(DecodeError::NotAwaited),
            Phase::Block if self.generated.len() == self.next_fill => Err(DecodeError::NotAwaited),
            _ if token < eos => {
                self.emit(token);
                Ok(Some(token))
            }
            Phase::Block if token == eos + FILL_OFFSET && self.options.rules == Rules::Original => {
                self.end_block();
                Ok(None)
            }
            Phase::Final if token == eos => {
                self.phase = Phase::Done;
                Ok(None)
            }
            _ => Err(DecodeError::Unexpected(token)),
        }
    }

    /// See [`Decoder::forced`](super::Decoder::forced).
    pub fn forced(&mut self) -> Result<(), DecodeError> {
        if self.phase != Phase::Block || self.generated.len() != self.next_fill {
            return Err(DecodeError::NotAwaited);
        }
        self.end_block();
        Ok(())
    }

    /// See [`Decoder::knows_text`](super::Decoder::knows_text).
    pub fn is_final(&self) -> bool {
        matches!(self.phase, Phase::Final | Phase::Done)
    }

    /// See [`Decoder::stop`](super::Decoder::stop).
    pub fn stop(&mut self) {
        self.phase = Phase::Done;
    }

    /// Ids generated so far, FILL among them.
    pub fn history(&self) -> &[u32] {
        &self.generated
    }

    fn min_len(&self) -> usize {
        self.options.limits.min(self.text_tokens)
    }

    fn emit(&mut self, token: u32) {
        self.generated.push(token);
        self.emitted += 1;
        self.inputs = vec![LlmInput::Speech(token)];
        let max_len = self.options.limits.max(self.text_tokens);
        let bounded = self.options.rules == Rules::Trained && self.phase == Phase::Final;
        if bounded && self.emitted >= max_len {
            self.phase = Phase::Done;
        }
    }

    fn end_block(&mut self) {
        self.next_fill = self.generated.len() + 1 + self.options.mix_ratio[1];
        self.generated.push(self.options.eos + FILL_OFFSET);
        if self.options.rules == Rules::Trained {
            self.inputs.clear();
        }
        self.phase = Phase::Text;
        self.advance();
    }

    /// Between blocks: begins the next one, or the end, if what came allows it.
    fn advance(&mut self) {
        if self.phase != Phase::Text {
            return;
        }
        match self.options.rules {
            Rules::Trained => {
                self.text.extend(self.arrived.drain(..));
                if self.text_tokens == 0 {
                    if self.text_ended {
                        self.phase = Phase::Done;
                    }
                    return;
                }
                self.begin_block();
            }
            // One decision per token that arrives, however much text is waiting.
            Rules::Original => {
                while self.phase == Phase::Text
                    && let Some(token) = self.arrived.pop_front()
                {
                    self.text.push_back(token);
                    self.begin_block();
                }
            }
        }
        if self.phase == Phase::Text && self.text_ended {
            self.begin_final();
        }
    }

    fn begin_block(&mut self) {
        let [block, block_speech] = self.options.mix_ratio;
        while !self.prompt_speech.is_empty() {
            if self.text.len() < block {
                return;
            }
            self.inputs.extend(text_inputs(self.text.drain(..block)));
            let speech = block_speech.min(self.prompt_speech.len());
            self.inputs.extend(speech_inputs(self.prompt_speech.drain(..speech)));
        }
        // A last prompt block that is begun has its text already.
        let has_text = self.generated.is_empty() && self.inputs.len() > 1;
        if !has_text {
            if self.text.len() < block {
                return;
            }
            if !self.generated.is_empty() {
                self.inputs.clear();
            }
            self.inputs.extend(text_inputs(self.text.drain(..block)));
        }
        self.phase = Phase::Block;
    }

    fn begin_final(&mut self) {
        self.inputs.extend(text_inputs(self.text.drain(..)));
        self.inputs.push(LlmInput::Task);
        if self.options.rules == Rules::Trained {
            self.inputs.extend(speech_inputs(self.prompt_speech.drain(..)));
        }
        self.phase = Phase::Final;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LlmInput::{Sos, Speech, Task, Text};

    const EOS: u32 = 1000;

    fn decoder(rules: Rules, prompt_text: &[u32], prompt_speech: &[u32]) -> BistreamDecoder {
        let options = BistreamOptions {
            eos: EOS,
            mix_ratio: [2, 3],
            limits: LengthLimits::default(),
            max_text: 100,
            rules,
        };
        BistreamDecoder::new(options, prompt_text, prompt_speech).unwrap()
    }

    /// Draws 500, 501, .. until text is needed or the end; returns all that was sent.
    fn drive(d: &mut BistreamDecoder, sent: &mut Vec<LlmInput>) -> Action {
        loop {
            match d.next_action() {
                Action::Forward { inputs, then } => {
                    sent.extend(inputs);
                    match then {
                        Sample::Fill => d.forced().unwrap(),
                        Sample::Draw(_) => {
                            let next = 500 + d.emitted as u32;
                            assert_eq!(d.sampled(next), Ok(Some(next)));
                        }
                    }
                }
                other => return other,
            }
        }
    }

    #[test]
    fn blocks_alternate_and_the_rest_follows_task() {
        let mut d = decoder(Rules::Trained, &[], &[]);
        let mut sent = Vec::new();
        assert_eq!(drive(&mut d, &mut sent), Action::NeedText);
        d.push_text(&[1]).unwrap();
        assert_eq!(drive(&mut d, &mut sent), Action::NeedText);
        assert_eq!(sent, []);
        d.push_text(&[2, 3]).unwrap();
        assert_eq!(drive(&mut d, &mut sent), Action::NeedText);
        let first = [Sos, Text(1), Text(2), Speech(500), Speech(501), Speech(502)];
        assert_eq!(sent, first);
        assert_eq!(d.history(), [500, 501, 502, EOS + FILL_OFFSET]);
        d.finish_text();
        sent.clear();
        let Action::Forward { inputs, .. } = d.next_action() else { panic!() };
        assert_eq!(inputs, [Text(3), Task]);
    }

    #[test]
    fn the_sequence_does_not_depend_on_how_the_text_arrives() {
        let run = |pieces: &[&[u32]], early_end: bool| {
            let mut d = decoder(Rules::Trained, &[90, 91, 92], &[80, 81, 82, 83]);
            let mut sent = Vec::new();
            for piece in pieces {
                d.push_text(piece).unwrap();
                if !early_end {
                    drive(&mut d, &mut sent);
                }
            }
            d.finish_text();
            assert_eq!(drive(&mut d, &mut sent), Action::Done);
            sent
        };
        let text: Vec<u32> = (1..=8).collect();
        let whole = run(&[&text], true);
        let singly: Vec<&[u32]> = text.chunks(1).collect();
        assert_eq!(run(&singly, false), whole);
        assert_eq!(run(&[&text[..5], &[], &text[5..]], false), whole);
        assert_eq!(run(&singly, true), whole);
        let begin = [Sos, Text(90), Text(91), Speech(80), Speech(81), Speech(82)];
        assert_eq!(whole[..6], begin);
        assert_eq!(whole[6..9], [Text(92), Text(1), Speech(83)]);
    }

    #[test]
    fn a_model_that_never_stops_is_stopped_and_only_eos_can_stop_it_before() {
        let mut d = decoder(Rules::Trained, &[], &[]);
        d.push_text(&[1, 2, 3]).unwrap();
        d.finish_text();
        let mut sent = Vec::new();
        assert_eq!(drive(&mut d, &mut sent), Action::Done);
        assert_eq!(d.emitted, 60);

        let mut d = decoder(Rules::Trained, &[], &[]);
        d.push_text(&[1]).unwrap();
        d.finish_text();
        let then = |d: &BistreamDecoder| match d.next_action() {
            Action::Forward { then, .. } => then,
            other => panic!("{other:?}"),
        };
        assert_eq!(then(&d), Sample::Draw(Masked::All));
        d.sampled(1).unwrap();
        d.sampled(2).unwrap();
        assert_eq!(then(&d), Sample::Draw(Masked::AllButEos));
        assert_eq!(d.sampled(EOS + 1), Err(DecodeError::Unexpected(EOS + 1)));
        assert_eq!(d.sampled(EOS), Ok(None));
        assert_eq!(d.next_action(), Action::Done);
    }

    #[test]
    fn leftover_prompt_speech_follows_task_unless_by_the_originals_rules() {
        let last = |rules| {
            let mut d = decoder(rules, &[90], &[80, 81, 82, 83]);
            d.push_text(&[1, 2]).unwrap();
            assert_eq!(d.next_action(), Action::NeedText);
            d.finish_text();
            let Action::Forward { inputs, .. } = d.next_action() else { panic!() };
            inputs
        };
        let common = [Sos, Text(90), Text(1), Speech(80), Speech(81), Speech(82), Text(2), Task];
        assert_eq!(last(Rules::Original), common);
        assert_eq!(last(Rules::Trained), [&common[..], &[Speech(83)]].concat());
    }

    #[test]
    fn no_text_gives_no_speech_even_with_a_prompt() {
        let mut d = decoder(Rules::Trained, &[90, 91, 92, 93], &[80, 81]);
        d.push_text(&[]).unwrap();
        assert_eq!(d.next_action(), Action::NeedText);
        d.finish_text();
        assert_eq!(d.next_action(), Action::Done);
    }

    #[test]
    fn text_is_bounded_and_refused_after_its_end() {
        let mut d = decoder(Rules::Trained, &[], &[]);
        d.push_text(&[1; 99]).unwrap();
        assert_eq!(d.push_text(&[1; 2]), Err(DecodeError::TooMuchText { limit: 100 }));
        d.push_text(&[1]).unwrap();
        d.finish_text();
        assert_eq!(d.push_text(&[1]), Err(DecodeError::TextAfterEnd));
        let options = BistreamOptions { mix_ratio: [5, 0], ..d.options };
        assert!(BistreamDecoder::new(options, &[], &[]).is_err());
    }
}
