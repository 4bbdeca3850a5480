//! Whether this machine has a GPU that the backend can use. Asked before the backend is: it opens
//! its libraries on a thread of its own and panics there where one is missing or too old.
//!
//! [`probe`] asks a [`System`], which is the machine's libraries or, in tests, made up.

#[cfg(feature = "cuda")]
mod driver;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
pub use driver::Libraries;

use super::device::DeviceMemory;
use std::fmt;

/// CUDA that the bindings to the driver are of, as 13000 for 13.0: see `.cargo/config.toml`.
pub const BUILT_FOR: Option<&str> = option_env!("CUDARC_CUDA_VERSION");
/// What the bindings are of where nothing was said at the build: the newest that they know.
const NEWEST: i32 = 13040;
/// Compute capability that the backend's kernels are made for: Volta's, which is the first with
/// tensor cores and warps that are synchronised by name.
const CAPABILITY: Capability = Capability(7, 0);
/// NVRTC of CUDA 13 compiles for nothing older than Turing.
const CAPABILITY_OF_13: Capability = Capability(7, 5);

/// Codes of `cuda.h` that have a sentence of their own.
const NO_DEVICE: i32 = 100;
const OUT_OF_MEMORY: i32 = 2;
const NOT_YET_STARTED: i32 = 802;
const DRIVER_MISMATCH: i32 = 803;

/// A release of CUDA, in its own numbers: 13000 is 13.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub i32);

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 1000, self.0 % 1000 / 10)
    }
}

impl Release {
    /// The first series of Linux drivers for it, by NVIDIA's release notes.
    fn driver(self) -> &'static str {
        match self.0 {
            ..12000 => "450",
            12000..12020 => "525",
            12020..12040 => "535",
            12040..12060 => "550",
            12060..12080 => "560",
            12080..12090 => "570",
            12090..13000 => "575",
            13000..13010 => "580",
            _ => "590",
        }
    }
}

/// Compute capability, major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability(pub i32, pub i32);

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A GPU that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    pub name: String,
    pub capability: Capability,
    /// CUDA of its driver.
    pub driver: Release,
    pub memory: DeviceMemory,
}

/// Why no GPU can be used, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    #[error(
        "no NVIDIA driver was found (libcuda.so.1: {reason}); install driver {series} or newer, start a container with `--gpus all`, or use device `cpu`"
    )]
    NoDriver { reason: String, series: &'static str },
    #[error(
        "the NVIDIA driver is of CUDA {found}, and this binary needs one of {needed}; update the driver to {series} or newer, build again with CUDARC_CUDA_VERSION={} in the environment, or use device `cpu`", found.0
    )]
    OldDriver { found: Release, needed: Release, series: &'static str },
    #[error(
        "the NVIDIA driver is there but has no GPU; see that `nvidia-smi` lists one, that CUDA_VISIBLE_DEVICES does not hide it and that the container was given it (`--gpus all`), or use device `cpu`"
    )]
    NoDevice,
    #[error(
        "{name} has compute capability {found}, and {needed} is the least that kernels are made for; use another GPU, or use device `cpu`"
    )]
    OldDevice { name: String, found: Capability, needed: Capability },
    #[error(
        "NVRTC, which compiles the kernels, cannot be loaded (libnvrtc.so: {reason}); install the package cuda-nvrtc-{} of NVIDIA's repository, name the folder of libnvrtc.so in LD_LIBRARY_PATH, or use device `cpu`", package(*release)
    )]
    NoNvrtc { reason: String, release: Release },
    #[error(
        "NVRTC {found} makes code that the driver, which is of CUDA {driver}, does not know; update the driver to {series} or newer, put NVRTC {driver} before it on LD_LIBRARY_PATH (package cuda-nvrtc-{}), or use device `cpu`", package(*driver)
    )]
    NewNvrtc { found: Release, driver: Release, series: &'static str },
    #[error(
        "the headers of CUDA, which kernels include, were not found ({looked}); install the packages cuda-cudart-dev-{0}, cuda-crt-{0} and cuda-cccl-{0}, set CUDA_PATH to the folder whose `include` has cuda_fp16.h, or use device `cpu`", package(*release)
    )]
    NoHeaders { looked: String, release: Release },
    #[error(
        "the GPU has no memory left for a first allocation; end what else uses it (`nvidia-smi` lists it), or use device `cpu`"
    )]
    NoMemory,
    #[error(
        "the NVIDIA driver answered {call} with error {code}{}; see that `nvidia-smi` works, or use device `cpu`", meaning(*code)
    )]
    Failed { call: &'static str, code: i32 },
}

