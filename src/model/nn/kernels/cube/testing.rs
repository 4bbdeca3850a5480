//! What the tests of the kernels share: the device they run on, numbers, and how near a result is.

use burn::tensor::{Device, Distribution, Tensor};

/// Where the kernels' tests run: on the GPU where `MYNAH_DEVICE` is `cuda`, else on whatever has a
/// Vulkan driver, if the binary has that.
pub(crate) fn test_device() -> Device {
    #[cfg(all(feature = "vulkan", feature = "cuda"))]
    if std::env::var_os("MYNAH_DEVICE").is_some_and(|name| name == "cuda") {
        return Device::cuda(0);
    }
    #[cfg(feature = "vulkan")]
    return Device::vulkan(burn::tensor::DeviceKind::DefaultDevice);
    #[cfg(all(feature = "cuda", not(feature = "vulkan")))]
    return Device::cuda(0);
}

/// Normal numbers on the CPU.
pub(super) fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

/// Numbers from a range on the CPU, all as likely.
pub(super) fn uniform<const D: usize>(shape: [usize; D], from: f64, to: f64) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(from, to), &Device::flex())
}

/// The same on the device of the tests.
pub(super) fn there<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
    Tensor::from_data(x.to_data(), &test_device())
}

/// The elements, wherever they are.
pub(super) fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter().collect()
}

/// The largest difference, as a part of the largest of `want`; infinite where a number is not one.
pub(super) fn error(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len(), "count of elements");
    if got.iter().any(|x| !x.is_finite()) {
        return f32::INFINITY;
    }
    let differences = got.iter().zip(want).map(|(got, want)| (got - want).abs());
    let size = want.iter().map(|x| x.abs()).fold(0.0, f32::max);
    differences.fold(0.0, f32::max) / size
}

/// Sums: no element differs by more than `limit` of the largest.
#[track_caller]
pub(super) fn assert_close<const D: usize>(
    what: &str,
    got: Tensor<D>,
    want: Tensor<D>,
    limit: f32,
) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    let error = error(&values(got), &values(want));
    assert!(error < limit, "{what}: {error:e}");
}

/// Functions of single numbers: no element differs by more than `limit` and as much of itself.
#[track_caller]
pub(super) fn assert_each_close<const D: usize>(
    what: &str,
    got: Tensor<D>,
    want: Tensor<D>,
    limit: f32,
) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    for (got, want) in values(got).into_iter().zip(values(want)) {
        assert!((got - want).abs() <= limit * (1.0 + want.abs()), "{what}: {got}, not {want}");
    }
}
