use super::kernels::{Sequence, copy_row_starts};
use super::kv_pool::{KvPool, Pages};
use burn::tensor::{Device, Tensor};

/// The cache has no room for that many more positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key-value cache is full: {len} of {capacity} positions used, {more} more needed")]
pub struct CacheFull {
    pub len: usize,
    pub capacity: usize,
    pub more: usize,
}

/// Keys and values of past positions, for every layer of one decoder and one sequence.
///
/// On the CPU the memory for `capacity` positions is allocated once and written in place. On a GPU
/// a sequence takes pages from its model's pool as it grows, and gives them back when it is cut
/// short or dropped. Rows past [`len`](Self::len) are never read.
#[derive(Debug)]
pub struct KvCache {
    memory: Memory,
    len: usize,
    capacity: usize,
}

#[derive(Debug)]
enum Memory {
    Own(Vec<Layer>),
    Paged(Pages),
}

#[derive(Debug)]
struct Layer {
    /// `[1, kv_heads, head_dim, capacity]`: transposed, as the product with the queries reads
    /// them. The CPU backend would repack the whole past at every step otherwise.
    keys: Tensor<4>,
    /// `[1, kv_heads, capacity, head_dim]`
    values: Tensor<4>,
}

impl KvCache {
    pub fn new(
        layers: usize,
        kv_heads: usize,
        capacity: usize,
        head_dim: usize,
        device: &Device,
    ) -> Self {
        // One `zeros` per tensor: a clone would share memory and be copied at the first write.
        let layer = |_| Layer {
            keys: Tensor::zeros([1, kv_heads, head_dim, capacity], device),
            values: Tensor::zeros([1, kv_heads, capacity, head_dim], device),
        };
        let layers = (0..layers).map(layer).collect();
        Self { memory: Memory::Own(layers), len: 0, capacity }
    }

    /// Of a sequence of up to `capacity` positions, in pages of `pool`. Takes none yet.
    pub(crate) fn paged(pool: KvPool, capacity: usize) -> Self {
        Self { memory: Memory::Paged(Pages::new(pool)), len: 0, capacity }
    }

    /// Positions filled.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Positions there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Device memory held, filled or not. Of pages that several sequences share, each counts its
    /// part.
    pub fn bytes(&self) -> usize {
        let bytes = |t: &Tensor<4>| t.dims().iter().product::<usize>() * t.dtype().size();
        match &self.memory {
            Memory::Own(layers) => layers.iter().map(|l| bytes(&l.keys) + bytes(&l.values)).sum(),
            Memory::Paged(pages) => pages.bytes(),
        }
    }