/// The end of the names of NVIDIA's packages: `13-0`.
fn package(release: Release) -> String {
    release.to_string().replace('.', "-")
}

/// What the codes mean that an administrator can do something about.
fn meaning(code: i32) -> &'static str {
    match code {
        NOT_YET_STARTED => " (the system is not yet started: nvidia-fabricmanager must run)",
        DRIVER_MISMATCH => {
            " (libcuda.so.1 and the kernel's module are of different versions: restart the machine, or the container with the host's driver)"
        }
        _ => "",
    }
}

/// A call of the driver and the code that it gave in place of success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub call: &'static str,
    pub code: i32,
}

/// The machine's libraries.
pub trait System {
    type Driver: Driver;

    /// `libcuda.so.1`, or why it does not load.
    fn driver(&self) -> Result<Self::Driver, String>;

    /// The release of `libnvrtc.so`, or why it does not load.
    fn nvrtc(&self) -> Result<Release, String>;

    /// Whether the headers of CUDA are where the backend looks, or where it does.
    fn headers(&self) -> Result<(), String>;
}

/// What is asked of the driver, of the first GPU.
pub trait Driver {
    /// The newest CUDA that it knows. Needs no GPU.
    fn release(&self) -> Result<Release, Refused>;

    /// How many GPUs there are.
    fn devices(&self) -> Result<usize, Refused>;

    fn name(&self) -> Result<String, Refused>;

    fn capability(&self) -> Result<Capability, Refused>;

    /// Makes the context that the backend will use too, where there is none yet.
    fn memory(&self) -> Result<DeviceMemory, Refused>;
}

/// The release that the driver must be of.
pub fn needed() -> Release {
    Release(BUILT_FOR.and_then(|release| release.parse().ok()).unwrap_or(NEWEST))
}

/// The first GPU, if driver, GPU and compiler of kernels are all there and of one age.
///
/// # Errors
/// The first of them that is not.
pub fn probe(system: &impl System, needed: Release) -> Result<Gpu, CudaError> {
    let series = needed.driver();
    let driver = system.driver().map_err(|reason| CudaError::NoDriver { reason, series })?;
    let found = driver.release().map_err(explain)?;
    if found < needed {
        return Err(CudaError::OldDriver { found, needed, series });
    }
    if driver.devices().map_err(explain)? == 0 {
        return Err(CudaError::NoDevice);
    }
    let (name, capability) =
        (driver.name().map_err(explain)?, driver.capability().map_err(explain)?);
    let nvrtc = system.nvrtc();
    let least = match nvrtc {
        Ok(Release(13000..)) => CAPABILITY_OF_13,
        _ => CAPABILITY,
    };
    if capability < least {
        return Err(CudaError::OldDevice { name, found: capability, needed: least });
    }
    let nvrtc = nvrtc.map_err(|reason| CudaError::NoNvrtc { reason, release: needed })?;
    // The driver compiles no PTX of a release after its own.
    if nvrtc > found {
        let series = nvrtc.driver();
        return Err(CudaError::NewNvrtc { found: nvrtc, driver: found, series });
    }
    system.headers().map_err(|looked| CudaError::NoHeaders { looked, release: nvrtc })?;
    let memory = driver.memory().map_err(explain)?;
    Ok(Gpu { name, capability, driver: found, memory })
}

fn explain(refused: Refused) -> CudaError {
    let Refused { call, code } = refused;
    match code {
        NO_DEVICE => CudaError::NoDevice,
        OUT_OF_MEMORY => CudaError::NoMemory,
        _ => CudaError::Failed { call, code },
    }
}
