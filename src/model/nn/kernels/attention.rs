//! Attention of a block of queries over keys and values that lie in several pages, on the CPU.
//!
//! Tiles of keys with a running maximum and sum (Milakov & Gimelshein 2018), as in FlashAttention
//! (Dao et al. 2022): the scores are never in memory as a whole, and each tile's keys, values and
//! scores stay in the processor's cache.

use super::activation::{exponentiate, larger, maximum};
use super::from_values;
use super::multiply::{Isa, LANES, Rows};
use burn::backend::Flex;
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

/// Most keys per tile, and most queries that share one.
const TILE: usize = 256;
const QUERIES: usize = 64;
/// Multiply-adds of a call from which its heads are shared among threads.
const PARALLEL_FROM: usize = 1 << 25;

/// Keys `[batch, heads, head_dim, n]` and values `[batch, heads, n, head_dim]` of `n` positions.
pub(crate) type Page = (Tensor<4>, Tensor<4>);

/// Scores by the distance from query to key, which are added to those by content.
pub(crate) struct Distances<'a> {
    /// `[batch, heads, queries, head_dim]`
    pub queries: &'a Tensor<4>,
    /// Column `c` is for the query `keys - 1 - c` after the key, were the last queries the last
    /// keys: `[1, heads, head_dim, keys + queries - 1]`.
    pub columns: &'a Tensor<4>,
}

/// Attention of `queries` `[batch, heads, queries, head_dim]` (scaled already) over the keys of
/// all pages.
///
/// Gives `[batch, queries, heads * head_dim]`, or `None` where the tensors are not f32 in host
/// memory or the processor lacks the vector instructions.
pub(crate) fn attention(
    queries: &Tensor<4>,
    pages: &[Page],
    distances: Option<&Distances>,
) -> Option<Tensor<3>> {
    attention_by(Isa::detect()?, queries, pages, distances)
}

fn attention_by(
    isa: Isa,
    queries: &Tensor<4>,
    pages: &[Page],
    distances: Option<&Distances>,
) -> Option<Tensor<3>> {
    let [batch, heads, count, dim] = queries.dims();
    let queries = Heads::new(queries)?;
    let pages: Vec<(Heads, Heads)> =
        pages.iter().map(|(k, v)| Some((Heads::new(k)?, Heads::new(v)?))).collect::<Option<_>>()?;
    let distances = match distances {
        Some(Distances { queries, columns }) => Some((Heads::new(queries)?, Heads::new(columns)?)),
        None => None,
    };
    let keys: usize = pages.iter().map(|(_, values)| values.rows).sum();
    let mut mixed = vec![0f32; batch * heads * count * dim];
    if mixed.is_empty() {
        return Some(from_values(mixed, [batch, count, heads * dim]));
    }
    // Head by head, `[batch, heads, queries, head_dim]`.
    let head = |tile: &mut Tile, (i, output): (usize, &mut [f32])| {
        let (sample, head) = (i / heads, i % heads);
        let pages: Vec<_> =
            pages.iter().map(|(k, v)| (k.of(sample, head), v.of(sample, head), v.rows)).collect();
        for (block, output) in output.chunks_mut(QUERIES * dim).enumerate() {
            let first = block * QUERIES;
            let rows = output.len() / dim;
            let queries = queries.of(sample, head).skip(first);
            let distances = distances.as_ref().map(|(queries, columns)| {
                let columns = columns.of(0, head);
                // The last query of the block sees the first key at this column.
                let from = count - first - rows;
                let columns = Rows { data: &columns.data[from..], ..columns };
                (queries.of(sample, head).skip(first), columns)
            });
            tile.begin(rows, dim);
            let mut first = 0;
            for (keys, values, length) in &pages {
                // Tiles of like length, so that a short one is rare.
                let tiles = length.div_ceil(TILE).max(1);
                let most = length.div_ceil(tiles).max(1).next_multiple_of(LANES);
                for start in (0..*length).step_by(most) {
                    tile.keys = most.min(length - start);
                    let keys = Rows { data: &keys.data[start..], ..*keys };
                    tile.score(isa, queries, keys);
                    if let Some((queries, columns)) = distances {
                        tile.score_distances(isa, queries, columns, first + start);
                    }
                    fold(isa, tile);
                    tile.mix(isa, values.skip(start));
                }
                first += length;
            }
            tile.write(output);
        }
    };
    if mixed.len() * keys < PARALLEL_FROM {
        let mut tile = Tile::default();
        mixed.chunks_mut(count * dim).enumerate().for_each(|part| head(&mut tile, part));
    } else {
        mixed.par_chunks_mut(count * dim).enumerate().for_each_init(Tile::default, head);
    }
    let mut joined = vec![0f32; mixed.len()];
    for (i, rows) in mixed.chunks_exact(count * dim).enumerate() {
        let place = &mut joined[i / heads * count * heads * dim + i % heads * dim..];
        for (to, row) in place.chunks_mut(heads * dim).zip(rows.chunks_exact(dim)) {
            to[..dim].copy_from_slice(row);
        }
    }
    Some(from_values(joined, [batch, count, heads * dim]))
}

