//! Attention of a hop of frames over itself and all that was kept before it, which also keeps the
//! hop's own keys and values: one launch per session in place of some tens.
//!
//! A cube of threads makes a few queries of one head, over tiles of keys with a running maximum and
//! sum (Milakov & Gimelshein 2018), as in FlashAttention (Dao et al. 2022). Four threads share a
//! key's score; then the threads split the tile's values among them, so that every key and value is
//! read from memory once per cube, and straight into registers: those of the next tile are on their
//! way while this one is worked on.

use super::{VECTOR, buffer, empty, from_cube, into_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeDevice;
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::Client;
use cubecl::prelude::*;
use half::bf16;
use std::sync::Arc;

/// Threads of a cube.
const THREADS: usize = 256;
/// Queries of a cube.
const QUERIES: usize = 8;
/// Keys of a tile.
const TILE: usize = 128;
/// Threads that share a key's score.
const SHARES: usize = 4;
/// Keys that a thread scores a share of.
const KEYS: usize = TILE * SHARES / THREADS;
/// Elements from a share's scores of a query to the next one's, so that the shares of a few keys
/// lie in different banks.
const STRIDE: usize = TILE + THREADS / SHARES / 8;
/// Threads that share a query's weights.
const PARTS: usize = THREADS / QUERIES;
/// Queries whose mixtures are exchanged at a time.
const EXCHANGED: usize = 2;
/// A score that gives no weight.
const UNSEEN: f32 = -1e30;
/// Most elements of a head, and most where positions are relative: they are in shared memory.
const MOST_DIM: usize = 128;
const MOST_RELATIVE_DIM: usize = 64;
/// Positions of a page are a multiple of this.
const PAGE: usize = TILE;

/// Most pages that one call can see.
pub(crate) const MOST_HOP_PAGES: usize = 16;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    heads: usize,
    dim: usize,
    /// Pages, the hop's own positions not counted.
    pages: usize,
    relative: bool,
}

/// Keys and values of a run of positions. Clones share the memory until one of them is written to.
#[derive(Debug, Clone)]
pub(crate) struct HopPage {
    /// `[2, rows, heads, capacity, head_dim]`: keys, values. Whoever holds it alone may write
    /// after the positions that are filled.
    memory: Arc<CubeTensor>,
    filled: usize,
}

/// Scores by distance, which are added to those by content.
#[derive(Debug)]
pub(crate) struct RelativePositions {
    /// What is added to the queries for the scores by content, and for those by distance,
    /// `[2, heads, head_dim]`.
    biases: CubeTensor,
    /// `[distances, heads, head_dim]`
    distances: CubeTensor,
    /// Distances of the table.
    count: usize,
    /// Where in the table the last query of a hop finds the distance to the first key.
    first: usize,
}

/// A batch of hops on its way through an attention.
#[derive(Debug)]
pub(crate) struct HopAttention {
    /// `[rows, frames, 3 * heads * head_dim]`: queries (scaled), keys, values.
    qkv: CubeTensor,
    /// `[rows, frames, heads * head_dim]`
    out: CubeTensor,
    heads: usize,
    dim: usize,
    frames: usize,
    /// Type of new pages.
    kept: DType,
}

impl RelativePositions {
    /// `biases` `[2, heads, head_dim]`; `distances` `[distances, heads * head_dim]`, of which row
    /// `first + queries - 1 - i + j` is for the query `i` and the key `j`. None where they are not
    /// on a device of ours.
    pub fn new(biases: Tensor<3>, distances: Tensor<2>, first: usize) -> Option<Self> {
        let [count, _] = distances.dims();
        let (biases, distances) = (float(biases)?, float(distances)?);
        Some(Self { biases, distances, count, first })
    }
}

fn float<const D: usize>(x: Tensor<D>) -> Option<CubeTensor> {
    (x.dtype() == DType::F32).then(|| into_cube(x)).flatten()
}

