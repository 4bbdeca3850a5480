//! One utterance through the whole model: text tokens → speech tokens → mel → sound, in steps that
//! several utterances can share.
//!
//! An utterance has two tracks. The *decoder* draws speech tokens, up to a little more than a hop
//! ahead of need; the *wave* turns them to sound, hop by hop. [`Generation::next`] says which one
//! the next sound waits for. A *guard* watches the tokens and has an utterance that went wrong
//! sampled again, or cut.

mod guarding;

use super::decode::{
    Action, BistreamDecoder, BistreamOptions, Decoder, LengthLimits, Masked, Rules, Sample,
    WholeDecoder,
};
use super::flow::{FlowState, Hop, Pass};
use super::guard::{Fault, Remedy};
use super::hift::{VocoderPush, VocoderStream, speed_mel};
use super::llm::{LlmError, LlmInput, Slots};
use super::sampling::{Ras, Sampler, SamplingOptions};
use super::{CosyVoice2, ModelError, Voice};
use crate::model::nn::{KvCache, Picked, sample};
use burn::tensor::Tensor;
use guarding::Guarding;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// How an utterance is to be made.
#[derive(Debug, Clone, Copy)]
pub struct GenerationOptions {
    /// Equal seeds give equal speech tokens.
    pub seed: u64,
    /// Whether sound comes hop by hop. Otherwise the flow sees the complete utterance at once,
    /// which sounds a little better.
    pub streaming: bool,
    /// Tempo. Other than 1 only without `streaming`: the mel is stretched as a whole.
    pub speed: f32,
    /// Most text tokens that will be pushed to a streamed utterance.
    pub max_text_tokens: usize,
    /// Speech tokens of the first hop.
    pub first_hop: usize,
    /// Whether the first hop may take more of them, where [`Generation::lengthen_first_hop`] asks
    /// for them or they are there already. The sound then differs a little from one run to the
    /// next, by how much of the prompt the flow sees.
    pub adaptive: bool,
    pub sampling: SamplingOptions,
    /// Whether an utterance that goes wrong is sampled again or cut. Of length it is judged only
    /// after [`Generation::expect`].
    pub guards: bool,
}

impl GenerationOptions {
    fn limits(&self, model: &CosyVoice2) -> LengthLimits {
        let most = self.sampling.max_speech_tokens.unwrap_or(usize::MAX);
        LengthLimits { most, ..model.lengths }
    }
}

/// What the next sound waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A part of the prompt through the language model: [`Generation::prefill`].
    Prefill,
    /// A speech token: [`Generation::decode`].
    Token,
    /// [`Generation::wave`], together with others of the same shape.
    Wave(WaveShape),
    /// More text.
    Text,
    Done,
}

/// Steps of the wave that can be one step of several utterances are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaveShape {
    /// A solver step of a hop of so many frames, after so many steps.
    Hop { frames: usize, step: usize },
    /// One solver step over a whole utterance. Never batched.
    Whole,
    /// The vocoder over so many mel frames.
    Vocoder { frames: usize },
}

/// Positions that one prefill step gives the language model, so that a long prompt does not keep
/// the others waiting.
const PREFILL: usize = 256;
/// Speech tokens that the decoder may be ahead of the flow: two hops.
const AHEAD: usize = 50;
/// Frames that the vocoder is given at a time when the whole mel is known: one second.
const MEL_CHUNK: usize = 50;

/// One utterance being made.
pub struct Generation {
    voice: Arc<Voice>,
    options: GenerationOptions,
    decoder: Decoder,
    sampler: Sampler,
    cache: KvCache,
    /// Inputs of the decoder's next action that the language model has seen.
    prefilled: usize,
    /// Speech tokens that the flow has not seen.
    fresh: Vec<u32>,
    /// Speech tokens so far.
    speech_tokens: usize,
    /// None before the first hop, and while a hop has it.
    flow: Option<FlowState>,
    wave: Wave,
    vocoder: VocoderStream,
    guarding: Option<Box<Guarding>>,
}

enum Wave {
    /// Waits for speech tokens.
    Idle,
    Hop(Box<Hop>),
    /// The flow works on the complete utterance.
    Pass(Box<Pass>),
    /// Mel for the vocoder, `[1, mel bins, frames]` each, and whether the utterance ends with it.
    Mel(VecDeque<Tensor<3>>, bool),
    Done,
}

