//! Conditional flow matching: Euler integration from noise to mel under classifier-free guidance.

use super::cache::block_causal_bias;
use super::encoder::UPSAMPLING;
use super::estimator::{Estimator, EstimatorState, StepTime};
use super::noise;
use crate::model::cosyvoice2::config::FlowConfig;
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use std::f32::consts::FRAC_PI_2;

/// The solver: schedule, guidance and what of the estimator depends on them alone.
#[derive(Debug)]
pub struct Solver {
    steps: Vec<Step>,
    /// `[1, MAX_FRAMES, mel]`
    noise: Tensor<3>,
    guidance: f32,
    /// Frames per block of the streaming mask.
    block: usize,
    /// Batches that the two rows of guidance are computed in: one where the device works on a
    /// batch at once, two on the CPU, where each then has a thread and its caches to itself.
    batches: usize,
}

#[derive(Debug)]
struct Step {
    /// How far the step goes.
    length: f32,
    time: StepTime,
}

/// What a stretch of mel is made from, BTC. Guidance drops all of it in its second row.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Encoder output `[1, frames, mel]`.
    pub mu: Tensor<3>,
    /// Speaker `[1, mel]`.
    pub speaker: Tensor<2>,
    /// Mel of the prompt `[1, frames, mel]`, zeros after it.
    pub prompt: Tensor<3>,
}

impl Condition {
    /// `[2, frames, 3 * mel]`: the condition, and nothing in its place.
    fn rows(self) -> Tensor<3> {
        let [_, frames, mel] = self.mu.dims();
        let speaker = self.speaker.unsqueeze_dim::<3>(1).expand([1, frames, mel]);
        let given = Tensor::cat(vec![self.mu, speaker, self.prompt], 2);
        let dropped = Tensor::zeros(given.dims(), &given.device());
        Tensor::cat(vec![given, dropped], 0)
    }
}

/// Mel on its way from noise, between two steps.
#[derive(Debug)]
pub struct Integration {
    /// `[1, frames, mel]`
    pub x: Tensor<3>,
    /// One per batch.
    conditions: Vec<Tensor<3>>,
    /// The block-causal mask, where there is one.
    bias: Option<Tensor<4>>,
    /// Steps taken.
    next: usize,
}

/// What the solver remembers of past frames.
#[derive(Debug, Clone)]
pub struct SolverState {
    /// For every step, one per batch that guidance is computed in.
    steps: Vec<Vec<EstimatorState>>,
}

impl SolverState {
    /// Device memory in bytes.
    pub fn bytes(&self) -> usize {
        self.steps.iter().flatten().map(EstimatorState::bytes).sum()
    }

    /// See [`KvCache::seal`](super::KvCache::seal).
    pub fn seal(&mut self) {
        self.steps.iter_mut().flatten().for_each(EstimatorState::seal);
    }
}

/// The `steps + 1` times of the cosine schedule, `1 - cos(k / steps * pi / 2)`.
pub fn time_schedule(steps: usize) -> Vec<f32> {
    (0..=steps).map(|k| 1.0 - (k as f32 / steps as f32 * FRAC_PI_2).cos()).collect()
}

impl Solver {
    /// For mel of `mel_bins`.
    pub fn new(
        estimator: &Estimator,
        config: &FlowConfig,
        mel_bins: usize,
        device: &Device,
    ) -> Self {
        let schedule = time_schedule(config.n_timesteps);
        // The original adds up the steps it takes instead of reading the schedule.
        let mut time = schedule[0];
        let steps = schedule[1..]
            .iter()
            .map(|next| {
                let length = next - time;
                let embedding = estimator.time.forward(&[time], device);
                time += length;
                Step { length, time: estimator.step_time(embedding) }
            })
            .collect();
        Self {
            steps,
            noise: noise::initial_noise(mel_bins, device),
            guidance: config.inference_cfg_rate,
            block: config.decoder.static_chunk_size,
            batches: if *device == Device::flex() { 2 } else { 1 },
        }
    }

    /// The fixed initial noise of `frames` frames from the absolute frame `first`, BTC.
    pub fn noise(&self, first: usize, frames: usize) -> Tensor<3> {
        self.noise.clone().narrow(1, first, frames)
    }

    /// The state before the first frame, in pages of `page` frames.
    pub fn state(&self, estimator: &Estimator, page: usize) -> SolverState {
        let step = vec![estimator.state(page); self.batches];
        SolverState { steps: vec![step; self.steps.len()] }
    }

    /// Mel `[1, frames, mel]` of the frames from the absolute frame `first`.
    ///
    /// With a state, goes on after the frames it has seen. Without, the call is the whole
    /// sequence, under the block-causal mask when `streaming`.
    pub fn solve(
        &self,
        estimator: &Estimator,
        condition: Condition,
        first: usize,
        streaming: bool,
        mut state: Option<&mut SolverState>,
    ) -> Tensor<3> {
        let masked = streaming && state.is_none();
        let mut integration = self.begin(condition, first, masked);
        while !self.is_done(&integration) {
            self.advance(estimator, &mut integration, state.as_deref_mut());
        }
        integration.x
    }

    /// The noise of the frames from the absolute frame `first`, before the first step.
    pub fn begin(&self, condition: Condition, first: usize, masked: bool) -> Integration {
        let frames = condition.mu.dims()[1];
        let x = self.noise(first, frames);
        let bias = masked.then(|| block_causal_bias(frames, self.block, &x.device()));
        let conditions = condition.rows().chunk(self.batches, 0);
        Integration { x, conditions, bias, next: 0 }
    }

    /// One Euler step.
    pub fn advance(
        &self,
        estimator: &Estimator,
        integration: &mut Integration,
        state: Option<&mut SolverState>,
    ) {
        let Some(step) = self.steps.get(integration.next) else { return };
        let Integration { x, conditions, bias, next } = integration;
        let velocity = |condition: &Tensor<3>, state: Option<&mut EstimatorState>| {
            let x = x.clone().repeat_dim(0, condition.dims()[0]);
            let input = Tensor::cat(vec![x, condition.clone()], 2);
            estimator.forward(input, &step.time, bias.as_ref(), state)
        };
        let mut states: Vec<_> = match state {
            Some(state) => state.steps[*next].iter_mut().map(Some).collect(),
            None => conditions.iter().map(|_| None).collect(),
        };
        let rows = match (conditions.as_slice(), states.as_mut_slice()) {
            ([both], [state]) => velocity(both, state.take()),
            (conditions, states) => {
                let rows = conditions.par_iter().zip(states);
                let rows = rows.map(|(condition, state)| velocity(condition, state.take()));
                Tensor::cat(rows.collect(), 0)
            }
        };
        let given = rows.clone().narrow(0, 0, 1);
        let dropped = rows.narrow(0, 1, 1);
        let guided = given * (1.0 + self.guidance) - dropped * self.guidance;
        *x = x.clone() + guided * step.length;
        *next += 1;
    }

    pub fn is_done(&self, integration: &Integration) -> bool {
        integration.next >= self.steps.len()
    }

    /// Tokens per block, where the solver's mask and the encoder's agree.
    pub fn block_tokens(&self) -> usize {
        self.block / UPSAMPLING
    }
}