impl HopPage {
    fn new(
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

    fn dims(&self) -> [usize; 5] {
        let shape = self.memory.meta.shape();
        [0, 1, 2, 3, 4].map(|i| shape[i])
    }

    fn capacity(&self) -> usize {
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
    fn own(&mut self) {
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

impl HopAttention {
    /// Of `qkv` `[rows, frames, 3 * heads * head_dim]`: queries (scaled), keys and values. None
    /// where it is not on a device of ours, or its sizes are not for the kernel.
    pub fn new(qkv: &Tensor<3>, heads: usize) -> Option<Self> {
        let [rows, frames, width] = qkv.dims();
        let dim = width / (3 * heads).max(1);
        let fits = dim > 0 && dim.is_multiple_of(VECTOR) && dim <= MOST_DIM;
        if !fits || width != 3 * heads * dim || frames == 0 {
            return None;
        }
        let qkv = float(qkv.clone())?;
        let out = empty(&qkv.client, &qkv.device, [rows, frames, heads * dim]);
        Some(Self { qkv, out, heads, dim, frames, kept: DType::F32 })
    }

    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Whether there is a kernel that adds scores by distance, too.
    pub fn can_be_relative(&self) -> bool {
        self.dim <= MOST_RELATIVE_DIM
    }

    /// Keeps keys and values in bf16: half the memory.
    #[cfg(test)]
    fn halved(self) -> Self {
        Self { kept: DType::BF16, ..self }
    }

    /// A page without positions for `rows` rows, with room for at least `capacity`.
    pub fn page(&self, rows: usize, capacity: usize) -> HopPage {
        let capacity = capacity.max(1).next_multiple_of(PAGE);
        let shape = [rows, self.heads, capacity, self.dim];
        HopPage::new(&self.qkv.client, &self.qkv.device, shape, self.kept)
    }

    /// Whether a page is of the same kind as those of this attention.
    pub fn takes(&self, page: &HopPage, rows: usize) -> bool {
        let [_, held, heads, _, dim] = page.dims();
        (held, heads, dim) == (rows, self.heads, self.dim)
    }

    /// The attention of `rows` rows from `first` on over the positions of `pages`, but the first
    /// `skipped`, and over one another. Their keys and values are added to the pages, as far as
    /// there is room; at most [`MOST_HOP_PAGES`] of them.
    pub fn run<'a>(
        &mut self,
        first: usize,
        rows: usize,
        pages: impl IntoIterator<Item = &'a mut HopPage>,
        skipped: usize,
        relative: Option<&RelativePositions>,
    ) {
        let (frames, client) = (self.frames, self.qkv.client.clone());
        let mut runs = Vec::with_capacity(MOST_HOP_PAGES);
        let (mut left, mut unseen) = (frames, skipped);
        for page in pages {
            assert!(self.takes(page, rows), "a page of another attention");
            let added = left.min(page.room());
            if added > 0 {
                page.own();
            }
            let numbers = [page.capacity(), unseen, page.filled - unseen, added];
            runs.push((page.memory.clone(), numbers));
            page.filled += added;
            (left, unseen) = (left - added, 0);
        }
        assert!(runs.len() <= MOST_HOP_PAGES, "more pages than a kernel can see");
        // A few kernels serve all numbers of pages.
        let count = if runs.is_empty() { 0 } else { runs.len().next_power_of_two() };
        while let Some((memory, _)) = runs.first().filter(|_| runs.len() < count) {
            runs.push((memory.clone(), [0; 4]));
        }
        let kept = runs.first().map_or(DType::F32, |(memory, _)| memory.dtype);
        let keys: usize = frames + runs.iter().map(|(_, [_, _, held, _])| held).sum::<usize>();
        if let Some(relative) = relative {
            assert!(self.can_be_relative() && relative.first + keys + frames - 1 <= relative.count);
        }
        let shape =
            Shape { heads: self.heads, dim: self.dim, pages: count, relative: relative.is_some() };
        let cubes =
            CubeCount::Static(frames.div_ceil(QUERIES) as u32, self.heads as u32, rows as u32);
        let threads = CubeDim::new_1d(THREADS as u32);
        let qkv = buffer(&self.qkv, VECTOR);
        let biases = buffer(relative.map_or(&self.qkv, |relative| &relative.biases), VECTOR);
        let distances = buffer(relative.map_or(&self.qkv, |relative| &relative.distances), VECTOR);
        let distance = relative.map_or(0, |relative| relative.first);
        let out = buffer(&self.out, VECTOR);
        let numbers = NumbersLaunch::new(frames as u32, first as u32, distance as u32);
        let pages = || runs.iter().map(|(memory, _)| buffer(memory, VECTOR));
        let places = runs.iter().flat_map(|(_, numbers)| numbers.map(|n| n as u32)).collect();
        // SAFETY: the indices stay within the buffers, whose sizes were checked.
        unsafe {
            match kept {
                DType::BF16 => hop_attention::launch_unchecked::<bf16>(
                    &client,
                    cubes,
                    threads,
                    VECTOR,
                    qkv,
                    pages().collect(),
                    places,
                    biases,
                    distances,
                    out,
                    numbers,
                    shape,
                ),
                _ => hop_attention::launch_unchecked::<f32>(
                    &client,
                    cubes,
                    threads,
                    VECTOR,
                    qkv,
                    pages().collect(),
                    places,
                    biases,
                    distances,
                    out,
                    numbers,
                    shape,
                ),
            }
        }
    }

    /// The mixtures `[rows, frames, heads * head_dim]` of all rows that were run.
    pub fn finish(self) -> Tensor<3> {
        from_cube(self.out)
    }
}

#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Numbers {
    /// Frames of the hop.
    frames: u32,
    /// Row of the batch that is the first of the pages.
    row: u32,
    /// The first distance of the table that is of use.
    distance: u32,
}

/// Keys or values that are on their way, of positions of one run.
#[derive(CubeType)]
struct Run {
    /// Which page; their number for the hop itself.
    index: u32,
    /// Positions of the run, and those of the tiles that are done.
    length: u32,
    done: u32,
    /// Positions of the runs before.
    before: u32,
}

/// `places`: of every page its capacity, positions that are skipped, that are seen, and that are
/// added.
#[cube(launch_unchecked)]
fn hop_attention<W: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    mut pages: Sequence<Box<[Vector<W, N>]>>,
    places: Sequence<u32>,
    biases: &[Vector<f32, N>],
    distances: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    numbers: Numbers,
    #[comptime] shape: Shape,
) {
    // Vectors of a head, those of each share of a score, and of a frame.
    let lanes = comptime!(shape.dim / VECTOR);
    let share = comptime!(lanes.div_ceil(SHARES));
    let padded = comptime!(share * SHARES);
    let width = comptime!(3 * shape.heads * lanes);
    // Threads side by side that mix the values of the same keys, and how many those are.
    let groups = comptime!(THREADS / lanes);
    let each = comptime!(TILE.div_ceil(groups));
    let even = comptime!(groups * lanes == THREADS && groups * each == TILE);

    let thread = UNIT_POS as usize;
    let head = CUBE_POS_Y as usize;
    let sample = CUBE_POS_Z as usize;
    let rows = CUBE_COUNT_Z as usize;
    let frames = numbers.frames as usize;
    let first = CUBE_POS_X as usize * QUERIES;
    // The first frame of the row, and in it the head's queries.
    let row = (numbers.row as usize + sample) * frames;
    let own = row * width + head * lanes;

    let mut queries = Shared::<[Vector<f32, N>]>::new_slice(comptime!(QUERIES * padded));
    let mut by_distance = Shared::<[Vector<f32, N>]>::new_slice(comptime!(if shape.relative {
        QUERIES * padded
    } else {
        1
    }));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(QUERIES * SHARES * STRIDE));
    let mut partial = Shared::<[f32]>::new_slice(THREADS);
    let mut scales = Shared::<[f32]>::new_slice(QUERIES);
    let mut mixed = Shared::<[Vector<f32, N>]>::new_slice(comptime!(EXCHANGED * THREADS));

