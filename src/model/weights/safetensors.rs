//! `.safetensors`: a checked JSON index over raw little-endian data.

use super::WeightsError;
use super::tensor_data::{StoredType, TensorSource};
use memmap2::Mmap;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

pub(super) fn read(path: &Path) -> Result<BTreeMap<String, TensorSource>, WeightsError> {
    let map = Arc::new(map_file(path)?);
    let malformed = |reason: String| WeightsError::Malformed { file: path.into(), reason };
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&map)
        .map_err(|e| malformed(format!("not a valid safetensors file: {e}")))?;
    let data_start = header + 8;
    metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let dtype = match info.dtype {
                safetensors::Dtype::F64 => StoredType::F64,
                safetensors::Dtype::F32 => StoredType::F32,
                safetensors::Dtype::F16 => StoredType::F16,
                safetensors::Dtype::BF16 => StoredType::BF16,
                safetensors::Dtype::I64 => StoredType::I64,
                safetensors::Dtype::I32 => StoredType::I32,
                safetensors::Dtype::U8 | safetensors::Dtype::BOOL => StoredType::U8,
                other => {
                    return Err(malformed(format!(
                        "tensor `{name}` has unsupported type {other:?}"
                    )));
                }
            };
            // Found to lie within the file and to fit the shape by `read_metadata`.
            let (start, end) = info.data_offsets;
            let range = data_start + start..data_start + end;
            let source = TensorSource::mapped(map.clone(), range, dtype, info.shape.clone());
            Ok((name, source))
        })
        .collect()
}

/// Maps a file for reading.
pub(super) fn map_file(path: &Path) -> Result<Mmap, WeightsError> {
    let io = |source| WeightsError::Io { file: path.into(), source };
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(io(std::io::Error::other("not a regular file")));
    }
    let file = File::open(path).map_err(io)?;
    // SAFETY: the map is only read. Weight files are not written while the server runs; a file
    // truncated under us is the same fault as one deleted under any memory-mapped program.
    unsafe { Mmap::map(&file) }.map_err(io)
}
