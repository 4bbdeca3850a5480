//! The kernels of GPUs, written once in CubeCL's dialect of Rust and compiled at run time for the
//! device: CUDA C++ for NVIDIA's, SPIR-V or WGSL for others.
//!
//! Activations are f32; weights may be bf16, sums are f32 always. A kernel is launched for the
//! stream of its caller and nothing waits for it.
//!
//! A kernel of some length has a folder: its host side is in `mod.rs`, what runs on the device in
//! `kernel.rs`, and its tests in `on_a_gpu.rs`.
//!
//! What is used outside has a stand-in in `kernels/absent.rs`, for binaries without GPUs.

mod conv1d;
mod decode;
mod elementwise;
mod guidance;
mod hop_attention;
mod multiply;
mod norm;
mod pages;
mod product;
mod sample;
mod snake;
mod spectrum;
#[cfg(test)]
mod testing;

pub(crate) use conv1d::{After, Before, Convolution};
pub(crate) use decode::{PageStep, decodes};
pub(crate) use elementwise::{Map, map};
pub(crate) use guidance::{beside, guided_step};
pub(crate) use hop_attention::{HopStep, RelativePositions, attend_whole, attends_hops};
pub(crate) use multiply::multiply;
pub(crate) use norm::{Mish, layer_norm, rms_norm};
pub(crate) use pages::{HopPages, PAGE, PageMemory, PageRows, PageShape};
pub(crate) use product::{Product, ProductInput, Tails};
pub(crate) use sample::{Draw, Picked, sample};
pub(crate) use snake::Alpha;
pub(crate) use spectrum::Spectrum;
#[cfg(test)]
pub(crate) use testing::test_device;

use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::ir::{ElemType, FloatKind};
use burn_cubecl::cubecl::prelude::BufferArg;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::{CubeBackend, CubeDevice, tensor::CubeTensor};

/// Elements that a thread reads or writes at once.
const VECTOR: usize = 4;

/// Whether the device is one of those the kernels here are for.
pub(crate) fn is_cube(device: &Device) -> bool {
    *device != Device::flex()
}

/// The tensor, its elements one after another. None where it is not on a device of ours.
fn into_cube<const D: usize>(x: Tensor<D>) -> Option<CubeTensor> {
    Some(into_contiguous(x.try_into_primitive::<CubeBackend>().ok()?))
}

/// [`into_cube`] of activations beside others that are on a device of ours.
fn activations<const D: usize>(x: Tensor<D>) -> CubeTensor {
    assert_eq!(x.dtype(), DType::F32, "type of activations");
    match into_cube(x) {
        Some(x) => x,
        None => unreachable!("activations on the device of the weights"),
    }
}

fn from_cube<const D: usize>(x: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<CubeBackend>(x)
}

/// An f32 tensor beside `like` that nothing has been written to.
fn empty<const D: usize>(client: &Client, device: &CubeDevice, shape: [usize; D]) -> CubeTensor {
    let bytes = shape.iter().product::<usize>() * size_of::<f32>();
    let handle = client.empty(bytes);
    CubeTensor::new_contiguous(client.clone(), device.clone(), shape.into(), handle, DType::F32)
}

/// The elements of a contiguous tensor as a kernel's argument, in vectors of so many.
fn buffer(x: &CubeTensor, vector: usize) -> BufferArg {
    // SAFETY: a contiguous tensor holds as many elements as its shape says.
    unsafe { BufferArg::from_raw_parts(x.handle.clone(), x.meta.num_elements() / vector) }
}

/// The type of weights or kept values, f32 or bf16. It is an argument of a launch (`#[define]`) and
/// not a generic one, so that a launch is written once for both.
fn element(dtype: DType) -> ElemType {
    match dtype {
        DType::BF16 => ElemType::Float(FloatKind::BF16),
        _ => ElemType::Float(FloatKind::F32),
    }
}
