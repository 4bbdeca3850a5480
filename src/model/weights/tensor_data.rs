//! Where a tensor's bytes are and how they become f32.

use half::{bf16, f16};
use memmap2::Mmap;
use std::ops::Range;
use std::sync::Arc;

/// Element type of stored bytes, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredType {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    U8,
}

impl StoredType {
    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 => 1,
        }
    }
}

/// One tensor of a file: its shape and where its values are.
#[derive(Clone)]
pub struct TensorSource {
    shape: Vec<usize>,
    data: Data,
}

#[derive(Clone)]
enum Data {
    /// A contiguous, row-major range of a mapped file.
    Mapped { map: Arc<Mmap>, range: Range<usize>, dtype: StoredType },
    /// Values made at load time, such as a folded weight norm.
    Owned(Arc<Vec<f32>>),
    /// The transpose of a matrix.
    Transposed(Arc<TensorSource>),
    /// Values of a kind that we cannot read, and why: an error only where somebody asks for them.
    Unreadable(Arc<str>),
}

impl TensorSource {
    /// A range of a mapped file. The caller has checked that the range lies in the map and holds
    /// exactly the elements of `shape`.
    pub fn mapped(
        map: Arc<Mmap>,
        range: Range<usize>,
        dtype: StoredType,
        shape: Vec<usize>,
    ) -> Self {
        Self { shape, data: Data::Mapped { map, range, dtype } }
    }

    pub fn owned(values: Vec<f32>, shape: Vec<usize>) -> Self {
        Self { shape, data: Data::Owned(Arc::new(values)) }
    }

    pub fn unreadable(reason: String, shape: Vec<usize>) -> Self {
        Self { shape, data: Data::Unreadable(reason.into()) }
    }

    /// The same values with the order of the dimensions reversed, where that is a matrix's
    /// transpose; otherwise the tensor itself.
    pub fn transposed(&self) -> Self {
        match self.shape[..] {
            [rows, columns] => {
                Self { shape: vec![columns, rows], data: Data::Transposed(Arc::new(self.clone())) }
            }
            _ => self.clone(),
        }
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All values, widened or narrowed to f32, row-major.
    pub fn to_f32(&self) -> Result<Vec<f32>, String> {
        match &self.data {
            Data::Owned(values) => Ok(values.as_ref().clone()),
            Data::Unreadable(reason) => Err(reason.to_string()),
            Data::Transposed(source) => {
                let values = source.to_f32()?;
                let columns = self.shape.first().copied().unwrap_or(0);
                Ok((0..columns)
                    .flat_map(|c| values.iter().skip(c).step_by(columns).copied())
                    .collect())
            }
            Data::Mapped { map, range, dtype } => {
                let bytes = map
                    .get(range.clone())
                    .ok_or_else(|| format!("bytes {range:?} lie outside the file"))?;
                Ok(widen(bytes, *dtype))
            }
        }
    }
}

fn widen(bytes: &[u8], dtype: StoredType) -> Vec<f32> {
    fn each<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
    }
    match dtype {
        StoredType::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
        StoredType::F32 => each(bytes, f32::from_le_bytes),
        StoredType::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()),
        StoredType::BF16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        StoredType::I64 => each(bytes, |b| i64::from_le_bytes(b) as f32),
        StoredType::I32 => each(bytes, |b| i32::from_le_bytes(b) as f32),
        StoredType::U8 => bytes.iter().map(|b| f32::from(*b)).collect(),
    }
}
