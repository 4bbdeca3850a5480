//! Pages of keys and values that a session keeps of its hops.

use super::super::{from_cube, into_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeDevice;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::tensor::CubeTensor;
use std::sync::Arc;

/// Keys and values of a run of positions. Clones share the memory until one of them is written to.
#[derive(Debug, Clone)]
pub(crate) struct HopPage {
    /// `[2, rows, heads, capacity, head_dim]`: keys, values. Whoever holds it alone may write
    /// after the positions that are filled.
    pub(super) memory: Arc<CubeTensor>,
    pub(super) filled: usize,
}

impl HopPage {
    /// Of `[rows, heads, capacity, head_dim]`, no position filled.
    pub(super) fn new(
        client: &Client,
        device: &CubeDevice,
        [rows, heads, capacity, dim]: [usize; 4],
        kept: DType,
    ) -> Self {
        let shape = [2, rows, heads, capacity, dim];
        let handle = client.empty(shape.iter().product::<usize>() * kept.size());
        let (client, device) = (client.clone(), device.clone());
        let memory = CubeTensor::new_contiguous(client, device, shape.into(), handle, kept);
        Self { memory: Arc::new(memory), filled: 0 }
    }

    pub(super) fn dims(&self) -> [usize; 5] {
        let shape = self.memory.meta.shape();
        [0, 1, 2, 3, 4].map(|i| shape[i])
    }

    pub(super) fn capacity(&self) -> usize {
        self.memory.meta.shape()[3]
    }

    /// Positions that are filled.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Positions that are not.
    pub fn room(&self) -> usize {
        self.capacity() - self.filled
    }

    /// Device memory in bytes.
    pub fn bytes(&self) -> usize {
        self.memory.meta.num_elements() * self.memory.dtype.size()
    }

    /// `[2, rows, heads, positions, head_dim]` after the first `skipped`.
    fn tensor(&self, skipped: usize) -> Tensor<5> {
        from_cube::<5>((*self.memory).clone()).narrow(3, skipped, self.filled - skipped)
    }

    /// Keys `[rows, heads, head_dim, positions]` and values `[rows, heads, positions, head_dim]`
    /// after the first `skipped`.
    pub fn keys_values(&self, skipped: usize) -> (Tensor<4>, Tensor<4>) {
        let all = self.tensor(skipped);
        let [_, rows, heads, positions, dim] = all.dims();
        let part = |i: usize| all.clone().narrow(0, i, 1).reshape([rows, heads, positions, dim]);
        let (keys, values) = (part(0).cast(DType::F32), part(1).cast(DType::F32));
        (keys.swap_dims(2, 3), values)
    }

    /// What the pages hold, without the first `skipped` positions of the first, in one that is full.
    /// None without pages.
    pub fn join<'a>(
        pages: impl IntoIterator<Item = &'a HopPage>,
        skipped: usize,
    ) -> Option<HopPage> {
        let skipped = std::iter::once(skipped).chain(std::iter::repeat(0));
        let parts: Vec<_> = pages.into_iter().zip(skipped).map(|(p, n)| p.tensor(n)).collect();
        let filled = parts.iter().map(|part| part.dims()[3]).sum();
        let first = parts.first()?;
        let [_, rows, heads, _, dim] = first.dims();
        // Copied even where there is one: what is left must not hold on to more than it shows.
        let all = Tensor::empty([2, rows, heads, filled, dim], (&first.device(), first.dtype()));
        let mut at = 0;
        let all = parts.into_iter().fold(all, |all, part| {
            let from = at;
            at += part.dims()[3];
            all.slice_assign([0..2, 0..rows, 0..heads, from..at, 0..dim], part)
        });
        Some(HopPage { memory: Arc::new(into_cube(all)?), filled })
    }

    /// Makes sure that nobody else reads what is written next.
    pub(super) fn own(&mut self) {
        if Arc::get_mut(&mut self.memory).is_some() {
            return;
        }
        let [_, rows, heads, capacity, dim] = self.dims();
        let memory = &self.memory;
        let mut page =
            Self::new(&memory.client, &memory.device, [rows, heads, capacity, dim], memory.dtype);
        if self.filled > 0 {
            let all = Arc::unwrap_or_clone(page.memory);
            let place = [0..2, 0..rows, 0..heads, 0..self.filled, 0..dim];
            let all = from_cube::<5>(all).slice_assign(place, self.tensor(0));
            let Some(all) = into_cube(all) else { unreachable!("made on a device of ours") };
            page = Self { memory: Arc::new(all), filled: self.filled };
        }
        *self = page;
    }
}