    let mut at = thread;
    while at < comptime!(QUERIES * padded) {
        let frame = first + at / padded;
        let lane = at % padded;
        let mut query = Vector::new(0f32);
        let mut other = Vector::new(0f32);
        if frame < frames && lane < lanes {
            query = qkv[own + frame * width + lane];
            if comptime!(shape.relative) {
                other = query + biases[(shape.heads + head) * lanes + lane];
                query = query + biases[head * lanes + lane];
            }
        }
        queries[at] = query;
        if comptime!(shape.relative) {
            by_distance[at] = other;
        }
        at += THREADS;
    }

    // The cube keeps the keys and values of the frames whose queries it makes.
    if comptime!(shape.pages > 0) {
        let mut at = thread;
        while at < comptime!(2 * QUERIES * lanes) {
            let lane = at % lanes;
            let frame = first + at / lanes % QUERIES;
            let kind = at / comptime!(lanes * QUERIES);
            if frame < frames {
                let value = Vector::<W, N>::cast_from(
                    qkv[own + frame * width + (1 + kind) * comptime!(shape.heads * lanes) + lane],
                );
                let mut from = 0usize;
                #[unroll]
                for p in 0..shape.pages {
                    let added = places[comptime!(4 * p + 3)] as usize;
                    if frame >= from && frame < from + added {
                        let capacity = places[comptime!(4 * p)] as usize;
                        let filled =
                            (places[comptime!(4 * p + 1)] + places[comptime!(4 * p + 2)]) as usize;
                        let place = ((kind * rows + sample) * shape.heads + head) * capacity
                            + filled
                            + frame
                            - from;
                        write::<W, N>(pages.index_mut(p), place * lanes + lane, value);
                    }
                    from += added;
                }
            }
            at += THREADS;
        }
    }

