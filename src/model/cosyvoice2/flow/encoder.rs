//! Upsampling conformer encoder: speech tokens to a condition at the mel frame rate.

use super::attention::RelativeAttention;
use super::cache::{KvCache, Mask, Past, block_causal_bias};
use super::conv::{CausalConv, Tail};
use crate::model::cosyvoice2::config::FlowConfig;
use crate::model::nn::{LayerNorm, Linear, NormLinear, PoolHop};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::{Tensor, activation};

/// Mel frames per speech token.
pub const UPSAMPLING: usize = 2;
/// LayerNorm constants of the original: tiny inside the layers, PyTorch's default elsewhere.
const LAYER_EPS: f64 = 1e-12;
const OUTER_EPS: f64 = 1e-5;

/// The whole encoder. Stages are public, in the order in which [`Encoder::forward`] uses them.
#[derive(Debug)]
pub struct Encoder {
    pub embed: Embed,
    pub look_ahead: LookAhead,
    pub layers: Vec<ConformerLayer>,
    pub up_layer: CausalConv,
    pub up_embed: Embed,
    pub up_layers: Vec<ConformerLayer>,
    pub after_norm: LayerNorm,
    block: usize,
}

/// What the encoder remembers of past tokens.
#[derive(Debug, Clone)]
pub struct EncoderState {
    look_ahead: Tail,
    layers: Vec<KvCache>,
    up_layer: Tail,
    up_layers: Vec<KvCache>,
}

impl EncoderState {
    /// Device memory in bytes.
    pub fn bytes(&self) -> usize {
        let keys = self.layers.iter().chain(&self.up_layers).map(KvCache::bytes).sum::<usize>();
        keys + self.look_ahead.bytes() + self.up_layer.bytes()
    }

    /// See [`KvCache::seal`].
    pub fn seal(&mut self) {
        self.layers.iter_mut().chain(&mut self.up_layers).for_each(KvCache::seal);
    }
}

impl Encoder {
    /// Loads the keys of `encoder.`.
    pub fn load(scope: &Scope, config: &FlowConfig) -> Result<Self, WeightsError> {
        let encoder = &config.encoder;
        let width = encoder.output_size;
        let stack = |name: &str, count: usize| -> Result<Vec<_>, WeightsError> {
            let load = |i| {
                let scope = scope.sub(name).sub(i);
                ConformerLayer::load(&scope, width, encoder.attention_heads, encoder.linear_units)
            };
            (0..count).map(load).collect()
        };
        Ok(Self {
            embed: Embed::load(&scope.sub("embed"), width)?,
            look_ahead: LookAhead::load(
                &scope.sub("pre_lookahead_layer"),
                width,
                config.pre_lookahead_len,
            )?,
            layers: stack("encoders", encoder.num_blocks)?,
            up_layer: CausalConv::load(
                &scope.sub("up_layer.conv"),
                width,
                width,
                2 * UPSAMPLING + 1,
            )?,
            up_embed: Embed::load(&scope.sub("up_embed"), width)?,
            up_layers: stack("up_encoders", encoder.num_up_blocks)?,
            after_norm: LayerNorm::load(&scope.sub("after_norm"), width, OUTER_EPS)?,
            block: encoder.static_chunk_size,
        })
    }

    /// The state before the first token, in pages of `page` blocks. A block sees `left` before it.
    pub fn state(&self, page: usize, left: Option<usize>) -> EncoderState {
        let caches = |rate: usize, layers: usize| {
            let block = self.block * rate;
            vec![KvCache::new(page * block, left.map(|left| left * block)); layers]
        };
        EncoderState {
            look_ahead: Tail::default(),
            layers: caches(1, self.layers.len()),
            up_layer: Tail::default(),
            up_layers: caches(UPSAMPLING, self.up_layers.len()),
        }
    }

    /// Token embeddings `[1, tokens, width]` and those of the tokens that follow them
    /// `[1, look-ahead, width]` (zeros beyond the end of the speech) to `[1, 2 * tokens, width]`.
    ///
    /// With a state, goes on after the tokens it has seen; every token sees all of its own call
    /// and before, as far as the state's window. Without, the call is the whole sequence, under
    /// `mask` if given.
    pub fn forward(
        &self,
        tokens: Tensor<3>,
        following: Option<Tensor<3>>,
        mask: Option<Mask>,
        state: Option<&mut EncoderState>,
    ) -> Tensor<3> {
        self.run(tokens, following, mask, state, None)
    }

