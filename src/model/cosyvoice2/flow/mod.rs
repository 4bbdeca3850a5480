//! Flow: speech tokens to mel, by a conformer encoder and conditional flow matching.
//!
//! [`Flow::inference`] computes a whole sequence at once, as the original implementation does.
//! [`Flow::start`] and [`Flow::begin_hop`] compute the streaming result block by block, each frame
//! once. Both run the same layers, and both can be stopped after every step of the solver.

mod attention;
mod cache;
mod cfm;
mod conv;
mod encoder;
mod estimator;
mod hop;
mod noise;
mod pages;
mod state;

pub use attention::distance_encoding;
pub use cache::{KvCache, Mask, block_causal_bias};
pub use cfm::{Condition, Integration, Member, Outcome, Solver, SolverState, time_schedule};
pub use conv::{CausalConv, Tail};
pub use encoder::{ConformerLayer, Embed, Encoder, EncoderState, LookAhead, UPSAMPLING};
pub use estimator::{
    Block, Estimator, EstimatorState, ResNet, Stage, StepTime, TimeEmbedding, TransformerBlock,
};
pub use hop::Hop;
pub use noise::MAX_FRAMES;
pub use state::FlowState;

use crate::model::cosyvoice2::config::FlowConfig;
use crate::model::nn::{CacheFull, Linear, Precision};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::{DType, Device, Int, Tensor};
use pages::FlowPools;

/// The voice that speech goes on with: its tokens, their mel and who speaks. May be empty but for
/// the embedding.
#[derive(Debug, Clone)]
pub struct FlowPrompt {
    pub tokens: Vec<u32>,
    /// `[1, 2 * tokens, mel]` (BTC), log mel.
    pub mel: Tensor<3>,
    /// `[1, width]` as the speaker encoder gives it, not normalised.
    pub embedding: Tensor<2>,
}

/// Why the flow cannot compute.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FlowError {
    #[error("speech token {id} is not in the vocabulary of {vocabulary}")]
    UnknownToken { id: u32, vocabulary: usize },
    #[error("{frames} mel frames are more than one sequence can have ({limit})")]
    TooLong { frames: usize, limit: usize },
    #[error("prompt {part} has shape {found:?}, expected {expected:?}")]
    Prompt { part: &'static str, found: Vec<usize>, expected: Vec<usize> },
    #[error("the last tokens were given already")]
    Finished,
    #[error(
        "no memory is left for the flow: {0}; lower engine.max_sessions, or raise engine.cache_mib"
    )]
    Full(CacheFull),
    #[error("a step of the flow panicked: {0}")]
    Failed(String),
    #[error("the encoder's block and the estimator's differ, so the model cannot stream by blocks")]
    Blocks,
}

/// A pass over a whole sequence, between two steps of the solver.
#[derive(Debug)]
pub struct Pass {
    /// None where there is nothing after the prompt.
    integration: Option<Integration>,
    /// Frames of the prompt.
    given: usize,
}

/// The model. Stages are public, in the order of the data.
#[derive(Debug)]
pub struct Flow {
    /// `[vocabulary, width]`
    input_embedding: Tensor<2>,
    pub encoder: Encoder,
    pub encoder_proj: Linear,
    speaker_affine: Linear,
    pub estimator: Estimator,
    pub solver: Solver,
    /// Width of the speaker embedding.
    speaker_width: usize,
    mel_bins: usize,
    look_ahead: usize,
    /// Tokens per block of the streaming mask.
    block: usize,
    left_blocks: Option<usize>,
    /// Memory of keys and values on a GPU.
    pools: Option<FlowPools>,
    device: Device,
}

impl Flow {
    /// Loads the keys of the original state dict.
    pub fn load(
        scope: &Scope,
        config: &FlowConfig,
        spk_embed_dim: usize,
        mel_bins: usize,
    ) -> Result<Self, WeightsError> {
        check_config(scope, config)?;
        let width = config.encoder.output_size;
        let kept = if scope.precision() == Precision::Bf16 { DType::BF16 } else { DType::F32 };
        let estimator =
            Estimator::load(&scope.sub("decoder.estimator"), &config.decoder, mel_bins)?;
        Ok(Self {
            input_embedding: scope.tensor("input_embedding.weight", [config.vocab_size, width])?,
            encoder: Encoder::load(&scope.sub("encoder"), config)?,
            encoder_proj: Linear::load(&scope.sub("encoder_proj"), width, mel_bins)?,
            speaker_affine: Linear::load(
                &scope.sub("spk_embed_affine_layer"),
                spk_embed_dim,
                mel_bins,
            )?,
            solver: Solver::new(&estimator, config, mel_bins, scope.device()),
            estimator,
            speaker_width: spk_embed_dim,
            mel_bins,
            look_ahead: config.pre_lookahead_len,
            block: config.encoder.static_chunk_size,
            left_blocks: None,
            pools: FlowPools::new(scope.device(), config, kept),
            device: scope.device().clone(),
        })
    }

