//! One utterance through the whole model: text tokens → speech tokens → mel → sound, one step at
//! a time.

use super::decode::{
    Action, BistreamDecoder, BistreamOptions, Decoder, LengthLimits, Rules, Sample, WholeDecoder,
};
use super::flow::FlowState;
use super::hift::{VocoderStream, speed_mel};
use super::sampling::{Ras, Sampler};
use super::{CosyVoice2, ModelError, Voice};
use crate::model::nn::KvCache;
use burn::tensor::Tensor;
use std::collections::VecDeque;

/// How an utterance is to be made.
#[derive(Debug, Clone, Copy)]
pub struct GenerationOptions {
    /// Equal seeds give equal speech.
    pub seed: u64,
    /// Tempo. Other than 1, no sound comes before the utterance is complete: the mel is stretched
    /// as a whole.
    pub speed: f32,
    /// Most text tokens that will be pushed to a streamed utterance.
    pub max_text_tokens: usize,
}

/// What a step made.
#[derive(Debug)]
pub enum Step {
    /// The language model went on by one forward.
    Decoded,
    /// Samples at the model's rate, in `[-1, 1]`. Empty where a hop is only prepared.
    Audio(Vec<f32>),
    /// Nothing can be done before more text comes.
    NeedText,
    Done,
}

/// An utterance being made. Its owner calls [`Self::step`] until [`Step::Done`].
pub struct Generation {
    decoder: Decoder,
    sampler: Sampler,
    cache: KvCache,
    flow: FlowState,
    vocoder: VocoderStream,
    /// Speech tokens that the flow has not seen.
    fresh: Vec<u32>,
    speech_tokens: usize,
    speed: f32,
    /// Mel waiting for the vocoder, `[1, mel bins, frames]` each.
    mel: VecDeque<Tensor<3>>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Decoding,
    /// All speech tokens are there; the flow has not made the last frames.
    Ending,
    /// All mel is there.
    Vocoding,
    Done,
}

/// Frames that the vocoder is given at a time when the whole mel is known: one second.
const MEL_CHUNK: usize = 50;

impl Generation {
    /// An utterance whose text is known in full.
    pub fn whole(
        model: &CosyVoice2,
        voice: &Voice,
        text: &[u32],
        options: GenerationOptions,
    ) -> Result<Self, ModelError> {
        let limits = LengthLimits::default();
        let decoder = WholeDecoder::new(
            model.config.speech_token_size as u32,
            limits,
            &voice.prompt_text,
            text,
            &voice.prompt_speech,
        );
        Ok(Self::new(model, voice, Decoder::Whole(decoder), text.len(), options))
    }

    /// An utterance whose text comes in pieces, interleaved with the speech (bistream).
    pub fn streamed(
        model: &CosyVoice2,
        voice: &Voice,
        options: GenerationOptions,
    ) -> Result<Self, ModelError> {
        let rules = BistreamOptions {
            eos: model.config.speech_token_size as u32,
            mix_ratio: model.config.mix_ratio,
            limits: LengthLimits::default(),
            max_text: options.max_text_tokens,
            rules: Rules::Trained,
        };
        let decoder = BistreamDecoder::new(rules, &voice.prompt_text, &voice.prompt_speech)?;
        let decoder = Decoder::Bistream(decoder);
        Ok(Self::new(model, voice, decoder, options.max_text_tokens, options))
    }

    fn new(
        model: &CosyVoice2,
        voice: &Voice,
        decoder: Decoder,
        text_tokens: usize,
        options: GenerationOptions,
    ) -> Self {
        // SOS, TASK, the texts, the prompt's speech and the longest speech the limits allow.
        let positions = 2
            + voice.prompt_text.len()
            + voice.prompt_speech.len()
            + text_tokens
            + LengthLimits::default().max(text_tokens);
        Self {
            decoder,
            sampler: Sampler::Ras(Ras::new(model.config.sampling, options.seed)),
            cache: model.llm.new_cache(positions),
            flow: voice.flow.clone(),
            vocoder: VocoderStream::new(&model.hift, options.seed),
            fresh: Vec::new(),
            speech_tokens: 0,
            speed: options.speed,
            mel: VecDeque::new(),
            stage: Stage::Decoding,
        }
    }

