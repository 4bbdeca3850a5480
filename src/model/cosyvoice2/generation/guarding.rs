//! What an utterance does when its guard finds something wrong.
//!
//! As long as nothing of it can have been heard it is sampled again, with a seed of its own. Later,
//! or when all tries fail, it ends where the fault begins, or stays as it is. What is done depends
//! on the tokens alone, never on how fast they are made: equal seeds give equal speech.

use super::super::decode::Decoder;
use super::super::guard::{Expectation, Fault, Guard, Remedy, Silence};
use super::{CosyVoice2, Generation, ModelError, Ras, Sampler, Wave};
use burn::tensor::Tensor;

/// Seconds over which speech that is cut fades out.
const FADE: f64 = 0.02;

/// What an utterance needs to begin anew, and the guard over its tries.
pub struct Guarding {
    guard: Guard,
    silence: Silence,
    /// Before any text of a stream.
    beginning: Decoder,
    /// The stream's text so far.
    text: Vec<u32>,
    /// Tokens of the shortest first hop that the utterance may have.
    first_hop: usize,
    /// Whether the model had to go on where it wanted to stop.
    continued: bool,
    /// No further try; nothing is judged any more.
    settled: bool,
    /// Whether the speech ends before its own end.
    cut: bool,
    /// Whether the latest hop ended in silence that was too much.
    in_silence: bool,
    /// For [`Generation::take_faults`].
    pub faults: Vec<(Fault, Remedy)>,
}

impl Guarding {
    /// For a decoder as it begins, and first hops of `first_hop` tokens or more.
    pub fn new(beginning: &Decoder, first_hop: usize, loudness: f32) -> Self {
        Self {
            guard: Guard::default(),
            silence: Silence::new(loudness),
            beginning: beginning.clone(),
            text: Vec::new(),
            first_hop,
            continued: false,
            settled: false,
            cut: false,
            in_silence: false,
            faults: Vec::new(),
        }
    }
}

impl Generation {
    /// Tells the guard what all of the text pushed so far should be in speech.
    pub fn expect(&mut self, expectation: Expectation) {
        if let Some(guarding) = &mut self.guarding {
            guarding.guard.expect(expectation);
        }
    }

    /// Fresh tokens that the flow may have: all but those under suspicion.
    pub(super) fn released(&self) -> usize {
        let held = match &self.guarding {
            Some(g) if !g.settled => g.guard.tokens().len() - g.guard.released(),
            _ => 0,
        };
        self.fresh.len().saturating_sub(held)
    }

    pub(super) fn guard_text(&mut self, tokens: &[u32]) {
        if let Some(guarding) = &mut self.guarding {
            guarding.text.extend(tokens);
        }
    }

    /// After a token was drawn: `heard` if it is speech.
    pub(super) fn guard_token(
        &mut self,
        model: &CosyVoice2,
        heard: Option<u32>,
    ) -> Result<(), ModelError> {
        let text_known = self.decoder.knows_text();
        let (ended, unheard) = (self.is_decoded(), self.is_unheard());
        let Some(guarding) = self.guarding.as_mut().filter(|g| !g.settled) else { return Ok(()) };
        let guard = &mut guarding.guard;
        let fault = heard.and_then(|token| guard.push(token, text_known, unheard));
        match fault.or_else(|| ended.then(|| guard.end(heard.is_none())).flatten()) {
            Some(fault) => self.remedy(model, fault),
            None => Ok(()),
        }
    }

    /// Whether the model may not stop here: too little of the text is spoken, and some of that heard.
    pub(super) fn must_go_on(&self) -> bool {
        let short = |g: &Guarding| !g.settled && g.guard.is_short();
        self.decoder.knows_text()
            && self.guarding.as_deref().is_some_and(short)
            && !self.is_unheard()
    }

    /// The model wanted to stop where it may not.
    pub(super) fn note_continued(&mut self) {
        if let Some(guarding) = &mut self.guarding
            && !std::mem::replace(&mut guarding.continued, true)
        {
            guarding.faults.push((Fault::TooShort, Remedy::Continued));
        }
    }

    /// Whether none of it can have been heard, however fast it was made.
    fn is_unheard(&self) -> bool {
        if !self.options.streaming {
            return true;
        }
        let flow = &self.voice.flow;
        let first = |hop: usize| hop.min(flow.longest_first_hop()) + flow.look_ahead();
        self.guarding.as_ref().is_some_and(|g| g.guard.released() < first(g.first_hop))
    }

