//! Named tensors out of weight files, with errors that say which file, which tensor and what was
//! expected.
//!
//! [`Weights::open`] chooses the reader by what the file is: `.safetensors`, `.pt` (PyTorch zip)
//! or `.onnx`. Components ask for tensors by their PyTorch state-dict name and exact shape through
//! a [`Scope`]; whatever nobody asked for is listed by [`Weights::unused`].
//!
//! Weight files come from outside and are not trusted: a malformed one gives a [`WeightsError`],
//! runs nothing and makes the reader allocate at most in proportion to its size.

mod archive;
mod error;
mod hostile;
pub mod onnx;
mod pickle;
mod precision;
mod protobuf;
mod pytorch;
mod random;
mod safetensors;
mod state_dict;
mod tensor_data;
mod weight_norm;

pub use error::WeightsError;
#[doc(hidden)]
pub use hostile::{archive as fuzz_archive, onnx as fuzz_onnx, pickle as fuzz_pickle};
pub use precision::Precision;
pub use tensor_data::TensorSource;

use burn::tensor::{Device, Tensor, TensorData};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// All tensors of one file, by name. Data are read (and widened to f32) when asked for.
pub struct Weights {
    path: PathBuf,
    tensors: BTreeMap<String, TensorSource>,
    used: Mutex<BTreeSet<String>>,
    /// Set by [`Self::tolerant`]: what would have been errors.
    problems: Option<Mutex<Vec<WeightsError>>>,
    /// Set by [`Self::random`] and [`Self::randomised`]: values are made up.
    invented: bool,
}

