//! The kernel against plain operations.

use super::super::testing::{assert_close, error, random, test_device, there, values};
use super::*;
use burn::tensor::{Device, activation};

/// Heads of one of the three parts of `[rows, positions, 3 * heads * dim]`.
fn part(qkv: &Tensor<3>, i: usize, heads: usize) -> Tensor<4> {
    let [rows, positions, width] = qkv.dims();
    let x = qkv.clone().reshape([rows, positions, 3 * heads, width / 3 / heads]);
    x.swap_dims(1, 2).narrow(1, i * heads, heads)
}

struct Relative {
    /// `[2, heads, dim]`
    biases: Tensor<3>,
    /// `[distances, heads * dim]`
    table: Tensor<2>,
    first: usize,
}

/// The last `frames` positions of `qkv` over the last `keys`, by plain operations.
fn reference(
    qkv: &Tensor<3>,
    heads: usize,
    frames: usize,
    keys: usize,
    relative: Option<&Relative>,
) -> Tensor<3> {
    let [rows, all, width] = qkv.dims();
    let of = |i: usize, n: usize| part(qkv, i, heads).narrow(2, all - n, n);
    let (query, key, value) = (of(0, frames), of(1, keys), of(2, keys));
    let scores = match relative {
        None => query.matmul(key.swap_dims(2, 3)),
        Some(Relative { biases, table, first }) => {
            let dim = width / 3 / heads;
            let bias = |i: usize| biases.clone().narrow(0, i, 1).reshape([1, heads, 1, dim]);
            let other = query.clone() + bias(1);
            let [count, _] = table.dims();
            let table = table.clone().reshape([1, count, heads, dim]).permute([0, 2, 3, 1]);
            let by = other.matmul(table.expand([rows, heads, dim, count]));
            let row = |i: usize| by.clone().narrow(2, i, 1).narrow(3, first + frames - 1 - i, keys);
            let by = Tensor::cat((0..frames).map(row).collect(), 2);
            (query + bias(0)).matmul(key.swap_dims(2, 3)) + by
        }
    };
    let mixed = activation::softmax(scores, 3).matmul(value);
    mixed.swap_dims(1, 2).reshape([rows, frames, width / 3])
}

/// Sequences of `group` rows that go on in hops, in pages that lie anywhere in one memory.
struct Hops {
    memory: PageMemory,
    heads: usize,
    group: usize,
    /// Queries, keys and values of all positions so far, by sequence `[group, positions, width]`.
    all: Vec<Tensor<3>>,
    pages: Vec<Vec<u32>>,
}

/// Layers that the pages have for each row, and the one that the hops of a test are.
const LAYERS: usize = 3;
const LAYER: usize = 1;

impl Hops {
    fn new(sequences: usize, group: usize, heads: usize, dim: usize, kept: DType) -> Self {
        let layers = LAYERS * group + 1;
        let shape = PageShape { positions: 16, layers, heads, kv_heads: heads, head_dim: dim };
        let memory = PageMemory::new(&test_device(), shape, kept).unwrap();
        let all = vec![Tensor::zeros([group, 0, 3 * heads * dim], &Device::flex()); sequences];
        Self { memory, heads, group, all, pages: vec![Vec::new(); sequences] }
    }

    /// A hop of some sequences, each of which sees `left` positions before it; the largest error of
    /// what they attend to.
    fn hop(&mut self, which: &[usize], frames: usize, left: usize, relative: bool) -> f32 {
        let (group, heads) = (self.group, self.heads);
        let width = self.all[0].dims()[2];
        let new = random([which.len() * group, frames, width]) * 0.7;
        let mut places = Vec::new();
        for i in which {
            let len = self.all[*i].dims()[1];
            while self.pages[*i].len() * 16 < len + frames {
                let page = self.memory.pages() as u32;
                // One that nobody has lies before it.
                self.memory.grow(page as usize + 2);
                self.pages[*i].push(page + 1);
            }
            let first = len.saturating_sub(left);
            // The pages' first layer is nobody's.
            places.push(HopPages { pages: self.pages[*i].clone(), len, first, layer: 1 });
        }
        let step = self.memory.hop(&places, frames, group, LAYERS).unwrap();
        let table = relative.then(|| {
            let first = 3;
            let table = random([first + step.seen() + frames + 1, width / 3]);
            Relative { biases: random([2, heads, width / 3 / heads]), table, first }
        });
        let given = table
            .as_ref()
            .map(|r| RelativePositions::new(there(&r.biases), there(&r.table), r.first).unwrap());
        // Neighbouring layers get other numbers.
        step.attend(&(there(&new) * 3.0), LAYER - 1, given.as_ref());
        let got = step.attend(&there(&new), LAYER, given.as_ref());
        step.attend(&(there(&new) * -2.0), LAYER + 1, given.as_ref());
        let got = values(got);
        let mut worst = 0f32;
        for (k, (i, got)) in which.iter().zip(got.chunks(got.len() / which.len())).enumerate() {
            let own = new.clone().narrow(0, k * group, group);
            let before = self.all[*i].dims()[1];
            self.all[*i] = Tensor::cat(vec![self.all[*i].clone(), own], 1);
            let keys = before.min(left) + frames;
            let want = reference(&self.all[*i], heads, frames, keys, table.as_ref());
            worst = worst.max(error(got, &values(want)));
        }
        worst
    }
}

