//! The kernel against plain operations.

use super::super::testing::{assert_close, random, there};
use super::*;
use burn::tensor::activation;

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

/// Hops of some lengths, one after another, in pages of `page` and with a window of `left`.
fn hops(rows: usize, heads: usize, dim: usize, page: usize, hops: &[usize], relative: bool) {
    let all = random([rows, hops.iter().sum(), 3 * heads * dim]) * 0.7;
    let mut pages: Vec<HopPage> = Vec::new();
    let mut done = 0;
    for frames in hops {
        let seen = all.clone().narrow(1, 0, done + frames);
        let hop = seen.clone().narrow(1, done, *frames);
        let mut attention = HopAttention::new(&there(&hop), heads).unwrap();
        let mut room = pages.last().map_or(0, HopPage::room);
        while room < *frames {
            pages.push(attention.page(rows, page));
            room += pages.last().unwrap().room();
        }
        let skipped = pages[0].filled() / 3;
        done += frames;
        let keys = done - skipped;
        let relative = relative.then(|| {
            let first = 3;
            let table = random([first + keys + frames + 1, heads * dim]);
            Relative { biases: random([2, heads, dim]), table, first }
        });
        let given = relative.as_ref().map(|r| {
            let (biases, table) = (there(&r.biases), there(&r.table));
            RelativePositions::new(biases, table, r.first).unwrap()
        });
        attention.run(0, rows, &mut pages, skipped, given.as_ref());
        let want = reference(&seen, heads, *frames, keys, relative.as_ref());
        let what = format!("{rows} {heads} {dim} {page} {frames} of {done}");
        assert_close(&what, attention.finish(), want, 1e-5);
        let (keys, values) = pages.last().unwrap().keys_values(0);
        let [_, _, kept, _] = values.dims();
        let last = |i: usize| part(&seen, i, heads).narrow(2, done - kept, kept);
        assert_eq!(keys.swap_dims(2, 3).into_data(), last(1).into_data());
        assert_eq!(values.into_data(), last(2).into_data());
    }
}

/// Protects borders of tiles and pages, hops of any length, pages that are partly skipped and
/// heads whose size no share divides.
#[test]
fn equals_plain_attention() {
    hops(2, 2, 64, 1, &[50, 50, 50, 20, 1, 99, 50], false);
    hops(1, 3, 32, 200, &[1, 7, 128, 8, 300, 9], false);
    hops(2, 2, 20, 128, &[128, 5, 250], false);
    hops(1, 1, 128, 128, &[30, 130, 17], false);
}

/// Protects scores by distance, whose table starts somewhere.
#[test]
fn adds_scores_by_distance() {
    hops(1, 2, 64, 1, &[25, 25, 100, 3, 50], true);
    hops(2, 1, 20, 1, &[9, 140], true);
}

/// Protects as many pages as there may be, and the kernels for fewer.
#[test]
fn many_pages() {
    hops(1, 1, 8, 1, &[128; MOST_HOP_PAGES], false);
}

/// Protects the rows of a batch that are others', and a sequence that keeps nothing.
#[test]
fn sessions_write_their_own_rows() {
    let (heads, frames) = (2, 11);
    let qkv = random([4, frames, 3 * heads * 16]);
    let mut attention = HopAttention::new(&there(&qkv), heads).unwrap();
    let mut page = attention.page(2, 50);
    attention.run(2, 2, [&mut page], 0, None);
    attention.run(0, 2, [], 0, None);
    let want = reference(&qkv, heads, frames, frames, None);
    assert_close("rows of two sessions", attention.finish(), want, 1e-5);
    let (_, values) = page.keys_values(0);
    let want = part(&qkv.narrow(0, 2, 2), 2, heads);
    assert_eq!(values.into_data(), want.into_data());
}

/// Protects sequences that keep nothing.
#[test]
fn alone() {
    let qkv = random([1, 11, 3 * 2 * 16]);
    let mut attention = HopAttention::new(&there(&qkv), 2).unwrap();
    attention.run(0, 1, [], 0, None);
    let want = reference(&qkv, 2, 11, 11, None);
    assert_close("alone", attention.finish(), want, 1e-5);
}

/// Protects a page that clones share from what one of them adds, and pages that were joined.
#[test]
fn clones_go_their_own_ways() {
    let (heads, frames) = (2, 40);
    let qkv = random([1, 3 * frames, 3 * heads * 16]);
    let hop = |i: usize| there(&qkv.clone().narrow(1, i * frames, frames));
    let run = |i: usize, pages: &mut [HopPage]| {
        let mut attention = HopAttention::new(&hop(i), heads).unwrap();
        attention.run(0, 1, pages, 0, None);
        attention.finish()
    };
    let mut pages = vec![HopAttention::new(&hop(0), heads).unwrap().page(1, 1)];
    run(0, &mut pages);
    let mut other = pages.clone();
    run(1, &mut pages);
    let want = reference(&qkv.clone().narrow(1, 0, 2 * frames), heads, frames, 2 * frames, None);
    assert_close("a clone", run(1, &mut other.clone()), want, 1e-5);
    run(2, &mut other);
    let joined = HopPage::join(&pages, 0).unwrap();
    assert_eq!((joined.filled(), joined.room()), (2 * frames, 0));
    for page in [&joined, &pages[0]] {
        let (_, values) = page.keys_values(0);
        let want = part(&qkv.clone().narrow(1, 0, 2 * frames), 2, heads);
        assert_eq!(values.into_data(), want.into_data());
    }
    let mut fresh = HopAttention::new(&hop(2), heads).unwrap();
    let mut pages = [joined, fresh.page(1, 1)];
    fresh.run(0, 1, &mut pages, 0, None);
    let want = reference(&qkv, heads, frames, 3 * frames, None);
    assert_close("joined", fresh.finish(), want, 1e-5);
}

/// Protects pages in bf16: results are near those of f32.
#[test]
#[ignore = "needs a device with bf16: run with MYNAH_DEVICE=cuda and --include-ignored"]
fn pages_may_be_bf16() {
    let (heads, frames) = (2, 60);
    let qkv = random([2, 2 * frames, 3 * heads * 32]) * 0.5;
    let mut pages: Vec<HopPage> = Vec::new();
    for i in 0..2 {
        let hop = qkv.clone().narrow(1, i * frames, frames);
        let mut attention = HopAttention::new(&there(&hop), heads).unwrap().halved();
        if pages.is_empty() {
            pages.push(attention.page(2, 1));
            assert_eq!(pages[0].bytes(), 2 * 2 * heads * PAGE * 32 * 2);
        }
        attention.run(0, 2, &mut pages, 0, None);
        let seen = qkv.clone().narrow(1, 0, (i + 1) * frames);
        let want = reference(&seen, heads, frames, (i + 1) * frames, None);
        assert_close("bf16", attention.finish(), want, 1e-2);
    }
}
