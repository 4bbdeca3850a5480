//! What attention remembers: keys and values of past positions. On a GPU see [`FlowPages`].
//!
//! [`FlowPages`]: super::pages::FlowPages

use super::tensor_bytes;
use crate::model::nn::{PoolHop, activation, matmul};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::VecDeque;

/// Keys and values of past positions, in pages of fixed length.
///
/// A page is written in place until it is full and never moves, so that a position costs the same
/// however many came before it, and clones share every page that they do not write. Pages that
/// the window has left behind are dropped.
#[derive(Debug, Clone)]
pub struct KvCache {
    pages: VecDeque<Page>,
    /// Positions per page.
    page: usize,
    /// How many positions before it a call sees; all of them where there is no window.
    left: Option<usize>,
    /// Positions of the first page that the window has left behind.
    skipped: usize,
}

/// Elements of the widest vector of a processor.
const VECTOR: usize = 16;

#[derive(Debug, Clone)]
struct Page {
    /// `[batch, heads, head_dim, capacity]`, and room up to a whole vector: transposed, as the
    /// product with the queries reads them.
    keys: Tensor<4>,
    /// `[batch, heads, capacity, head_dim]`
    values: Tensor<4>,
    filled: usize,
}

/// Keys `[batch, heads, head_dim, positions]` and values `[batch, heads, positions, head_dim]` of
/// a run of positions.
pub type KeysValues = (Tensor<4>, Tensor<4>);

impl KvCache {
    /// Without positions. Pages have room for `page` of them; a call sees `left` before it.
    pub fn new(page: usize, left: Option<usize>) -> Self {
        Self { pages: VecDeque::new(), page: page.max(1), left, skipped: 0 }
    }

    /// Adds positions; gives them and those before that the window reaches, in order.
    pub fn append(&mut self, keys: Tensor<4>, values: Tensor<4>) -> Vec<KeysValues> {
        let [_, _, added, _] = values.dims();
        self.forget_all_but(self.left);
        let mut done = 0;
        while done < added {
            let page = match self.pages.pop_back() {
                Some(page) if page.room() > 0 => page,
                other => {
                    self.pages.extend(other);
                    Page::new(&values, self.page)
                }
            };
            let n = page.room().min(added - done);
            let page =
                page.write(keys.clone().narrow(3, done, n), values.clone().narrow(2, done, n));
            self.pages.push_back(page);
            done += n;
        }
        let skipped = std::iter::once(self.skipped).chain(std::iter::repeat(0));
        self.pages.iter().zip(skipped).map(|(page, skipped)| page.keys_values(skipped)).collect()
    }

    /// Moves the window on, so that `left` positions are in it.
    fn forget_all_but(&mut self, left: Option<usize>) {
        let Some(left) = left else { return };
        let held: usize = self.pages.iter().map(|page| page.filled).sum();
        self.skipped = self.skipped.max(held.saturating_sub(left));
        while let Some(first) = self.pages.front()
            && first.filled <= self.skipped
        {
            self.skipped -= first.filled;
            self.pages.pop_front();
        }
    }

    /// Gives up the room that is left in the last page, so that clones share all of it: the next
    /// position starts a page.
    pub fn seal(&mut self) {
        if let Some(page) = self.pages.back_mut().filter(|page| page.room() > 0) {
            let cut = Page::new(&page.values, page.filled);
            let (keys, values) = page.keys_values(0);
            *page = cut.write(keys, values);
        }
    }

    /// Device memory in bytes.
    pub fn bytes(&self) -> usize {
        self.pages.iter().map(|page| tensor_bytes(&page.keys) + tensor_bytes(&page.values)).sum()
    }
}

impl Page {
    /// For values like these, `[batch, heads, _, head_dim]`.
    fn new(values: &Tensor<4>, capacity: usize) -> Self {
        let [batch, heads, _, size] = values.dims();
        let device = values.device();
        Self {
            keys: Tensor::zeros([batch, heads, size, capacity.next_multiple_of(VECTOR)], &device),
            values: Tensor::zeros([batch, heads, capacity, size], &device),
            filled: 0,
        }
    }

    fn room(&self) -> usize {
        self.values.dims()[2] - self.filled
    }

    fn write(mut self, keys: Tensor<4>, values: Tensor<4>) -> Self {
        let [batch, heads, added, size] = values.dims();
        let at = self.filled..self.filled + added;
        let (b, h, d) = (0..batch, 0..heads, 0..size);
        let place = [b.clone(), h.clone(), d.clone(), at.clone()];
        self.keys.inplace(|all| all.slice_assign(place, keys));
        self.values.inplace(|all| all.slice_assign([b, h, at, d], values));
        self.filled += added;
        self
    }

    /// Without its first `skipped` positions.
    fn keys_values(&self, skipped: usize) -> KeysValues {
        let (keys, values) = (self.keys.clone(), self.values.clone());
        let length = self.filled - skipped;
        (keys.narrow(3, skipped, length), values.narrow(2, skipped, length))
    }
}

/// What an attention goes on after.
pub enum Past<'a, 'c> {
    /// What sequences, an equal number of rows each, remember; none: the call is all there is.
    Caches(&'a mut [&'c mut KvCache]),
    /// Pages of a GPU's memory, and which of the hop's layers this is.
    Pages(&'a PoolHop<'a>, usize),
}

