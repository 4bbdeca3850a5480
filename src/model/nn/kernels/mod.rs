//! The one place of code that knows a backend: what Burn's operations cost too much for, as loops
//! over the memory of the Flex backend on the CPU, and as kernels of [`cube`] on GPUs.
//!
//! Every kernel has a twin of plain Burn operations that serves all other backends and types.

pub mod activation;
mod attention;
mod conv1d;
mod conv2d;
#[cfg(feature = "cube")]
#[allow(clippy::result_large_err, reason = "a tensor that is given back")]
pub(super) mod cube;
#[cfg(not(feature = "cube"))]
#[path = "absent.rs"]
#[allow(clippy::result_large_err, reason = "a tensor that is given back")]
pub(super) mod cube;
mod decode_attention;
mod decoder;
mod multiply;
mod polar;
mod sine;
mod skinny;
mod snake;
mod tile;
mod transposed;

pub(crate) use attention::{Distances, attention};
pub(crate) use conv1d::{Packed, Window};
pub(crate) use conv2d::Rows;
pub(crate) use cube::{Draw, Picked, Product, ProductInput, Spectrum, Tails, sample};
pub(crate) use cube::{
    HopPages, HopStep, PAGE, PageMemory, PageRows, PageShape, PageStep, RelativePositions,
    attend_whole, attends_hops, beside, decodes, guided_step,
};
pub(crate) use decode_attention::{Sequence, decode_attention};
pub(crate) use decoder::{copy_row_starts, gated_silu, rms_norm, rotate};
pub(crate) use multiply::multiply_windows;
pub(crate) use polar::polar;
pub(crate) use sine::add_tone;
pub(crate) use skinny::SkinnyMatrix;
pub(crate) use snake::Snake;
pub(crate) use transposed::Transposed;

use burn::backend::Flex;
use burn::tensor::{Bytes, DType, Device, Tensor};
use burn_flex::{FlexTensor, Layout};

/// The product of matrices in f32. (Burn's alone would be less exact on some GPUs.)
pub(crate) fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    cube::multiply(&a, &b).unwrap_or_else(|| a.matmul(b))
}

/// What is done to a row before its product with a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Norm {
    /// Root-mean-square normalisation, times a gain.
    Rms,
    /// Layer normalisation, times a gain, plus a shift.
    Layer,
}

/// What is done to the sums of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Activation {
    None,
    /// By the error function.
    Gelu,
    Silu,
    /// `silu(gate) * up`, where the matrix has four columns of the gate, then four of the other and
    /// so on: half as many outputs as columns.
    #[cfg_attr(not(feature = "cube"), expect(dead_code))]
    Gated,
}

/// Elements that are worth a task of their own where each costs a few operations.
const CHUNK: usize = 1 << 15;

/// Whether the elements are within reach: f32 on the Flex backend.
fn is_ours<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && x.device() == Device::flex()
}

/// The elements of a tensor that [`is_ours`], in a buffer that holds nothing else.
fn into_flex<const D: usize>(x: Tensor<D>) -> FlexTensor {
    match x.try_into_primitive::<Flex>() {
        Ok(x) => x.to_contiguous(),
        Err(e) => unreachable!("a tensor of the Flex backend: {e:?}"),
    }
}

/// A tensor of the Flex backend that takes over `values`, in the order of its elements.
fn from_values<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    let layout = Layout::contiguous(shape.into());
    let tensor = FlexTensor::new(Bytes::from_elems(values), layout, DType::F32);
    Tensor::from_primitive::<Flex>(tensor)
}

/// Runs `work` on a thread of the pool where the kernels of `device` share work within it. Called
/// from outside the pool, each of them would put its caller to sleep and wake it again.
pub(crate) fn on_pool<T: Send>(device: &Device, work: impl FnOnce() -> T + Send) -> T {
    if *device == Device::flex() { rayon::scope(|_| work()) } else { work() }
}

/// Compiles `$body` twice: for any processor, and for those with AVX2, chosen at run time.
macro_rules! vectorised {
    ($(#[$meta:meta])* $visibility:vis $name:ident, $body:ident($($arg:ident: $kind:ty),*)) => {
        $(#[$meta])*
        $visibility fn $name($($arg: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($arg: $kind),*) {
                    $body($($arg),*);
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the processor has what the function was compiled for.
                    return unsafe { wide($($arg),*) };
                }
            }
            $body($($arg),*);
        }
    };
}
use vectorised;
