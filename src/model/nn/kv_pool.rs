//! Keys and values of many sequences in the pages of one memory, on GPUs.

use super::kernels::{
    HopPages, HopStep, PageMemory, PageRows, PageShape, PageStep, RelativePositions, decodes,
};
use super::{KvCache, Rotary};
use burn::tensor::{DType, Device, Tensor};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most memory that a pool takes, unless told otherwise.
const BYTES: usize = 4 << 30;

/// The pages of one model. Clones are the same pool.
///
/// Pages are written by kernels in the order of their launches: all sequences of a pool belong to
/// one thread at a time.
#[derive(Debug, Clone)]
pub(crate) struct KvPool {
    inner: Arc<Mutex<Inner>>,
    page_bytes: usize,
    /// Of a page.
    positions: usize,
}

#[derive(Debug)]
struct Inner {
    memory: PageMemory,
    /// Those of the memory's pages that nobody holds.
    free: Vec<u32>,
    /// The most pages there may be.
    most: usize,
}

impl Inner {
    fn available(&self) -> usize {
        self.free.len() + self.most.saturating_sub(self.memory.pages())
    }

    /// Makes memory so that `count` pages are free, or as many as may be.
    fn grow(&mut self, count: usize) {
        let pages = self.memory.pages();
        if count <= self.free.len() || pages >= self.most {
            return;
        }
        // Growing copies all there is, so it is done rarely.
        let needed = pages.saturating_add(count - self.free.len());
        let grown = needed.max(pages + pages / 2).min(self.most);
        self.memory.grow(grown);
        // The lowest number is taken first.
        self.free.splice(0..0, (pages as u32..grown as u32).rev());
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KvPool {
    /// An empty pool for a decoder, of keys and values in f32. None where `device` has no kernels
    /// for it.
    pub fn for_decoder(device: &Device, shape: PageShape) -> Option<Self> {
        if decodes(shape) { Self::new(device, shape, DType::F32) } else { None }
    }

    /// An empty pool of keys and values in `dtype`, which is f32 or bf16. None where `device` is no
    /// GPU.
    pub fn new(device: &Device, shape: PageShape, dtype: DType) -> Option<Self> {
        let memory = PageMemory::new(device, shape, dtype)?;
        let page_bytes = memory.page_bytes();
        let most = memory.most_pages().min(BYTES / page_bytes);
        let inner = Inner { memory, free: Vec::new(), most };
        Some(Self { inner: Arc::new(Mutex::new(inner)), page_bytes, positions: shape.positions })
    }

    /// The most memory that may be taken. What is there already stays.
    pub fn set_limit(&self, bytes: usize) {
        let mut inner = lock(&self.inner);
        inner.most = inner.memory.most_pages().min(bytes / self.page_bytes);
    }

    /// Has memory for so many positions ready, or for as many as may be.
    pub fn prepare(&self, positions: usize) {
        lock(&self.inner).grow(positions.div_ceil(self.positions));
    }

    /// Bytes of a position.
    pub fn position_bytes(&self) -> usize {
        self.page_bytes / self.positions
    }

    /// Bytes of the pages that no sequence holds.
    pub fn free_bytes(&self) -> usize {
        lock(&self.inner).free.len() * self.page_bytes
    }

    fn take(&self, count: usize) -> Option<Vec<Arc<Page>>> {
        let numbers = {
            let mut inner = lock(&self.inner);
            inner.grow(count);
            let from = inner.free.len().checked_sub(count)?;
            inner.free.split_off(from)
        };
        let page = |number| Arc::new(Page { number, pool: self.inner.clone() });
        Some(numbers.into_iter().rev().map(page).collect())
    }

    /// Prepares the attention of new rows behind what is filled of some caches, which have
    /// [reserved](KvCache::reserve) their places. None where a cache is not of this pool.
    pub fn step<'a>(
        &self,
        rotary: &Rotary,
        caches: impl Iterator<Item = (&'a KvCache, usize)>,
    ) -> Option<PoolStep<'_>> {
        let rows = |(cache, rows): (&KvCache, usize)| {
            let pages = cache.pages().filter(|p| Arc::ptr_eq(&p.pool.inner, &self.inner))?;
            let pages = pages.list.iter().map(|page| page.number).collect();
            Some(PageRows { pages, len: cache.len(), rows })
        };
        let sequences = caches.map(rows).collect::<Option<Vec<_>>>()?;
        let inner = lock(&self.inner);
        let step = inner.memory.step(rotary.tables(), &sequences)?;
        Some(PoolStep { step, _inner: inner })
    }

    /// Prepares the attention of a hop of `frames` of some caches, which have
    /// [reserved](KvCache::reserve) their places. Each has `group` rows, sees `left` positions
    /// before the hop, and goes on at the given layer of its pages; a hop has `layers` of them for
    /// each row. None where a cache is not of this pool.
    pub fn hop<'a>(
        &self,
        caches: impl Iterator<Item = (&'a KvCache, usize)>,
        frames: usize,
        group: usize,
        layers: usize,
        left: Option<usize>,
    ) -> Option<PoolHop<'_>> {
        let of = |(cache, layer): (&KvCache, usize)| {
            let held = cache.pages().filter(|p| Arc::ptr_eq(&p.pool.inner, &self.inner))?;
            let pages = held.list.iter().map(|page| page.number).collect();
            let gone = held.gone * self.positions;
            let first = left.map_or(0, |left| cache.len().saturating_sub(left)).max(gone);
            Some(HopPages { pages, len: cache.len() - gone, first: first - gone, layer })
        };
        let sequences = caches.map(of).collect::<Option<Vec<_>>>()?;
        let inner = lock(&self.inner);
        let step = inner.memory.hop(&sequences, frames, group, layers)?;
        Some(PoolHop { step, _inner: inner })
    }
}

