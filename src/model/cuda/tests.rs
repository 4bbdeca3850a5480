//! Every way in which a machine can lack a usable GPU, on machines that are made up.

use super::*;

/// A machine that has everything, less what a test takes away.
#[derive(Clone)]
struct Machine {
    driver: Result<Fake, String>,
    nvrtc: Result<Release, String>,
    headers: Result<(), String>,
}

#[derive(Clone)]
struct Fake {
    release: Result<Release, Refused>,
    devices: Result<usize, Refused>,
    capability: Capability,
    memory: Result<DeviceMemory, Refused>,
}

const MEMORY: DeviceMemory = DeviceMemory { free: 79 << 30, total: 80 << 30 };

fn machine() -> Machine {
    Machine { driver: Ok(fake()), nvrtc: Ok(Release(13000)), headers: Ok(()) }
}

fn fake() -> Fake {
    Fake {
        release: Ok(Release(13000)),
        devices: Ok(1),
        capability: Capability(9, 0),
        memory: Ok(MEMORY),
    }
}

fn with_driver(change: impl FnOnce(&mut Fake)) -> Machine {
    let mut driver = fake();
    change(&mut driver);
    Machine { driver: Ok(driver), ..machine() }
}

impl System for Machine {
    type Driver = Fake;

    fn driver(&self) -> Result<Fake, String> {
        self.driver.clone()
    }

    fn nvrtc(&self) -> Result<Release, String> {
        self.nvrtc.clone()
    }

    fn headers(&self) -> Result<(), String> {
        self.headers.clone()
    }
}

impl Driver for Fake {
    fn release(&self) -> Result<Release, Refused> {
        self.release
    }

    fn devices(&self) -> Result<usize, Refused> {
        self.devices
    }

    fn name(&self) -> Result<String, Refused> {
        Ok("NVIDIA H100".into())
    }

    fn capability(&self) -> Result<Capability, Refused> {
        Ok(self.capability)
    }

    fn memory(&self) -> Result<DeviceMemory, Refused> {
        self.memory
    }
}

fn refusal(machine: &Machine) -> String {
    probe(machine, Release(13000)).expect_err("refused").to_string()
}

/// That the sentence names what is missing and what to do, and the way out that always works.
fn says(machine: &Machine, parts: &[&str]) {
    let text = refusal(machine);
    for part in parts.iter().chain(&["device `cpu`"]) {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

fn refused<T>(call: &'static str, code: i32) -> Result<T, Refused> {
    Err(Refused { call, code })
}

#[test]
fn a_whole_machine_is_used() {
    let gpu = probe(&machine(), Release(13000)).expect("a GPU");
    assert_eq!((gpu.name.as_str(), gpu.capability), ("NVIDIA H100", Capability(9, 0)));
    assert_eq!((gpu.driver, gpu.memory), (Release(13000), MEMORY));
}

#[test]
fn a_newer_driver_and_an_older_compiler_are_fine() {
    let mut machine = with_driver(|driver| driver.release = Ok(Release(13010)));
    machine.nvrtc = Ok(Release(12080));
    assert!(probe(&machine, Release(12080)).is_ok());
}

#[test]
fn without_a_driver() {
    let machine = Machine { driver: Err("no such file".into()), ..machine() };
    says(&machine, &["libcuda.so.1: no such file", "install driver 580 or newer", "--gpus all"]);
}

#[test]
fn with_an_old_driver() {
    let machine = with_driver(|driver| driver.release = Ok(Release(12040)));
    says(
        &machine,
        &["of CUDA 12.4", "needs one of 13.0", "580 or newer", "CUDARC_CUDA_VERSION=12040"],
    );
}

/// Drivers tell so in two ways: a count of none, and an error of `cuInit`.
#[test]
fn without_a_gpu() {
    for devices in [Ok(0), refused("cuInit", NO_DEVICE)] {
        let machine = with_driver(|driver| driver.devices = devices);
        says(&machine, &["has no GPU", "nvidia-smi", "CUDA_VISIBLE_DEVICES", "--gpus all"]);
    }
}

#[test]
fn with_an_old_gpu() {
    let pascal = with_driver(|driver| driver.capability = Capability(6, 1));
    says(&pascal, &["NVIDIA H100 has compute capability 6.1", "7.5 is the least"]);
    // What CUDA 13 gave up, CUDA 12 still compiles for.
    let mut volta = with_driver(|driver| driver.capability = Capability(7, 0));
    says(&volta, &["7.5 is the least"]);
    volta.nvrtc = Ok(Release(12080));
    assert!(probe(&volta, Release(13000)).is_ok());
}

#[test]
fn without_a_compiler_of_kernels() {
    let machine = Machine { nvrtc: Err("no such file".into()), ..machine() };
    says(&machine, &["libnvrtc.so: no such file", "cuda-nvrtc-13-0", "LD_LIBRARY_PATH"]);
}

#[test]
fn with_a_compiler_newer_than_the_driver() {
    let machine = Machine { nvrtc: Ok(Release(13010)), ..machine() };
    says(&machine, &["NVRTC 13.1", "of CUDA 13.0", "590 or newer", "cuda-nvrtc-13-0"]);
}

#[test]
fn without_headers() {
    let machine = Machine { headers: Err("no /x/include/cuda_fp16.h".into()), ..machine() };
    says(&machine, &["no /x/include/cuda_fp16.h", "cuda-cudart-dev-13-0", "CUDA_PATH"]);
}

#[test]
fn without_memory_for_a_context() {
    let machine = with_driver(|driver| driver.memory = refused("cuMemGetInfo", OUT_OF_MEMORY));
    says(&machine, &["no memory left", "nvidia-smi"]);
}

#[test]
fn other_errors_are_told_with_their_code() {
    for (code, part) in
        [(NOT_YET_STARTED, "fabricmanager"), (DRIVER_MISMATCH, "restart"), (999, ";")]
    {
        let machine = with_driver(|driver| driver.devices = refused("cuInit", code));
        says(&machine, &[&format!("answered cuInit with error {code}"), part]);
    }
}

/// What the file of the build says is what the bindings are of.
#[test]
fn the_release_of_the_build_is_known() {
    assert_eq!(BUILT_FOR.map(|release| release.parse()), Some(Ok(needed().0)));
    assert_eq!(Release(12080).to_string(), "12.8");
}
