//! One block of a session on its way from tokens to mel.

use super::cfm::{Condition, Integration, Member};
use super::encoder::UPSAMPLING;
use super::state::prompt_frames;
use super::{Flow, FlowError, FlowState};
use burn::tensor::Tensor;

/// A block on its way, between two steps of the solver. It owns the state that it goes on from,
/// so hops of different sessions can be stepped in any order and number.
///
/// A hop that is dropped, or that failed, takes its state with it.
#[derive(Debug)]
pub struct Hop {
    state: FlowState,
    /// None where no block was ready.
    integration: Option<Integration>,
    /// Frames of the block that are the prompt's.
    of_prompt: usize,
    steps: usize,
    /// Why it cannot go on.
    failed: Option<FlowError>,
}

impl Hop {
    /// Whether there is no step left to take.
    pub fn is_done(&self) -> bool {
        self.failed.is_some() || self.steps_left() == 0
    }

    /// Euler steps that are left to take.
    pub fn steps_left(&self) -> usize {
        self.integration.as_ref().map_or(0, |integration| self.steps - integration.steps())
    }

    /// Device memory in bytes of the state that it owns.
    pub fn bytes(&self) -> usize {
        self.state.bytes()
    }

    /// Frames of the block, and steps taken. Devices that compute a batch at once stack hops of
    /// equal shape; on the CPU it makes no difference.
    pub fn shape(&self) -> (usize, usize) {
        self.integration.as_ref().map_or((0, 0), |i| (i.x.dims()[1], i.steps()))
    }

    /// The state after the block, and the block's frames after the prompt, `[1, mel, frames]`
    /// (BCT), possibly none.
    ///
    /// # Errors
    /// [`FlowError::Failed`] when a step panicked, [`FlowError::Full`] when there was no memory for
    /// the block.
    pub fn finish(mut self) -> Result<(FlowState, Tensor<3>), FlowError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let [_, _, bins] = self.state.prompt.dims();
        let none = || Tensor::zeros([1, bins, 0], &self.state.prompt.device());
        let Some(integration) = self.integration else {
            let none = none();
            return Ok((self.state, none));
        };
        let frames = integration.x.dims()[1];
        let mel = match frames - self.of_prompt {
            0 => none(),
            new => integration.x.narrow(1, self.of_prompt, new).swap_dims(1, 2),
        };
        self.state.frames += frames;
        if let Some(pages) = &mut self.state.pages {
            pages.advance(frames / UPSAMPLING);
        }
        Ok((self.state, mel))
    }
}

impl Flow {
    /// The next block of pending tokens, through the encoder. If no block
    /// [is ready](FlowState::is_ready) the hop is done already and has no frames.
    pub fn begin_hop(&self, mut state: FlowState) -> Hop {
        let steps = self.solver.steps();
        if !state.is_ready() {
            return Hop { state, integration: None, of_prompt: 0, steps, failed: None };
        }
        let length = state.pending.len().min(state.block);
        let reserved = match &mut state.pages {
            Some(pages) => pages.reserve(length, self.left_tokens()),
            None => Ok(()),
        };
        if let Err(full) = reserved {
            let failed = Some(FlowError::Full(full));
            return Hop { state, integration: None, of_prompt: 0, steps, failed };
        }
        let seen = state.pending.len().min(state.block + state.look_ahead);
        let embedded = self.embed_tokens(&state.pending[..seen]);
        let following = (seen > length).then(|| embedded.clone().narrow(1, length, seen - length));
        state.pending.drain(..length);

        let tokens = embedded.narrow(1, 0, length);
        let pages = self.pools.as_ref().zip(state.pages.as_ref()).map(|(pools, pages)| {
            let pages = pools.encode(pages, length, self.left_tokens());
            pages.unwrap_or_else(|| unreachable!("memory for the hop was taken"))
        });
        let encoded = self.encoder.run(tokens, following, None, Some(&mut state.encoder), pages);
        let (first, frames) = (state.frames, length * UPSAMPLING);
        let condition = Condition {
            mu: self.encoder_proj.forward(encoded),
            speaker: state.speaker.clone(),
            prompt: prompt_frames(&state.prompt, first, frames),
        };
        let of_prompt = state.prompt.dims()[1].saturating_sub(first).min(frames);
        let integration = Some(self.solver.begin(condition, first, None));
        Hop { state, integration, of_prompt, steps, failed: None }
    }

    /// One Euler step of each hop that has one left, together.
    ///
    /// A panic in one of them is caught, and [`Hop::finish`] tells it; on the CPU, where every row
    /// of guidance is a task of its own, the others are unharmed.
    pub fn advance(&self, hops: &mut [&mut Hop]) {
        let mut running: Vec<_> = hops.iter_mut().filter(|hop| !hop.is_done()).collect();
        let mut members: Vec<Member> = running
            .iter_mut()
            .filter_map(|hop| {
                let Hop { state, integration, .. } = &mut ***hop;
                let FlowState { solver, pages, .. } = state;
                let integration = integration.as_mut()?;
                Some(Member { integration, past: Some(solver), pages: pages.as_ref() })
            })
            .collect();
        let left = self.left_tokens().map(|left| left * UPSAMPLING);
        let pools = self.pools.as_ref().map(|pools| (pools, left));
        let outcomes = self.solver.advance_in(&self.estimator, &mut members, pools);
        drop(members);
        for (hop, outcome) in running.into_iter().zip(outcomes) {
            hop.failed = outcome.err().map(FlowError::Failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cosyvoice2::ModelConfig;
    use crate::model::cosyvoice2::flow::FlowPrompt;
    use crate::model::weights::Weights;
    use burn::tensor::Device;
    use std::path::Path;

    /// Protects the sessions of a batch from each other: one panics, the others come out as they
    /// do alone.
    #[test]
    fn a_panic_stays_in_its_hop() {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
        let config = std::fs::read(model.join("config.json")).unwrap();
        let config: ModelConfig = serde_json::from_slice(&config).unwrap();
        let (device, width) = (Device::flex(), config.spk_embed_dim);
        let weights = Weights::open(model.join("flow.pt")).unwrap();
        let flow = Flow::load(&weights.scope(&device), &config.flow, width, 80).unwrap();
        let prompt = FlowPrompt {
            tokens: Vec::new(),
            mel: Tensor::zeros([1, 0, 80], &device),
            embedding: Tensor::ones([1, width], &device),
        };
        let hop = |first: u32| {
            let mut state = flow.start(&prompt).unwrap();
            flow.push(&mut state, &[first, 2, 3, 4], true).unwrap();
            flow.begin_hop(state)
        };
        let (mut one, mut broken, mut two) = (hop(1), hop(1), hop(5));
        flow.advance(&mut [&mut one, &mut broken, &mut two]);
        if let Some(integration) = &mut broken.integration {
            integration.x = Tensor::zeros([1, 8, 3], &device);
        }
        while !(one.is_done() && two.is_done()) {
            flow.advance(&mut [&mut one, &mut broken, &mut two]);
        }
        assert!(broken.is_done());
        assert!(matches!(broken.finish(), Err(FlowError::Failed(_))));
        for (first, hop) in [(1, one), (5, two)] {
            let mut state = flow.start(&prompt).unwrap();
            flow.push(&mut state, &[first, 2, 3, 4], true).unwrap();
            let (_, alone) = flow.run_hop(state).unwrap();
            let (state, mel) = hop.finish().unwrap();
            assert!(state.is_finished());
            assert_eq!(mel.into_data(), alone.into_data());
        }
    }
}