impl Generation {
    /// An utterance whose text is known in full.
    pub fn whole(
        model: &CosyVoice2,
        slots: &mut Slots,
        voice: &Arc<Voice>,
        text: &[u32],
        options: GenerationOptions,
    ) -> Self {
        let decoder = WholeDecoder::new(
            model.config.speech_token_size as u32,
            options.limits(model),
            &voice.prompt_text,
            text,
            &voice.prompt_speech,
        );
        Self::new(model, slots, voice, Decoder::Whole(decoder), text.len(), options)
    }

    /// An utterance whose text comes in pieces, interleaved with the speech (bistream).
    ///
    /// # Errors
    /// A model whose configuration has no such interleaving.
    pub fn streamed(
        model: &CosyVoice2,
        slots: &mut Slots,
        voice: &Arc<Voice>,
        options: GenerationOptions,
    ) -> Result<Self, ModelError> {
        let rules = BistreamOptions {
            eos: model.config.speech_token_size as u32,
            mix_ratio: model.config.mix_ratio,
            limits: options.limits(model),
            max_text: options.max_text_tokens,
            rules: Rules::Trained,
        };
        let decoder = BistreamDecoder::new(rules, &voice.prompt_text, &voice.prompt_speech)?;
        let decoder = Decoder::Bistream(decoder);
        Ok(Self::new(model, slots, voice, decoder, options.max_text_tokens, options))
    }

    fn new(
        model: &CosyVoice2,
        slots: &mut Slots,
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
            + options.limits(model).max(text_tokens);
        let guarding = options
            .guards
            .then(|| Box::new(Guarding::new(&decoder, options.first_hop, voice.loudness)));
        Self {
            guarding,
            decoder,
            sampler: Sampler::Ras(Ras::new(model.config.sampling, options.sampling, options.seed)),
            cache: slots.take(positions),
            prefilled: 0,
            fresh: Vec::new(),
            speech_tokens: 0,
            flow: None,
            wave: Wave::Idle,
            vocoder: VocoderStream::new(&model.hift, options.seed),
            voice: voice.clone(),
            options,
        }
    }

    /// Gives the memory of the language model's cache back for the next utterance.
    pub fn end(self, slots: &mut Slots) {
        slots.give(self.cache);
    }

    /// More text of a streamed utterance.
    pub fn push_text(&mut self, tokens: &[u32]) -> Result<(), ModelError> {
        self.decoder.push_text(tokens)?;
        self.guard_text(tokens);
        Ok(())
    }

    /// No more text of a streamed utterance follows. May be called again.
    pub fn finish_text(&mut self) {
        self.decoder.finish_text();
    }

    /// What was found wrong with the utterance and what was done about it, since the last call.
    pub fn take_faults(&mut self) -> Vec<(Fault, Remedy)> {
        self.guarding.as_mut().map(|g| std::mem::take(&mut g.faults)).unwrap_or_default()
    }

    /// Speech tokens made so far.
    pub fn speech_tokens(&self) -> usize {
        self.speech_tokens
    }

    /// Device memory in bytes that is this utterance's own.
    pub fn bytes(&self) -> usize {
        let flow = match (&self.flow, &self.wave) {
            (Some(state), _) => state.bytes(),
            (None, Wave::Hop(hop)) => hop.bytes(),
            _ => 0,
        };
        self.cache.bytes() + flow
    }

    /// Whether the first hop is still to come, and its length open.
    pub fn awaits_first_hop(&self) -> bool {
        self.options.streaming && self.flow.is_none() && matches!(self.wave, Wave::Idle)
    }

    /// Has the first hop wait for so many speech tokens, if it is [`awaited`](Self::awaits_first_hop)
    /// and may be lengthened.
    pub fn set_first_hop(&mut self, tokens: usize) {
        if self.options.adaptive {
            self.options.first_hop = tokens;
        }
    }

    pub fn next(&self) -> Next {
        if let Some(shape) = self.wave_shape() {
            return Next::Wave(shape);
        }
        if matches!(self.wave, Wave::Done) {
            return Next::Done;
        }
        match self.decoder.next_action() {
            Action::NeedText => Next::Text,
            Action::Done => Next::Done,
            Action::Forward { inputs, .. } if inputs.len() - self.prefilled == 1 => Next::Token,
            Action::Forward { .. } => Next::Prefill,
        }
    }

