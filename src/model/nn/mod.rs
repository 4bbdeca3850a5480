//! Layers shared by the model families, in PyTorch's weight layouts.
//!
//! Shapes are written `[batch, time, channels]` (BTC) or `[batch, channels, time]` (BCT). Every
//! layer is made by `load` from a [`Scope`](crate::model::weights::Scope) and used by `forward`.

mod conv;
mod conv2d;
mod conv_transpose;
mod kernels;
mod kv_cache;
mod kv_pool;
mod linear;
mod norm;
mod rotary;

pub use crate::model::weights::Precision;
pub use conv::{Conv1d, ConvOptions};
pub(crate) use conv_transpose::ConvTranspose1d;
pub(crate) use conv2d::Conv2d;
pub use kernels::activation;
#[cfg(all(test, feature = "cube"))]
pub(crate) use kernels::cube::test_device;
pub(crate) use kernels::{
    Distances, Draw, PAGE, PageShape, Picked, Product, ProductInput, Snake, Spectrum, Tails,
    add_tone, attention, decode_attention, matmul, multiply_windows, on_pool, polar, sample,
};
pub(crate) use kernels::{RelativePositions, attend_whole, attends_hops, beside, guided_step};
pub use kv_cache::{CacheFull, KvCache};
pub(crate) use kv_pool::{KvPool, PoolHop, PoolStep};
pub(crate) use linear::kept;
pub use linear::{Linear, NormLinear, RowLinear};
pub use norm::{BatchNorm, LayerNorm, RmsNorm};
pub use rotary::{Angles, Rotary};