    // The share of a score, and the keys, that are the thread's.
    let part = thread % SHARES;
    let slot = thread / SHARES;
    // The query whose weights the thread makes some of.
    let asked = thread / PARTS;
    let member = thread % PARTS;
    // The values that it mixes.
    let lane = thread % lanes;
    let group = thread / lanes;

    let mut most = f32::new(UNSEEN);
    let mut sum = 0f32;
    let mut mixture = Array::<Vector<f32, N>>::new(QUERIES);
    #[unroll]
    for q in 0..QUERIES {
        mixture[q] = Vector::new(0f32);
    }
    let mut keys = Array::<Vector<f32, N>>::new(comptime!(KEYS * share));
    let mut values = Array::<Vector<f32, N>>::new(each);

    let mut run = Run { index: 0, length: numbers.frames, done: 0, before: 0 };
    if comptime!(shape.pages > 0) {
        run.length = places[2];
    }
    settle(&mut run, &places, numbers.frames, shape);
    load_keys::<W, N>(&run, &pages, &places, qkv, own, slot, part, &mut keys, shape);

    sync_cube();
    while run.done < run.length {
        let seen = run.length - run.done;
        load_values::<W, N>(&run, &pages, &places, qkv, own, rows, group, lane, &mut values, shape);

        #[unroll]
        for q in 0..QUERIES {
            #[unroll]
            for k in 0..KEYS {
                let mut score = Vector::new(0f32);
                #[unroll]
                for i in 0..share {
                    score +=
                        queries[q * padded + i * SHARES + part] * keys[comptime!(k * share + i)];
                }
                if comptime!(shape.relative) {
                    let key = slot + k * comptime!(THREADS / SHARES);
                    let key = clamp_to(key, seen as usize) + (run.done + run.before) as usize;
                    let query = clamp_to(first + q, frames);
                    let distance = numbers.distance as usize + frames - 1 - query + key;
                    let start = (distance * shape.heads + head) * lanes;
                    #[unroll]
                    for i in 0..share {
                        score += by_distance[q * padded + i * SHARES + part]
                            * distances[start + clamp_to(i * SHARES + part, lanes)];
                    }
                }
                let place = comptime!(q * SHARES * STRIDE + k * (THREADS / SHARES));
                scores[place + part * STRIDE + slot] = score.vector_sum();
            }
        }
        // The next tile's keys, while this one's weights are made.
        run.done += TILE as u32;
        settle(&mut run, &places, numbers.frames, shape);
        if run.done < run.length {
            load_keys::<W, N>(&run, &pages, &places, qkv, own, slot, part, &mut keys, shape);
        }
        sync_cube();

        let mut weights = Array::<f32>::new(comptime!(TILE / PARTS));
        let start = asked * comptime!(SHARES * STRIDE) + member;
        let mut larger = most;
        #[unroll]
        for i in 0..comptime!(TILE / PARTS) {
            let mut score = 0f32;
            #[unroll]
            for s in 0..SHARES {
                score += scores[start + comptime!(s * STRIDE + i * PARTS)];
            }
            if (member + comptime!(i * PARTS)) as u32 >= seen {
                score = f32::new(UNSEEN);
            }
            weights[i] = score;
            larger = max(larger, score);
        }
        partial[thread] = larger;
        sync_cube();
        for i in 0..PARTS {
            larger = max(larger, partial[asked * PARTS + i]);
        }
        let scale = (most - larger).exp();
        sum *= scale;
        most = larger;
        #[unroll]
        for i in 0..comptime!(TILE / PARTS) {
            let weight = (weights[i] - larger).exp();
            sum += weight;
            // In place of the scores, which nobody else reads.
            scores[start + comptime!(i * PARTS)] = weight;
        }
        if member == 0 {
            scales[asked] = scale;
        }
        sync_cube();

        #[unroll]
        for q in 0..QUERIES {
            let mut result = mixture[q] * Vector::new(scales[q]);
            #[unroll]
            for i in 0..each {
                let key = group * each + i;
                if comptime!(even) {
                    result += Vector::new(scores[q * comptime!(SHARES * STRIDE) + key]) * values[i];
                } else if key < TILE {
                    result += Vector::new(scores[q * comptime!(SHARES * STRIDE) + key]) * values[i];
                }
            }
            mixture[q] = result;
        }
        sync_cube();
    }

