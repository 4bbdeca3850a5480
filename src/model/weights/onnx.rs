//! `.onnx`: the initialisers of a graph, under the names of the modules that use them.
//!
//! PyTorch's exporter renames, transposes and folds what it stores (`onnx::MatMul_123`), and the
//! numbers change from one export to the next. Its nodes keep the module path: the node
//! `/blocks.0/attn/query/MatMul` multiplies by the transpose of `blocks.0.attn.query.weight`.
//! Field numbers are those of `onnx.proto3` (ONNX IR, any version).

use super::protobuf::{Message, Value};
use super::safetensors::map_file;
use super::tensor_data::{StoredType, TensorSource};
use super::{Weights, WeightsError};
use half::{bf16, f16};
use memmap2::Mmap;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most tensors and most nodes of one graph, most tensors of one node, and most dimensions of one
/// tensor. The largest graphs of this kind have some thousands of nodes; the limits bound what
/// many tiny entries can cost in memory.
const MAX_ENTRIES: usize = 1 << 16;
const MAX_INPUTS: usize = 16;
const MAX_RANK: usize = 8;

/// The constant tensors of a graph and the nodes that use them.
pub struct Graph {
    file: PathBuf,
    tensors: BTreeMap<String, TensorSource>,
    nodes: Vec<Node>,
}

/// A node that has at least one constant tensor among its inputs.
struct Node {
    name: String,
    op: String,
    /// Input position and tensor name.
    inputs: Vec<(usize, String)>,
}

/// A tensor in the layout and under the name that a PyTorch state dict gives it.
pub struct Parameter<'a> {
    /// Kind of the node that uses it, such as `Conv`.
    pub op: &'a str,
    /// Dotted path of the module, such as `blocks.0.attn.query`.
    pub module: String,
    /// `weight`, `bias`, `running_mean` or `running_var`.
    pub name: &'static str,
    pub tensor: TensorSource,
}