    /// Whether [`Self::decode`] may take this utterance along, needed or ahead of need.
    pub fn takes_token(&self) -> bool {
        let ahead = self.options.streaming && self.released() >= AHEAD;
        !ahead
            && matches!(self.decoder.next_action(),
                Action::Forward { inputs, .. } if inputs.len() - self.prefilled == 1)
    }

    fn is_decoded(&self) -> bool {
        matches!(self.decoder.next_action(), Action::Done)
    }

    /// What [`Self::wave`] would do now.
    fn wave_shape(&self) -> Option<WaveShape> {
        match &self.wave {
            Wave::Hop(hop) => Some(hop_shape(hop.shape())),
            Wave::Pass(_) => Some(WaveShape::Whole),
            Wave::Mel(mel, _) => {
                let frames = mel.front().map_or(0, |mel| mel.dims()[2]);
                Some(WaveShape::Vocoder { frames })
            }
            Wave::Done => None,
            Wave::Idle if self.speech_tokens == 0 => None,
            Wave::Idle if !self.options.streaming => self.is_decoded().then_some(WaveShape::Whole),
            Wave::Idle => {
                let (state, needed) = match &self.flow {
                    Some(state) => (state, state.tokens_needed()),
                    None => {
                        let state = &self.voice.flow;
                        let first = self.options.first_hop.min(state.longest_first_hop());
                        (state, first + state.look_ahead())
                    }
                };
                let ready = self.released() >= needed || self.is_decoded();
                ready.then(|| hop_shape(state.next_shape(self.released())))
            }
        }
    }

    /// Gives the language model the next part of several positions.
    pub fn prefill(&mut self, model: &CosyVoice2) -> Result<(), ModelError> {
        let Action::Forward { inputs, then } = self.decoder.next_action() else { return Ok(()) };
        if self.cache.is_empty()
            && let Some((prefix, length)) = self.voice.prefix_of(&inputs)
            && length < inputs.len()
        {
            let full = |full| LlmError::CacheFull { row: 0, full };
            self.cache.copy_from(prefix).map_err(full)?;
            self.cache.truncate(length);
            self.prefilled = length;
        }
        let rest = &inputs[self.prefilled..];
        let part = &rest[..rest.len().min(PREFILL)];
        let hidden = model.llm.forward(part, &mut self.cache)?;
        if part.len() < rest.len() {
            self.prefilled += part.len();
            return Ok(());
        }
        let last = hidden.dims()[0] - 1;
        let mut logp = model.llm.logp(hidden.narrow(0, last, 1));
        self.draw(model, then, &mut logp)
    }

    /// One step of the language model for all of `rows`, each of which [takes a
    /// token](Self::takes_token). A row's result does not depend on the others.
    ///
    /// # Errors
    /// Of the step as a whole, before any row has changed; and of each row.
    pub fn decode(
        model: &CosyVoice2,
        rows: &mut [&mut Self],
    ) -> Result<Vec<Result<(), ModelError>>, ModelError> {
        let mut rules = Vec::with_capacity(rows.len());
        let mut batch: Vec<(LlmInput, &mut KvCache)> = Vec::with_capacity(rows.len());
        for row in rows.iter_mut() {
            let Action::Forward { inputs, then } = row.decoder.next_action() else {
                return Err(ModelError::Failed("a row of the batch has nothing to decode".into()));
            };
            let [input] = inputs[row.prefilled..] else {
                return Err(ModelError::Failed("a row of the batch has no single input".into()));
            };
            rules.push(then);
            batch.push((input, &mut row.cache));
        }
        let hidden = model.llm.step_batch(&mut batch)?;
        let logits = model.llm.logits(hidden);
        if let Some(picked) = Self::pick(model, rows, &rules, &logits) {
            let taken = rows.iter_mut().zip(rules).zip(picked).enumerate();
            let taken = taken.map(|(i, ((row, then), picked))| {
                row.take(model, then, picked, || logits.clone().narrow(0, i, 1))
            });
            return Ok(taken.collect());
        }
        let mut logp = model.llm.logp_rows(logits);
        let drawn = rows.iter_mut().zip(rules).zip(&mut logp);
        Ok(drawn.map(|((row, then), logp)| row.draw(model, then, logp)).collect())
    }