    // The sums and the mixtures of all threads come together.
    partial[thread] = sum;
    #[unroll]
    for round in 0..comptime!(QUERIES / EXCHANGED) {
        #[unroll]
        for q in 0..EXCHANGED {
            mixed[q * THREADS + thread] = mixture[comptime!(round * EXCHANGED + q)];
        }
        sync_cube();
        if thread < comptime!(EXCHANGED * lanes) {
            let q = thread / lanes;
            let query = comptime!(round * EXCHANGED) + q;
            if first + query < frames {
                let mut sum = 0f32;
                for i in 0..PARTS {
                    sum += partial[query * PARTS + i];
                }
                let mut total = Vector::new(0f32);
                for g in 0..groups {
                    total += mixed[q * THREADS + g * lanes + lane];
                }
                let place = (row + first + query) * comptime!(shape.heads * lanes) + head * lanes;
                out[place + lane] = total / Vector::new(sum);
            }
        }
        sync_cube();
    }
}

#[cube]
fn read<W: Float, N: Size>(page: &[Vector<W, N>], at: usize) -> Vector<f32, N> {
    Vector::cast_from(page[at])
}

#[cube]
fn write<W: Float, N: Size>(page: &mut [Vector<W, N>], at: usize, value: Vector<W, N>) {
    page[at] = value;
}

/// The index, or the last of so many.
#[cube]
fn clamp_to(index: usize, count: usize) -> usize {
    let mut result = index;
    if index >= count {
        result = count - 1;
    }
    result
}

/// Moves on to the next run that has positions, where this one has none left. Past the last, which
/// is the hop itself, nothing is left.
#[cube]
fn settle(run: &mut Run, places: &Sequence<u32>, frames: u32, #[comptime] shape: Shape) {
    #[unroll]
    for p in 0..shape.pages {
        if run.index == p as u32 && run.done >= run.length {
            run.before += run.length;
            run.index += 1;
            run.done = 0;
            if comptime!(p + 1 < shape.pages) {
                run.length = places[comptime!(4 * (p + 1) + 2)];
            } else {
                run.length = frames;
            }
        }
    }
}

