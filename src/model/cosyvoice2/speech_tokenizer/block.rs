//! The encoder's transformer block: attention with rotary positions and an FSMN memory.

use crate::model::nn::{Conv1d, ConvOptions, LayerNorm, Linear, matmul};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::activation::{gelu, softmax};
use burn::tensor::{Device, Tensor, TensorData};

const ROPE_THETA: f32 = 10_000.0;
/// Added to the scores of padded keys.
const MASKED: f32 = -1e10;

/// Residual attention block, normalised before each branch.
#[derive(Debug, Clone)]
pub(super) struct Block {
    attn_ln: LayerNorm,
    attention: Attention,
    mlp_ln: LayerNorm,
    mlp_in: Linear,
    mlp_out: Linear,
}

impl Block {
    pub fn load(scope: &Scope, state: usize, heads: usize) -> Result<Self, WeightsError> {
        let mlp = scope.sub("mlp");
        let inner = mlp.shape("0.weight").and_then(|s| s.first()).copied();
        let inner = inner.filter(|n| *n > 0).unwrap_or(4 * state);
        Ok(Self {
            attn_ln: LayerNorm::load(&scope.sub("attn_ln"), state, 1e-6)?,
            attention: Attention::load(&scope.sub("attn"), state, heads)?,
            mlp_ln: LayerNorm::load(&scope.sub("mlp_ln"), state, 1e-5)?,
            mlp_in: Linear::load(&mlp.sub(0), state, inner)?,
            mlp_out: Linear::load(&mlp.sub(2), inner, state)?,
        })
    }

    /// Width of one head.
    pub fn head_dim(&self) -> usize {
        self.attention.head_dim
    }

    /// BTC to BTC. `mask` is 1 on frames and 0 on padding, `[batch, time]`.
    pub fn forward(&self, x: Tensor<3>, rotary: &Rotary, mask: Option<&Tensor<2>>) -> Tensor<3> {
        let x = x.clone() + self.attention.forward(self.attn_ln.forward(x), rotary, mask);
        let y = gelu(self.mlp_in.forward(self.mlp_ln.forward(x.clone())));
        x + self.mlp_out.forward(y)
    }
}

/// Multi-head attention plus the FSMN memory: a depthwise convolution over the values.
#[derive(Debug, Clone)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    fsmn: Conv1d,
    heads: usize,
    head_dim: usize,
}

impl Attention {
    fn load(scope: &Scope, state: usize, heads: usize) -> Result<Self, WeightsError> {
        let linear = |name: &str| Linear::load(&scope.sub(name), state, state);
        let memory = scope.sub("fsmn_block");
        let kernel = memory.shape("weight").and_then(|s| s.last()).copied();
        let kernel = kernel.filter(|n| *n > 0).unwrap_or(31);
        let before = (kernel - 1) / 2;
        let options = ConvOptions {
            padding: (before, kernel - 1 - before),
            groups: state,
            bias: false,
            ..Default::default()
        };
        Ok(Self {
            query: linear("query")?,
            key: Linear::load_no_bias(&scope.sub("key"), state, state)?,
            value: linear("value")?,
            out: linear("out")?,
            fsmn: Conv1d::load(&memory, state, state, kernel, options)?,
            heads,
            head_dim: state / heads,
        })
    }

    /// BTC to BTC.
    fn forward(&self, x: Tensor<3>, rotary: &Rotary, mask: Option<&Tensor<2>>) -> Tensor<3> {
        let [batch, time, state] = x.dims();
        let heads =
            |x: Tensor<3>| x.reshape([batch, time, self.heads, self.head_dim]).swap_dims(1, 2);
        let query = rotary.apply(heads(self.query.forward(x.clone())));
        let key = rotary.apply(heads(self.key.forward(x.clone())));
        let value = self.value.forward(x);
        let memory = self.memory(value.clone(), mask);

        let scale = (self.head_dim as f32).powf(-0.5);
        let mut scores = matmul(query * scale, key.transpose());
        if let Some(mask) = mask {
            let bias = (mask.clone() - 1.0) * -MASKED;
            scores = scores + bias.reshape([batch, 1, 1, time]);
        }
        let mixed = matmul(softmax(scores, 3), heads(value));
        self.out.forward(mixed.swap_dims(1, 2).reshape([batch, time, state])) + memory
    }

    /// The memory branch with its own residual, BTC to BTC; padding counts as zeros.
    fn memory(&self, value: Tensor<3>, mask: Option<&Tensor<2>>) -> Tensor<3> {
        let mask = mask.map(|mask| mask.clone().unsqueeze_dim::<3>(2));
        let masked = |x: Tensor<3>| match &mask {
            Some(mask) => x * mask.clone(),
            None => x,
        };
        let value = masked(value);
        let memory = self.fsmn.forward(value.clone().swap_dims(1, 2)).swap_dims(1, 2);
        masked(memory + value)
    }
}

/// Rotary positions in the rotate-half form (Su et al. 2021), from position 0.
#[derive(Debug, Clone)]
pub(super) struct Rotary {
    /// `[1, 1, time, head_dim]`
    cos: Tensor<4>,
    /// Negated in the first half, `[1, 1, time, head_dim]`.
    sin: Tensor<4>,
}

impl Rotary {
    pub fn new(time: usize, head_dim: usize, device: &Device) -> Self {
        let half = head_dim / 2;
        let exponent = |i: usize| -2.0 * (i % half) as f32 / head_dim as f32;
        let speeds: Vec<f32> = (0..head_dim).map(|i| ROPE_THETA.powf(exponent(i))).collect();
        let table = |value: &dyn Fn(f32, bool) -> f32| {
            let mut values = Vec::with_capacity(time * head_dim);
            for position in 0..time {
                let angles = speeds.iter().map(|speed| position as f32 * speed).enumerate();
                values.extend(angles.map(|(i, angle)| value(angle, i < half)));
            }
            Tensor::from_data(TensorData::new(values, [1, 1, time, head_dim]), device)
        };
        Self {
            cos: table(&|angle, _| angle.cos()),
            sin: table(&|angle, first| if first { -angle.sin() } else { angle.sin() }),
        }
    }

    /// `[batch, heads, time, head_dim]` to the same shape.
    fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let rotated =
            Tensor::cat(vec![x.clone().narrow(3, half, half), x.clone().narrow(3, 0, half)], 3);
        x * self.cos.clone() + rotated * self.sin.clone()
    }
}
