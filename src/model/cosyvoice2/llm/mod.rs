//! The language model: a Qwen2 decoder over text and speech tokens that predicts speech tokens.
//!
//! Sequences are made of [`LlmInput`]s, each from its own embedding table; a speech head on the
//! last hidden state gives the next token's distribution. The text head of Qwen2 is not used.

mod layer;
mod slots;
#[cfg(test)]
mod tests;

use super::config::LlmConfig;
use crate::model::nn::{
    CacheFull, KvCache, KvPool, Precision, RmsNorm, Rotary, RowLinear, on_pool,
};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::{Device, Int, Tensor, TensorData};
use layer::{AttentionShape, Layer, Past, Segment};
pub use slots::Slots;

/// Ids past the speech codebook: end of speech, one the original reserves, and FILL.
const SPECIAL_SPEECH_IDS: usize = 3;
/// SOS and TASK.
const SPECIAL_INPUTS: usize = 2;

/// One position of the input sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LlmInput {
    /// Starts a sequence.
    Sos,
    /// Ends the text.
    Task,
    /// Id of the text tokenizer.
    Text(u32),
    /// Id of the speech tokenizer.
    Speech(u32),
}

/// Why the language model cannot be loaded or stepped.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error("language model configuration: {0}")]
    Config(String),
    #[error("there is no input")]
    NoInput,
    #[error("{input:?} is outside its table of {size} entries")]
    UnknownId { input: LlmInput, size: usize },
    /// Row `row` of a batch; 0 for a single sequence.
    #[error("sequence {row}: {full}")]
    CacheFull { row: usize, full: CacheFull },
    #[error("a sequence has the cache of another model")]
    ForeignCache,
}

/// Qwen2 decoder with the embeddings and the head of speech.
///
/// Calls do not change it: what belongs to one sequence is in its [`KvCache`]. A call that
/// returns an error leaves the caches as they were.
#[derive(Debug)]
pub struct Llm {
    /// Text, special (SOS, TASK) and speech embeddings one under another,
    /// `[vocab + 2 + speech, hidden]`, so that a mixed prompt is one gather.
    embedding: Tensor<2>,
    vocab_size: usize,
    speech_ids: usize,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: RowLinear,
    rotary: Rotary,
    shape: AttentionShape,
    /// Memory of all sequences, on a GPU.
    pool: Option<KvPool>,
}

/// What a model's caches look like.
#[derive(Debug)]
struct CacheShape {
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
    /// The most that a sequence can have.
    positions: usize,
    device: Device,
    pool: Option<KvPool>,
}

impl CacheShape {
    fn cache(&self, capacity: usize) -> KvCache {
        let capacity = capacity.min(self.positions);
        match &self.pool {
            Some(pool) => KvCache::paged(pool.clone(), capacity),
            None => KvCache::new(self.layers, self.kv_heads, capacity, self.head_dim, &self.device),
        }
    }
}

impl Llm {
    /// Loads from the root scope of `llm.pt`, with weights in f32. `speech_token_size` is the size
    /// of the speech codebook, which the tables exceed by three special ids.
    pub fn load(
        scope: &Scope,
        config: &LlmConfig,
        speech_token_size: usize,
    ) -> Result<Self, LlmError> {
        Self::load_as(scope, config, speech_token_size, Precision::F32)
    }