    fn remedy(&mut self, model: &CosyVoice2, fault: Fault) -> Result<(), ModelError> {
        let unheard = self.is_unheard();
        let Some(guarding) = &mut self.guarding else { return Ok(()) };
        if unheard && guarding.guard.may_resample() {
            let tries = guarding.guard.give_up(fault);
            guarding.faults.push((fault, Remedy::Resampled));
            return self.begin_again(model, tries);
        }
        guarding.settled = true;
        let guard = &mut guarding.guard;
        // What the flow has was released, and is part of this try in any case.
        let heard = guard.tokens().len() - self.fresh.len();
        let best = if unheard { guard.best(fault) } else { guard.this_try(fault) };
        guarding.cut = best.cut;
        // Silence is told when it is cut.
        if best.fault != Fault::Silence {
            guarding.faults.push((best.fault, if best.cut { Remedy::Cut } else { Remedy::Kept }));
        }
        self.speech_tokens = best.tokens.len();
        self.fresh = best.tokens[heard.min(best.tokens.len())..].to_vec();
        self.decoder.stop();
        Ok(())
    }

    /// Begins the decoding anew, with the text that has come.
    fn begin_again(&mut self, model: &CosyVoice2, tries: usize) -> Result<(), ModelError> {
        let Some(guarding) = &self.guarding else { return Ok(()) };
        let mut decoder = guarding.beginning.clone();
        if !guarding.text.is_empty() {
            decoder.push_text(&guarding.text)?;
        }
        // Faults are found only when all of the text is known.
        decoder.finish_text();
        self.decoder = decoder;
        self.cache.truncate(0);
        self.prefilled = 0;
        self.fresh.clear();
        self.speech_tokens = 0;
        let seed = reseed(self.options.seed, tries);
        self.sampler = Sampler::Ras(Ras::new(model.config.sampling, self.options.sampling, seed));
        self.wave = Wave::Idle;
        Ok(())
    }

    /// A hop's mel, `[1, mel bins, frames]`, without too much silence.
    pub(super) fn guard_hop(&mut self, mel: Tensor<3>) -> Tensor<3> {
        let Some(guarding) = &mut self.guarding else { return mel };
        let (mel, found) = guarding.silence.shorten(mel);
        // Once for each silence, however many hops it lasts.
        if found && !guarding.in_silence {
            guarding.faults.push((Fault::Silence, Remedy::Cut));
        }
        guarding.in_silence = found;
        mel
    }

    /// The whole mel, `[1, mel bins, frames]`, without too much silence. None where the utterance
    /// is sampled again for it.
    pub(super) fn guard_pass(
        &mut self,
        model: &CosyVoice2,
        mel: Tensor<3>,
    ) -> Result<Option<Tensor<3>>, ModelError> {
        let Some(guarding) = &mut self.guarding else { return Ok(Some(mel)) };
        let (short, found) = guarding.silence.clone().shorten(mel);
        if !found {
            return Ok(Some(short));
        }
        if !guarding.settled && guarding.guard.may_resample() {
            let tries = guarding.guard.give_up(Fault::Silence);
            guarding.faults.push((Fault::Silence, Remedy::Resampled));
            self.begin_again(model, tries)?;
            return Ok(None);
        }
        guarding.faults.push((Fault::Silence, Remedy::Cut));
        Ok(Some(short))
    }

    /// Fades the last of the `sound` of an utterance that was cut.
    pub(super) fn fade(&self, model: &CosyVoice2, mut sound: Vec<f32>) -> Vec<f32> {
        let cut = self.guarding.as_ref().is_some_and(|g| g.cut);
        if cut && matches!(self.wave, Wave::Done) {
            let length = (model.config.sample_rate as f64 * FADE) as usize;
            let from = sound.len().saturating_sub(length);
            let length = (sound.len() - from) as f32;
            for (i, sample) in sound[from..].iter_mut().enumerate() {
                let left = 1.0 - (i as f32 + 0.5) / length;
                *sample *= 0.5 - 0.5 * (std::f32::consts::PI * left).cos();
            }
        }
        sound
    }
}

/// The seed of another try: one in which nothing of the first one's draws comes again.
fn reseed(seed: u64, tries: usize) -> u64 {
    // Multiples of an odd number differ, and the generator mixes the bits.
    seed.wrapping_add(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(tries as u64))
}