    /// How many blocks a streamed block sees before its own, in every layer; 0: all of them.
    /// Holds for what begins after the call.
    ///
    /// A window bounds the memory of a session and the cost of its hops, which otherwise grow with
    /// the time it has spoken. It is not exact: the layers do look far back. The bundled voice over
    /// 60 hops of recorded speech, log mel against that without a window (relative error of the
    /// norms over all frames and of the worst hop, absolute error at most and on average):
    ///
    /// | left blocks | relative | worst hop | largest | mean |
    /// |---|---|---|---|---|
    /// | 1 | 3.0e-2 | 5.1e-2 | 1.68 | 0.113 |
    /// | 2 | 2.3e-2 | 4.0e-2 | 1.21 | 0.087 |
    /// | 4 | 1.7e-2 | 2.7e-2 | 0.73 | 0.064 |
    /// | 8 | 1.2e-2 | 1.9e-2 | 0.43 | 0.042 |
    /// | 12 | 9.6e-3 | 1.5e-2 | 0.38 | 0.033 |
    /// | 16 | 8.2e-3 | 1.3e-2 | 0.34 | 0.027 |
    /// | 24 | 6.3e-3 | 1.1e-2 | 0.25 | 0.019 |
    /// | 32 | 4.9e-3 | 8.8e-3 | 0.26 | 0.012 |
    /// | 48 | 2.8e-3 | 8.0e-3 | 0.19 | 0.005 |
    ///
    /// None stays under 1e-3, so there is no window unless it is asked for.
    pub fn set_left_blocks(&mut self, blocks: usize) {
        self.left_blocks = (blocks > 0).then_some(blocks);
    }

    /// On a GPU, takes the memory for what sessions remember, and no more later. Without it, memory
    /// is taken as it is needed, up to a few GiB.
    pub fn plan_memory(&self, bytes: usize) {
        if let Some(pools) = &self.pools {
            pools.plan(bytes);
        }
    }

    /// How many tokens a streamed block sees before its own; None: all of them.
    fn left_tokens(&self) -> Option<usize> {
        self.left_blocks.map(|blocks| blocks * self.block)
    }

    /// Mel `[1, mel, frames]` (BCT) of `tokens` after the prompt, in one pass.
    ///
    /// `streaming` masks by blocks; otherwise everything sees everything. Unless `finalize`, the
    /// last tokens are look-ahead only and yield no frames.
    ///
    /// # Errors
    /// Ids out of range, more frames than the noise has, a prompt whose parts do not fit
    /// together.
    pub fn inference(
        &self,
        prompt: &FlowPrompt,
        tokens: &[u32],
        streaming: bool,
        finalize: bool,
    ) -> Result<Tensor<3>, FlowError> {
        let mut pass = self.begin(prompt, tokens, streaming, finalize)?;
        loop {
            if let Some(mel) = self.advance_pass(&mut pass) {
                return Ok(mel);
            }
        }
    }

    /// [`Self::inference`] up to the solver's first step, for callers that have other work to do
    /// between the steps.
    ///
    /// # Errors
    /// Those of [`Self::inference`].
    pub fn begin(
        &self,
        prompt: &FlowPrompt,
        tokens: &[u32],
        streaming: bool,
        finalize: bool,
    ) -> Result<Pass, FlowError> {
        self.check_prompt(prompt)?;
        self.check_tokens(tokens)?;
        let ids: Vec<u32> = prompt.tokens.iter().chain(tokens).copied().collect();
        let ahead = if finalize { 0 } else { self.look_ahead };
        let length = ids.len().saturating_sub(ahead);
        let (frames, given) = (length * UPSAMPLING, prompt.tokens.len() * UPSAMPLING);
        if frames > MAX_FRAMES {
            return Err(FlowError::TooLong { frames, limit: MAX_FRAMES });
        }
        if frames <= given {
            return Ok(Pass { integration: None, given });
        }
        let embedded = self.embed_tokens(&ids);
        let following = (ahead > 0).then(|| embedded.clone().narrow(1, length, ahead));
        let mask = streaming.then_some(Mask { left: self.left_blocks });
        let encoded = self.encoder.forward(embedded.narrow(1, 0, length), following, mask, None);
        let condition = Condition {
            mu: self.encoder_proj.forward(encoded),
            speaker: self.speaker(prompt.embedding.clone()),
            prompt: state::prompt_frames(&prompt.mel, 0, frames),
        };
        Ok(Pass { integration: Some(self.solver.begin(condition, 0, mask)), given })
    }