    /// [`Self::load`] with the weights of the linear layers in `precision`.
    pub fn load_as(
        scope: &Scope,
        config: &LlmConfig,
        speech_token_size: usize,
        precision: Precision,
    ) -> Result<Self, LlmError> {
        let shape = AttentionShape::new(config)?;
        let hidden = config.hidden_size;
        let speech_ids = speech_token_size + SPECIAL_SPEECH_IDS;
        let model = scope.sub("llm.model.model");

        let mut embedding =
            Vec::with_capacity((config.vocab_size + SPECIAL_INPUTS + speech_ids) * hidden);
        embedding.extend(model.values("embed_tokens.weight", &[config.vocab_size, hidden])?);
        embedding.extend(scope.values("llm_embedding.weight", &[SPECIAL_INPUTS, hidden])?);
        embedding.extend(scope.values("speech_embedding.weight", &[speech_ids, hidden])?);
        let rows = [config.vocab_size + SPECIAL_INPUTS + speech_ids, hidden];

        Ok(Self {
            embedding: Tensor::from_data(TensorData::new(embedding, rows), scope.device()),
            vocab_size: config.vocab_size,
            speech_ids,
            layers: (0..config.num_hidden_layers)
                .map(|i| Layer::load(&model.sub("layers").sub(i), config, shape, precision))
                .collect::<Result<_, _>>()?,
            norm: RmsNorm::load(&model.sub("norm"), hidden, config.rms_norm_eps)?,
            head: load_head(&scope.sub("llm_decoder"), hidden, speech_ids, precision)?,
            rotary: Rotary::new(
                shape.head_dim,
                config.rope_theta,
                config.max_position_embeddings,
                scope.device(),
            ),
            shape,
            pool: KvPool::for_decoder(scope.device(), shape.pages(config.num_hidden_layers)),
        })
    }

    /// The most memory that the caches may take together on a GPU, in bytes: beyond it they are
    /// full. What they have already stays.
    pub fn limit_caches(&self, bytes: usize) {
        if let Some(pool) = &self.pool {
            pool.set_limit(bytes);
        }
    }

    /// An empty cache for one sequence of up to `capacity` positions. No more are given than the
    /// model has positions.
    pub fn new_cache(&self, capacity: usize) -> KvCache {
        self.cache_shape().cache(capacity)
    }

    fn cache_shape(&self) -> CacheShape {
        let AttentionShape { kv_heads, head_dim, .. } = self.shape;
        CacheShape {
            layers: self.layers.len(),
            kv_heads,
            head_dim,
            positions: self.rotary.positions(),
            device: self.device(),
            pool: self.pool.clone(),
        }
    }

    /// Appends `inputs` to the sequence in `cache`.
    ///
    /// Returns the hidden state of each input's position after the final norm, `[n, hidden]`.
    pub fn forward(&self, inputs: &[LlmInput], cache: &mut KvCache) -> Result<Tensor<2>, LlmError> {
        self.run(inputs, &mut [Segment { cache, len: inputs.len() }])
    }

    /// Appends one input to each of several sequences. The projections of all rows are one matrix
    /// product; attention is per row.
    ///
    /// Returns the hidden state of each row after the final norm, `[rows, hidden]`. An error names
    /// the first row at fault, and no row has been stepped.
    pub fn step_batch(&self, rows: &mut [(LlmInput, &mut KvCache)]) -> Result<Tensor<2>, LlmError> {
        let inputs: Vec<LlmInput> = rows.iter().map(|(input, _)| *input).collect();
        let mut segments: Vec<Segment> =
            rows.iter_mut().map(|(_, cache)| Segment { cache, len: 1 }).collect();
        self.run(&inputs, &mut segments)
    }

