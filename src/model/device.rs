//! The device a model computes on, by its name in the settings.

use burn::tensor::Device;

/// A device that this binary or this machine does not have.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error(
        "this binary was built without {name}; build it with `cargo build --release --features {feature}`, or use device `cpu`"
    )]
    NotBuiltIn { name: &'static str, feature: &'static str },
    #[cfg(feature = "vulkan")]
    #[error("no Vulkan driver that can be used was found: {0}; install one, or use device `cpu`")]
    Vulkan(String),
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    Cuda(#[from] super::cuda::CudaError),
    #[error("unknown device `{0}`; choose `cpu`, `cuda`, `vulkan` or `auto`")]
    Unknown(String),
}

/// Memory of a device in bytes, of all processes that use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMemory {
    pub free: u64,
    pub total: u64,
}

/// The device called `cpu`, `cuda` (the first GPU), `vulkan` (the system's first choice) or `auto`
/// (see [`settle`]).
pub fn by_name(name: &str) -> Result<Device, DeviceError> {
    match name {
        "cpu" => Ok(Device::flex()),
        "cuda" => cuda(),
        "vulkan" => vulkan(),
        "auto" => by_name(settle(name).0),
        other => Err(DeviceError::Unknown(other.into())),
    }
}

/// What `auto` comes to on this machine: `cuda` where there is a GPU that can be used, else `cpu`,
/// and why. Other names are what they are.
pub fn settle(name: &str) -> (&str, Option<DeviceError>) {
    if name != "auto" {
        return (name, None);
    }
    match cuda() {
        Ok(_) => ("cuda", None),
        Err(reason) => ("cpu", Some(reason)),
    }
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, DeviceError> {
    use super::cuda;
    let gpu = cuda::probe(&cuda::Libraries, cuda::needed())?;
    let cuda::Gpu { name, capability, driver, memory } = gpu;
    let (free, total) = (memory.free >> 20, memory.total >> 20);
    // It is asked for more than once.
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        tracing::info!(
            "GPU: {name}, compute capability {capability}, driver of CUDA {driver}, {free} of {total} MiB free"
        );
    });
    Ok(Device::cuda(0))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuiltIn { name: "CUDA", feature: "cuda" })
}

/// Whatever has a Vulkan driver. Meant for trying the kernels of GPUs where there is none, see
/// `benches/lavapipe`.
#[cfg(feature = "vulkan")]
fn vulkan() -> Result<Device, DeviceError> {
    use burn::tensor::{DeviceKind, Tensor};
    // The backend has no other way to say that there is no driver than to panic when it is used.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let tried = std::panic::catch_unwind(|| {
        let device = Device::vulkan(DeviceKind::DefaultDevice);
        Tensor::<1>::ones([4], &device).sum().try_into_scalar::<f32>().map(|_| device)
    });
    std::panic::set_hook(hook);
    match tried {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(error)) => Err(DeviceError::Vulkan(error.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(DeviceError::Vulkan(text.unwrap_or("it could not be started").into()))
        }
    }
}

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuiltIn { name: "Vulkan", feature: "vulkan" })
}

/// Has compiled kernels, and what was found out about their speed, kept in `dir` from one start to
/// the next; None: they are made again. To be called before a GPU is used; later calls change
/// nothing. A `cubecl.toml` in the working directory, and CubeCL's environment variables, hold
/// for all the rest.
#[cfg(feature = "cube")]
pub fn keep_kernels(dir: Option<&std::path::Path>) {
    use burn_cubecl::cubecl::config::streaming::StreamPolicy;
    use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig};
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    match dir {
        Some(dir) => {
            config.compilation.cache = true;
            config.environment.path = CacheConfig::Directory(dir.into());
        }
        None => config.autotune.disable_cache = true,
    }
    // Whichever thread asks for work, it is done in the order of asking and from one memory pool.
    config.streaming.policy = StreamPolicy::Single;
    CubeClRuntimeConfig::try_set(config);
}

/// Does nothing: there are no kernels to be kept.
#[cfg(not(feature = "cube"))]
pub fn keep_kernels(_dir: Option<&std::path::Path>) {}

/// Memory of `device`. None for the CPU, and where the driver does not tell.
#[cfg(feature = "cuda")]
pub fn memory(device: &Device) -> Option<DeviceMemory> {
    use super::cuda::{Driver, Libraries, System};
    if *device != Device::cuda(0) {
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
                assert_eq!(settle("auto").0, "cuda");
                assert!(memory(&device).is_some_and(|memory| memory.total > memory.free));
            }
            Err(error) => {
                assert!(error.to_string().contains("device `cpu`"), "{error}");
                let (name, reason) = settle("auto");
                assert!(name == "cpu" && reason.is_some());
                assert_eq!(by_name("auto").expect("the CPU"), Device::flex());
            }
        }
        assert_eq!(memory(&Device::flex()), None);
    }
}
