use super::{CacheShape, Llm};
use crate::model::nn::{KvCache, KvPool};

/// Capacities are multiples of this, so that caches of like lengths can stand in for one another.
const POSITIONS: usize = 512;

/// Caches of ended sequences, kept for the next ones: once as many have been made as there are
/// sequences at a time, nothing is allocated any more.
///
/// On a GPU they share the model's pool, and it is the pool that has memory ready.
#[derive(Debug)]
pub struct Slots {
    kept: Vec<KvCache>,
    most: usize,
    shape: CacheShape,
}

impl Slots {
    /// Keeps up to `most` caches of `llm`, or on a GPU memory for as many short ones.
    pub fn new(llm: &Llm, most: usize) -> Self {
        let shape = llm.cache_shape();
        if let Some(pool) = &shape.pool {
            pool.prepare(most.saturating_mul(POSITIONS));
        }
        Self { kept: Vec::with_capacity(most), most, shape }
    }

    /// An empty cache with room for `capacity` positions or more: the smallest that is kept and
    /// fits, or a new one. As with [`Llm::new_cache`], the model's positions are the most there
    /// can be.
    pub fn take(&mut self, capacity: usize) -> KvCache {
        let capacity = capacity.min(self.shape.positions);
        let fitting = self.kept.iter().enumerate().filter(|(_, kept)| kept.capacity() >= capacity);
        match fitting.min_by_key(|(_, kept)| kept.capacity()).map(|(i, _)| i) {
            Some(i) => self.kept.swap_remove(i),
            None => {
                let rounded = capacity.max(1).checked_next_multiple_of(POSITIONS);
                self.shape.cache(rounded.unwrap_or(capacity))
            }
        }
    }

    /// Takes back a cache that its sequence no longer needs; drops it if enough are kept.
    pub fn give(&mut self, mut cache: KvCache) {
        if self.kept.len() < self.most {
            cache.truncate(0);
            self.kept.push(cache);
        }
    }

    /// Memory of the caches kept here and of the pool's free pages, in bytes.
    pub fn bytes(&self) -> usize {
        let free = self.shape.pool.as_ref().map_or(0, KvPool::free_bytes);
        free + self.kept.iter().map(KvCache::bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn slots(most: usize) -> Slots {
        let shape = CacheShape {
            layers: 2,
            kv_heads: 1,
            head_dim: 4,
            positions: 1500,
            device: Device::flex(),
            pool: None,
        };
        Slots { kept: Vec::new(), most, shape }
    }

    #[test]
    fn capacities_are_rounded_up_to_what_the_model_has() {
        let mut slots = slots(4);
        for (asked, capacity) in
            [(0, 512), (1, 512), (512, 512), (513, 1024), (1100, 1500), (usize::MAX, 1500)]
        {
            assert_eq!(slots.take(asked).capacity(), capacity, "{asked}");
        }
    }

    #[test]
    fn the_smallest_that_fits_is_used_again_and_empty() {
        let mut slots = slots(4);
        let (small, mut large) = (slots.take(1), slots.take(1000));
        large.advance(7);
        slots.give(large);
        slots.give(small);
        let bytes = slots.bytes();
        assert_eq!(bytes, 2 * 2 * 4 * 4 * (512 + 1024));
        let (first, second) = (slots.take(100), slots.take(100));
        assert_eq!((first.capacity(), second.capacity()), (512, 1024));
        assert_eq!((second.len(), slots.bytes()), (0, 0));
        slots.give(first);
        assert_eq!(slots.take(513).capacity(), 1024, "a new one where none fits");
    }

    #[test]
    fn no_more_are_kept_than_allowed() {
        let mut slots = slots(1);
        let caches = [slots.take(1), slots.take(1)];
        caches.into_iter().for_each(|cache| slots.give(cache));
        assert_eq!(slots.kept.len(), 1);
    }
}
