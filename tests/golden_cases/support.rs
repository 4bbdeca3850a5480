//! Finding cases, reading their tensors, comparing.
#![allow(dead_code, reason = "each component uses its own part")]

use burn::tensor::{Device, Tensor, TensorData};
use mynah::model::device;
use std::path::{Path, PathBuf};

/// The project's folder: the one that `MYNAH_ROOT` names, on a machine to which the tests were
/// carried, or that in which they were built.
pub fn root() -> PathBuf {
    std::env::var_os("MYNAH_ROOT").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).into()
}

/// Where models compute: the device `MYNAH_DEVICE` names, or the CPU.
///
/// # Panics
/// When this machine or this binary does not have it.
pub fn device() -> Device {
    let name = std::env::var("MYNAH_DEVICE").unwrap_or_else(|_| "cpu".into());
    device::by_name(&name).unwrap_or_else(|e| panic!("MYNAH_DEVICE={name}: {e}"))
}

/// Folders of cases for `component`: `<root>/<component>`, and `<root>/*/<component>` for roots
/// that hold several sets.
///
/// # Panics
/// When the default folder has none, or when a folder named by `MYNAH_GOLDEN` holds no case of
/// any component.
pub fn cases(component: &str) -> Vec<PathBuf> {
    let default = root().join("tests/golden");
    let root = std::env::var_os("MYNAH_GOLDEN").map_or(default.clone(), PathBuf::from);
    let folders = |dir: &Path| -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
            .unwrap_or_else(|e| panic!("cannot list {}: {e}", dir.display()))
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|path| path.is_dir())
            .collect();
        found.sort();
        found
    };
    let mut sets = vec![root.clone()];
    sets.extend(folders(&root));
    let found: Vec<PathBuf> =
        sets.iter().map(|set| set.join(component)).filter(|case| case.is_dir()).collect();
    if found.is_empty() {
        assert!(root != default, "{} has no {component} case", root.display());
        assert!(!folders(&root).is_empty(), "{} holds no cases at all", root.display());
        println!("no {component} case under {}", root.display());
    }
    found
}

/// One folder of cases.
pub struct Golden {
    pub dir: PathBuf,
    pub config: serde_json::Value,
    bytes: Vec<u8>,
}

impl Golden {
    pub fn open(dir: &Path) -> Self {
        let read = |name: &str| {
            std::fs::read(dir.join(name))
                .unwrap_or_else(|e| panic!("{}/{name}: {e}", dir.display()))
        };
        let config = serde_json::from_slice(&read("config.json")).expect("config.json");
        Self { dir: dir.into(), config, bytes: read("cases.safetensors") }
    }

    fn view(&self, name: &str) -> (Vec<usize>, safetensors::Dtype, Vec<u8>) {
        let file = safetensors::SafeTensors::deserialize(&self.bytes).expect("cases.safetensors");
        let view =
            file.tensor(name).unwrap_or_else(|e| panic!("{}: {name}: {e}", self.dir.display()));
        (view.shape().to_vec(), view.dtype(), view.data().to_vec())
    }

    pub fn has(&self, name: &str) -> bool {
        safetensors::SafeTensors::deserialize(&self.bytes)
            .expect("cases.safetensors")
            .tensor(name)
            .is_ok()
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.view(name).0
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        let (_, dtype, bytes) = self.view(name);
        assert_eq!(dtype, safetensors::Dtype::F32, "{name}");
        bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    /// Integers or booleans.
    pub fn ints(&self, name: &str) -> Vec<i64> {
        let (_, dtype, bytes) = self.view(name);
        match dtype {
            safetensors::Dtype::I32 => {
                bytes.as_chunks::<4>().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect()
            }
            safetensors::Dtype::I64 => {
                bytes.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
            }
            safetensors::Dtype::U8 | safetensors::Dtype::BOOL => {
                bytes.iter().map(|b| i64::from(*b)).collect()
            }
            other => panic!("{name} is {other:?}"),
        }
    }

    /// Token ids.
    pub fn ids(&self, name: &str) -> Vec<u32> {
        self.ints(name).into_iter().map(|id| u32::try_from(id).expect("id")).collect()
    }

    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let shape: [usize; D] =
            self.shape(name).try_into().unwrap_or_else(|s| panic!("{name} is {s:?}"));
        Tensor::from_data(TensorData::new(self.f32(name), shape), device)
    }

    /// Compares a tensor with the one stored under `name`: equal shape, every element within
    /// `tolerance`, and a relative error (of the norms) under 1e-3.
    pub fn check<const D: usize>(&self, name: &str, got: Tensor<D>, tolerance: f32) {
        assert_eq!(got.dims().to_vec(), self.shape(name), "shape of {name}");
        let got: Vec<f32> = got.into_data().iter::<f32>().collect();
        self.check_values(name, &got, tolerance);
    }

    pub fn check_values(&self, name: &str, got: &[f32], tolerance: f32) {
        assert_close(&format!("{}: {name}", self.dir.display()), got, &self.f32(name), tolerance);
    }
}

/// Every element within `tolerance`, and a relative error of the norms under 1e-3.
pub fn assert_close(name: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_within(name, got, want, tolerance, 1e-3);
}

/// Every element within `tolerance`, and the relative error of the norms under `limit`.
pub fn assert_within(name: &str, got: &[f32], want: &[f32], tolerance: f32, limit: f64) {
    assert_eq!(got.len(), want.len(), "{name}: length");
    let (mut worst, mut at, mut error, mut norm) = (0f32, 0, 0f64, 0f64);
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        if g == w {
            norm += if w.is_finite() { f64::from(*w).powi(2) } else { 0.0 };
            continue;
        }
        let d = (g - w).abs();
        if d.is_nan() || d > worst {
            (worst, at) = (d, i);
        }
        error += f64::from(d).powi(2);
        norm += f64::from(*w).powi(2);
    }
    let relative = (error / norm.max(1e-30)).sqrt();
    println!("{name}: max error {worst:.2e}, relative {relative:.2e}");
    assert!(
        worst <= tolerance,
        "{name}: error {worst:e} at {at} (got {}, want {}), tolerance {tolerance:e}",
        got[at],
        want[at]
    );
    assert!(relative < limit, "{name}: relative error {relative:e}");
}