/// The thread's share of its keys of the run's next tile. Where there are no more, the last: the
/// scores will not count.
#[cube]
fn load_keys<W: Float, N: Size>(
    run: &Run,
    pages: &Sequence<Box<[Vector<W, N>]>>,
    places: &Sequence<u32>,
    qkv: &[Vector<f32, N>],
    own: usize,
    slot: usize,
    part: usize,
    keys: &mut Array<Vector<f32, N>>,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.dim / VECTOR);
    let share = comptime!(lanes.div_ceil(SHARES));
    let inner = comptime!(shape.heads * lanes);
    let batch = CUBE_POS_Z as usize * shape.heads + CUBE_POS_Y as usize;
    #[unroll]
    for p in 0..shape.pages {
        if run.index == p as u32 {
            let start =
                batch * places[comptime!(4 * p)] as usize + places[comptime!(4 * p + 1)] as usize;
            #[unroll]
            for k in 0..KEYS {
                let key = run.done as usize + slot + comptime!(k * (THREADS / SHARES));
                let key = start + clamp_to(key, run.length as usize);
                #[unroll]
                for i in 0..share {
                    let lane = clamp_lane(i * SHARES + part, lanes);
                    keys[comptime!(k * share + i)] =
                        read::<W, N>(pages.index(p), key * lanes + lane);
                }
            }
        }
    }
    if run.index == comptime!(shape.pages as u32) {
        #[unroll]
        for k in 0..KEYS {
            let key = run.done as usize + slot + comptime!(k * (THREADS / SHARES));
            let key = clamp_to(key, run.length as usize);
            #[unroll]
            for i in 0..share {
                let lane = clamp_lane(i * SHARES + part, lanes);
                keys[comptime!(k * share + i)] =
                    qkv[own + inner + key * comptime!(3 * inner) + lane];
            }
        }
    }
}

/// [`clamp_to`], which costs nothing where the shares of a score are equal.
#[cube]
fn clamp_lane(lane: usize, #[comptime] lanes: usize) -> usize {
    let mut result = lane;
    if comptime!(!lanes.is_multiple_of(SHARES)) {
        result = clamp_to(lane, lanes);
    }
    result
}

/// The thread's values of the run's next tile. Where there are no more, the last: it will have no
/// weight.
#[cube]
fn load_values<W: Float, N: Size>(
    run: &Run,
    pages: &Sequence<Box<[Vector<W, N>]>>,
    places: &Sequence<u32>,
    qkv: &[Vector<f32, N>],
    own: usize,
    rows: usize,
    group: usize,
    lane: usize,
    values: &mut Array<Vector<f32, N>>,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.dim / VECTOR);
    let each = comptime!(TILE.div_ceil(THREADS / lanes));
    let inner = comptime!(shape.heads * lanes);
    let batch = (rows + CUBE_POS_Z as usize) * shape.heads + CUBE_POS_Y as usize;
    #[unroll]
    for p in 0..shape.pages {
        if run.index == p as u32 {
            let start =
                batch * places[comptime!(4 * p)] as usize + places[comptime!(4 * p + 1)] as usize;
            #[unroll]
            for i in 0..each {
                let key = clamp_to(run.done as usize + group * each + i, run.length as usize);
                values[i] = read::<W, N>(pages.index(p), (start + key) * lanes + lane);
            }
        }
    }
    if run.index == comptime!(shape.pages as u32) {
        #[unroll]
        for i in 0..each {
            let key = clamp_to(run.done as usize + group * each + i, run.length as usize);
            values[i] = qkv[own + comptime!(2 * inner) + key * comptime!(3 * inner) + lane];
        }
    }
}

