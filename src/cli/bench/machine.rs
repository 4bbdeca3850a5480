//! The machine that is measured, and what the process takes of it.

use serde::Serialize;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Where figures were taken.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// None where the system does not tell.
    pub cpu: Option<String>,
    /// Processors this process may use.
    pub cores: usize,
    /// `cpu` or `cuda`.
    pub device: String,
    /// The GPU's name, where the device is one.
    pub gpu: Option<String>,
    /// Processes that wanted to run in the last minute, before the measurement.
    pub load_average: Option<f64>,
}

impl Machine {
    pub fn look(device: &str) -> Self {
        Self {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            device: device.into(),
            gpu: (device == "cuda").then(gpu).flatten(),
            load_average: load_average(),
        }
    }

    /// Says on standard error that others use the machine, if they do.
    pub fn warn_if_busy(&self) {
        if let Some(load) = self.load_average.filter(|load| *load > 1.0) {
            eprintln!(
                "mynah: the load average is {load:.2}: other work shares this machine, and times mean little"
            );
        }
    }
}

/// The value of the first line `name : value`.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

fn gpu() -> Option<String> {
    let entries = fs::read_dir("/proc/driver/nvidia/gpus").ok()?;
    let named =
        entries.flatten().find_map(|gpu| field(gpu.path().join("information").to_str()?, "Model"));
    named.or_else(|| nvidia_smi("name"))
}

fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Memory in use on the first GPU, in bytes. Of all processes: containers hide whose it is.
pub fn device_bytes() -> Option<u64> {
    nvidia_smi("memory.used")?.parse::<u64>().ok()?.checked_mul(1 << 20)
}

/// What NVIDIA's own tool says of the first GPU.
fn nvidia_smi(query: &str) -> Option<String> {
    let query = format!("--query-gpu={query}");
    let output =
        Command::new("nvidia-smi").args([&query, "--format=csv,noheader,nounits"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// Processor time of all threads of this process so far.
pub fn processor_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, which may hold anything, ends with the last parenthesis.
    let fields = stat.rsplit_once(')')?.1;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    // Linux counts in hundredths of a second wherever programs can see it.
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn processor_time_passes() {
        let before = processor_time().expect("a time");
        let mut x = 1u64;
        while processor_time().is_some_and(|now| now < before + Duration::from_millis(30)) {
            x = std::hint::black_box(x.wrapping_mul(31));
        }
        assert!(processor_time() > Some(before));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_machine_has_a_name() {
        let machine = Machine::look("cpu");
        assert!(machine.cores > 0 && machine.load_average.is_some());
        assert_eq!(machine.gpu, None);
    }
}