/// A tensor `[batch, heads, rows, elements]` in host memory whose elements lie together.
struct Heads {
    tensor: FlexTensor,
    /// From a sample, a head, and a row, to the next.
    strides: [usize; 3],
    rows: usize,
}

impl Heads {
    /// A copy where the elements lie apart; `None` where they are out of reach.
    fn new(x: &Tensor<4>) -> Option<Self> {
        let [_, _, rows, _] = x.dims();
        let tensor = x.clone().try_into_primitive::<Flex>().ok()?;
        if tensor.dtype() != DType::F32 {
            return None;
        }
        let together = tensor.layout().strides().iter().all(|stride| *stride >= 0)
            && tensor.layout().strides().last() == Some(&1);
        let tensor = if together { tensor } else { tensor.to_contiguous() };
        let stride = |d: usize| usize::try_from(*tensor.layout().strides().get(d)?).ok();
        let strides = [stride(0)?, stride(1)?, stride(2)?];
        Some(Self { strides, rows, tensor })
    }

    fn of(&self, sample: usize, head: usize) -> Rows<'_> {
        let [of_sample, of_head, stride] = self.strides;
        let first = self.tensor.layout().start_offset() + sample * of_sample + head * of_head;
        Rows { data: &self.tensor.storage::<f32>()[first..], stride }
    }
}

/// A block of queries on its way over the keys, and the keys it is at.
#[derive(Default)]
struct Tile {
    rows: usize,
    dim: usize,
    /// `dim` as whole vectors.
    padded: usize,
    /// Keys in the tile.
    keys: usize,
    /// `[rows, TILE]`
    scores: Vec<f32>,
    /// `[rows, COLUMNS]`
    by_distance: Vec<f32>,
    /// Rows that do not fill whole vectors where they lie.
    copied: Vec<f32>,
    /// Of every row so far: the largest score, the sum of the weights, and the mixture
    /// `[rows, padded]`.
    most: Vec<f32>,
    sums: Vec<f32>,
    mixture: Vec<f32>,
}

/// Most columns by distance of a tile.
const COLUMNS: usize = TILE + QUERIES;

impl Tile {
    fn begin(&mut self, rows: usize, dim: usize) {
        (self.rows, self.dim, self.padded) = (rows, dim, dim.next_multiple_of(LANES));
        self.scores.resize(rows * TILE, 0.0);
        self.most.clear();
        self.most.resize(rows, f32::NEG_INFINITY);
        self.sums.clear();
        self.sums.resize(rows, 0.0);
        self.mixture.clear();
        self.mixture.resize(rows * self.padded, 0.0);
    }

    fn score(&mut self, isa: Isa, queries: Rows, keys: Rows) {
        let width = self.keys.next_multiple_of(LANES);
        // Whole vectors are read where there is something behind the keys, whatever it is.
        let reached = (self.dim - 1) * keys.stride + width <= keys.data.len();
        let keys =
            if reached { keys } else { copy(&mut self.copied, keys, self.dim, self.keys, TILE) };
        let shape = [self.rows, self.dim, width];
        isa.multiply(shape, queries, keys, &mut self.scores, TILE, false);
    }

    /// Adds the scores by distance. Column `c` of `columns` is the distance of the last query and
    /// the key `c`, of the query before it and the key `c - 1`, and so on.
    fn score_distances(&mut self, isa: Isa, queries: Rows, columns: Rows, start: usize) {
        let count = self.keys + self.rows - 1;
        self.by_distance.resize(self.rows * COLUMNS, 0.0);
        let columns = Rows { data: &columns.data[start..], ..columns };
        let columns = copy(&mut self.copied, columns, self.dim, count, COLUMNS);
        let shape = [self.rows, self.dim, count.next_multiple_of(LANES)];
        isa.multiply(shape, queries, columns, &mut self.by_distance, COLUMNS, false);
        let rows = self.scores.chunks_mut(TILE).zip(self.by_distance.chunks(COLUMNS));
        for (i, (scores, by_distance)) in rows.enumerate() {
            let by_distance = &by_distance[self.rows - 1 - i..];
            scores[..self.keys].iter_mut().zip(by_distance).for_each(|(s, d)| *s += d);
        }
    }

    /// Adds the values by their weights.
    fn mix(&mut self, isa: Isa, values: Rows) {
        let weights = Rows { data: &self.scores, stride: TILE };
        let values = match self.dim == self.padded {
            true => values,
            false => copy(&mut self.copied, values, self.keys, self.dim, self.padded),
        };
        let shape = [self.rows, self.keys, self.padded];
        isa.multiply(shape, weights, values, &mut self.mixture, self.padded, true);
    }

    /// `[rows, dim]`
    fn write(&self, output: &mut [f32]) {
        let rows = self.mixture.chunks(self.padded.max(1)).zip(&self.sums);
        for (to, (row, sum)) in output.chunks_mut(self.dim).zip(rows) {
            let scale = 1.0 / sum;
            to.iter_mut().zip(row).for_each(|(to, x)| *to = x * scale);
        }
    }
}

