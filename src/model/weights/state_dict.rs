//! The state dict in a pickle: which dict it is, and its tensors.

use super::pickle::{self, Id, Machine, Value};
use super::tensor_data::StoredType;
use std::collections::{HashMap, HashSet};

/// Longest name of a tensor or of a storage.
const MAX_NAME: usize = 1024;
/// Keys under which checkpoints of a training run keep the state dict.
const NESTED_UNDER: [&str; 3] = ["state_dict", "model", "generator"];
/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;

/// A tensor as the pickle describes it: a strided view of a storage. Nothing is checked against
/// the storage yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PickledTensor<'p> {
    /// Name of the storage's entry below `data/`.
    pub storage: &'p str,
    pub dtype: StoredType,
    /// Elements of the storage.
    pub storage_len: usize,
    /// Element of the storage where the view starts.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Elements between neighbours, for each dimension.
    pub strides: Vec<usize>,
}

/// Why a pickle is refused, and the tensor concerned where one is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PickleError {
    pub tensor: Option<String>,
    pub reason: String,
}

impl From<String> for PickleError {
    fn from(reason: String) -> Self {
        Self { tensor: None, reason }
    }
}

/// The tensors of a pickled state dict, by name: of the dict itself or, if it has none, of a dict
/// in it that holds tensors (the only one, or the first of [`NESTED_UNDER`]). Other values beside
/// them, such as a step counter, are passed over. A name given twice means its last tensor, as in
/// Python.
pub(super) fn state_dict(pickle: &[u8]) -> Result<HashMap<&str, PickledTensor<'_>>, PickleError> {
    let (machine, root) = pickle::run(pickle)?;
    let root = machine.dict(root).ok_or("data.pkl does not hold a dict".to_owned())?;
    let dict = if machine.has_tensors(root) { root } else { machine.nested(root)? };
    dict.iter().filter_map(|(key, value)| machine.entry(*key, *value).transpose()).collect()
}

impl<'p> Machine<'p> {
    /// Whether one of the values of `dict` is a tensor.
    fn has_tensors(&self, dict: &[(Id, Id)]) -> bool {
        dict.iter().any(|(_, value)| matches!(self.get(*value), Some(Value::Tensor(_))))
    }

    /// The dict among the values of `root` that is the state dict.
    fn nested(&self, root: &[(Id, Id)]) -> Result<&[(Id, Id)], String> {
        // Each once, however often it is referred to: the search takes no longer than the pickle.
        let mut seen = HashSet::new();
        let dicts: Vec<(Id, &[(Id, Id)])> = root
            .iter()
            .filter(|(_, value)| seen.insert(*value))
            .filter_map(|(key, value)| Some((*key, self.dict(*value)?)))
            .filter(|(_, dict)| self.has_tensors(dict))
            .collect();
        if let [(_, dict)] = dicts[..] {
            return Ok(dict);
        }
        let known = NESTED_UNDER.iter().find_map(|name| {
            dicts.iter().find(|(key, _)| matches!(self.get(*key), Some(Value::Str(s)) if s == name))
        });
        match known {
            Some((_, dict)) => Ok(dict),
            None => Err(format!(
                "the pickled dict holds no tensors, and {} dicts of tensors",
                dicts.len()
            )),
        }
    }

    /// Name and tensor of a dict entry; `None` if the value is not a tensor.
    fn entry(
        &self,
        key: Id,
        value: Id,
    ) -> Result<Option<(&'p str, PickledTensor<'p>)>, PickleError> {
        let Some(Value::Tensor(arguments)) = self.get(value) else { return Ok(None) };
        let Some(Value::Str(name)) = self.get(key) else {
            return Err("the name of a tensor is not a string".to_owned().into());
        };
        if name.len() > MAX_NAME {
            return Err(format!("the name of a tensor has {} bytes", name.len()).into());
        }
        match self.tensor(*arguments) {
            Ok(tensor) => Ok(Some((name, tensor))),
            Err(reason) => Err(PickleError { tensor: Some((*name).to_owned()), reason }),
        }
    }

    /// `_rebuild_tensor_v2(storage, offset, shape, strides, …)`.
    fn tensor(&self, arguments: Id) -> Result<PickledTensor<'p>, String> {
        let Some([storage, offset, shape, strides, ..]) = self.tuple(arguments) else {
            return Err("is rebuilt from unexpected arguments".into());
        };
        let Some(Value::Storage { dtype, key, len }) = self.get(*storage) else {
            return Err("has no storage".into());
        };
        if key.len() > MAX_NAME {
            return Err(format!("has a storage whose name has {} bytes", key.len()));
        }
        let (shape, strides) = (self.sizes(*shape)?, self.sizes(*strides)?);
        if shape.len() != strides.len() {
            return Err(format!("shape {shape:?} and strides {strides:?} disagree"));
        }
        let storage_len = size(*len)?;
        Ok(PickledTensor {
            storage: key,
            dtype: *dtype,
            storage_len,
            offset: self.size(*offset)?,
            shape,
            strides,
        })
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, String> {
        let items = self.tuple(id).ok_or("has a shape or strides that are not a tuple")?;
        if items.len() > MAX_RANK {
            return Err(format!("has {} dimensions, at most {MAX_RANK} can be", items.len()));
        }
        items.iter().map(|item| self.size(*item)).collect()
    }

    fn size(&self, id: Id) -> Result<usize, String> {
        match self.get(id) {
            Some(Value::Int(int)) => size(*int),
            _ => Err("has a size that is not an integer".into()),
        }
    }
}

fn size(int: i64) -> Result<usize, String> {
    usize::try_from(int).map_err(|_| format!("has the size {int}"))
}