    /// Forgets every position from `len` on. Does nothing if there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        if let Memory::Paged(pages) = &mut self.memory {
            pages.truncate(self.len);
        }
    }

    /// Gives back memory of positions before `position`, which are not read again. On the CPU there
    /// is none to give back.
    pub(crate) fn forget(&mut self, position: usize) {
        if let Memory::Paged(pages) = &mut self.memory {
            pages.forget(position.min(self.len));
        }
    }

    /// Whether `more` positions fit: into this cache and, now, into its pool.
    pub fn check_room(&self, more: usize) -> Result<(), CacheFull> {
        let full = |capacity| CacheFull { len: self.len, capacity, more };
        match (self.len.checked_add(more), &self.memory) {
            (Some(needed), Memory::Own(_)) if needed <= self.capacity => Ok(()),
            (Some(needed), Memory::Paged(pages)) if needed <= self.capacity => {
                pages.check(self.len, more).map_err(full)
            }
            _ => Err(full(self.capacity)),
        }
    }

    /// Has the memory for `more` positions ready, as a step needs it.
    ///
    /// # Errors
    /// As [`Self::check_room`]; nothing has changed then.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), CacheFull> {
        self.check_room(more)?;
        let len = self.len;
        match &mut self.memory {
            Memory::Own(_) => Ok(()),
            Memory::Paged(pages) => {
                pages.reserve(len, more).map_err(|capacity| CacheFull { len, capacity, more })
            }
        }
    }

    /// A copy with room for `capacity` positions, which must hold those filled. Writing either
    /// leaves the other alone.
    pub fn fork(&self, capacity: usize) -> Result<Self, CacheFull> {
        if capacity < self.len {
            return Err(CacheFull { len: 0, capacity, more: self.len });
        }
        let layers = match &self.memory {
            Memory::Own(layers) => layers,
            Memory::Paged(pages) => {
                let memory = Memory::Paged(pages.share(self.len));
                return Ok(Self { memory, len: self.len, capacity });
            }
        };
        let copy = |from: &Tensor<4>, positions: usize| {
            let mut shape = from.dims();
            shape[positions] = capacity;
            let to = Tensor::zeros(shape, &from.device());
            if self.len == 0 {
                return to;
            }
            let mut place = shape.map(|size| 0..size);
            place[positions] = 0..self.len;
            to.slice_assign(place, from.clone().narrow(positions, 0, self.len))
        };
        let copy = |l: &Layer| Layer { keys: copy(&l.keys, 3), values: copy(&l.values, 2) };
        let memory = Memory::Own(layers.iter().map(copy).collect());
        Ok(Self { memory, len: self.len, capacity })
    }

    /// Becomes a copy of `prefix`, of the same model, in the memory that this cache has already or
    /// sharing its pages.
    ///
    /// # Errors
    /// When there is no room; nothing has changed then.
    pub fn copy_from(&mut self, prefix: &Self) -> Result<(), CacheFull> {
        let len = prefix.len;
        if len > self.capacity {
            return Err(CacheFull { len: 0, capacity: self.capacity, more: len });
        }
        match (&mut self.memory, &prefix.memory) {
            (Memory::Own(layers), Memory::Own(prefix)) => {
                for (to, from) in layers.iter_mut().zip(prefix) {
                    copy_positions(&mut to.keys, &from.keys, 3, len);
                    copy_positions(&mut to.values, &from.values, 2, len);
                }
            }
            (Memory::Paged(pages), Memory::Paged(prefix)) => *pages = prefix.share(len),
            _ => unreachable!("caches of one model"),
        }
        self.len = len;
        Ok(())
    }

    /// Writes `keys` and `values`, each `[1, kv_heads, n, head_dim]`, behind the filled positions
    /// of one layer. Returns all of that layer's: keys `[1, kv_heads, head_dim, len + n]` and
    /// values `[1, kv_heads, len + n, head_dim]`.
    ///
    /// The positions count as filled only after [`advance`](Self::advance), which comes once
    /// every layer is written. The caller has checked the room.
    pub(crate) fn write(
        &mut self,
        layer: usize,
        keys: Tensor<4>,
        values: Tensor<4>,
    ) -> (Tensor<4>, Tensor<4>) {
        let [_, heads, n, dim] = keys.dims();
        let (start, end) = (self.len, self.len + n);
        let keys = keys.swap_dims(2, 3);
        let Layer { keys: k, values: v } = self.own(layer);
        k.inplace(|k| k.slice_assign([0..1, 0..heads, 0..dim, start..end], keys));
        v.inplace(|v| v.slice_assign([0..1, 0..heads, start..end, 0..dim], values));
        (k.clone().narrow(3, 0, end), v.clone().narrow(2, 0, end))
    }

    /// One layer, for one more position, which the caller has checked the room for. It counts as
    /// filled only after [`advance`](Self::advance).
    pub(crate) fn sequence(&mut self, layer: usize) -> Sequence<'_> {
        let len = self.len;
        let Layer { keys, values } = self.own(layer);
        Sequence { keys, values, len }
    }

    fn own(&mut self, layer: usize) -> &mut Layer {
        match &mut self.memory {
            Memory::Own(layers) => &mut layers[layer],
            Memory::Paged(_) => unreachable!("memory of this cache's own"),
        }
    }

    /// Where the memory is a pool's.
    pub(crate) fn pages(&self) -> Option<&Pages> {
        match &self.memory {
            Memory::Own(_) => None,
            Memory::Paged(pages) => Some(pages),
        }
    }

    pub(crate) fn advance(&mut self, n: usize) {
        self.len += n;
    }
}

/// Copies the first `len` of the positions, which are dimension `positions`.
fn copy_positions(to: &mut Tensor<4>, from: &Tensor<4>, positions: usize, len: usize) {
    let dims = from.dims();
    let rows = dims[..positions].iter().product();
    let count = len * dims[positions + 1..].iter().product::<usize>();
    if len == 0 || copy_row_starts(to, from, rows, count) {
        return;
    }
    let mut place = dims.map(|size| 0..size);
    place[positions] = 0..len;
    to.inplace(|to| to.slice_assign(place, from.clone().narrow(positions, 0, len)));
}

