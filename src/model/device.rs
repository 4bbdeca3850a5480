//! The device a model computes on, by its name in the settings.

use burn::tensor::Device;

/// A device that this binary or this machine does not have.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error(
        "this binary was built without CUDA; build it with `cargo build --release --features cuda`, or use device `cpu`"
    )]
    NotBuiltIn,
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    Cuda(#[from] super::cuda::CudaError),
    #[error("unknown device `{0}`; choose `cpu`, `cuda` or `auto`")]
    Unknown(String),
}

/// Memory of a device in bytes, of all processes that use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMemory {
    pub free: u64,
    pub total: u64,
}

/// The device called `cpu`, `cuda` (the first GPU) or `auto` (see [`settle`]).
pub fn by_name(name: &str) -> Result<Device, DeviceError> {
    match name {
        "cpu" => Ok(Device::flex()),
        "cuda" => cuda(),
        "auto" => by_name(settle(name)),
        other => Err(DeviceError::Unknown(other.into())),
    }
}

/// What `auto` comes to on this machine: `cuda` where there is a GPU that can be used, else `cpu`.
/// The log says which, and why. Other names are what they are.
pub fn settle(name: &str) -> &str {
    if name != "auto" {
        return name;
    }
    match cuda() {
        Ok(_) => "cuda",
        Err(reason) => {
            tracing::info!("device `auto` is the CPU: {reason}");
            "cpu"
        }
    }
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, DeviceError> {
    use super::cuda;
    let gpu = cuda::probe(&cuda::Libraries, cuda::needed())?;
    let cuda::Gpu { name, capability, driver, memory } = gpu;
    let (free, total) = (memory.free >> 20, memory.total >> 20);
    tracing::info!(
        "GPU: {name}, compute capability {capability}, driver of CUDA {driver}, {free} of {total} MiB free"
    );
    Ok(Device::cuda(0))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuiltIn)
}

/// Memory of `device`. None for the CPU, and where the driver does not tell.
#[cfg(feature = "cuda")]
pub fn memory(device: &Device) -> Option<DeviceMemory> {
    use super::cuda::{Driver, Libraries, System};
    if *device == Device::flex() {
        return None;
    }
    Libraries.driver().ok()?.memory().ok()
}

/// Memory of `device`. None for the CPU, which is the only one here.
#[cfg(not(feature = "cuda"))]
pub fn memory(_device: &Device) -> Option<DeviceMemory> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_or_refused() {
        assert_eq!(by_name("cpu").expect("the CPU"), Device::flex());
        let error = by_name("tpu").expect_err("no such device").to_string();
        assert!(error.contains("`tpu`") && error.contains("`auto`"), "{error}");
    }

    /// Where there is no GPU, `auto` still gives a device and `cuda` says why it does not.
    #[test]
    fn auto_is_what_cuda_is_or_the_cpu() {
        match by_name("cuda") {
            Ok(device) => {
                assert_eq!(settle("auto"), "cuda");
                assert!(memory(&device).is_some_and(|memory| memory.total > memory.free));
            }
            Err(error) => {
                assert!(error.to_string().contains("device `cpu`"), "{error}");
                assert_eq!(settle("auto"), "cpu");
                assert_eq!(by_name("auto").expect("the CPU"), Device::flex());
            }
        }
        assert_eq!(memory(&Device::flex()), None);
    }
}
