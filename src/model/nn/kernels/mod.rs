//! Loops of our own for the CPU, where the backend's general ones leave most of the machine unused.
//!
//! Each is written in plain Rust so that the compiler vectorises it, works on contiguous f32 of
//! the Flex backend, and stands beside a portable twin of ordinary tensor operations, which runs
//! on every other backend, type and processor. Tests hold the two together.

mod conv1d;
mod snake;

pub(super) use conv1d::PackedConv1d;
pub use snake::snake;

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::FlexTensor;

/// Whether this processor has the instructions that the loops are compiled for: fused
/// multiply-add on vectors of eight (AVX2) or of four (NEON, part of every AArch64).
fn supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(target_arch = "aarch64")]
    return true;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// The tensor as contiguous f32 in host memory, if that is what the loops can take.
fn host<const D: usize>(x: Tensor<D>) -> Option<FlexTensor> {
    let x: FlexTensor = x.try_into_primitive::<Flex>().ok()?;
    match x.dtype() {
        DType::F32 if x.is_contiguous() => Some(x),
        DType::F32 => Some(x.to_contiguous()),
        _ => None,
    }
}

fn from_host<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    let data = TensorData::new(values, shape);
    Tensor::from_primitive::<Flex>(FlexTensor::from_data(data))
}
