//! `.pt`: the zip files of `torch.save`, as views of the mapped file.
//!
//! A zip archive holds `<name>/data.pkl`, the pickled dict of tensors, and for each storage an
//! entry `<name>/data/<key>` with its raw values.

use super::WeightsError;
use super::archive::Archive;
use super::safetensors::map_file;
use super::state_dict::{PickledTensor, state_dict};
use super::tensor_data::TensorSource;
use memmap2::Mmap;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Longest pickle, which bounds what a hostile one can make the reader allocate (some 50 times
/// as much). The official ones describe a tensor in some 150 bytes and have at most 1121.
const MAX_PICKLE: usize = 2 << 20;
/// Longest name of the folder that holds all entries of the archive.
const MAX_ROOT: usize = 1024;

pub(super) fn read(path: &Path) -> Result<BTreeMap<String, TensorSource>, WeightsError> {
    let map = Arc::new(map_file(path)?);
    let malformed = |reason: String| WeightsError::Malformed { file: path.into(), reason };
    let of_tensor = |tensor: &str, reason: String| WeightsError::Data {
        file: path.into(),
        tensor: tensor.into(),
        reason,
    };

    let archive = Archive::read(&map).map_err(malformed)?;
    let mut roots = archive
        .names()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .filter(|root| root.is_empty() || (root.ends_with('/') && root.len() <= MAX_ROOT));
    let (Some(root), None) = (roots.next(), roots.next()) else {
        return Err(malformed("a zip file without one `data.pkl`: not made by torch.save".into()));
    };
    if let Ok(order) = archive.content(&format!("{root}byteorder"))
        && order != b"little"
    {
        return Err(malformed("its data are not little-endian".into()));
    }
    let pickle = archive.content(&format!("{root}data.pkl")).map_err(malformed)?;
    if pickle.len() > MAX_PICKLE {
        return Err(malformed(format!(
            "data.pkl has {} bytes, at most {MAX_PICKLE} can be",
            pickle.len()
        )));
    }
    let tensors = state_dict(pickle).map_err(|e| match e.tensor {
        Some(tensor) => of_tensor(&tensor, e.reason),
        None => malformed(e.reason),
    })?;

    tensors
        .into_iter()
        .map(|(name, tensor)| match locate(&map, &archive, root, tensor) {
            Ok(source) => Ok((name.to_owned(), source)),
            Err(reason) => Err(of_tensor(name, reason)),
        })
        .collect()
}

/// Checks that a view lies within its storage, and its storage within the file.
fn locate(
    map: &Arc<Mmap>,
    archive: &Archive,
    root: &str,
    tensor: PickledTensor,
) -> Result<TensorSource, String> {
    let PickledTensor { storage, dtype, storage_len, offset, shape, strides } = tensor;
    let range = archive.range(&format!("{root}data/{storage}"))?;
    if storage_len.checked_mul(dtype.size()) != Some(range.len()) {
        return Err(format!(
            "its storage should hold {storage_len} values of {dtype:?} but has {} bytes",
            range.len()
        ));
    }
    let outside =
        || format!("{shape:?} by {strides:?} from {offset} exceeds its storage of {storage_len}");
    let (elements, extent) = elements_and_extent(&shape, &strides).ok_or_else(outside)?;
    let end = offset.checked_add(extent).ok_or_else(outside)?;
    // A view that repeats values (stride 0) could be far larger than the file.
    if end > storage_len || elements > storage_len {
        return Err(outside());
    }
    // None of these can overflow: `end` lies within the storage, which lies within the file.
    let bytes = range.start + offset * dtype.size()..range.start + end * dtype.size();
    Ok(if is_row_major(&shape, &strides) {
        TensorSource::mapped(map.clone(), bytes, dtype, shape)
    } else {
        TensorSource::strided(map.clone(), bytes, dtype, shape, strides)
    })
}

/// Number of elements of a view, and of storage elements from its first to its last, inclusive.
fn elements_and_extent(shape: &[usize], strides: &[usize]) -> Option<(usize, usize)> {
    if shape.contains(&0) {
        return Some((0, 0));
    }
    let (mut elements, mut last) = (1usize, 0usize);
    for (size, stride) in shape.iter().zip(strides) {
        elements = elements.checked_mul(*size)?;
        last = last.checked_add((size - 1).checked_mul(*stride)?)?;
    }
    Some((elements, last.checked_add(1)?))
}

fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1usize;
    shape.contains(&0)
        || shape.iter().zip(strides).rev().all(|(size, stride)| {
            let fits = *size == 1 || *stride == expected;
            expected = expected.saturating_mul(*size);
            fits
        })
}

#[cfg(test)]
pub(super) mod fixture;
#[cfg(test)]
mod tests;