impl Graph {
    /// Opens a file and reads its index. Values stored as raw bytes stay in the file.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let map = Arc::new(map_file(path)?);
        Self::read(&map, path).map_err(|reason| WeightsError::Malformed {
            file: path.into(),
            reason: format!("not a valid ONNX file: {reason}"),
        })
    }

    pub(super) fn read(map: &Arc<Mmap>, path: &Path) -> Result<Self, String> {
        let graph = sub_messages(Message::new(map), 7).next().ok_or("it has no graph")??;
        let mut this = Self { file: path.into(), tensors: BTreeMap::new(), nodes: Vec::new() };
        for tensor in sub_messages(graph.clone(), 5) {
            let (name, source) = tensor_proto(map, tensor?)?;
            this.insert(name, source)?;
        }
        for node in sub_messages(graph, 1) {
            this.node(map, node?)?;
        }
        Ok(this)
    }

    fn insert(&mut self, name: String, source: TensorSource) -> Result<(), String> {
        if self.tensors.len() >= MAX_ENTRIES {
            return Err(format!("it has more than {MAX_ENTRIES} tensors"));
        }
        self.tensors.insert(name, source);
        Ok(())
    }

    fn node(&mut self, map: &Arc<Mmap>, message: Message) -> Result<(), String> {
        let (mut name, mut op, mut output) = ("", "", "");
        let (mut inputs, mut position, mut constant) = (Vec::new(), 0, None);
        for field in message {
            let field = field?;
            let Value::Bytes(value) = field.value else { continue };
            match field.number {
                1 => {
                    if let Some((name, _)) = self.tensors.get_key_value(value.text()?) {
                        if inputs.len() >= MAX_INPUTS {
                            return Err(format!("a node has more than {MAX_INPUTS} tensors"));
                        }
                        inputs.push((position, name.clone()));
                    }
                    position += 1;
                }
                2 if output.is_empty() => output = value.text()?,
                3 => name = value.text()?,
                4 => op = value.text()?,
                5 => constant = sub_messages(value, 5).next().transpose()?.or(constant),
                _ => {}
            }
        }
        match (op, inputs.first()) {
            ("Constant", _) => {
                if let Some(tensor) = constant {
                    self.insert(output.to_owned(), tensor_proto(map, tensor)?.1)?;
                }
            }
            // Equal tensors are stored once and passed on under further names.
            ("Identity", Some((0, tensor))) => {
                if let Some(source) = self.tensors.get(tensor).cloned() {
                    self.insert(output.to_owned(), source)?;
                }
            }
            (_, None) => {}
            _ if self.nodes.len() >= MAX_ENTRIES => {
                return Err(format!("it has more than {MAX_ENTRIES} nodes with tensors"));
            }
            _ => {
                // An unnamed node still has its path in its output: `/a/b/Conv_output_0`.
                let name = if name.is_empty() { output } else { name };
                self.nodes.push(Node { name: name.to_owned(), op: op.to_owned(), inputs });
            }
        }
        Ok(())
    }

    /// The tensors of linear, convolution and normalisation modules, in the order of the graph.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter<'_>> {
        let named = self.nodes.iter().map(|node| (node, module_path(&node.name)));
        named.filter(|(_, module)| !module.is_empty()).flat_map(move |(node, module)| {
            node.inputs.iter().filter_map(move |(position, tensor)| {
                let source = self.tensors.get(tensor)?;
                let rank = source.shape().len();
                let name = match (node.op.as_str(), *position) {
                    ("Conv" | "LayerNormalization" | "BatchNormalization", 1) => "weight",
                    ("Conv" | "LayerNormalization" | "BatchNormalization", 2) => "bias",
                    ("BatchNormalization", 3) => "running_mean",
                    ("BatchNormalization", 4) => "running_var",
                    ("MatMul", 1) if rank == 2 => "weight",
                    ("Add", _) if rank == 1 => "bias",
                    _ => return None,
                };
                let tensor = match node.op.as_str() {
                    "MatMul" => source.transposed(),
                    _ => source.clone(),
                };
                Some(Parameter { op: &node.op, module: module.clone(), name, tensor })
            })
        })
    }

    /// All [`parameters`](Self::parameters) as `module.name`.
    pub fn weights(&self) -> Weights {
        self.named(self.parameters().map(|p| (format!("{}.{}", p.module, p.name), p.tensor)))
    }

    /// Tensors of this graph under names of the caller's choice.
    pub fn named(&self, tensors: impl Iterator<Item = (String, TensorSource)>) -> Weights {
        Weights::from_tensors(&self.file, tensors.collect())
    }
}

/// `/head/layer1/layer1.0/conv1/Conv` is `head.layer1.0.conv1`: the last part is the operation,
/// and a part that extends the one before it (a child of a sequence) stands for both.
fn module_path(node: &str) -> String {
    let (path, _operation) = node.rsplit_once('/').unwrap_or_default();
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        match parts.last_mut() {
            Some(last) if part.strip_prefix(*last).is_some_and(|p| p.starts_with('.')) => {
                *last = part;
            }
            _ => parts.push(part),
        }
    }
    parts.join(".")
}

/// The sub-messages stored under `number`.
fn sub_messages<'a>(
    message: Message<'a>,
    number: u64,
) -> impl Iterator<Item = Result<Message<'a>, String>> {
    message.filter_map(move |field| match field {
        Ok(field) if field.number == number => match field.value {
            Value::Bytes(message) => Some(Ok(message)),
            _ => Some(Err(format!("field {number} is not a message"))),
        },
        Ok(_) => None,
        Err(reason) => Some(Err(reason)),
    })
}

