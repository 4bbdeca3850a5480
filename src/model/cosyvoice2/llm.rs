//! The language model: a Qwen2 decoder over text and speech tokens that predicts speech tokens.
//!
//! Sequences are made of [`LlmInput`]s, each from its own embedding table; a speech head on the
//! last hidden state gives the next token's distribution. The text head of Qwen2 is not used.

use super::config::LlmConfig;
use crate::model::nn::{Angles, CacheFull, KvCache, Linear, RmsNorm, Rotary};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::activation::{silu, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Ids past the speech codebook: end of speech, one the original reserves, and FILL.
const SPECIAL_SPEECH_IDS: usize = 3;

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
    head: Linear,
    rotary: Rotary,
    shape: AttentionShape,
}

#[derive(Debug, Clone, Copy)]
struct AttentionShape {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Llm {
    /// Loads from the root scope of `llm.pt`. `speech_token_size` is the size of the speech
    /// codebook, which the tables exceed by three special ids.
    pub fn load(
        scope: &Scope,
        config: &LlmConfig,
        speech_token_size: usize,
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
                .map(|i| Layer::load(&model.sub("layers").sub(i), config, shape))
                .collect::<Result<_, _>>()?,
            norm: RmsNorm::load(&model.sub("norm"), hidden, config.rms_norm_eps)?,
            head: Linear::load(&scope.sub("llm_decoder"), hidden, speech_ids)?,
            rotary: Rotary::new(
                shape.head_dim,
                config.rope_theta,
                config.max_position_embeddings,
                scope.device(),
            ),
            shape,
        })
    }

    /// An empty cache for one sequence of up to `capacity` positions. No more are given than the
    /// model has positions.
    pub fn new_cache(&self, capacity: usize) -> KvCache {
        let AttentionShape { kv_heads, head_dim, .. } = self.shape;
        let capacity = capacity.min(self.rotary.positions());
        KvCache::new(self.layers.len(), kv_heads, capacity, head_dim, &self.device())
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
        let mut x = self.embed(inputs)?;
        let positions = segments.iter().flat_map(|s| s.cache.len()..s.cache.len() + s.len);
        let positions = positions.map(|p| p as i32).collect();
        let angles = self.rotary.at(ints(positions, &self.device()));
        let masks: Vec<_> = segments.iter().map(|s| s.causal_mask(&self.device())).collect();
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x, i, &angles, segments, &masks);
        }
        for segment in segments {
            segment.cache.advance(segment.len);
        }
        Ok(self.norm.forward(x))
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

/// SOS and TASK.
const SPECIAL_INPUTS: usize = 2;

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

impl AttentionShape {
    fn new(config: &LlmConfig) -> Result<Self, LlmError> {
        let LlmConfig { hidden_size, num_attention_heads: heads, num_key_value_heads, .. } =
            *config;
        let divides = |part: usize, whole: usize| part > 0 && whole.is_multiple_of(part);
        if !divides(heads, hidden_size) || !divides(num_key_value_heads, heads) {
            return Err(LlmError::Config(format!(
                "hidden size {hidden_size}, {heads} heads and {num_key_value_heads} key-value \
                 heads do not divide"
            )));
        }
        let head_dim = hidden_size / heads;
        if !head_dim.is_multiple_of(2) {
            return Err(LlmError::Config(format!("head dimension {head_dim} is odd")));
        }
        Ok(Self { heads, kv_heads: num_key_value_heads, head_dim })
    }
}

/// Consecutive rows of a call that belong to one sequence.
struct Segment<'a> {
    cache: &'a mut KvCache,
    len: usize,
}

impl Segment<'_> {
    /// `[1, 1, n, past + n]`: zero, and minus infinity where a row would see the future. A single
    /// row sees everything.
    fn causal_mask(&self, device: &Device) -> Option<Tensor<4>> {
        let (n, past) = (self.len, self.cache.len());
        if n == 1 {
            return None;
        }
        let total = past + n;
        let mut mask = vec![0f32; n * total];
        for (i, row) in mask.chunks_exact_mut(total).enumerate() {
            row[past + i + 1..].fill(f32::NEG_INFINITY);
        }
        Some(Tensor::from_data(TensorData::new(mask, [1, 1, n, total]), device))
    }
}

/// Pre-norm decoder layer: grouped-query attention (Ainslie et al. 2023), then a SiLU-gated MLP.
#[derive(Debug)]
struct Layer {
    attention_norm: RmsNorm,
    /// Queries (already divided by the root of the head dimension), keys and values.
    qkv: Linear,
    output: Linear,
    mlp_norm: RmsNorm,
    /// Gate, then up.
    gate_up: Linear,
    down: Linear,
    shape: AttentionShape,
}

