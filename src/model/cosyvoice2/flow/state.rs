//! Speech tokens to mel as they come, each frame computed once.
//!
//! The streaming mask is block-causal on an absolute grid that starts at the prompt's first
//! token. What a past block left behind never changes, so a block that finds it in caches needs
//! no mask: within a block everybody sees everything up to the block's end. The result equals the
//! pass over the whole sequence under the mask.

use super::cfm::{Condition, SolverState};
use super::encoder::{EncoderState, UPSAMPLING};
use super::{Flow, FlowError, FlowPrompt, noise, tensor_bytes};
use burn::tensor::Tensor;

/// Blocks per page of the caches: few enough to waste little, enough for large products.
const PAGE_BLOCKS: usize = 4;

/// One session between two hops. Cloning shares the memory until one of the two goes on.
#[derive(Debug, Clone)]
pub struct FlowState {
    /// `[1, mel]`
    speaker: Tensor<2>,
    /// `[1, prompt frames, mel]`
    prompt: Tensor<3>,
    /// Tokens that wait for their block, or its look-ahead, to be complete.
    pending: Vec<u32>,
    /// Frames computed so far, the prompt's included.
    frames: usize,
    encoder: EncoderState,
    solver: SolverState,
    /// Tokens of a block and of its look-ahead.
    block: usize,
    look_ahead: usize,
    finished: bool,
}

impl FlowState {
    /// How many more tokens complete the next block and its look-ahead; at least one.
    pub fn tokens_needed(&self) -> usize {
        (self.block + self.look_ahead).saturating_sub(self.pending.len())
    }

    /// Tokens that have come, the prompt's included.
    pub fn tokens(&self) -> usize {
        self.frames / UPSAMPLING + self.pending.len()
    }

    /// Device memory in bytes. A clone that has not gone on counts what it shares.
    pub fn bytes(&self) -> usize {
        self.encoder.bytes() + self.solver.bytes() + tensor_bytes(&self.prompt)
    }
}

impl Flow {
    /// The state after the prompt's complete blocks, ready for the first token.
    ///
    /// # Errors
    /// A prompt whose parts do not fit together or whose ids are out of range, and a model whose
    /// encoder and estimator disagree about the block.
    pub fn start(&self, prompt: &FlowPrompt) -> Result<FlowState, FlowError> {
        let block = self.block;
        if block == 0 || self.solver.block_tokens() != block {
            return Err(FlowError::Blocks);
        }
        self.check_prompt(prompt)?;
        let mut state = FlowState {
            speaker: self.speaker(prompt.embedding.clone()),
            prompt: prompt.mel.clone(),
            pending: Vec::new(),
            frames: 0,
            encoder: self.encoder.state(PAGE_BLOCKS * block),
            solver: self.solver.state(&self.estimator, PAGE_BLOCKS * block * UPSAMPLING),
            block,
            look_ahead: self.look_ahead,
            finished: false,
        };
        self.extend(&mut state, &prompt.tokens, false)?;
        // So that sessions share what the prompt left, and copy none of it at their first hop.
        state.encoder.seal();
        state.solver.seal();
        Ok(state)
    }

    /// Takes new tokens, any number; gives the frames after the prompt that can be computed now,
    /// `[1, mel, frames]` (BCT), possibly none.
    ///
    /// A block of tokens becomes frames once it and its look-ahead are there, and the rest when
    /// `last` says that no more will come.
    ///
    /// # Errors
    /// Ids out of range, a sequence that outgrows the noise, a state that had its last tokens.
    /// The state is then as before.
    pub fn extend(
        &self,
        state: &mut FlowState,
        tokens: &[u32],
        last: bool,
    ) -> Result<Tensor<3>, FlowError> {
        if state.finished {
            return Err(FlowError::Finished);
        }
        self.check_tokens(tokens)?;
        let frames = (state.tokens() + tokens.len()) * UPSAMPLING;
        if frames > noise::MAX_FRAMES {
            return Err(FlowError::TooLong { frames, limit: noise::MAX_FRAMES });
        }
        state.pending.extend_from_slice(tokens);
        state.finished = last;
        let mut mel = Vec::new();
        while state.tokens_needed() == 0 || (last && !state.pending.is_empty()) {
            mel.extend(self.next_block(state));
        }
        Ok(match mel.is_empty() {
            true => self.no_frames(),
            false => Tensor::cat(mel, 2),
        })
    }

    /// Computes the next block of pending tokens; gives its frames after the prompt, BCT.
    fn next_block(&self, state: &mut FlowState) -> Option<Tensor<3>> {
        let length = state.pending.len().min(state.block);
        let seen = state.pending.len().min(state.block + state.look_ahead);
        let embedded = self.embed_tokens(&state.pending[..seen]);
        let following = (seen > length).then(|| embedded.clone().narrow(1, length, seen - length));
        state.pending.drain(..length);

        let tokens = embedded.narrow(1, 0, length);
        let encoded = self.encoder.forward(tokens, following, true, Some(&mut state.encoder));
        let mu = self.encoder_proj.forward(encoded);
        let (first, frames) = (state.frames, length * UPSAMPLING);
        let condition = Condition {
            prompt: prompt_frames(&state.prompt, first, frames),
            speaker: state.speaker.clone(),
            mu,
        };
        let past = Some(&mut state.solver);
        let mel = self.solver.solve(&self.estimator, condition, first, true, past);
        state.frames += frames;
        let of_prompt = state.prompt.dims()[1].saturating_sub(first).min(frames);
        (of_prompt < frames).then(|| mel.narrow(1, of_prompt, frames - of_prompt).swap_dims(1, 2))
    }
}

/// `frames` frames from `first` of the prompt's mel (BTC), zeros after its end.
pub fn prompt_frames(prompt: &Tensor<3>, first: usize, frames: usize) -> Tensor<3> {
    let [batch, length, mel] = prompt.dims();
    let given = length.saturating_sub(first).min(frames);
    let zeros = |n: usize| Tensor::zeros([batch, n, mel], &prompt.device());
    match given {
        0 => zeros(frames),
        _ if given == frames => prompt.clone().narrow(1, first, frames),
        _ => Tensor::cat(vec![prompt.clone().narrow(1, first, given), zeros(frames - given)], 1),
    }
}