/// The first `width` elements of the first `count` rows, `stride` apart and zeros between.
fn copy<'a>(
    to: &'a mut Vec<f32>,
    rows: Rows,
    count: usize,
    width: usize,
    stride: usize,
) -> Rows<'a> {
    to.clear();
    to.resize(count * stride, 0.0);
    for (i, row) in to.chunks_exact_mut(stride).enumerate() {
        row[..width].copy_from_slice(&rows.data[i * rows.stride..][..width]);
    }
    Rows { data: to, stride }
}

/// Turns the scores of a tile into weights relative to the largest so far, and what was gathered
/// before it likewise.
fn fold(isa: Isa, tile: &mut Tile) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f")]
        fn avx512(tile: &mut Tile) {
            fold_body(tile);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(tile: &mut Tile) {
            fold_body(tile);
        }
        // SAFETY: an `Isa` is given away only where the processor has its instructions.
        match isa {
            Isa::Avx512 => unsafe { avx512(tile) },
            Isa::Avx2 => unsafe { avx2(tile) },
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = isa;
        fold_body(tile);
    }
}

#[inline(always)]
fn fold_body(tile: &mut Tile) {
    let rows = tile.scores.chunks_mut(TILE).zip(tile.mixture.chunks_mut(tile.padded));
    let rows = rows.zip(tile.most.iter_mut().zip(&mut tile.sums));
    for ((scores, mixture), (most, sum)) in rows {
        let scores = &mut scores[..tile.keys];
        let larger = larger(*most, maximum(scores));
        if larger > *most {
            // Zero before the first tile, where nothing is gathered yet.
            let scale = (*most - larger).exp();
            *sum *= scale;
            mixture.iter_mut().for_each(|x| *x *= scale);
            *most = larger;
        }
        *sum += exponentiate(scores, larger);
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, activation};

    fn random(shape: [usize; 4]) -> Tensor<4> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    /// Protects tiles and blocks of queries that end within pages, views, sizes that no vector
    /// divides, several samples and the split among threads, against the formula.
    #[test]
    fn equals_softmax_attention() {
        for (batch, heads, queries, dim, pages) in [
            (1, 1, 1, 3, vec![1]),
            (2, 3, 5, 8, vec![2, 130, 1]),
            (1, 4, 50, 32, vec![200, 200, 50]),
            (1, 2, 65, 20, vec![128]),
            (2, 4, 150, 64, vec![500, 300]),
        ] {
            let query = random([batch, queries, heads, dim]).swap_dims(1, 2);
            let page = |n: usize| {
                let keys = random([batch, heads, dim, n + 3]).narrow(3, 2, n);
                (keys, random([batch, heads, n + 3, dim]).narrow(2, 1, n))
            };
            let pages: Vec<Page> = pages.into_iter().map(page).collect();
            let (keys, values): (Vec<_>, Vec<_>) = pages.iter().cloned().unzip();
            let (keys, values) = (Tensor::cat(keys, 3), Tensor::cat(values, 2));
            let count = keys.dims()[3];
            let (by, columns) =
                (random(query.dims()), random([1, heads, dim, count + queries - 1]));
            let aligned = |i: usize| {
                let query = by.clone().narrow(2, i, 1);
                let columns = columns.clone().narrow(3, queries - 1 - i, count);
                query.matmul(columns.expand([batch, heads, dim, count]))
            };
            let distances = Tensor::cat((0..queries).map(aligned).collect(), 2);
            let content = query.clone().matmul(keys);
            for relative in [false, true] {
                let scores =
                    if relative { content.clone() + distances.clone() } else { content.clone() };
                let want = activation::softmax(scores, 3).matmul(values.clone());
                let want = want.swap_dims(1, 2).reshape([batch, queries, heads * dim]);
                let given = Distances { queries: &by, columns: &columns };
                for isa in [Isa::Avx512, Isa::Avx2].into_iter().filter(|isa| isa.available()) {
                    let given = relative.then_some(&given);
                    let got = attention_by(isa, &query, &pages, given).unwrap();
                    let error = (got - want.clone()).abs().max().into_scalar::<f32>();
                    assert!(error < 3e-5, "{isa:?} {queries} {dim} {relative}: {error:e}");
                }
            }
        }
    }

    /// A row that is not a number stays so, and touches no other.
    #[test]
    fn nan_stays_in_its_row() {
        let Some(isa) = Isa::detect() else { return };
        let query = random([1, 1, 4, 16]);
        let spoilt = Tensor::full([1, 1, 1, 16], f32::NAN, &Device::flex());
        let query = Tensor::cat(vec![query, spoilt], 2);
        let page = (random([1, 1, 16, 40]), random([1, 1, 40, 16]));
        let got = attention_by(isa, &query, &[page], None).unwrap();
        let got: Vec<f32> = got.into_data().iter::<f32>().collect();
        assert!(got[..64].iter().all(|x| x.is_finite()));
        assert!(got[64..].iter().all(|x| x.is_nan()));
    }
}
