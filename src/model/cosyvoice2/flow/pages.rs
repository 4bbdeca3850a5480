//! What attention remembers on a GPU: for each session three lists of pages, in which all layers of
//! a stack, and all steps of the solver, have their keys and values side by side. So a hop's pages
//! are told to the device once, and one launch attends for all sessions.

use super::UPSAMPLING;
use super::noise::MAX_FRAMES;
use crate::model::cosyvoice2::config::FlowConfig;
use crate::model::nn::{CacheFull, KvCache, KvPool, PageShape, PoolHop, attends_hops};
use burn::tensor::{DType, Device};

/// Positions of a page: few, as a session's last page is half empty and is copied from its voice.
const POSITIONS: usize = 16;
/// With the condition and without it.
const GUIDANCE: usize = 2;

/// The memory of all sessions.
#[derive(Debug)]
pub(super) struct FlowPools {
    encoder: KvPool,
    up_encoder: KvPool,
    estimator: KvPool,
    /// Layers of a call, for each row.
    encoder_layers: usize,
    up_encoder_layers: usize,
    estimator_layers: usize,
}

/// Pages of one session. Clones share them until they go on.
#[derive(Debug, Clone)]
pub(super) struct FlowPages {
    encoder: KvCache,
    up_encoder: KvCache,
    estimator: KvCache,
}

impl FlowPools {
    /// Without pages, of keys and values in `dtype`. None where the device has no kernels for them.
    pub fn new(device: &Device, config: &FlowConfig, dtype: DType) -> Option<Self> {
        let (encoder, decoder) = (&config.encoder, &config.decoder);
        let blocks = (decoder.num_mid_blocks + 2) * decoder.n_blocks;
        let pool = |layers, heads: usize, head_dim| {
            let shape =
                PageShape { positions: POSITIONS, layers, heads, kv_heads: heads, head_dim };
            KvPool::new(device, shape, dtype)
        };
        let head = encoder.output_size / encoder.attention_heads;
        if !attends_hops(head, true) || !attends_hops(decoder.attention_head_dim, false) {
            return None;
        }
        let layers = config.n_timesteps * blocks * GUIDANCE;
        Some(Self {
            encoder: pool(encoder.num_blocks, encoder.attention_heads, head)?,
            up_encoder: pool(encoder.num_up_blocks, encoder.attention_heads, head)?,
            estimator: pool(layers, decoder.num_heads, decoder.attention_head_dim)?,
            encoder_layers: encoder.num_blocks,
            up_encoder_layers: encoder.num_up_blocks,
            estimator_layers: blocks,
        })
    }

    /// Has `bytes` of memory, and takes no more than that.
    pub fn plan(&self, bytes: usize) {
        // By what a token takes in each.
        let pools =
            [(&self.encoder, 1), (&self.up_encoder, UPSAMPLING), (&self.estimator, UPSAMPLING)];
        let token: usize = pools.iter().map(|(pool, rate)| rate * pool.position_bytes()).sum();
        let tokens = bytes / token.max(1);
        for (pool, rate) in pools {
            pool.set_limit(tokens * rate * pool.position_bytes());
            pool.prepare(tokens * rate);
        }
    }

    /// Of a session before its first token.
    pub fn start(&self) -> FlowPages {
        FlowPages {
            encoder: KvCache::paged(self.encoder.clone(), MAX_FRAMES),
            up_encoder: KvCache::paged(self.up_encoder.clone(), MAX_FRAMES),
            estimator: KvCache::paged(self.estimator.clone(), MAX_FRAMES),
        }
    }

    /// The attention of both stacks of the encoder for a hop of `tokens`, which see `left` before
    /// them.
    pub fn encode<'a>(
        &'a self,
        pages: &FlowPages,
        tokens: usize,
        left: Option<usize>,
    ) -> Option<[PoolHop<'a>; 2]> {
        let FlowPages { encoder, up_encoder, .. } = pages;
        let (frames, far) = (tokens * UPSAMPLING, left.map(|left| left * UPSAMPLING));
        let one = |cache| std::iter::once((cache, 0));
        let lower = self.encoder.hop(one(encoder), tokens, 1, self.encoder_layers, left)?;
        let upper = self.up_encoder.hop(one(up_encoder), frames, 1, self.up_encoder_layers, far)?;
        Some([lower, upper])
    }

    /// The attention of the estimator for a hop of `frames` of some sessions at a step of the
    /// solver, which see `left` frames before it.
    pub fn estimate<'a>(
        &'a self,
        pages: &[&FlowPages],
        frames: usize,
        step: usize,
        left: Option<usize>,
    ) -> Option<PoolHop<'a>> {
        let first = step * self.estimator_layers * GUIDANCE;
        let caches = pages.iter().map(|pages| (&pages.estimator, first));
        self.estimator.hop(caches, frames, GUIDANCE, self.estimator_layers, left)
    }
}

impl FlowPages {
    /// Takes the memory for a hop of `tokens`, which see `left` before them, and gives back what is
    /// further away.
    ///
    /// # Errors
    /// Where the device has no memory left for caches.
    pub fn reserve(&mut self, tokens: usize, left: Option<usize>) -> Result<(), CacheFull> {
        for (cache, rate) in self.caches() {
            if let Some(left) = left {
                cache.forget(cache.len().saturating_sub(left * rate));
            }
            cache.reserve(tokens * rate)?;
        }
        Ok(())
    }

    /// Counts what a hop of `tokens` has kept.
    pub fn advance(&mut self, tokens: usize) {
        self.caches().into_iter().for_each(|(cache, rate)| cache.advance(tokens * rate));
    }

    fn caches(&mut self) -> [(&mut KvCache, usize); 3] {
        let Self { encoder, up_encoder, estimator } = self;
        [(encoder, 1), (up_encoder, UPSAMPLING), (estimator, UPSAMPLING)]
    }

    /// Device memory in bytes. What is shared counts in parts.
    pub fn bytes(&self) -> usize {
        self.encoder.bytes() + self.up_encoder.bytes() + self.estimator.bytes()
    }
}