    /// [`Self::forward`]; with `pages` of a GPU, keys and values of both stacks are kept in these.
    pub(super) fn run(
        &self,
        tokens: Tensor<3>,
        following: Option<Tensor<3>>,
        mask: Option<Mask>,
        mut state: Option<&mut EncoderState>,
        pages: Option<[PoolHop; 2]>,
    ) -> Tensor<3> {
        let [lower, upper] = pages.map_or([None, None], |pages| pages.map(Some));
        let device = tokens.device();
        let length = tokens.dims()[1];
        let bias = |rate: usize| {
            mask.map(|mask| block_causal_bias(length * rate, self.block * rate, mask.left, &device))
        };

        let x = self.embed.forward(tokens);
        let following = following.map(|rows| self.embed.forward(rows));
        let tail = state.as_deref_mut().map(|s| &mut s.look_ahead);
        let mut x = self.look_ahead.forward(x, following, tail);
        let mask = bias(1);
        for (i, layer) in self.layers.iter().enumerate() {
            let past = state.as_deref_mut().map(|s| &mut s.layers[i]);
            x = layer.run(x, mask.as_ref(), past, lower.as_ref().map(|pages| (pages, i)));
        }
        let tail = state.as_deref_mut().map(|s| &mut s.up_layer);
        let mut x = self.up_embed.forward(self.upsample(x, tail));
        let mask = bias(UPSAMPLING);
        for (i, layer) in self.up_layers.iter().enumerate() {
            let past = state.as_deref_mut().map(|s| &mut s.up_layers[i]);
            x = layer.run(x, mask.as_ref(), past, upper.as_ref().map(|pages| (pages, i)));
        }
        self.after_norm.forward(x)
    }

    /// Repeats every frame and smooths: BTC to BTC of twice the length.
    pub fn upsample(&self, x: Tensor<3>, mut tail: Option<&mut Tail>) -> Tensor<3> {
        let [batch, frames, width] = x.dims();
        let x = x.reshape([batch, frames, 1, width]).repeat_dim(2, UPSAMPLING);
        let x = x.reshape([batch, frames * UPSAMPLING, width]);
        self.up_layer.forward(x, tail.as_mut_slice())
    }
}

/// Linear, LayerNorm and the scale `sqrt(width)` of a Transformer's input.
#[derive(Debug)]
pub struct Embed {
    linear: Linear,
    norm: LayerNorm,
    scale: f64,
}

impl Embed {
    fn load(scope: &Scope, width: usize) -> Result<Self, WeightsError> {
        Ok(Self {
            linear: Linear::load(&scope.sub("out.0"), width, width)?,
            norm: LayerNorm::load(&scope.sub("out.1"), width, OUTER_EPS)?,
            scale: (width as f64).sqrt(),
        })
    }

    /// BTC to BTC.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.norm.forward(self.linear.forward_rows(x)) * self.scale
    }
}

/// Two convolutions with a residual: the first looks at the tokens to come, the second back.
#[derive(Debug)]
pub struct LookAhead {
    ahead: CausalConv,
    back: CausalConv,
    length: usize,
}

impl LookAhead {
    fn load(scope: &Scope, width: usize, length: usize) -> Result<Self, WeightsError> {
        let back = scope.sub("conv2");
        let kernel = back.shape("weight").and_then(|s| s.get(2)).copied().unwrap_or(3);
        Ok(Self {
            ahead: CausalConv::load(&scope.sub("conv1"), width, width, length + 1)?,
            back: CausalConv::load(&back, width, width, kernel)?,
            length,
        })
    }

    /// BTC to BTC. `following` are the embedded tokens after `x`; zeros take the place of those
    /// that are missing.
    pub fn forward(
        &self,
        x: Tensor<3>,
        following: Option<Tensor<3>>,
        mut tail: Option<&mut Tail>,
    ) -> Tensor<3> {
        let [batch, _, width] = x.dims();
        let known = following.as_ref().map_or(0, |rows| rows.dims()[1]);
        let mut padded = vec![x.clone()];
        padded.extend(following);
        if known < self.length {
            padded.push(Tensor::zeros([batch, self.length - known, width], &x.device()));
        }
        let y = self.ahead.forward_valid(Tensor::cat(padded, 1));
        self.back.forward(activation::leaky_relu(y, 0.01), tail.as_mut_slice()) + x
    }
}

/// Pre-norm Transformer layer with relative positions (a conformer layer without convolution).
#[derive(Debug)]
pub struct ConformerLayer {
    norm_attention: LayerNorm,
    attention: RelativeAttention,
    w1: NormLinear,
    w2: Linear,
}

impl ConformerLayer {
    fn load(
        scope: &Scope,
        width: usize,
        heads: usize,
        hidden: usize,
    ) -> Result<Self, WeightsError> {
        let feed_forward = scope.sub("feed_forward");
        Ok(Self {
            norm_attention: LayerNorm::load(&scope.sub("norm_mha"), width, LAYER_EPS)?,
            attention: RelativeAttention::load(&scope.sub("self_attn"), width, heads)?,
            w1: NormLinear::silu(
                LayerNorm::load(&scope.sub("norm_ff"), width, LAYER_EPS)?,
                Linear::load(&feed_forward.sub("w_1"), width, hidden)?,
            ),
            w2: Linear::load(&feed_forward.sub("w_2"), hidden, width)?,
        })
    }

    /// BTC to BTC.
    pub fn forward(
        &self,
        x: Tensor<3>,
        bias: Option<&Tensor<4>>,
        past: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.run(x, bias, past, None)
    }

    fn run(
        &self,
        x: Tensor<3>,
        bias: Option<&Tensor<4>>,
        mut past: Option<&mut KvCache>,
        pages: Option<(&PoolHop, usize)>,
    ) -> Tensor<3> {
        let past = match pages {
            Some((hop, layer)) => Past::Pages(hop, layer),
            None => Past::Caches(past.as_mut_slice()),
        };
        let x = self.attention.forward(self.norm_attention.forward(x.clone()), bias, past) + x;
        let hidden = self.w1.forward(x.clone());
        self.w2.add_rows(x, hidden)
    }
}