/// An independent copy: writing either leaves the other alone.
impl Clone for KvCache {
    fn clone(&self) -> Self {
        // Sharing the tensors would be correct too, but the first write after it would silently
        // copy every layer in the middle of a step.
        self.fork(self.capacity).unwrap_or_else(|_| unreachable!("the filled positions fit"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(from: f32, n: usize) -> Tensor<4> {
        let values: Vec<f32> = (0..2 * n * 3).map(|i| from + i as f32).collect();
        Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([1, 2, n, 3])
    }

    fn push(cache: &mut KvCache, from: f32, n: usize) -> (Vec<f32>, Vec<f32>) {
        let (k, v) = cache.write(0, rows(from, n), rows(-from, n));
        cache.advance(n);
        let host = |t: Tensor<4>| t.into_data().iter::<f32>().collect();
        (host(k.swap_dims(2, 3)), host(v))
    }

    #[test]
    fn clone_and_original_do_not_see_each_others_writes() {
        let mut original = KvCache::new(1, 2, 4, 3, &Device::flex());
        push(&mut original, 100.0, 2);
        let mut copy = original.clone();
        let (keys_of_copy, _) = push(&mut copy, 200.0, 1);
        let (keys_of_original, values_of_original) = push(&mut original, 300.0, 1);
        let (again, _) = copy.write(0, rows(0.0, 1), rows(0.0, 1));
        let again: Vec<f32> =
            again.swap_dims(2, 3).narrow(2, 0, 3).into_data().iter::<f32>().collect();

        // Per head: two common rows, then one of its own.
        let expect = |own: f32| -> Vec<f32> {
            let head = |h: usize| {
                let common = (0..6).map(move |i| 100.0 + (6 * h + i) as f32);
                common.chain((0..3).map(move |i| own + (3 * h + i) as f32))
            };
            head(0).chain(head(1)).collect()
        };
        assert_eq!(keys_of_copy, expect(200.0));
        assert_eq!(keys_of_original, expect(300.0));
        assert_eq!(again, expect(200.0));
        assert_eq!(values_of_original[6], -300.0);
    }

    #[test]
    fn a_write_after_truncate_replaces_the_forgotten_positions() {
        let mut cache = KvCache::new(1, 2, 4, 3, &Device::flex());
        push(&mut cache, 10.0, 3);
        cache.truncate(1);
        cache.truncate(3);
        assert_eq!(cache.len(), 1);
        let (keys, _) = push(&mut cache, 50.0, 1);
        assert_eq!(keys, [10., 11., 12., 50., 51., 52., 19., 20., 21., 53., 54., 55.]);
    }

    #[test]
    fn fork_changes_the_capacity_and_refuses_one_that_is_too_small() {
        let mut cache = KvCache::new(1, 2, 2, 3, &Device::flex());
        push(&mut cache, 1.0, 2);
        assert_eq!(cache.check_room(1), Err(CacheFull { len: 2, capacity: 2, more: 1 }));
        assert!(cache.check_room(usize::MAX).is_err());
        assert!(cache.fork(1).is_err());
        let mut wider = cache.fork(5).unwrap();
        assert_eq!((wider.len(), wider.capacity()), (2, 5));
        assert_eq!(wider.bytes(), 2 * 2 * 5 * 3 * 4);
        let (keys, _) = push(&mut wider, 7.0, 1);
        assert_eq!(keys[..9], [1., 2., 3., 4., 5., 6., 7., 8., 9.]);
    }

    fn address(cache: &KvCache) -> usize {
        let Memory::Own(layers) = &cache.memory else { panic!("memory of its own") };
        let keys = layers[0].keys.clone();
        let keys = keys.try_into_primitive::<burn::backend::Flex>().unwrap();
        keys.bytes().as_ptr() as usize
    }

    /// A longer cache takes over a shorter one's positions in its own memory, whatever it held,
    /// and goes on alone; one that is too short stays as it was.
    #[test]
    fn copy_from_overwrites_in_place() {
        let mut prefix = KvCache::new(1, 2, 3, 3, &Device::flex());
        push(&mut prefix, 10.0, 2);
        let mut slot = KvCache::new(1, 2, 5, 3, &Device::flex());
        push(&mut slot, 500.0, 4);
        let before = address(&slot);
        slot.copy_from(&prefix).unwrap();
        assert_eq!((slot.len(), address(&slot)), (2, before));
        let (keys, values) = push(&mut slot, 50.0, 1);
        assert_eq!(
            keys,
            [
                10., 11., 12., 13., 14., 15., 50., 51., 52., 16., 17., 18., 19., 20., 21., 53.,
                54., 55.
            ]
        );
        assert_eq!(values[..6], [-10., -9., -8., -7., -6., -5.]);
        assert_eq!(values[9..15], [-4., -3., -2., -1., 0., 1.]);
        assert_eq!(prefix.len(), 2);

        let mut short = KvCache::new(1, 2, 1, 3, &Device::flex());
        assert_eq!(short.copy_from(&prefix), Err(CacheFull { len: 0, capacity: 1, more: 2 }));
        slot.copy_from(&short).unwrap();
        assert!(slot.is_empty());
    }

    #[test]
    fn writes_stay_in_the_memory_allocated_at_the_start() {
        let mut cache = KvCache::new(1, 2, 4, 3, &Device::flex());
        let before = address(&cache);
        push(&mut cache, 1.0, 2);
        push(&mut cache, 2.0, 1);
        assert_eq!(address(&cache), before);
    }
}