/// The attention of a hop of some sequences. The pool does not grow meanwhile.
pub(crate) struct PoolHop<'a> {
    step: HopStep,
    _inner: MutexGuard<'a, Inner>,
}

impl PoolHop<'_> {
    /// Most positions that a sequence sees, its own included.
    pub fn seen(&self) -> usize {
        self.step.seen()
    }

    /// See [`HopStep::attend`].
    pub fn attend(
        &self,
        qkv: &Tensor<3>,
        layer: usize,
        relative: Option<&RelativePositions>,
    ) -> Tensor<3> {
        self.step.attend(qkv, layer, relative)
    }
}

/// The attention of some new rows. The pool does not grow meanwhile.
pub(crate) struct PoolStep<'a> {
    step: PageStep,
    _inner: MutexGuard<'a, Inner>,
}

impl PoolStep<'_> {
    /// Stores keys and values of one layer and attends: `[n, heads + 2 kv_heads, head_dim]` to
    /// `[n, heads * head_dim]`. Queries are scaled; nothing is turned yet.
    pub fn attend(&self, qkv: Tensor<3>, layer: usize) -> Tensor<2> {
        self.step.attend(qkv, layer)
    }
}

/// A page that is held. It goes back to its pool when the last holder drops it.
#[derive(Debug)]
struct Page {
    number: u32,
    pool: Arc<Mutex<Inner>>,
}

impl Drop for Page {
    fn drop(&mut self) {
        lock(&self.pool).free.push(self.number);
    }
}

/// The pages of one sequence.
///
/// Those of a common beginning are shared with other sequences. A page is never written while
/// another sequence holds it: only the last one of a sequence can be filled in part, and it is
/// copied before the next position is written.
#[derive(Debug)]
pub(crate) struct Pages {
    pool: KvPool,
    list: Vec<Arc<Page>>,
    /// Pages before those, which nobody needs any more.
    gone: usize,
}

impl Pages {
    pub fn new(pool: KvPool) -> Self {
        Self { pool, list: Vec::new(), gone: 0 }
    }

    /// How many of the pages held the first `len` positions need.
    fn held(&self, len: usize) -> usize {
        len.div_ceil(self.pool.positions).saturating_sub(self.gone)
    }

    /// Of the first `len` positions, shared with this sequence.
    pub fn share(&self, len: usize) -> Self {
        let list = self.list.iter().take(self.held(len)).cloned().collect();
        Self { pool: self.pool.clone(), list, gone: self.gone }
    }

    /// Keeps what the first `len` positions need.
    pub fn truncate(&mut self, len: usize) {
        self.list.truncate(self.held(len));
    }

    /// Gives back the pages whose positions are all before `position`.
    pub fn forget(&mut self, position: usize) {
        let count = (position / self.pool.positions).saturating_sub(self.gone);
        let count = count.min(self.list.len());
        self.list.drain(..count);
        self.gone += count;
    }

    /// The page of those held that position `len` is in, where others hold it too.
    fn shared(&self, len: usize) -> Option<usize> {
        let page = (len / self.pool.positions).checked_sub(self.gone)?;
        self.list.get(page).is_some_and(|held| Arc::strong_count(held) > 1).then_some(page)
    }

    /// Pages to be taken before `more` positions can be written behind `len`.
    fn missing(&self, len: usize, more: usize) -> usize {
        let needed = self.held(len + more);
        needed.saturating_sub(self.list.len()) + usize::from(more > 0 && self.shared(len).is_some())
    }

    /// Whether `more` positions can be written behind `len`; if not, how many there could be in
    /// all.
    pub fn check(&self, len: usize, more: usize) -> Result<(), usize> {
        let available = lock(&self.pool.inner).available();
        if self.missing(len, more) <= available {
            return Ok(());
        }
        let copied = usize::from(self.shared(len).is_some());
        let pages = self.gone + self.list.len() + available.saturating_sub(copied);
        Err(if copied > available { len } else { (pages * self.pool.positions).max(len) })
    }