/// Name and values of a `TensorProto`.
fn tensor_proto(map: &Arc<Mmap>, message: Message) -> Result<(String, TensorSource), String> {
    let (mut name, mut dtype, mut external) = ("", 0, false);
    let (mut shape, mut raw) = (Vec::new(), None);
    for field in message.clone() {
        let field = field?;
        match (field.number, field.value) {
            (1, Value::Varint(dim)) => shape.push(dim),
            (1, Value::Bytes(mut packed)) => {
                while let Some(dim) = packed.varint()?.filter(|_| shape.len() <= MAX_RANK) {
                    shape.push(dim);
                }
            }
            (2, Value::Varint(value)) => dtype = value,
            (8, Value::Bytes(value)) => name = value.text()?,
            (9, Value::Bytes(value)) => raw = Some(value.range()),
            (14, Value::Varint(location)) => external = location == 1,
            _ => {}
        }
        if shape.len() > MAX_RANK {
            return Err(format!("tensor `{name}` has more than {MAX_RANK} dimensions"));
        }
    }
    let of_tensor = |reason: String| format!("tensor `{name}`: {reason}");
    let shape: Option<Vec<usize>> =
        shape.into_iter().map(|dim| usize::try_from(dim as i64).ok()).collect();
    let shape = shape.ok_or_else(|| of_tensor("it has a negative dimension".into()))?;
    let elements = shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim));
    let elements =
        elements.ok_or_else(|| of_tensor(format!("no tensor is as large as {shape:?}")))?;
    let Some(stored) = stored_type(dtype) else {
        let reason = format!("values of ONNX type {dtype} cannot be used as weights");
        return Ok((name.to_owned(), TensorSource::unreadable(reason, shape)));
    };
    if external {
        let reason = "its values are in another file, expected them in this one".into();
        return Ok((name.to_owned(), TensorSource::unreadable(reason, shape)));
    }
    let source = match raw {
        Some(range) => {
            let expected = elements.checked_mul(stored.size());
            if expected != Some(range.len()) {
                let found = range.len();
                return Err(of_tensor(format!(
                    "{found} bytes, expected those of {shape:?} of type {stored:?}"
                )));
            }
            TensorSource::mapped(map.clone(), range, stored, shape)
        }
        None => {
            let values = listed_values(message, dtype).map_err(of_tensor)?;
            if values.len() != elements {
                let found = values.len();
                return Err(of_tensor(format!("{found} values, expected those of {shape:?}")));
            }
            TensorSource::owned(values, shape)
        }
    };
    Ok((name.to_owned(), source))
}

/// How values of `TensorProto.DataType` lie in `raw_data`.
fn stored_type(dtype: u64) -> Option<StoredType> {
    Some(match dtype {
        1 => StoredType::F32,
        2 | 9 => StoredType::U8,
        6 => StoredType::I32,
        7 => StoredType::I64,
        10 => StoredType::F16,
        11 => StoredType::F64,
        16 => StoredType::BF16,
        _ => return None,
    })
}

/// Values in `float_data`, `int32_data` (which also holds the bits of the half types),
/// `int64_data` or `double_data`, packed or not.
fn listed_values(message: Message, dtype: u64) -> Result<Vec<f32>, String> {
    let integer = |value: u64| match dtype {
        10 => f16::from_bits(value as u16).to_f32(),
        16 => bf16::from_bits(value as u16).to_f32(),
        _ => value as i64 as f32,
    };
    let mut values = Vec::new();
    for field in message {
        let field = field?;
        match (field.number, field.value) {
            (4, Value::Fixed32(bytes)) => values.push(f32::from_le_bytes(bytes)),
            (4, Value::Bytes(packed)) => {
                let (chunks, rest) = packed.bytes().as_chunks();
                if !rest.is_empty() {
                    return Err("its float_data end within a number".into());
                }
                values.extend(chunks.iter().map(|b| f32::from_le_bytes(*b)));
            }
            (10, Value::Fixed64(bytes)) => values.push(f64::from_le_bytes(bytes) as f32),
            (10, Value::Bytes(packed)) => {
                let (chunks, rest) = packed.bytes().as_chunks();
                if !rest.is_empty() {
                    return Err("its double_data end within a number".into());
                }
                values.extend(chunks.iter().map(|b| f64::from_le_bytes(*b) as f32));
            }
            (5 | 7, Value::Varint(value)) => values.push(integer(value)),
            (5 | 7, Value::Bytes(mut packed)) => {
                while let Some(value) = packed.varint()? {
                    values.push(integer(value));
                }
            }
            _ => {}
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