impl Weights {
    /// Opens a weight file. Reads its index, not its data. Weight norm is folded: the file's
    /// `X.weight_g` and `X.weight_v` (or `X.parametrizations.weight.original0` and `…1`) are
    /// there as `X.weight`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        let path = path.as_ref();
        let mut tensors = match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => safetensors::read(path)?,
            Some("pt" | "pth") => pytorch::read(path)?,
            Some("onnx") => return Ok(onnx::Graph::open(path)?.weights()),
            _ => return Err(WeightsError::UnknownFormat { file: path.into() }),
        };
        weight_norm::fold(path, &mut tensors)?;
        Ok(Self::from_tensors(path, tensors))
    }

    /// Opens `<stem>.pt` of a model directory or, where that is missing, `<stem>.safetensors`.
    pub fn open_either(dir: impl AsRef<Path>, stem: &str) -> Result<Self, WeightsError> {
        let candidate = |extension| dir.as_ref().join(format!("{stem}.{extension}"));
        let (pt, safetensors) = (candidate("pt"), candidate("safetensors"));
        if pt.exists() {
            Self::open(pt)
        } else if safetensors.exists() {
            Self::open(safetensors)
        } else {
            Err(WeightsError::NotFound { first: pt, second: safetensors })
        }
    }

    pub(crate) fn from_tensors(path: &Path, tensors: BTreeMap<String, TensorSource>) -> Self {
        let (used, problems) = (Mutex::default(), None);
        Self { path: path.into(), tensors, used, problems, invented: false }
    }

    /// From here on a tensor that is missing or wrong reads as zeros and is noted among
    /// [`Self::problems`], so that one pass over a component finds all of them.
    pub fn tolerant(mut self) -> Self {
        self.problems = Some(Mutex::default());
        self
    }

    /// What a [`Self::tolerant`] reading found wrong, in the order it was asked for.
    pub fn problems(self) -> Vec<WeightsError> {
        let problems = self.problems.unwrap_or_default();
        problems.into_inner().unwrap_or_else(|e| e.into_inner())
    }

    /// Renames all tensors, for files that put their components under names of their own.
    ///
    /// # Errors
    /// When two tensors would have the same name.
    pub fn rename(self, rename: impl Fn(&str) -> String) -> Result<Self, WeightsError> {
        let mut tensors = BTreeMap::new();
        for (name, source) in self.tensors {
            let new = rename(&name);
            if tensors.insert(new.clone(), source).is_some() {
                let reason = format!("two tensors are called `{new}`, one of them `{name}`");
                return Err(WeightsError::Malformed { file: self.path, reason });
            }
        }
        Ok(Self::from_tensors(&self.path, tensors))
    }

    /// The file these came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.invented || self.tensors.contains_key(name)
    }

    /// Shape of a tensor as stored, if it exists.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        // That of a name which stands for its presence alone is nobody's.
        let shape = self.tensors.get(name).map(TensorSource::shape);
        shape.filter(|shape| !self.invented || *shape != [0])
    }

    /// Values in f32 of a tensor that must have exactly `shape`.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        self.read(name, shape).or_else(|error| match &self.problems {
            Some(problems) => {
                problems.lock().unwrap_or_else(|e| e.into_inner()).push(error);
                Ok(vec![0.0; shape.iter().product()])
            }
            None => Err(error),
        })
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        if self.invented {
            return Ok(random::values(name, shape));
        }
        let source = self.tensors.get(name).ok_or_else(|| WeightsError::Missing {
            file: self.path.clone(),
            tensor: name.into(),
            expected: shape.to_vec(),
        })?;
        if source.shape() != shape {
            return Err(WeightsError::Shape {
                file: self.path.clone(),
                tensor: name.into(),
                expected: shape.to_vec(),
                found: source.shape().to_vec(),
            });
        }
        self.used.lock().unwrap_or_else(|e| e.into_inner()).insert(name.into());
        source.to_f32().map_err(|reason| WeightsError::Data {
            file: self.path.clone(),
            tensor: name.into(),
            reason,
        })
    }

    /// Tensors that a component has asked for, with their shapes.
    pub fn used(&self) -> Vec<(String, Vec<usize>)> {
        let used = self.used.lock().unwrap_or_else(|e| e.into_inner());
        used.iter().filter_map(|name| Some((name.clone(), self.shape(name)?.to_vec()))).collect()
    }

    /// Tensors of the file that no component has asked for.
    pub fn unused(&self) -> Vec<String> {
        let used = self.used.lock().unwrap_or_else(|e| e.into_inner());
        self.tensors.keys().filter(|name| !used.contains(*name)).cloned().collect()
    }

    /// The root of the name tree, placing tensors on `device`.
    pub fn scope<'a>(&'a self, device: &'a Device) -> Scope<'a> {
        Scope { weights: self, prefix: String::new(), device, precision: Precision::F32 }
    }
}

/// A prefix in the name tree of a [`Weights`], and the device its tensors go to.
#[derive(Clone)]
pub struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
    device: &'a Device,
    precision: Precision,
}

impl<'a> Scope<'a> {
    /// The scope `name` below this one: `scope.sub("encoder").sub(3)` is `encoder.3`.
    pub fn sub(&self, name: impl std::fmt::Display) -> Scope<'a> {
        Scope { prefix: self.full(&name.to_string()), ..self.clone() }
    }

    /// The same, for layers that keep their matrices in `precision`.
    pub fn in_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// How layers keep their matrices.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    pub fn device(&self) -> &'a Device {
        self.device
    }

    pub fn weights(&self) -> &'a Weights {
        self.weights
    }

    /// Full name of `name` in this scope.
    pub fn full(&self, name: &str) -> String {
        match self.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}.{name}"),
        }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.weights.contains(&self.full(name))
    }

    pub fn shape(&self, name: &str) -> Option<&'a [usize]> {
        self.weights.shape(&self.full(name))
    }

    /// The tensor `name`, which must have exactly `shape`, in f32.
    pub fn tensor<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, WeightsError> {
        let values = self.weights.values(&self.full(name), &shape)?;
        Ok(Tensor::from_data(TensorData::new(values, shape), self.device))
    }

    /// The values of `name`, which must have exactly `shape`, on the host.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        self.weights.values(&self.full(name), shape)
    }
}

#[cfg(test)]
mod tests;
