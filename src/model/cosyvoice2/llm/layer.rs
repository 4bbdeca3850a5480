//! One decoder layer of Qwen2 over the rows of one or several sequences.

use super::LlmError;
use crate::model::cosyvoice2::config::LlmConfig;
use crate::model::nn::{
    Angles, KvCache, PAGE, PageShape, PoolStep, Precision, RmsNorm, RowLinear, decode_attention,
    matmul,
};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

#[derive(Debug, Clone, Copy)]
pub(super) struct AttentionShape {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
}

impl AttentionShape {
    pub fn new(config: &LlmConfig) -> Result<Self, LlmError> {
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

    pub fn pages(self, layers: usize) -> PageShape {
        let Self { heads, kv_heads, head_dim } = self;
        PageShape { positions: PAGE, layers, heads, kv_heads, head_dim }
    }
}

/// Consecutive rows of a call that belong to one sequence.
pub(super) struct Segment<'a> {
    pub cache: &'a mut KvCache,
    pub len: usize,
}

impl Segment<'_> {
    /// `[1, 1, n, past + n]`: zero, and minus infinity where a row would see the future. A single
    /// row sees everything.
    pub fn causal_mask(&self, device: &Device) -> Option<Tensor<4>> {
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

/// What the rows of a call attend to.
pub(super) enum Past<'a, 'b> {
    /// Sequences in memory of their own.
    Own {
        angles: &'a Angles,
        segments: &'a mut [Segment<'b>],
        /// Of each segment.
        masks: &'a [Option<Tensor<4>>],
    },
    /// Sequences in the pages of a pool.
    Paged(&'a PoolStep<'b>),
}

/// Pre-norm decoder layer: grouped-query attention (Ainslie et al. 2023), then a SiLU-gated MLP.
#[derive(Debug)]
pub(super) struct Layer {
    /// Queries (already divided by the root of the head dimension), keys and values, of the
    /// normalised rows.
    qkv: RowLinear,
    output: RowLinear,
    /// Of the normalised rows.
    gate_up: RowLinear,
    down: RowLinear,
    shape: AttentionShape,
}

impl Layer {
    pub fn load(
        scope: &Scope,
        config: &LlmConfig,
        shape: AttentionShape,
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let eps = config.rms_norm_eps;
        let (attention, mlp) = (scope.sub("self_attn"), scope.sub("mlp"));
        Ok(Self {
            qkv: load_qkv(&attention, hidden, shape, precision)?.after(RmsNorm::load(
                &scope.sub("input_layernorm"),
                hidden,
                eps,
            )?),
            output: load_projection(&attention.sub("o_proj"), hidden, hidden, precision)?,
            gate_up: RowLinear::gated(
                mlp.sub("gate_proj").tensor("weight", [inner, hidden])?,
                mlp.sub("up_proj").tensor("weight", [inner, hidden])?,
                precision,
            )
            .after(RmsNorm::load(&scope.sub("post_attention_layernorm"), hidden, eps)?),
            down: load_projection(&mlp.sub("down_proj"), inner, hidden, precision)?,
            shape,
        })
    }

    /// `x` `[n, hidden]`; the rows of the sequences follow one another.
    pub fn forward(&self, x: Tensor<2>, index: usize, past: &mut Past<'_, '_>) -> Tensor<2> {
        let attended = self.attend(&x, index, past);
        let x = self.output.add_to(x, attended);
        let gated = self.gate_up.forward(x.clone());
        self.down.add_to(x, gated)
    }

    /// `[n, hidden]` before the output projection.
    fn attend(&self, x: &Tensor<2>, index: usize, past: &mut Past<'_, '_>) -> Tensor<2> {
        let AttentionShape { heads, kv_heads, head_dim } = self.shape;
        let n = x.dims()[0];
        let qkv = self.qkv.forward(x.clone());
        let qkv = qkv.reshape([n, heads + 2 * kv_heads, head_dim]);
        let (angles, segments, masks) = match past {
            Past::Own { angles, segments, masks } => (angles, segments, masks),
            Past::Paged(step) => return step.attend(qkv, index),
        };
        // Queries and keys lie side by side and turn alike.
        let qkv = angles.rotate(qkv, heads + kv_heads);
        if masks.iter().all(Option::is_none) {
            let mut sequences: Vec<_> =
                segments.iter_mut().map(|segment| segment.cache.sequence(index)).collect();
            if let Some(attended) = decode_attention(&qkv, heads, &mut sequences) {
                return attended;
            }
        }
        let queries = qkv.clone().narrow(1, 0, heads);

        let mut start = 0;
        let mut past = Vec::with_capacity(segments.len());
        for segment in segments.iter_mut() {
            let rows = |from: usize| {
                let rows = qkv.clone().narrow(0, start, segment.len).narrow(1, from, kv_heads);
                rows.swap_dims(0, 1).unsqueeze()
            };
            past.push(segment.cache.write(index, rows(heads), rows(heads + kv_heads)));
            start += segment.len;
        }

        let mut start = 0;
        let mut attended = Vec::with_capacity(segments.len());
        for ((segment, mask), (keys, values)) in segments.iter().zip(*masks).zip(past) {
            let queries = queries.clone().narrow(0, start, segment.len);
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
        let mut scores = matmul(queries, keys);
        if let Some(mask) = mask {
            scores = (scores.reshape([kv_heads, group, n, total]) + mask.clone()).reshape([
                1,
                kv_heads,
                group * n,
                total,
            ]);
        }
        matmul(softmax(scores, 3), values)
            .reshape([kv_heads, group, n, head_dim])
            .permute([2, 0, 1, 3])
            .reshape([n, heads * head_dim])
    }
}

fn load_projection(
    scope: &Scope,
    input: usize,
    output: usize,
    precision: Precision,
) -> Result<RowLinear, WeightsError> {
    Ok(RowLinear::new(scope.tensor("weight", [output, input])?, None, precision))
}

fn load_qkv(
    scope: &Scope,
    hidden: usize,
    shape: AttentionShape,
    precision: Precision,
) -> Result<RowLinear, WeightsError> {
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
    Ok(RowLinear::new(
        Tensor::from_data(TensorData::new(weight, [rows, hidden]), device),
        Some(Tensor::from_data(TensorData::new(bias, [rows]), device)),
        precision,
    ))
}
