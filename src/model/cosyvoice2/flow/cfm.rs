//! Conditional flow matching: Euler integration from noise to mel under classifier-free guidance.

use super::cache::{Mask, block_causal_bias};
use super::encoder::UPSAMPLING;
use super::estimator::{Estimator, EstimatorState, StepTime};
use super::noise;
use super::pages::{FlowPages, FlowPools};
use crate::model::cosyvoice2::config::FlowConfig;
use crate::model::nn::{beside, guided_step};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use std::any::Any;
use std::f32::consts::FRAC_PI_2;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

impl Integration {
    /// Steps taken.
    pub fn steps(&self) -> usize {
        self.next
    }
}

/// One of those that [`Solver::advance`] takes a step of.
#[derive(Debug)]
pub struct Member<'a> {
    pub integration: &'a mut Integration,
    /// What it goes on after. Without, it is a whole sequence.
    pub past: Option<&'a mut SolverState>,
    /// Where keys and values are kept on a GPU.
    pub(super) pages: Option<&'a FlowPages>,
}

/// What became of a member, or why it panicked.
pub type Outcome = Result<(), String>;

/// Rows that go through the estimator together.
struct Job<'a> {
    members: Vec<usize>,
    step: usize,
    /// The member's `x` and condition.
    inputs: Vec<(Tensor<3>, Tensor<3>)>,
    bias: Option<Tensor<4>>,
    past: Vec<&'a mut EstimatorState>,
    pages: Vec<&'a FlowPages>,
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

    /// The state before the first frame, in pages of `page` blocks. A block sees `left` before it.
    pub fn state(&self, estimator: &Estimator, page: usize, left: Option<usize>) -> SolverState {
        let state = estimator.state(page * self.block, left.map(|left| left * self.block));
        SolverState { steps: vec![vec![state; self.batches]; self.steps.len()] }
    }

    /// The noise of the frames from the absolute frame `first`, before the first step.
    pub fn begin(&self, condition: Condition, first: usize, mask: Option<Mask>) -> Integration {
        let frames = condition.mu.dims()[1];
        let x = self.noise(first, frames);
        let bias = mask.map(|mask| block_causal_bias(frames, self.block, mask.left, &x.device()));
        let conditions = condition.rows().chunk(self.batches, 0);
        Integration { x, conditions, bias, next: 0 }
    }

    /// One Euler step of every member that has one left.
    ///
    /// A member that panicked gives what it panicked with. It has not gone on, and its state is of
    /// no use any more; the others are unharmed, but for those of its batch on a device that
    /// computes several at once.
    pub fn advance(&self, estimator: &Estimator, members: &mut [Member]) -> Vec<Outcome> {
        self.advance_in(estimator, members, None)
    }

    /// [`Self::advance`] where members may have pages of `pools`, of which they see `left` frames
    /// before theirs.
    pub(super) fn advance_in(
        &self,
        estimator: &Estimator,
        members: &mut [Member],
        pools: Option<(&FlowPools, Option<usize>)>,
    ) -> Vec<Outcome> {
        let jobs = self.jobs(members);
        let run = |mut job: Job| {
            let velocity = || self.velocity(estimator, &mut job, pools);
            let velocity = catch_unwind(AssertUnwindSafe(velocity));
            (job.members, velocity)
        };
        let done: Vec<_> = match self.batches {
            1 => jobs.into_iter().map(run).collect(),
            _ => jobs.into_par_iter().with_max_len(1).map(run).collect(),
        };
        let mut outcomes: Vec<Outcome> = members.iter().map(|_| Ok(())).collect();
        let mut rows = vec![Vec::with_capacity(self.batches); members.len()];
        for (of, velocity) in done {
            match velocity {
                Ok(velocity) => {
                    if self.step_in_place(members, &of, &velocity) {
                        continue;
                    }
                    let each = velocity.chunk(of.len(), 0);
                    of.into_iter().zip(each).for_each(|(member, v)| rows[member].push(v));
                }
                Err(panic) => {
                    let reason = reason(panic.as_ref());
                    of.into_iter().for_each(|member| outcomes[member] = Err(reason.clone()));
                }
            }
        }
        for ((member, rows), outcome) in members.iter_mut().zip(rows).zip(&outcomes) {
            if outcome.is_ok() && !rows.is_empty() {
                self.step(member.integration, Tensor::cat(rows, 0));
            }
        }
        outcomes
    }

    /// The rows of all members: each a job of its own on the CPU, elsewhere those stacked that are
    /// at the same step and of the same length.
    fn jobs<'a>(&self, members: &'a mut [Member]) -> Vec<Job<'a>> {
        let mut jobs: Vec<Job> = Vec::new();
        for (i, member) in members.iter_mut().enumerate() {
            let integration = &*member.integration;
            let step = integration.next;
            if step >= self.steps.len() {
                continue;
            }
            let mut past = member.past.as_deref_mut().map(|past| past.steps[step].iter_mut());
            let pages = member.pages;
            for condition in &integration.conditions {
                let input = (integration.x.clone(), condition.clone());
                let past = past.as_mut().and_then(Iterator::next);
                let frames = condition.dims()[1];
                let alike = |job: &&mut Job| {
                    let (_, other) = &job.inputs[0];
                    job.step == step
                        && other.dims()[1] == frames
                        && !job.past.is_empty()
                        && job.pages.is_empty() == pages.is_none()
                };
                let stack = self.batches == 1 && past.is_some();
                match jobs.iter_mut().find(alike).filter(|_| stack) {
                    Some(job) => {
                        job.members.push(i);
                        job.inputs.push(input);
                        job.past.extend(past);
                        job.pages.extend(pages);
                    }
                    None => jobs.push(Job {
                        members: vec![i],
                        step,
                        inputs: vec![input],
                        bias: integration.bias.clone(),
                        past: past.into_iter().collect(),
                        pages: pages.into_iter().collect(),
                    }),
                }
            }
        }
        jobs
    }

    fn velocity(
        &self,
        estimator: &Estimator,
        job: &mut Job,
        pools: Option<(&FlowPools, Option<usize>)>,
    ) -> Tensor<3> {
        let input = beside(&job.inputs).unwrap_or_else(|| {
            let inputs = job.inputs.iter().map(|(x, condition)| {
                let x = x.clone().repeat_dim(0, condition.dims()[0]);
                Tensor::cat(vec![x, condition.clone()], 2)
            });
            Tensor::cat(inputs.collect(), 0)
        });
        let frames = input.dims()[1];
        let hop = pools.filter(|_| !job.pages.is_empty()).map(|(pools, left)| {
            let hop = pools.estimate(&job.pages, frames, job.step, left);
            hop.unwrap_or_else(|| unreachable!("memory for the hop was taken at its beginning"))
        });
        let time = &self.steps[job.step].time;
        estimator.run(input, time, job.bias.as_ref(), &mut job.past, hop.as_ref())
    }

    /// [`Self::step`] of members whose rows, both of each, are all of `velocity`, where the device
    /// has a kernel for it.
    fn step_in_place(&self, members: &mut [Member], of: &[usize], velocity: &Tensor<3>) -> bool {
        if self.batches > 1 {
            return false;
        }
        let next = |(row, member): (usize, &usize)| {
            let integration = &*members[*member].integration;
            let length = self.steps[integration.next].length;
            guided_step(&integration.x, velocity, row, self.guidance, length)
        };
        let Some(next) = of.iter().enumerate().map(next).collect::<Option<Vec<_>>>() else {
            return false;
        };
        for (member, x) in of.iter().zip(next) {
            let integration = &mut *members[*member].integration;
            integration.x = x;
            integration.next += 1;
        }
        true
    }

    /// Goes on by the velocity of both rows `[2, frames, mel]`.
    fn step(&self, integration: &mut Integration, rows: Tensor<3>) {
        let given = rows.clone().narrow(0, 0, 1);
        let dropped = rows.narrow(0, 1, 1);
        let guided = given * (1.0 + self.guidance) - dropped * self.guidance;
        let length = self.steps[integration.next].length;
        integration.x = integration.x.clone() + guided * length;
        integration.next += 1;
    }

    /// Steps from noise to mel.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Tokens per block, where the solver's mask and the encoder's agree.
    pub fn block_tokens(&self) -> usize {
        self.block / UPSAMPLING
    }
}

/// What a panic said.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").into()
}
