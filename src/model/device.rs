//! The device a model computes on, by its name in the settings.

use burn::tensor::Device;

/// A device that this binary or this machine does not have.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error(
        "this binary was built without CUDA; build it with `cargo build --release --features cuda`, or use device `cpu`"
    )]
    NotBuiltIn,
    #[error(
        "no NVIDIA driver found (libcuda.so.1 cannot be loaded: {0}); install the driver, or use device `cpu`"
    )]
    NoDriver(String),
    #[error("unknown device `{0}`; choose `cpu` or `cuda`")]
    Unknown(String),
}

/// The device called `cpu` or `cuda` (the first GPU).
pub fn by_name(name: &str) -> Result<Device, DeviceError> {
    match name {
        "cpu" => Ok(Device::flex()),
        "cuda" => cuda(),
        other => Err(DeviceError::Unknown(other.into())),
    }
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, DeviceError> {
    // Without the driver the backend panics on a thread of its own, so look first.
    // SAFETY: loading the driver library runs only its own initialisers.
    unsafe { libloading::Library::new("libcuda.so.1") }
        .map_err(|e| DeviceError::NoDriver(e.to_string()))?;
    Ok(Device::cuda(0))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuiltIn)
}
