//! One utterance through the whole model: text tokens → speech tokens → mel → sound, one step at
//! a time.

use super::decode::{
    Action, BistreamDecoder, BistreamOptions, Decoder, LengthLimits, Rules, Sample, WholeDecoder,
};
use super::flow::{FlowState, Pass};
use super::hift::{VocoderStream, speed_mel};
use super::sampling::{Ras, Sampler};
use super::{CosyVoice2, ModelError, Voice};
use crate::model::nn::KvCache;
use burn::tensor::Tensor;
use std::collections::VecDeque;
use std::sync::Arc;

/// How an utterance is to be made.
#[derive(Debug, Clone, Copy)]
pub struct GenerationOptions {
    /// Equal seeds give equal speech.
    pub seed: u64,
    /// Whether sound comes hop by hop. Otherwise the flow sees the complete utterance at once,
    /// which sounds a little better.
    pub streaming: bool,
    /// Tempo. Other than 1 only without `streaming`: the mel is stretched as a whole.
    pub speed: f32,
    /// Most text tokens that will be pushed to a streamed utterance.
    pub max_text_tokens: usize,
}

/// What a step made.
#[derive(Debug)]
pub enum Step {
    /// Nothing to hear yet.
    Working,
    /// Samples at the model's rate, in `[-1, 1]`.
    Audio(Vec<f32>),
    /// Nothing can be done before more text comes.
    NeedText,
    Done,
}

/// An utterance being made. Its owner calls [`Self::step`] until [`Step::Done`].
pub struct Generation {
    voice: Arc<Voice>,
    decoder: Decoder,
    sampler: Sampler,
    cache: KvCache,
    vocoder: VocoderStream,
    /// The flow where it goes block by block.
    flow: Option<FlowState>,
    /// Speech tokens that the flow has not seen.
    fresh: Vec<u32>,
    speech_tokens: usize,
    speed: f32,
    stage: Stage,
}

enum Stage {
    /// The language model speaks; the flow follows block by block.
    Decoding,
    /// The flow works on the complete utterance.
    Passing(Box<Pass>),
    /// The vocoder works through complete mel, `[1, mel bins, frames]` each.
    Vocoding(VecDeque<Tensor<3>>),
    Done,
}

/// Frames that the vocoder is given at a time when the whole mel is known: one second.
const MEL_CHUNK: usize = 50;

impl Generation {
    /// An utterance whose text is known in full.
    pub fn whole(
        model: &CosyVoice2,
        voice: &Arc<Voice>,
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
        voice: &Arc<Voice>,
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
        voice: &Arc<Voice>,
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
            vocoder: VocoderStream::new(&model.hift, options.seed),
            flow: options.streaming.then(|| voice.flow.for_session(voice.first_hop)),
            fresh: Vec::new(),
            speech_tokens: 0,
            speed: options.speed,
            stage: Stage::Decoding,
            voice: voice.clone(),
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

    /// One forward of the language model, one block or one solver step of the flow, or one second
    /// of the vocoder.
    pub fn step(&mut self, model: &CosyVoice2) -> Result<Step, ModelError> {
        match &mut self.stage {
            Stage::Decoding => self.decode(model),
            Stage::Passing(pass) => {
                if let Some(mel) = model.flow.advance_pass(pass) {
                    self.stage = Stage::Vocoding(chunks(speed_mel(mel, self.speed)));
                }
                Ok(Step::Working)
            }
            Stage::Vocoding(mel) => match mel.pop_front() {
                Some(next) => Ok(Step::Audio(self.vocoder.push(next, mel.is_empty()))),
                None => {
                    self.stage = Stage::Done;
                    Ok(Step::Done)
                }
            },
            Stage::Done => Ok(Step::Done),
        }
    }

    fn decode(&mut self, model: &CosyVoice2) -> Result<Step, ModelError> {
        // A hop that is ready goes before the next token: it is what the listener waits for.
        if let Some(mut flow) = self.flow.take_if(|flow| self.fresh.len() >= flow.tokens_needed()) {
            model.flow.push(&mut flow, &std::mem::take(&mut self.fresh), false)?;
            let (flow, mel) = model.flow.run_ready(flow)?;
            self.flow = Some(flow);
            return Ok(Step::Audio(self.vocoder.push(mel, false)));
        }
        match self.decoder.next_action() {
            Action::NeedText => Ok(Step::NeedText),
            Action::Done => self.end(model),
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
                Ok(Step::Working)
            }
        }
    }

    /// All speech tokens are there: what the flow has not made of them comes next.
    fn end(&mut self, model: &CosyVoice2) -> Result<Step, ModelError> {
        let tokens = std::mem::take(&mut self.fresh);
        self.stage = if self.speech_tokens == 0 {
            Stage::Done
        } else if let Some(mut flow) = self.flow.take() {
            model.flow.push(&mut flow, &tokens, true)?;
            let (_, mel) = model.flow.run_ready(flow)?;
            Stage::Vocoding([mel].into())
        } else {
            Stage::Passing(Box::new(model.flow.begin(&self.voice.prompt, &tokens, false, true)?))
        };
        Ok(Step::Working)
    }
}

/// Lays complete mel out for the vocoder, `[1, mel bins, frames]` to parts of a second.
fn chunks(mel: Tensor<3>) -> VecDeque<Tensor<3>> {
    let frames = mel.dims()[2];
    let part = |start| mel.clone().narrow(2, start, MEL_CHUNK.min(frames - start));
    (0..frames).step_by(MEL_CHUNK).map(part).collect()
}
