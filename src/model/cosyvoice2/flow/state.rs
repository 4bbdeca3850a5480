//! Speech tokens to mel as they come, each frame computed once.
//!
//! The streaming mask is block-causal on an absolute grid that starts at the prompt's first
//! token. What a past block left behind never changes, so a block that finds it in caches needs
//! no mask: within a block everybody sees everything up to the block's end. The result equals the
//! pass over the whole sequence under the mask.

use super::cfm::SolverState;
use super::encoder::{EncoderState, UPSAMPLING};
use super::pages::{FlowPages, FlowPools};
use super::{Flow, FlowError, FlowPrompt, noise, tensor_bytes};
use burn::tensor::Tensor;

/// Blocks per page of the caches: few enough to waste little, enough for large products.
const PAGE_BLOCKS: usize = 4;

/// One session between two hops. Cloning shares the memory until one of the two goes on.
#[derive(Debug, Clone)]
pub struct FlowState {
    /// `[1, mel]`
    pub(super) speaker: Tensor<2>,
    /// `[1, prompt frames, mel]`
    pub(super) prompt: Tensor<3>,
    /// Tokens that wait for their block, or its look-ahead, to be complete.
    pub(super) pending: Vec<u32>,
    /// Frames computed so far, the prompt's included.
    pub(super) frames: usize,
    pub(super) encoder: EncoderState,
    pub(super) solver: SolverState,
    /// Where keys and values are on a GPU.
    pub(super) pages: Option<FlowPages>,
    /// Tokens of a block and of its look-ahead.
    pub(super) block: usize,
    pub(super) look_ahead: usize,
    /// Whether the last tokens have come.
    pub(super) finished: bool,
}

impl FlowState {
    /// How many more tokens complete the next block and its look-ahead.
    pub fn tokens_needed(&self) -> usize {
        (self.block + self.look_ahead).saturating_sub(self.pending.len())
    }

    /// Whether there is a block for [`Flow::begin_hop`]: a complete one with its look-ahead, or
    /// what is left after the last tokens.
    pub fn is_ready(&self) -> bool {
        self.tokens_needed() == 0 || (self.finished && !self.pending.is_empty())
    }

    /// Whether the last tokens have come.
    pub fn is_closed(&self) -> bool {
        self.finished
    }

    /// Whether the last tokens have come and are computed.
    pub fn is_finished(&self) -> bool {
        self.finished && self.pending.is_empty()
    }

    /// Tokens that a block needs to see after its own.
    pub fn look_ahead(&self) -> usize {
        self.look_ahead
    }

    /// The longest `first_hop` that [`Self::for_session`] can align to.
    pub fn longest_first_hop(&self) -> usize {
        self.block - self.look_ahead.min(self.block)
    }

    /// What [`Hop::shape`](super::Hop::shape) of the next hop will be, with `tokens` more.
    pub fn next_shape(&self, tokens: usize) -> (usize, usize) {
        ((self.pending.len() + tokens).min(self.block) * UPSAMPLING, 0)
    }

    /// Tokens that have come, the prompt's included.
    pub fn tokens(&self) -> usize {
        self.frames / UPSAMPLING + self.pending.len()
    }

    /// Device memory in bytes. A clone that has not gone on counts what it shares.
    pub fn bytes(&self) -> usize {
        let pages = self.pages.as_ref().map_or(0, FlowPages::bytes);
        self.encoder.bytes() + self.solver.bytes() + pages + tensor_bytes(&self.prompt)
    }

    /// Of a voice's state: blocks of the prompt that are to be computed before
    /// [`Self::for_session`] can leave `first_hop` tokens to the grid, or to a longer first hop.
    pub fn prompt_blocks(&self, first_hop: usize) -> usize {
        self.pending.len().saturating_sub(self.tokens_kept(first_hop)) / self.block
    }

    /// Gives up memory that only going on would use, so that sessions share all of the rest and
    /// copy nothing at their first hop. For a voice's state when its blocks are computed.
    pub fn seal(&mut self) {
        self.encoder.seal();
        self.solver.seal();
    }

    /// A session's state from a voice's. It shares what the prompt's blocks left behind, and keeps
    /// of the rest of the prompt what leaves `first_hop` tokens to the end of a block: the first
    /// hop can then be that short and still be exact.
    ///
    /// A `first_hop` longer than a block without its look-ahead counts as that: the prompt's
    /// last block saw the prompt's own next tokens. A prompt that is too short is kept as it is.
    pub fn for_session(&self, first_hop: usize) -> FlowState {
        let mut state = self.clone();
        state.pending.truncate(self.tokens_kept(first_hop));
        let kept = state.tokens() * UPSAMPLING;
        let [_, frames, bins] = self.prompt.dims();
        if kept == 0 {
            state.prompt = Tensor::zeros([1, 0, bins], &self.prompt.device());
        } else if kept < frames {
            state.prompt = state.prompt.narrow(1, 0, kept);
        }
        state
    }

    /// Tokens of a block that a session keeps of the prompt.
    fn tokens_kept(&self, first_hop: usize) -> usize {
        self.block.saturating_sub(first_hop).max(self.look_ahead)
    }
}

impl Flow {
    /// A voice's state before the first block of the prompt: only checks. While
    /// [`FlowState::prompt_blocks`] are left, hops compute them; then it is to be sealed.
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
            encoder: self.encoder.state(PAGE_BLOCKS, self.left_blocks),
            solver: self.solver.state(&self.estimator, PAGE_BLOCKS, self.left_blocks),
            pages: self.pools.as_ref().map(FlowPools::start),
            block,
            look_ahead: self.look_ahead,
            finished: false,
        };
        self.push(&mut state, &prompt.tokens, false)?;
        Ok(state)
    }

    /// Takes new tokens, any number; with `last`, no more will come.
    ///
    /// # Errors
    /// Ids out of range, a sequence that outgrows the noise, a state that had its last tokens.
    /// The state is then as before.
    pub fn push(&self, state: &mut FlowState, tokens: &[u32], last: bool) -> Result<(), FlowError> {
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
        Ok(())
    }

    /// Every hop that is ready, one after another, to the last step: the frames after the prompt,
    /// `[1, mel, frames]` (BCT), possibly none.
    ///
    /// # Errors
    /// [`FlowError::Failed`].
    pub fn run_ready(&self, mut state: FlowState) -> Result<(FlowState, Tensor<3>), FlowError> {
        let mut mel = vec![self.no_frames()];
        while state.is_ready() {
            let frames;
            (state, frames) = self.run_hop(state)?;
            mel.push(frames);
        }
        Ok((state, Tensor::cat(mel, 2)))
    }

    /// The next block of a state, all steps at once.
    ///
    /// # Errors
    /// [`FlowError::Failed`].
    pub fn run_hop(&self, state: FlowState) -> Result<(FlowState, Tensor<3>), FlowError> {
        let mut hop = self.begin_hop(state);
        while !hop.is_done() {
            self.advance(&mut [&mut hop]);
        }
        hop.finish()
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