/// `softmax(scores) · values` over keys that come in runs, heads joined: scores `[batch, heads,
/// queries, keys of the run]`, values `[batch, heads, keys of the run, head_dim]`; gives `[batch,
/// queries, heads * head_dim]`.
pub fn attend(scores: Vec<Tensor<4>>, values: Vec<Tensor<4>>) -> Tensor<3> {
    let weights = activation::softmax(scores);
    let mixed = weights.into_iter().zip(values).map(|(weights, values)| matmul(weights, values));
    let Some(mixed) = mixed.reduce(|sum, run| sum + run) else {
        unreachable!("a query sees itself")
    };
    let [batch, heads, queries, size] = mixed.dims();
    mixed.swap_dims(1, 2).reshape([batch, queries, heads * size])
}

/// The block-causal mask of a whole sequence: a position sees its own block and those before it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mask {
    /// How many blocks before its own; all of them where there is no window.
    pub left: Option<usize>,
}

/// Bias `[1, 1, length, length]` of the block-causal mask: position `i` sees `j` before the end
/// of its own block of `block` positions, from the start of the block `left` before it.
pub fn block_causal_bias(
    length: usize,
    block: usize,
    left: Option<usize>,
    device: &Device,
) -> Tensor<4> {
    let mut values = vec![0.0; length * length];
    for (i, row) in values.chunks_exact_mut(length.max(1)).enumerate() {
        let own = i / block;
        let unseen = left.map_or(0, |left| own.saturating_sub(left) * block);
        row.iter_mut().take(unseen).for_each(|v| *v = -1e10);
        row.iter_mut().skip((own + 1) * block).for_each(|v| *v = -1e10);
    }
    let data = TensorData::new(values, [1, 1, length, length]);
    Tensor::from_data(data, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(x: Tensor<4>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    /// Positions `from..to` of one head of size 2: values `10 p` and `10 p + 1`, keys the same.
    fn positions(from: usize, to: usize) -> KeysValues {
        let values: Vec<f32> =
            (from..to).flat_map(|p| [0, 1].map(|c| (10 * p + c) as f32)).collect();
        let data = TensorData::new(values, [1, 1, to - from, 2]);
        let values: Tensor<4> = Tensor::from_data(data, &Device::flex());
        (values.clone().swap_dims(2, 3), values)
    }

    fn append(cache: &mut KvCache, from: usize, to: usize) -> KeysValues {
        let (keys, values) = positions(from, to);
        let (keys, values): (Vec<_>, Vec<_>) = cache.append(keys, values).into_iter().unzip();
        (Tensor::cat(keys, 3), Tensor::cat(values, 2))
    }

    fn assert_holds(got: KeysValues, positions: KeysValues) {
        assert_eq!(read(got.0), read(positions.0));
        assert_eq!(read(got.1), read(positions.1));
    }

    /// Protects the order over the borders of pages, for portions of any length.
    #[test]
    fn positions_stay_in_order() {
        let mut cache = KvCache::new(4, None);
        for (from, to) in [(0, 3), (3, 5), (5, 13), (13, 14)] {
            assert_holds(append(&mut cache, from, to), positions(0, to));
        }
        assert_eq!(cache.pages.len(), 4);
    }

    /// Protects sessions that start from one voice, sealed or not.
    #[test]
    fn clones_go_their_own_ways() {
        for seal in [false, true] {
            let mut voice = KvCache::new(4, None);
            append(&mut voice, 0, 6);
            if seal {
                let before = voice.bytes();
                voice.seal();
                assert!(voice.bytes() < before);
            }
            let (mut one, mut two) = (voice.clone(), voice);
            append(&mut two, 100, 103);
            assert_holds(append(&mut one, 6, 7), positions(0, 7));
        }
    }

    #[test]
    fn blocks_hide_what_follows_them() {
        for (left, want) in [
            (None, [0..2, 0..2, 0..4, 0..4, 0..5]),
            (Some(1), [0..2, 0..2, 0..4, 0..4, 2..5]),
            (Some(0), [0..2, 0..2, 2..4, 2..4, 4..5]),
        ] {
            let bias = read(block_causal_bias(5, 2, left, &Device::flex()));
            for (row, want) in bias.chunks(5).zip(want) {
                for (j, bias) in row.iter().enumerate() {
                    assert_eq!(*bias, if want.contains(&j) { 0.0 } else { -1e10 });
                }
            }
        }
    }

    /// Protects the window: what a call sees, what memory is given back, and clones that share it.
    #[test]
    fn window_moves_on() {
        let mut cache = KvCache::new(4, Some(3));
        assert_holds(append(&mut cache, 0, 2), positions(0, 2));
        assert_holds(append(&mut cache, 2, 4), positions(0, 4));
        assert_holds(append(&mut cache, 4, 6), positions(1, 6));
        let mut copy = cache.clone();
        assert_holds(append(&mut cache, 6, 8), positions(3, 8));
        let bytes = cache.bytes();
        assert_holds(append(&mut cache, 8, 10), positions(5, 10));
        assert_holds(append(&mut cache, 10, 20), positions(7, 20));
        assert_holds(append(&mut cache, 20, 21), positions(17, 21));
        assert_eq!(cache.bytes(), bytes);
        copy.seal();
        assert_holds(append(&mut copy, 6, 8), positions(3, 8));
    }
}