    /// Takes the pages for `more` positions behind `len`. If there are too few nothing changes; see
    /// [`Self::check`].
    pub fn reserve(&mut self, len: usize, more: usize) -> Result<(), usize> {
        self.check(len, more)?;
        let missing = self.missing(len, more);
        if missing == 0 {
            return Ok(());
        }
        let Some(mut pages) = self.pool.take(missing) else { return Err(len) };
        if let Some(at) = self.shared(len)
            && let Some(own) = pages.pop()
        {
            lock(&self.pool.inner).memory.copy(self.list[at].number, own.number);
            self.list[at] = own;
        }
        self.list.append(&mut pages);
        Ok(())
    }

    /// Memory held. What is shared counts in parts.
    pub fn bytes(&self) -> usize {
        self.list.iter().map(|page| self.pool.page_bytes / Arc::strong_count(page)).sum()
    }
}

#[cfg(all(test, feature = "cube"))]
mod on_a_gpu {
    use super::*;
    use crate::model::nn::{CacheFull, PAGE, test_device};
    use burn::tensor::TensorData;

    const HEADS: usize = 4;
    const DIM: usize = 8;

    struct Model {
        pool: KvPool,
        rotary: Rotary,
        device: Device,
    }

    impl Model {
        fn new(pages: usize) -> Self {
            let device = test_device();
            let shape =
                PageShape { positions: PAGE, layers: 2, heads: HEADS, kv_heads: 2, head_dim: DIM };
            let pool = KvPool::for_decoder(&device, shape).unwrap();
            pool.set_limit(pages * pool.page_bytes);
            let rotary = Rotary::new(DIM, 1e4, 1000, &device);
            Self { pool, rotary, device }
        }

        fn cache(&self) -> KvCache {
            KvCache::paged(self.pool.clone(), 1000)
        }

        fn free(&self) -> usize {
            lock(&self.pool.inner).available()
        }

        /// Rows made from numbers, in both layers; what the last row attends to.
        fn push(
            &self,
            cache: &mut KvCache,
            numbers: impl IntoIterator<Item = u32>,
        ) -> Result<Vec<f32>, CacheFull> {
            let all = HEADS + 4;
            let value = |n: u32, i: usize| ((n as usize * 31 + i * 17) % 97) as f32 / 40.0 - 1.2;
            let rows: Vec<f32> = numbers
                .into_iter()
                .flat_map(|n| (0..all * DIM).map(move |i| value(n, i)))
                .collect();
            let n = rows.len() / (all * DIM);
            cache.reserve(n)?;
            let qkv = Tensor::from_data(TensorData::new(rows, [n, all, DIM]), &self.device);
            let mut last = Vec::new();
            {
                let step = self.pool.step(&self.rotary, [(&*cache, n)].into_iter()).unwrap();
                for layer in 0..2 {
                    let attended = step.attend(qkv.clone() * (layer + 1) as f32, layer);
                    last.extend(attended.narrow(0, n - 1, 1).into_data().iter::<f32>());
                }
            }
            cache.advance(n);
            Ok(last)
        }

        /// What the last of the rows attends to in a sequence that nothing else has touched.
        fn alone(&self, numbers: impl IntoIterator<Item = u32>) -> Vec<f32> {
            let numbers: Vec<u32> = numbers.into_iter().collect();
            let (last, before) = numbers.split_last().unwrap();
            let mut cache = self.cache();
            if !before.is_empty() {
                self.push(&mut cache, before.iter().copied()).unwrap();
            }
            self.push(&mut cache, [*last]).unwrap()
        }
    }

    /// Clones share pages and yet do not see each other's writes, whichever writes first.
    #[test]
    fn kv_clones_are_independent() {
        let model = Model::new(30);
        for filled in [70, 64, 0] {
            let mut original = model.cache();
            if filled > 0 {
                model.push(&mut original, 0..filled).unwrap();
            }
            let held = original.bytes();
            let free = model.free();
            let mut copy = original.clone();
            assert_eq!((copy.len(), model.free()), (filled as usize, free), "nothing is copied");
            assert_eq!(original.bytes() + copy.bytes(), held);
            model.push(&mut copy, 500..503).unwrap();
            model.push(&mut original, 600..603).unwrap();
            let last = |cache: &mut KvCache| model.push(cache, [7]).unwrap();
            assert_eq!(last(&mut copy), model.alone((0..filled).chain(500..503).chain([7])));
            assert_eq!(last(&mut original), model.alone((0..filled).chain(600..603).chain([7])));
        }
        assert_eq!(model.free(), 30, "all pages are given back");
    }