/// One sequence in hops of some lengths.
fn hops(group: usize, heads: usize, dim: usize, hops: &[usize], relative: bool) {
    let mut sequence = Hops::new(1, group, heads, dim, DType::F32);
    for frames in hops {
        let error = sequence.hop(&[0], *frames, usize::MAX, relative);
        assert!(error < 1e-5, "{group} {heads} {dim} {frames} of {hops:?}: {error:e}");
    }
}

/// Protects borders of tiles and pages, hops of any length and heads whose size no share divides.
#[test]
fn equals_plain_attention() {
    hops(2, 2, 64, &[50, 50, 50, 20, 1, 99, 50], false);
    hops(1, 3, 32, &[1, 7, 128, 8, 300, 9], false);
    hops(2, 2, 20, &[128, 5, 250], false);
    hops(1, 1, 128, &[30, 130, 17], false);
}

/// Protects scores by distance, whose table starts somewhere.
#[test]
fn adds_scores_by_distance() {
    hops(1, 2, 64, &[25, 25, 100, 3, 50], true);
    hops(2, 1, 20, &[9, 140], true);
}

/// Protects sequences in one launch from each other: they have come differently far, and keep to
/// their own pages, rows and layers.
#[test]
fn sequences_keep_to_their_own() {
    let mut sequences = Hops::new(3, 2, 2, 16, DType::F32);
    for (which, frames) in
        [(vec![1], 30), (vec![0, 1], 11), (vec![2, 0, 1], 50), (vec![1, 2], 7), (vec![0, 2], 64)]
    {
        let error = sequences.hop(&which, frames, usize::MAX, false);
        assert!(error < 1e-5, "{which:?}: {error:e}");
    }
}

/// Protects a window over what is kept, which begins anywhere in a page.
#[test]
fn a_window_hides_what_is_before_it() {
    let mut sequences = Hops::new(2, 1, 2, 32, DType::F32);
    for (which, frames) in [(vec![0], 40), (vec![0, 1], 20), (vec![1, 0], 33), (vec![0], 150)] {
        for relative in [false, which.len() == 1] {
            let error = sequences.hop(&which, frames, 37, relative);
            assert!(error < 1e-5, "{which:?} {relative}: {error:e}");
        }
    }
}

/// Protects whole sequences, of which nothing is kept.
#[test]
fn whole() {
    let qkv = random([3, 150, 3 * 2 * 16]);
    let got = attend_whole(&there(&qkv), 2, None).unwrap();
    assert_close("whole", got, reference(&qkv, 2, 150, 150, None), 1e-5);
}

/// Protects memory from a hop that has no place in it.
#[test]
fn a_hop_without_its_pages_is_refused() {
    let mut sequence = Hops::new(1, 1, 1, 8, DType::F32);
    sequence.hop(&[0], 20, usize::MAX, false);
    let with =
        |pages: &[u32], len, first, layer| HopPages { pages: pages.into(), len, first, layer };
    let fits = |pages, frames| sequence.memory.hop(&[pages], frames, 1, LAYERS).is_some();
    let held = sequence.pages[0].as_slice();
    assert!(fits(with(held, 20, 0, 1), 12));
    assert!(!fits(with(held, 20, 0, 1), 13), "more than the pages' positions");
    assert!(!fits(with(held, 20, 21, 1), 12), "a window after the end");
    assert!(!fits(with(held, 20, 0, 2), 12), "more than the pages' layers");
    assert!(!fits(with(&[held[0], 99], 20, 0, 1), 12), "a page that there is not");
}

/// Protects pages in bf16: results are near those of f32.
#[test]
#[ignore = "needs a device with bf16: run with MYNAH_DEVICE=cuda and --include-ignored"]
fn pages_may_be_bf16() {
    let mut sequence = Hops::new(1, 2, 2, 32, DType::BF16);
    for frames in [60, 60] {
        let error = sequence.hop(&[0], frames, usize::MAX, false);
        assert!(error < 1e-2, "{error:e}");
    }
}