#[cfg(test)]
mod on_a_gpu {
    use super::super::test_device;
    use super::*;
    use burn::tensor::{Device, Distribution, activation};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn on_device<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
        Tensor::from_data(x.clone().into_data(), &test_device())
    }

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
                let row =
                    |i: usize| by.clone().narrow(2, i, 1).narrow(3, first + frames - 1 - i, keys);
                let by = Tensor::cat((0..frames).map(row).collect(), 2);
                (query + bias(0)).matmul(key.swap_dims(2, 3)) + by
            }
        };
        let mixed = activation::softmax(scores, 3).matmul(value);
        mixed.swap_dims(1, 2).reshape([rows, frames, width / 3])
    }

    fn error(got: Tensor<3>, want: Tensor<3>) -> f32 {
        let got = Tensor::from_data(got.into_data(), &Device::flex());
        ((got - want.clone()).abs().max() / want.abs().max()).into_scalar::<f32>()
    }

    /// Hops of some lengths, one after another, in pages of `page` and with a window of `left`.
    fn hops(rows: usize, heads: usize, dim: usize, page: usize, hops: &[usize], relative: bool) {
        let all = random([rows, hops.iter().sum(), 3 * heads * dim]) * 0.7;
        let mut pages: Vec<HopPage> = Vec::new();
        let mut done = 0;
        for frames in hops {
            let seen = all.clone().narrow(1, 0, done + frames);
            let hop = seen.clone().narrow(1, done, *frames);
            let mut attention = HopAttention::new(&on_device(&hop), heads).unwrap();
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
                let (biases, table) = (on_device(&r.biases), on_device(&r.table));
                RelativePositions::new(biases, table, r.first).unwrap()
            });
            attention.run(0, rows, &mut pages, skipped, given.as_ref());
            let want = reference(&seen, heads, *frames, keys, relative.as_ref());
            let error = error(attention.finish(), want);
            assert!(error < 1e-5, "{rows} {heads} {dim} {page} {frames} of {done}: {error:e}");
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
        let mut attention = HopAttention::new(&on_device(&qkv), heads).unwrap();
        let mut page = attention.page(2, 50);
        attention.run(2, 2, [&mut page], 0, None);
        attention.run(0, 2, [], 0, None);
        let want = reference(&qkv, heads, frames, frames, None);
        assert!(error(attention.finish(), want) < 1e-5);
        let (_, values) = page.keys_values(0);
        let want = part(&qkv.narrow(0, 2, 2), 2, heads);
        assert_eq!(values.into_data(), want.into_data());
    }

    /// Protects sequences that keep nothing.
    #[test]
    fn alone() {
        let qkv = random([1, 11, 3 * 2 * 16]);
        let mut attention = HopAttention::new(&on_device(&qkv), 2).unwrap();
        attention.run(0, 1, [], 0, None);
        let want = reference(&qkv, 2, 11, 11, None);
        let error = error(attention.finish(), want);
        assert!(error < 1e-5, "{error:e}");
    }

    /// Protects a page that clones share from what one of them adds, and pages that were joined.
    #[test]
    fn clones_go_their_own_ways() {
        let (heads, frames) = (2, 40);
        let qkv = random([1, 3 * frames, 3 * heads * 16]);
        let hop = |i: usize| on_device(&qkv.clone().narrow(1, i * frames, frames));
        let run = |i: usize, pages: &mut [HopPage]| {
            let mut attention = HopAttention::new(&hop(i), heads).unwrap();
            attention.run(0, 1, pages, 0, None);
            attention.finish()
        };
        let mut pages = vec![HopAttention::new(&hop(0), heads).unwrap().page(1, 1)];
        run(0, &mut pages);
        let mut other = pages.clone();
        run(1, &mut pages);
        let want =
            reference(&qkv.clone().narrow(1, 0, 2 * frames), heads, frames, 2 * frames, None);
        assert!(error(run(1, &mut other.clone()), want) < 1e-5);
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
        assert!(error(fresh.finish(), want) < 1e-5);
    }

    /// Protects pages in bf16, where the device has the type: results are near those of f32.
    #[test]
    fn pages_may_be_bf16() {
        if std::env::var_os("MYNAH_DEVICE").is_none_or(|name| name != "cuda") {
            return;
        }
        let (heads, frames) = (2, 60);
        let qkv = random([2, 2 * frames, 3 * heads * 32]) * 0.5;
        let mut pages: Vec<HopPage> = Vec::new();
        for i in 0..2 {
            let hop = qkv.clone().narrow(1, i * frames, frames);
            let mut attention = HopAttention::new(&on_device(&hop), heads).unwrap().halved();
            if pages.is_empty() {
                pages.push(attention.page(2, 1));
                assert_eq!(pages[0].bytes(), 2 * 2 * heads * PAGE * 32 * 2);
            }
            attention.run(0, 2, &mut pages, 0, None);
            let seen = qkv.clone().narrow(1, 0, (i + 1) * frames);
            let want = reference(&seen, heads, frames, (i + 1) * frames, None);
            assert!(error(attention.finish(), want) < 1e-2);
        }
    }
}