    /// A write behind a cut replaces what was there, in this sequence only.
    #[test]
    fn kv_truncate_then_write() {
        let model = Model::new(30);
        let mut cache = model.cache();
        model.push(&mut cache, 0..200).unwrap();
        assert_eq!(cache.bytes(), 4 * model.pool.page_bytes);
        let mut other = cache.clone();
        for len in [130, 128, 40] {
            cache.truncate(len);
            cache.truncate(150);
            assert_eq!(cache.len(), len);
            let got = model.push(&mut cache, [900]).unwrap();
            assert_eq!(got, model.alone((0..len as u32).chain([900])), "cut to {len}");
            cache.truncate(len);
        }
        let got = model.push(&mut other, [5]).unwrap();
        assert_eq!(got, model.alone((0..200).chain([5])));
        assert_eq!(other.bytes(), 4 * model.pool.page_bytes, "the first page is its own again");
        cache.truncate(0);
        assert_eq!((cache.bytes(), cache.is_empty()), (0, true));
    }

    /// A voice's beginning is taken over by session after session, each going on in its own way,
    /// and outlived by them.
    #[test]
    fn kv_prefix_is_shared() {
        let model = Model::new(30);
        let mut prefix = model.cache();
        model.push(&mut prefix, 0..100).unwrap();
        let mut sessions: Vec<_> = (0..3).map(|_| model.cache()).collect();
        model.push(&mut sessions[0], 800..990).unwrap();
        for (i, session) in sessions.iter_mut().enumerate() {
            session.copy_from(&prefix).unwrap();
            session.truncate(100 - 10 * i);
            model.push(session, [300 + i as u32]).unwrap();
        }
        assert_eq!(model.free(), 30 - 2 - 3, "one page each besides the prefix's");
        assert_eq!((prefix.len(), prefix.capacity()), (100, 1000));
        drop(prefix);
        for (i, session) in sessions.iter_mut().enumerate() {
            let beginning = (0..100 - 10 * i as u32).chain([300 + i as u32]);
            let got = model.push(session, [1]).unwrap();
            assert_eq!(got, model.alone(beginning.chain([1])), "session {i}");
        }
        let mut short = KvCache::paged(model.pool.clone(), 10);
        let full = CacheFull { len: 0, capacity: 10, more: sessions[0].len() };
        assert_eq!(short.copy_from(&sessions[0]), Err(full));
        assert!(sessions[0].fork(10).is_err());
        let mut forked = sessions[0].fork(104).unwrap();
        assert_eq!((forked.len(), forked.capacity()), (102, 104));
        model.push(&mut forked, [2]).unwrap();
        assert!(forked.check_room(1).is_ok() && forked.check_room(2).is_err());
    }

    /// A pool that is used up is an error that changes nothing, until pages are given back; and
    /// growing it keeps what it holds.
    #[test]
    fn kv_pool_is_bounded() {
        let model = Model::new(4);
        let mut one = model.cache();
        model.push(&mut one, 0..60).unwrap();
        assert_eq!(model.pool.free_bytes(), 0, "grown by what was needed");
        let mut two = model.cache();
        model.push(&mut two, 0..64).unwrap();
        model.push(&mut one, 60..150).unwrap();
        assert_eq!((model.free(), one.bytes()), (0, 3 * model.pool.page_bytes));

        let full = CacheFull { len: 64, capacity: 64, more: 1 };
        assert_eq!(two.check_room(1), Err(full));
        assert_eq!(model.push(&mut two, [1]), Err(full));
        assert!(one.check_room(42).is_ok() && one.check_room(43).is_err());
        // A shared page is to be copied before it is written.
        let copy = one.clone();
        let full = CacheFull { len: 150, capacity: 150, more: 1 };
        assert_eq!(one.check_room(1), Err(full));
        assert!(one.check_room(0).is_ok());
        drop(copy);
        let got = model.push(&mut one, [9]).unwrap();

        drop(two);
        assert_eq!((model.free(), model.pool.free_bytes()), (1, model.pool.page_bytes));
        drop(one);
        assert_eq!(got, model.alone((0..150).chain([9])));
    }

    /// A pool refuses another's sequences instead of reading somebody's pages.
    #[test]
    fn kv_caches_of_others_are_refused() {
        let (model, other) = (Model::new(4), Model::new(4));
        let mut cache = other.cache();
        cache.reserve(1).unwrap();
        assert!(model.pool.step(&model.rotary, [(&cache, 1)].into_iter()).is_none());
        let own = KvCache::new(2, 2, 10, DIM, &model.device);
        assert!(model.pool.step(&model.rotary, [(&own, 1)].into_iter()).is_none());
        assert!(other.pool.step(&other.rotary, [(&cache, 1)].into_iter()).is_some());
        assert!(other.pool.step(&other.rotary, [(&cache, 65)].into_iter()).is_none());
    }
}