    /// What the device draws for each row from `logits` `[rows, ids]`, so that the scores stay where
    /// they are. None where it cannot, for some row.
    fn pick(
        model: &CosyVoice2,
        rows: &[&mut Self],
        rules: &[Sample],
        logits: &Tensor<2>,
    ) -> Option<Vec<Picked>> {
        if model.is_on_cpu() {
            return None;
        }
        let eos = model.config.speech_token_size as u32;
        let masked: Vec<Vec<u32>> = rules
            .iter()
            .map(|then| match then {
                Sample::Fill => Vec::new(),
                Sample::Draw(masked) => masked.ids(eos).collect(),
            })
            .collect();
        let draws = rows.iter().zip(&masked);
        let draws = draws.map(|(row, masked)| row.sampler.draw(row.decoder.history(), masked));
        sample(logits, &draws.collect::<Option<Vec<_>>>()?)
    }

    /// [`Self::draw`] of what the device has drawn; the host draws where that is not the last word.
    fn take(
        &mut self,
        model: &CosyVoice2,
        then: Sample,
        picked: Picked,
        logits: impl FnOnce() -> Tensor<2>,
    ) -> Result<(), ModelError> {
        let eos = model.config.speech_token_size as u32;
        match (then, picked) {
            (Sample::Draw(_), Picked::Id(token, numbers)) if token < eos || !self.must_go_on() => {
                self.prefilled = 0;
                self.sampler.drawn(numbers);
                self.accept(model, token)
            }
            (Sample::Fill, _) => self.draw(model, then, &mut []),
            _ => {
                let mut logp = model.llm.logp_rows(logits());
                self.draw(model, then, logp.first_mut().map_or(&mut [], Vec::as_mut_slice))
            }
        }
    }

    /// Ends the decoder's action with the token after it.
    fn draw(
        &mut self,
        model: &CosyVoice2,
        then: Sample,
        logp: &mut [f32],
    ) -> Result<(), ModelError> {
        self.prefilled = 0;
        match then {
            Sample::Fill => self.decoder.forced()?,
            Sample::Draw(masked) => {
                let eos = model.config.speech_token_size as u32;
                masked.apply(eos, logp);
                // Sampling uses the scores up.
                let again = self.must_go_on().then(|| logp.to_vec());
                let mut token = self.sampler.sample(logp, self.decoder.history())?;
                if let Some(mut logp) = again
                    && token >= eos
                {
                    Masked::All.apply(eos, &mut logp);
                    token = self.sampler.sample(&mut logp, self.decoder.history())?;
                    self.note_continued();
                }
                self.accept(model, token)?;
            }
        }
        Ok(())
    }

    /// Goes on with a token that was drawn.
    fn accept(&mut self, model: &CosyVoice2, token: u32) -> Result<(), ModelError> {
        let heard = self.decoder.sampled(token)?;
        if let Some(token) = heard {
            self.fresh.push(token);
            self.speech_tokens += 1;
        }
        self.guard_token(model, heard)
    }

    /// One step of the wave of all of `rows`, whose [`Next::Wave`] is the same: their new samples
    /// at the model's rate, in `[-1, 1]`, if it made some.
    ///
    /// # Errors
    /// Of each row. The others are unharmed.
    pub fn wave(model: &CosyVoice2, rows: &mut [&mut Self]) -> Vec<Result<Vec<f32>, ModelError>> {
        let mut results: Vec<Result<Vec<f32>, ModelError>> =
            rows.iter_mut().map(|row| row.begin_alone(model).map(|()| Vec::new())).collect();
        let (mut hops, mut mels, mut passed) = (Vec::new(), Vec::new(), Vec::new());
        for (i, row) in rows.iter_mut().enumerate().filter(|(i, _)| results[*i].is_ok()) {
            let Self { wave, vocoder, .. } = &mut **row;
            match wave {
                Wave::Hop(hop) => hops.push((i, &mut **hop)),
                Wave::Pass(pass) => {
                    if let Some(mel) = model.flow.advance_pass(pass) {
                        passed.push((i, mel));
                    }
                }
                Wave::Mel(parts, ends) => {
                    if let Some(mel) = parts.pop_front() {
                        let last = *ends && parts.is_empty();
                        mels.push((i, VocoderPush { stream: vocoder, mel, last }));
                    }
                }
                Wave::Idle | Wave::Done => {}
            }
        }
        let (hop_rows, mut hops): (Vec<usize>, Vec<&mut Hop>) = hops.into_iter().unzip();
        model.flow.advance(&mut hops);
        let (mel_rows, mels): (Vec<usize>, Vec<VocoderPush>) = mels.into_iter().unzip();
        let sounds = VocoderStream::push_batch(mels);
        for i in hop_rows {
            if let Err(error) = rows[i].end_hop() {
                results[i] = Err(error);
            }
        }
        for (i, mel) in passed {
            if let Err(error) = rows[i].end_pass(model, mel) {
                results[i] = Err(error);
            }
        }
        for (i, sound) in mel_rows.into_iter().zip(sounds) {
            rows[i].end_mel();
            results[i] = sound.map(|sound| rows[i].fade(model, sound)).map_err(ModelError::Failed);
        }
        results
    }

