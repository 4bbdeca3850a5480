//! Where a tensor's bytes are and how they become f32.

use super::weight_norm;
use half::f16;
use half::slice::HalfFloatSliceExt;
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
    /// A range of a mapped file whose elements lie `strides` apart, such as a transposed matrix.
    Strided { map: Arc<Mmap>, range: Range<usize>, dtype: StoredType, strides: Vec<usize> },
    /// Magnitude and direction of a weight norm.
    WeightNorm { g: Box<TensorSource>, v: Box<TensorSource> },
    /// Values made at load time.
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

    /// A range of a mapped file, from the first to the last element of a view of `shape` whose
    /// neighbours along each dimension are `strides` elements apart. The caller has checked that
    /// the range lies in the map and that the view has no more elements than its storage.
    pub fn strided(
        map: Arc<Mmap>,
        range: Range<usize>,
        dtype: StoredType,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Self {
        Self { shape, data: Data::Strided { map, range, dtype, strides } }
    }

    /// The weight `g · v / ‖v‖` of a weight norm, of the shape of `v`: `[rows, …]`, with one
    /// magnitude in `g` for each row.
    pub(super) fn weight_norm(g: Self, v: Self) -> Result<Self, String> {
        let (sizes, shape) = (g.shape(), v.shape());
        let per_row = sizes.first() == shape.first() && sizes.iter().skip(1).all(|size| *size == 1);
        if !per_row || shape.is_empty() {
            return Err(format!("weight norm of magnitudes {sizes:?} over {shape:?}"));
        }
        let shape = shape.to_vec();
        Ok(Self { shape, data: Data::WeightNorm { g: Box::new(g), v: Box::new(v) } })
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
            Data::WeightNorm { g, v } => weight_norm::apply(&g.to_f32()?, v.to_f32()?),
            Data::Mapped { map, range, dtype } => Ok(widen(slice(map, range)?, *dtype)),
            Data::Strided { map, range, dtype, strides } => {
                let bytes = slice(map, range)?;
                let row_major = gather(bytes, dtype.size(), &self.shape, strides)
                    .ok_or_else(|| format!("strides {strides:?} lead outside the file"))?;
                Ok(widen(&row_major, *dtype))
            }
            Data::Unreadable(reason) => Err(reason.to_string()),
            Data::Transposed(source) => {
                let values = source.to_f32()?;
                let columns = self.shape.first().copied().unwrap_or(0);
                Ok((0..columns)
                    .flat_map(|c| values.iter().skip(c).step_by(columns).copied())
                    .collect())
            }
        }
    }
}

fn slice<'a>(map: &'a Mmap, range: &Range<usize>) -> Result<&'a [u8], String> {
    map.get(range.clone()).ok_or_else(|| format!("bytes {range:?} lie outside the file"))
}

/// Copies the elements of a strided view, each of `width` bytes, in row-major order. `None` if one
/// lies outside `bytes`.
fn gather(bytes: &[u8], width: usize, shape: &[usize], strides: &[usize]) -> Option<Vec<u8>> {
    let elements = shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size))?;
    let mut out = Vec::new();
    let mut index = vec![0usize; shape.len()];
    let mut at = 0usize;
    for _ in 0..elements {
        let start = at.checked_mul(width)?;
        out.extend_from_slice(bytes.get(start..start.checked_add(width)?)?);
        // Like an odometer: the last dimension runs, those that are full go back to 0.
        for ((i, size), stride) in index.iter_mut().zip(shape).zip(strides).rev() {
            *i += 1;
            at = at.checked_add(*stride)?;
            if *i < *size {
                break;
            }
            at = at.checked_sub(i.checked_mul(*stride)?)?;
            *i = 0;
        }
    }
    Some(out)
}

fn widen(bytes: &[u8], dtype: StoredType) -> Vec<f32> {
    fn each<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
    }
    match dtype {
        StoredType::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
        StoredType::F32 => each(bytes, f32::from_le_bytes),
        StoredType::F16 => widen_f16(bytes),
        // A bf16 is the upper half of an f32.
        StoredType::BF16 => each(bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
        StoredType::I64 => each(bytes, |b| i64::from_le_bytes(b) as f32),
        StoredType::I32 => each(bytes, |b| i32::from_le_bytes(b) as f32),
        StoredType::U8 => bytes.iter().map(|b| f32::from(*b)).collect(),
    }
}

/// By blocks, so that `half` can use the CPU's conversion although the bytes may be unaligned.
fn widen_f16(bytes: &[u8]) -> Vec<f32> {
    let halves = bytes.as_chunks::<2>().0;
    let mut out = vec![0.0; halves.len()];
    let mut block = [f16::ZERO; 512];
    for (from, to) in halves.chunks(block.len()).zip(out.chunks_mut(block.len())) {
        let (block, _) = block.split_at_mut(from.len());
        for (half, bytes) in block.iter_mut().zip(from) {
            *half = f16::from_le_bytes(*bytes);
        }
        block.convert_to_f32_slice(to);
    }
    out
}
