//! The memory of pages: how many there are, and what becomes of them as a whole.

use super::super::{buffer, element, into_cube};
use super::store::{copy_page, widen};
use super::{PageShape, Shape, everywhere};
use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::tensor::CubeTensor;

/// The memory of some pages, which are numbered from 0.
#[derive(Debug)]
pub(crate) struct PageMemory {
    /// `[pages, layers, kv_heads, 2, ..]`: keys `[head_dim / vector, PAGE, vector]`, then values
    /// `[PAGE, head_dim]`. Anything while there are no pages.
    pub(super) memory: CubeTensor,
    pub(super) pages: usize,
    pub(super) shape: PageShape,
    pub(super) compiled: Shape,
    pub(super) dtype: DType,
}

impl PageMemory {
    /// No pages as yet, of numbers in `dtype`, which is f32 or bf16. None where the device is not
    /// one of ours or has not the means.
    pub fn new(device: &Device, shape: PageShape, dtype: DType) -> Option<Self> {
        if !matches!(dtype, DType::F32 | DType::BF16) || *device == Device::flex() {
            return None;
        }
        let compiled = shape.compiled()?;
        let memory = into_cube(Tensor::<1>::zeros([1], device))?;
        Some(Self { memory, pages: 0, shape, compiled, dtype })
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
        let bytes = self.memory.client.properties().memory.max_page_size;
        let by_bytes = usize::try_from(bytes).unwrap_or(usize::MAX) / self.page_bytes();
        // Indices are of 32 bits.
        by_bytes.min(u32::MAX as usize / self.compiled.page)
    }

    /// Becomes as many pages, up to [`Self::most_pages`]; those there are keep what they hold.
    pub fn grow(&mut self, pages: usize) {
        if pages <= self.pages {
            return;
        }
        let CubeTensor { client, device, .. } = self.memory.clone();
        let handle = client.empty(pages * self.page_bytes());
        let grown = [pages, self.shape.elements()].into();
        let grown = CubeTensor::new_contiguous(client, device, grown, handle, self.dtype);
        let vectors = self.pages * self.compiled.page;
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
        let (cubes, dim) = everywhere(self.compiled.page);
        let (client, vector) = (&self.memory.client, self.shape.vector());
        let (memory, count) = (buffer(&self.memory, vector), self.compiled.page as u32);
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