    /// Scores of the speech ids, `[n, speech_token_size + 3]`, from hidden states `[n, hidden]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.head.forward(hidden)
    }

    /// Log-probabilities of the next speech id after the last row of `hidden`, `[n, hidden]`, on
    /// the host.
    pub fn logp(&self, hidden: Tensor<2>) -> Vec<f32> {
        let last = hidden.dims()[0].saturating_sub(1);
        let mut logp: Vec<f32> =
            self.logits(hidden.narrow(0, last, 1)).into_data().iter::<f32>().collect();
        log_softmax(&mut logp);
        logp
    }

    /// Log-probabilities of the next speech id by each row of [`Self::logits`], on the host.
    pub fn logp_rows(&self, logits: Tensor<2>) -> Vec<Vec<f32>> {
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let mut rows: Vec<Vec<f32>> = logits.chunks(self.speech_ids).map(<[f32]>::to_vec).collect();
        rows.iter_mut().for_each(|row| log_softmax(row));
        rows
    }

    /// Embedded inputs, `[n, hidden]`: the sequence as the first layer sees it.
    pub fn embed(&self, inputs: &[LlmInput]) -> Result<Tensor<2>, LlmError> {
        let ids = inputs.iter().map(|i| self.row(*i)).collect::<Result<Vec<i32>, _>>()?;
        Ok(self.embedding.clone().select(0, ints(ids, &self.device())))
    }

    fn run(
        &self,
        inputs: &[LlmInput],
        segments: &mut [Segment<'_>],
    ) -> Result<Tensor<2>, LlmError> {
        if inputs.is_empty() {
            return Err(LlmError::NoInput);
        }
        for (row, segment) in segments.iter().enumerate() {
            let room = segment.cache.check_room(segment.len);
            room.map_err(|full| LlmError::CacheFull { row, full })?;
        }
        let x = self.embed(inputs)?;
        let x = match &self.pool {
            Some(pool) => {
                for (row, segment) in segments.iter_mut().enumerate() {
                    let room = segment.cache.reserve(segment.len);
                    room.map_err(|full| LlmError::CacheFull { row, full })?;
                }
                let caches = segments.iter().map(|s| (&*s.cache, s.len));
                let step = pool.step(&self.rotary, caches).ok_or(LlmError::ForeignCache)?;
                self.layers(x, &mut Past::Paged(&step))
            }
            None if segments.iter().any(|s| s.cache.pages().is_some()) => {
                return Err(LlmError::ForeignCache);
            }
            None => on_pool(&self.device(), || self.layers_own(x, segments)),
        };
        for segment in segments {
            segment.cache.advance(segment.len);
        }
        Ok(x)
    }

    /// [`Self::layers`] for sequences in memory of their own.
    fn layers_own(&self, x: Tensor<2>, segments: &mut [Segment<'_>]) -> Tensor<2> {
        let positions = segments.iter().flat_map(|s| s.cache.len()..s.cache.len() + s.len);
        let positions = positions.map(|p| p as i32).collect();
        let angles = self.rotary.at(ints(positions, &self.device()));
        let masks: Vec<_> = segments.iter().map(|s| s.causal_mask(&self.device())).collect();
        self.layers(x, &mut Past::Own { angles: &angles, segments, masks: &masks })
    }

    /// Hidden states `[n, hidden]` after the final norm, from embedded inputs. Writes the caches.
    fn layers(&self, mut x: Tensor<2>, past: &mut Past<'_, '_>) -> Tensor<2> {
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x, i, past);
        }
        self.norm.forward(x)
    }

    /// Row of the embedding table.
    fn row(&self, input: LlmInput) -> Result<i32, LlmError> {
        let (start, id, size) = match input {
            LlmInput::Text(id) => (0, id as usize, self.vocab_size),
            LlmInput::Sos => (self.vocab_size, 0, SPECIAL_INPUTS),
            LlmInput::Task => (self.vocab_size, 1, SPECIAL_INPUTS),
            LlmInput::Speech(id) => {
                (self.vocab_size + SPECIAL_INPUTS, id as usize, self.speech_ids)
            }
        };
        let unknown = LlmError::UnknownId { input, size };
        if id >= size {
            return Err(unknown);
        }
        i32::try_from(start + id).map_err(|_| unknown)
    }

    fn device(&self) -> Device {
        self.embedding.device()
    }
}

fn load_head(
    scope: &Scope,
    hidden: usize,
    speech_ids: usize,
    precision: Precision,
) -> Result<RowLinear, WeightsError> {
    let bias = scope.tensor("bias", [speech_ids])?;
    Ok(RowLinear::new(scope.tensor("weight", [speech_ids, hidden])?, Some(bias), precision))
}

fn ints(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

/// In place, in f32 with the sum in f64.
fn log_softmax(logits: &mut [f32]) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|l| f64::from((l - max).exp())).sum();
    let log_sum = max + sum.ln() as f32;
    logits.iter_mut().for_each(|l| *l -= log_sum);
}