    /// [`Self::begin_wave`], where a panic is this utterance's own.
    fn begin_alone(&mut self, model: &CosyVoice2) -> Result<(), ModelError> {
        let begun = catch_unwind(AssertUnwindSafe(|| self.begin_wave(model)));
        begun.unwrap_or_else(|_| Err(ModelError::Failed("beginning a hop panicked".into())))
    }

    /// Begins what comes next of the wave, if nothing is under way.
    fn begin_wave(&mut self, model: &CosyVoice2) -> Result<(), ModelError> {
        if !matches!(self.wave, Wave::Idle) {
            return Ok(());
        }
        let last = self.is_decoded();
        let tokens: Vec<u32> = self.fresh.drain(..self.released()).collect();
        self.wave = if self.options.streaming {
            let mut state = match self.flow.take() {
                Some(state) => state,
                None => self.first_state(tokens.len(), last),
            };
            // What the last tokens left may be more than one block.
            if !state.is_closed() {
                model.flow.push(&mut state, &tokens, last)?;
            }
            Wave::Hop(Box::new(model.flow.begin_hop(state)))
        } else {
            Wave::Pass(Box::new(model.flow.begin(&self.voice.prompt, &tokens, false, true)?))
        };
        Ok(())
    }

    /// The flow's state before the first hop, aligned to it.
    fn first_state(&self, tokens: usize, last: bool) -> FlowState {
        let voice = &self.voice.flow;
        // All tokens that are there fit into the hop at no cost.
        let there = tokens.saturating_sub(if last { 0 } else { voice.look_ahead() });
        let first_hop = match self.options.adaptive {
            true => there.max(self.options.first_hop),
            false => self.options.first_hop,
        };
        voice.for_session(first_hop)
    }

    /// After a solver step: if it was the hop's last, its mel is the vocoder's.
    fn end_hop(&mut self) -> Result<(), ModelError> {
        self.wave = match std::mem::replace(&mut self.wave, Wave::Idle) {
            Wave::Hop(hop) if hop.is_done() => {
                let (state, mel) = hop.finish()?;
                let ends = state.is_finished();
                self.flow = Some(state);
                Wave::Mel([self.guard_hop(mel)].into(), ends)
            }
            other => other,
        };
        Ok(())
    }

    /// After the last solver step over the whole utterance, which made `mel`, `[1, mel bins, frames]`.
    fn end_pass(&mut self, model: &CosyVoice2, mel: Tensor<3>) -> Result<(), ModelError> {
        if let Some(mel) = self.guard_pass(model, mel)? {
            self.wave = Wave::Mel(chunks(speed_mel(mel, self.options.speed)), true);
        }
        Ok(())
    }

    /// After a part of the mel.
    fn end_mel(&mut self) {
        if let Wave::Mel(parts, ends) = &self.wave
            && parts.is_empty()
        {
            self.wave = if *ends { Wave::Done } else { Wave::Idle };
        }
    }
}

fn hop_shape((frames, step): (usize, usize)) -> WaveShape {
    WaveShape::Hop { frames, step }
}

/// Lays complete mel out for the vocoder, `[1, mel bins, frames]` to parts of a second.
fn chunks(mel: Tensor<3>) -> VecDeque<Tensor<3>> {
    let frames = mel.dims()[2];
    let part = |start| mel.clone().narrow(2, start, MEL_CHUNK.min(frames - start));
    (0..frames).step_by(MEL_CHUNK).map(part).collect()
}