    /// More text of a streamed utterance.
    pub fn push_text(&mut self, tokens: &[u32]) -> Result<(), ModelError> {
        Ok(self.decoder.push_text(tokens)?)
    }

    /// No more text of a streamed utterance follows. May be called again.
    pub fn finish_text(&mut self) {
        self.decoder.finish_text();
    }

    /// Speech tokens made so far.
    pub fn speech_tokens(&self) -> usize {
        self.speech_tokens
    }

    /// One forward of the language model, one block of the flow, or one second of the vocoder.
    pub fn step(&mut self, model: &CosyVoice2) -> Result<Step, ModelError> {
        match self.stage {
            Stage::Decoding => self.decode(model),
            Stage::Ending => {
                self.stage = Stage::Vocoding;
                if self.speech_tokens == 0 {
                    self.stage = Stage::Done;
                    return Ok(Step::Done);
                }
                let tokens = std::mem::take(&mut self.fresh);
                let mel = model.flow.extend(&mut self.flow, &tokens, true)?;
                self.mel.push_back(mel);
                if self.speed != 1.0 {
                    self.stretch();
                }
                Ok(Step::Audio(Vec::new()))
            }
            Stage::Vocoding => {
                let Some(mel) = self.mel.pop_front() else {
                    self.stage = Stage::Done;
                    return Ok(Step::Done);
                };
                Ok(Step::Audio(self.vocoder.push(mel, self.mel.is_empty())))
            }
            Stage::Done => Ok(Step::Done),
        }
    }

    fn decode(&mut self, model: &CosyVoice2) -> Result<Step, ModelError> {
        // A hop that is ready goes before the next token: it is what the listener waits for.
        if self.fresh.len() >= self.flow.tokens_needed() {
            return self.hop(model);
        }
        match self.decoder.next_action() {
            Action::NeedText => Ok(Step::NeedText),
            Action::Done => {
                self.stage = Stage::Ending;
                Ok(Step::Decoded)
            }
            Action::Forward { inputs, then } => {
                let hidden = model.llm.forward(&inputs, &mut self.cache)?;
                match then {
                    Sample::Fill => self.decoder.forced()?,
                    Sample::Draw(masked) => {
                        let rows = hidden.dims()[0];
                        let mut logp = model.llm.logp(hidden.narrow(0, rows - 1, 1));
                        masked.apply(model.config.speech_token_size as u32, &mut logp);
                        let token = self.sampler.sample(&mut logp, self.decoder.history())?;
                        if let Some(token) = self.decoder.sampled(token)? {
                            self.fresh.push(token);
                            self.speech_tokens += 1;
                        }
                    }
                }
                Ok(Step::Decoded)
            }
        }
    }

    fn hop(&mut self, model: &CosyVoice2) -> Result<Step, ModelError> {
        let tokens = std::mem::take(&mut self.fresh);
        let mel = model.flow.extend(&mut self.flow, &tokens, false)?;
        if self.speed != 1.0 {
            self.mel.push_back(mel);
            return Ok(Step::Audio(Vec::new()));
        }
        Ok(Step::Audio(self.vocoder.push(mel, false)))
    }

    /// Changes the tempo of the whole mel and lays it out for the vocoder in chunks.
    fn stretch(&mut self) {
        let parts: Vec<_> = self.mel.drain(..).filter(|mel| mel.dims()[2] > 0).collect();
        if parts.is_empty() {
            return;
        }
        let mel = speed_mel(Tensor::cat(parts, 2), self.speed);
        let frames = mel.dims()[2];
        for start in (0..frames).step_by(MEL_CHUNK) {
            self.mel.push_back(mel.clone().narrow(2, start, MEL_CHUNK.min(frames - start)));
        }
    }
}