    /// One solver step of a pass. After the last, its mel.
    pub fn advance_pass(&self, pass: &mut Pass) -> Option<Tensor<3>> {
        let Some(integration) = &mut pass.integration else { return Some(self.no_frames()) };
        let outcomes = self
            .solver
            .advance(&self.estimator, &mut [Member { integration, past: None, pages: None }]);
        for outcome in outcomes {
            // There is no other that it could harm: the panic goes on to who called.
            outcome.unwrap_or_else(|reason| panic!("{reason}"));
        }
        (integration.steps() == self.solver.steps()).then(|| {
            let mel = integration.x.clone();
            let frames = mel.dims()[1];
            mel.narrow(1, pass.given, frames - pass.given).swap_dims(1, 2)
        })
    }

    /// Embeddings `[1, tokens, width]` of ids that are known to be in range.
    pub fn embed_tokens(&self, ids: &[u32]) -> Tensor<3> {
        let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
        let indices: Tensor<1, Int> = Tensor::from_data(ids.as_slice(), &self.device);
        self.input_embedding.clone().select(0, indices).unsqueeze_dim(0)
    }

    /// A raw speaker embedding `[1, width]` to what the estimator takes, `[1, mel]`.
    pub fn speaker(&self, embedding: Tensor<2>) -> Tensor<2> {
        let norm = embedding.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
        self.speaker_affine.forward(embedding / norm)
    }

    fn no_frames(&self) -> Tensor<3> {
        Tensor::zeros([1, self.mel_bins, 0], &self.device)
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), FlowError> {
        let [vocabulary, _] = self.input_embedding.dims();
        match tokens.iter().find(|id| **id as usize >= vocabulary) {
            Some(id) => Err(FlowError::UnknownToken { id: *id, vocabulary }),
            None => Ok(()),
        }
    }

    fn check_prompt(&self, prompt: &FlowPrompt) -> Result<(), FlowError> {
        self.check_tokens(&prompt.tokens)?;
        let shape = |part, found: &[usize], expected: &[usize]| match found == expected {
            true => Ok(()),
            false => {
                Err(FlowError::Prompt { part, found: found.into(), expected: expected.into() })
            }
        };
        let frames = prompt.tokens.len() * UPSAMPLING;
        shape("mel", &prompt.mel.dims(), &[1, frames, self.mel_bins])?;
        shape("embedding", &prompt.embedding.dims(), &[1, self.speaker_width])
    }
}

/// Sizes that no layer's shape check would catch.
fn check_config(scope: &Scope, config: &FlowConfig) -> Result<(), WeightsError> {
    let (encoder, decoder) = (&config.encoder, &config.decoder);
    if encoder.attention_heads == 0 || encoder.output_size % encoder.attention_heads != 0 {
        return Err(unsupported(scope, "the encoder's width is no multiple of its heads"));
    }
    if decoder.num_heads * decoder.attention_head_dim == 0 {
        return Err(unsupported(scope, "the estimator has no attention heads"));
    }
    if encoder.static_chunk_size == 0 || decoder.static_chunk_size == 0 {
        return Err(unsupported(scope, "the streaming mask has blocks of no length"));
    }
    if config.n_timesteps == 0 {
        return Err(unsupported(scope, "the solver has no steps"));
    }
    Ok(())
}

/// A configuration of the file's model that cannot be run.
fn unsupported(scope: &Scope, reason: &str) -> WeightsError {
    WeightsError::Malformed {
        file: scope.weights().path().into(),
        reason: format!("flow: {reason}"),
    }
}

/// Memory of a tensor in bytes.
fn tensor_bytes<const D: usize>(tensor: &Tensor<D>) -> usize {
    tensor.dims().iter().product::<usize>() * tensor.dtype().size()
}
