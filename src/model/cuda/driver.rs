//! The machine's own libraries, opened at run time: the binary needs none of them to start.

use super::{Capability, Driver, Refused, Release, System};
use crate::model::device::DeviceMemory;
use libloading::{Library, Symbol};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::OnceLock;

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `…_MINOR` of `cuda.h`.
const CAPABILITY: (c_int, c_int) = (75, 76);
const FIRST: c_int = 0;

/// What the system's loader finds.
#[derive(Debug, Clone, Copy)]
pub struct Libraries;

/// `libcuda.so.1`. It stays for as long as the process: it has threads and handlers of its own, and
/// the backend opens it too.
static DRIVER: OnceLock<Library> = OnceLock::new();

/// `libcuda.so.1`, started.
#[derive(Debug)]
pub struct LoadedDriver {
    library: &'static Library,
}

impl System for Libraries {
    type Driver = LoadedDriver;

    fn driver(&self) -> Result<LoadedDriver, String> {
        if let Some(library) = DRIVER.get() {
            return Ok(LoadedDriver { library });
        }
        // SAFETY: NVIDIA's driver library; loading it runs only its own initialisers.
        let library = unsafe { Library::new("libcuda.so.1") }.map_err(|e| plain(&e))?;
        Ok(LoadedDriver { library: DRIVER.get_or_init(|| library) })
    }

    /// The names that the backend's bindings try, in their order.
    fn nvrtc(&self) -> Result<Release, String> {
        let of_release = super::needed().0 / 1000;
        let names = ["libnvrtc.so".to_owned(), format!("libnvrtc.so.{of_release}")];
        let older = ["libnvrtc.so.12".to_owned(), "libnvrtc.so.11".to_owned()];
        let mut reason = String::new();
        for name in names.iter().chain(&older) {
            // SAFETY: NVIDIA's compiler library; loading it runs only its own initialisers.
            match unsafe { Library::new(name) } {
                Ok(library) => return nvrtc_release(&library),
                Err(e) if reason.is_empty() => reason = plain(&e),
                Err(_) => {}
            }
        }
        Err(reason)
    }

    /// The folders that the backend looks in, in its order.
    fn headers(&self) -> Result<(), String> {
        let root = match std::env::var_os("CUDA_PATH") {
            Some(path) => Some(PathBuf::from(path)),
            None => ["/usr/local/cuda", "/opt/cuda"]
                .into_iter()
                .map(PathBuf::from)
                .find(|path| path.exists())
                .or_else(|| Path::new("/usr/bin/nvcc").exists().then(|| "/usr".into())),
        };
        let Some(root) = root else {
            return Err("CUDA_PATH is not set, and there is no /usr/local/cuda".into());
        };
        let header = root.join("include/cuda_fp16.h");
        if header.is_file() { Ok(()) } else { Err(format!("no {}", header.display())) }
    }
}

/// The loader's words, which begin with the library's name, without that name.
fn plain(error: &libloading::Error) -> String {
    let text = match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    };
    text.split_once(": ").map_or(text.clone(), |(_, rest)| rest.to_owned())
}

fn nvrtc_release(library: &Library) -> Result<Release, String> {
    // SAFETY: the signature of nvrtc.h.
    let version: Symbol<unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int> =
        unsafe { library.get(b"nvrtcVersion\0") }.map_err(|e| plain(&e))?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both outlive the call.
    match unsafe { version(&mut major, &mut minor) } {
        0 => Ok(Release(major * 1000 + minor * 10)),
        code => Err(format!("nvrtcVersion gave error {code}")),
    }
}

/// Calls a function of the driver by its name and the types of its arguments.
macro_rules! call {
    ($driver:expr, $name:literal, $($kind:ty => $argument:expr),*) => {{
        let refused = |code| Refused { call: $name, code };
        // SAFETY: the signature of cuda.h.
        let function: Result<Symbol<unsafe extern "C" fn($($kind),*) -> c_int>, _> =
            unsafe { $driver.library.get($name.as_bytes()) };
        // CUDA_ERROR_NOT_FOUND, as the driver says for what it does not have.
        let function = function.map_err(|_| refused(500))?;
        // SAFETY: pointers are to variables that outlive the call.
        match unsafe { function($($argument),*) } {
            0 => Ok(()),
            code => Err(refused(code)),
        }
    }};
}

impl LoadedDriver {
    fn first(&self) -> Result<c_int, Refused> {
        let mut device = 0;
        call!(self, "cuInit", c_uint => 0)?;
        call!(self, "cuDeviceGet", *mut c_int => &mut device, c_int => FIRST)?;
        Ok(device)
    }

    fn attribute(&self, which: c_int) -> Result<c_int, Refused> {
        let (device, mut value) = (self.first()?, 0);
        call!(self, "cuDeviceGetAttribute", *mut c_int => &mut value, c_int => which, c_int => device)?;
        Ok(value)
    }
}

impl Driver for LoadedDriver {
    fn release(&self) -> Result<Release, Refused> {
        let mut version = 0;
        call!(self, "cuDriverGetVersion", *mut c_int => &mut version)?;
        Ok(Release(version))
    }

    fn devices(&self) -> Result<usize, Refused> {
        let mut count = 0;
        call!(self, "cuInit", c_uint => 0)?;
        call!(self, "cuDeviceGetCount", *mut c_int => &mut count)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    fn name(&self) -> Result<String, Refused> {
        let device = self.first()?;
        let mut name = [0u8; 256];
        // One less, so that the last is zero whatever is written.
        call!(self, "cuDeviceGetName", *mut c_char => name.as_mut_ptr().cast(), c_int => 255, c_int => device)?;
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        Ok(name.to_string_lossy().into_owned())
    }

    fn capability(&self) -> Result<Capability, Refused> {
        Ok(Capability(self.attribute(CAPABILITY.0)?, self.attribute(CAPABILITY.1)?))
    }

    fn memory(&self) -> Result<DeviceMemory, Refused> {
        let device = self.first()?;
        // The device's primary context: one for the process, the backend's too. It is counted,
        // so this holds it no longer than it asks.
        let (mut context, mut popped) = (null_mut::<c_void>(), null_mut::<c_void>());
        let (mut free, mut total) = (0usize, 0usize);
        call!(self, "cuDevicePrimaryCtxRetain", *mut *mut c_void => &mut context, c_int => device)?;
        let asked = (|| {
            call!(self, "cuCtxPushCurrent_v2", *mut c_void => context)?;
            let asked =
                call!(self, "cuMemGetInfo_v2", *mut usize => &mut free, *mut usize => &mut total);
            let back = call!(self, "cuCtxPopCurrent_v2", *mut *mut c_void => &mut popped);
            asked.and(back)
        })();
        let released = call!(self, "cuDevicePrimaryCtxRelease_v2", c_int => device);
        asked.and(released)?;
        Ok(DeviceMemory { free: free as u64, total: total as u64 })
    }
}