impl Layer {
    fn load(
        scope: &Scope,
        config: &LlmConfig,
        shape: AttentionShape,
    ) -> Result<Self, WeightsError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let eps = config.rms_norm_eps;
        let (attention, mlp) = (scope.sub("self_attn"), scope.sub("mlp"));
        Ok(Self {
            attention_norm: RmsNorm::load(&scope.sub("input_layernorm"), hidden, eps)?,
            qkv: load_qkv(&attention, hidden, shape)?,
            output: Linear::load_no_bias(&attention.sub("o_proj"), hidden, hidden)?,
            mlp_norm: RmsNorm::load(&scope.sub("post_attention_layernorm"), hidden, eps)?,
            gate_up: load_gate_up(&mlp, hidden, inner)?,
            down: Linear::load_no_bias(&mlp.sub("down_proj"), inner, hidden)?,
            shape,
        })
    }

    /// `x` `[n, hidden]`; the rows of the segments follow one another.
    fn forward(
        &self,
        x: Tensor<2>,
        index: usize,
        angles: &Angles,
        segments: &mut [Segment<'_>],
        masks: &[Option<Tensor<4>>],
    ) -> Tensor<2> {
        let attended = self.attend(&x, index, angles, segments, masks);
        let x = x + self.output.forward(attended);
        let gate_up = self.gate_up.forward(self.mlp_norm.forward(x.clone()));
        let inner = gate_up.dims()[1] / 2;
        let gate = silu(gate_up.clone().narrow(1, 0, inner));
        x + self.down.forward(gate * gate_up.narrow(1, inner, inner))
    }

    /// `[n, hidden]` before the output projection.
    fn attend(
        &self,
        x: &Tensor<2>,
        index: usize,
        angles: &Angles,
        segments: &mut [Segment<'_>],
        masks: &[Option<Tensor<4>>],
    ) -> Tensor<2> {
        let AttentionShape { heads, kv_heads, head_dim } = self.shape;
        let n = x.dims()[0];
        let qkv = self.qkv.forward(self.attention_norm.forward(x.clone()));
        let qkv = qkv.reshape([n, heads + 2 * kv_heads, head_dim]);
        // Queries and keys lie side by side and turn alike.
        let turned = angles.rotate(qkv.clone().narrow(1, 0, heads + kv_heads));
        let values = qkv.narrow(1, heads + kv_heads, kv_heads);

        let mut start = 0;
        let mut attended = Vec::with_capacity(segments.len());
        for (segment, mask) in segments.iter_mut().zip(masks) {
            let rows = |t: &Tensor<3>, from: usize, count: usize| {
                t.clone().narrow(0, start, segment.len).narrow(1, from, count)
            };
            let keys = rows(&turned, heads, kv_heads).swap_dims(0, 1).unsqueeze();
            let values = rows(&values, 0, kv_heads).swap_dims(0, 1).unsqueeze();
            let queries = rows(&turned, 0, heads);
            let (keys, values) = segment.cache.write(index, keys, values);
            attended.push(self.shape.attention(queries, keys, values, mask.as_ref()));
            start += segment.len;
        }
        match attended.len() {
            1 => attended.remove(0),
            _ => Tensor::cat(attended, 0),
        }
    }
}

impl AttentionShape {
    /// `queries` `[n, heads, head_dim]`, `keys` `[1, kv_heads, head_dim, len]`, `values`
    /// `[1, kv_heads, len, head_dim]`; result `[n, hidden]`.
    ///
    /// The query heads that share a key-value head become rows of one product with it, so keys
    /// and values are neither repeated nor copied.
    fn attention(
        self,
        queries: Tensor<3>,
        keys: Tensor<4>,
        values: Tensor<4>,
        mask: Option<&Tensor<4>>,
    ) -> Tensor<2> {
        let Self { heads, kv_heads, head_dim } = self;
        let group = heads / kv_heads;
        let n = queries.dims()[0];
        let total = keys.dims()[3];
        let queries = queries
            .reshape([n, kv_heads, group, head_dim])
            .permute([1, 2, 0, 3])
            .reshape([1, kv_heads, group * n, head_dim]);
        let mut scores = queries.matmul(keys);
        if let Some(mask) = mask {
            scores = (scores.reshape([kv_heads, group, n, total]) + mask.clone()).reshape([
                1,
                kv_heads,
                group * n,
                total,
            ]);
        }
        softmax(scores, 3)
            .matmul(values)
            .reshape([kv_heads, group, n, head_dim])
            .permute([2, 0, 1, 3])
            .reshape([n, heads * head_dim])
    }
}

fn load_qkv(scope: &Scope, hidden: usize, shape: AttentionShape) -> Result<Linear, WeightsError> {
    let (q, kv) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    let rows = q + 2 * kv;
    let mut weight = Vec::with_capacity(rows * hidden);
    let mut bias = Vec::with_capacity(rows);
    for (name, size) in [("q_proj", q), ("k_proj", kv), ("v_proj", kv)] {
        let part = scope.sub(name);
        weight.extend(part.values("weight", &[size, hidden])?);
        bias.extend(part.values("bias", &[size])?);
    }
    // softmax(q k^T / sqrt(d)): scaling q here saves a pass over the scores of every step.
    let scale = (shape.head_dim as f32).sqrt().recip();
    weight[..q * hidden].iter_mut().chain(&mut bias[..q]).for_each(|w| *w *= scale);
    let device = scope.device();
    Ok(Linear::new(
        Tensor::from_data(TensorData::new(weight, [rows, hidden]), device),
        Some(Tensor::from_data(TensorData::new(bias, [rows]), device)),
    ))
}

fn load_gate_up(scope: &Scope, hidden: usize, inner: usize) -> Result<Linear, WeightsError> {
    let mut weight = Vec::with_capacity(2 * inner * hidden);
    for name in ["gate_proj", "up_proj"] {
        weight.extend(scope.sub(name).values("weight", &[inner, hidden])?);
    }
    let weight = TensorData::new(weight, [2 * inner, hidden]);
    Ok(Linear::new(Tensor::from_data(weight, scope.device()), None))
}
