//! What a model directory holds, against what the model needs.

use super::model::{Component, Rest};
use super::{CosyVoice2, LoadOptions, ModelConfig, ModelError};
use burn::tensor::Device;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// One weight file.
#[derive(Debug)]
pub struct FileReport {
    pub path: PathBuf,
    /// Tensors the model takes, with their shapes.
    pub used: Vec<(String, Vec<usize>)>,
    /// Tensors nobody asks for.
    pub unused: Vec<String>,
}

/// All weight files, and everything that is missing or wrong.
#[derive(Debug)]
pub struct Report {
    pub files: Vec<FileReport>,
    pub problems: Vec<String>,
}

impl CosyVoice2 {
    /// Loads `dir` and reports on every tensor. A problem in one tensor does not hide the next;
    /// one with a whole file, or with the configuration, ends the check there.
    ///
    /// # Errors
    /// When the configuration cannot be read, so that nothing is known of what is needed.
    pub fn check(dir: &Path, device: &Device) -> Result<Report, ModelError> {
        let config = ModelConfig::from_dir(dir)?;
        let report = RefCell::new(Report { files: Vec::new(), problems: Vec::new() });
        let loaded = Rest::of(dir, config).and_then(|rest| {
            let open = |component: Component| Ok(component.open(dir)?.tolerant());
            Self::load_with(rest, device, LoadOptions::default(), open, |weights| {
                let mut report = report.borrow_mut();
                report.files.push(FileReport {
                    path: weights.path().into(),
                    used: weights.used(),
                    unused: weights.unused(),
                });
                report.problems.extend(weights.problems().iter().map(ToString::to_string));
            })
        });
        let mut report = report.into_inner();
        if let Err(error) = loaded {
            report.problems.push(error.to_string());
        }
        Ok(report)
    }
}
