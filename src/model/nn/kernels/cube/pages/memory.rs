//! The memory of pages: how many there are, and what becomes of them as a whole.

use super::super::{VECTOR, buffer, element, into_cube};
use super::PageShape;
use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

/// Threads of a cube.
const THREADS: usize = 256;

impl PageShape {
    /// Elements that are read at once.
    pub(in super::super) fn vector(self) -> usize {
        let half = self.head_dim / 2;
        [VECTOR, 2].into_iter().find(|v| half.is_multiple_of(*v)).unwrap_or(1)
    }

    fn elements(self) -> usize {
        2 * self.layers * self.kv_heads * self.head_dim * self.positions
    }

    /// Vectors of a page.
    pub(in super::super) fn vectors(self) -> usize {
        self.elements() / self.vector()
    }
}

/// The memory of some pages, which are numbered from 0.
#[derive(Debug)]
pub(crate) struct PageMemory {
    /// `[pages, elements]`, in the order of whoever uses them. Anything while there are no pages.
    pub(in super::super) memory: CubeTensor,
    pub(in super::super) pages: usize,
    pub(in super::super) shape: PageShape,
    pub(in super::super) dtype: DType,
    /// Bytes of the largest buffer.
    largest: u64,
}

impl PageMemory {
    /// No pages as yet, of numbers in `dtype`, which is f32 or bf16. None where the device is not
    /// one of ours.
    pub fn new(device: &Device, shape: PageShape, dtype: DType) -> Option<Self> {
        let known = matches!(dtype, DType::F32 | DType::BF16) && shape.elements() > 0;
        if !known || *device == Device::flex() {
            return None;
        }
        let memory = into_cube(Tensor::<1>::zeros([1], device))?;
        let largest = if is_cuda(device) {
            // CubeCL's figure is for its pools, which this is not taken from.
            u64::MAX
        } else {
            memory.client.properties().memory.max_page_size
        };
        Some(Self { memory, pages: 0, shape, dtype, largest })
    }

    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Bytes of a page.
    pub fn page_bytes(&self) -> usize {
        self.shape.elements() * self.dtype.size()
    }

    /// The most pages that one buffer of the device can have.
    pub fn most_pages(&self) -> usize {
        let by_bytes = usize::try_from(self.largest).unwrap_or(usize::MAX) / self.page_bytes();
        // Indices are of 32 bits.
        by_bytes.min(u32::MAX as usize / self.shape.vectors())
    }

    /// Becomes as many pages, up to [`Self::most_pages`]; those there are keep what they hold.
    pub fn grow(&mut self, pages: usize) {
        if pages <= self.pages {
            return;
        }
        let CubeTensor { client, device, .. } = self.memory.clone();
        // Not from the allocator's pools: those would make all their memory as large as this.
        let bytes = pages * self.page_bytes();
        let handle = client.memory_dedicated_allocation((), |()| client.empty(bytes));
        let grown = [pages, self.shape.elements()].into();
        let grown = CubeTensor::new_contiguous(client, device, grown, handle, self.dtype);
        let vectors = self.pages * self.shape.vectors();
        let from = std::mem::replace(&mut self.memory, grown);
        self.pages = pages;
        if vectors > 0 {
            let vector = self.shape.vector();
            let (from, to) = (buffer(&from, vector), buffer(&self.memory, vector));
            let (cubes, dim) = everywhere(vectors);
            let (client, count) = (&self.memory.client, vectors as u32);
            // SAFETY: the index is checked against the length of the smaller buffer.
            unsafe {
                widen::launch_unchecked(
                    client,
                    cubes,
                    dim,
                    vector,
                    from,
                    to,
                    count,
                    element(self.dtype),
                );
            }
        }
    }

    /// Page `to` becomes what page `from` is.
    pub fn copy(&self, from: u32, to: u32) {
        if from.max(to) as usize >= self.pages {
            return;
        }
        let (cubes, dim) = everywhere(self.shape.vectors());
        let (client, vector) = (&self.memory.client, self.shape.vector());
        let (memory, count) = (buffer(&self.memory, vector), self.shape.vectors() as u32);
        // SAFETY: both pages are within the memory.
        unsafe {
            copy_page::launch_unchecked(
                client,
                cubes,
                dim,
                vector,
                memory,
                from,
                to,
                count,
                element(self.dtype),
            );
        }
    }
}

#[cfg(feature = "cuda")]
fn is_cuda(device: &Device) -> bool {
    *device == Device::cuda(0)
}

#[cfg(not(feature = "cuda"))]
fn is_cuda(_: &Device) -> bool {
    false
}

/// Cubes whose threads together make so many elements, each one or more.
pub(in super::super) fn everywhere(elements: usize) -> (CubeCount, CubeDim) {
    let cubes = elements.div_ceil(THREADS).clamp(1, 1 << 15);
    (CubeCount::Static(cubes as u32, 1, 1), CubeDim::new_1d(THREADS as u32))
}

/// So many vectors of `from` to the beginning of `to`.
#[cube(launch_unchecked)]
fn widen<W: Float, N: Size>(
    from: &[Vector<W, N>],
    to: &mut [Vector<W, N>],
    count: u32,
    #[define(W)] _kept: ElemType,
) {
    let mut i = ABSOLUTE_POS;
    while i < count as usize {
        to[i] = from[i];
        i += CUBE_COUNT * THREADS;
    }
}

/// Page `to` becomes what page `from` is, of `count` vectors each.
#[cube(launch_unchecked)]
fn copy_page<W: Float, N: Size>(
    memory: &mut [Vector<W, N>],
    from: u32,
    to: u32,
    count: u32,
    #[define(W)] _kept: ElemType,
) {
    let mut i = ABSOLUTE_POS;
    while i < count as usize {
        let value = memory[(from * count) as usize + i];
        memory[(to * count) as usize + i] = value;
        i += CUBE_COUNT * THREADS;
    }
}
