//! Attention of a decoder over keys and values that lie in pages.
//!
//! All layers of a page lie in one piece of one buffer, and a sequence is a list of pages: it grows
//! without moving, and sequences that begin alike share their beginning. Keys are stored vector by
//! vector (the first four numbers of all positions, then the next four), values position by
//! position: a thread that has a position of its own reads the first as its neighbours do, and a
//! thread that has some columns of the output reads the second so.
//!
//! A cube makes the query heads of one row that share a key-value head, so that their past is read
//! once. It goes over the past in blocks and keeps the softmax's maximum and sum as it goes, so a
//! row's result depends neither on the rows beside it nor on where its pages are.

use super::pages::{PAGE, PageRows, PageShape};
use super::{VECTOR, activations, buffer, empty, from_cube, into_cube};
use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use cubecl::server::Handle;
use half::bf16;

/// Threads of a cube, and positions of a block.
const THREADS: usize = 256;
/// Most threads that share one head's softmax.
const TEAM: usize = 32;
/// Most heads whose sums are exchanged at a time.
const EXCHANGED: usize = 4;
/// Bytes of shared memory that every device has.
const SHARED: usize = 32 << 10;
/// The score of a position that a row does not see.
const UNSEEN: f32 = -1e30;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    /// Vectors of a head.
    lanes: usize,
    /// Vectors of a page.
    page: usize,
    /// Threads that share one head's softmax.
    team: usize,
    /// Heads whose sums are exchanged at a time.
    exchanged: usize,
    /// Whether `attend` is given what `store` is given, one row of each sequence, and does its work
    /// too.
    alone: bool,
}

impl PageShape {
    /// Elements that are read at once.
    fn vector(self) -> usize {
        let half = self.head_dim / 2;
        [VECTOR, 2].into_iter().find(|v| half.is_multiple_of(*v)).unwrap_or(1)
    }

    fn elements(self) -> usize {
        2 * self.layers * self.kv_heads * self.head_dim * PAGE
    }

    /// None where a cube would need more than a device has.
    fn compiled(self) -> Option<Shape> {
        let Self { heads, kv_heads, head_dim, .. } = self;
        let (vector, group) = (self.vector(), heads.checked_div(kv_heads)?);
        let lanes = head_dim / vector;
        if lanes == 0 || lanes > THREADS || group == 0 || group > THREADS {
            return None;
        }
        let team = TEAM.min(1 << (THREADS / group).ilog2());
        let float = size_of::<f32>();
        let fits = |exchanged: usize| {
            let queries = (group + 2) * head_dim;
            let scores = group * (THREADS + team + 1);
            (queries + scores + exchanged * THREADS * vector) * float <= SHARED
        };
        let exchanged = [EXCHANGED, 2, 1].into_iter().find(|e| fits(*e))?.min(group);
        let page = self.elements() / vector;
        Some(Shape { heads, kv_heads, lanes, page, team, exchanged, alone: false })
    }
}

/// The memory of some pages, which are numbered from 0.
#[derive(Debug)]
pub(crate) struct PageMemory {
    /// `[pages, layers, kv_heads, 2, ..]`: keys `[head_dim / vector, PAGE, vector]`, then values
    /// `[PAGE, head_dim]`. Anything while there are no pages.
    memory: CubeTensor,
    pages: usize,
    shape: PageShape,
    compiled: Shape,
    dtype: DType,
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
                match self.dtype {
                    DType::BF16 => {
                        widen::launch_unchecked::<bf16>(client, cubes, dim, vector, from, to, count)
                    }
                    _ => {
                        widen::launch_unchecked::<f32>(client, cubes, dim, vector, from, to, count)
                    }
                }
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
            match self.dtype {
                DType::BF16 => copy_page::launch_unchecked::<bf16>(
                    client, cubes, dim, vector, memory, from, to, count,
                ),
                _ => copy_page::launch_unchecked::<f32>(
                    client, cubes, dim, vector, memory, from, to, count,
                ),
            }
        }
    }

    /// Prepares the attention of new rows, which follow one another sequence by sequence.
    ///
    /// `cos` and `sin` `[positions, head_dim]` are the tables of [`Rotary`](crate::model::nn::Rotary).
    /// None where a sequence has not the pages for its rows, or a page is not in this memory.
    pub fn step(
        &self,
        (cos, sin): (&Tensor<2>, &Tensor<2>),
        sequences: &[PageRows],
    ) -> Option<PageStep> {
        let rows: usize = sequences.iter().map(|s| s.rows).sum();
        let stride = sequences.iter().map(|s| s.pages.len()).max()?;
        let [positions, dim] = cos.dims();
        let valid = |s: &PageRows| {
            let end = s.len + s.rows;
            end <= (s.pages.len() * PAGE).min(positions)
                && s.pages.iter().all(|page| (*page as usize) < self.pages)
        };
        if rows == 0
            || dim != self.shape.head_dim
            || sin.dims() != cos.dims()
            || !sequences.iter().all(valid)
        {
            return None;
        }
        let mut tables = Vec::with_capacity(2 * rows + sequences.len() * stride);
        for (i, sequence) in sequences.iter().enumerate() {
            let positions = sequence.len..sequence.len + sequence.rows;
            tables.extend(positions.flat_map(|position| [i as u32, position as u32]));
        }
        for sequence in sequences {
            tables.extend_from_slice(&sequence.pages);
            tables.resize(tables.len() + stride - sequence.pages.len(), 0);
        }
        let bytes: Vec<u8> = tables.iter().flat_map(|number| number.to_ne_bytes()).collect();
        Some(PageStep {
            memory: self.memory.clone(),
            tables: self.memory.client.create_from_slice(&bytes),
            numbers: tables.len(),
            cos: into_cube(cos.clone())?,
            sin: into_cube(sin.clone())?,
            rows,
            stride,
            shape: self.shape,
            compiled: Shape { alone: sequences.iter().all(|s| s.rows == 1), ..self.compiled },
            dtype: self.dtype,
        })
    }
}

/// The attention of some new rows, ready for each layer.
#[derive(Debug)]
pub(crate) struct PageStep {
    memory: CubeTensor,
    /// Sequence and position of every row, then the pages of every sequence.
    tables: Handle,
    numbers: usize,
    cos: CubeTensor,
    sin: CubeTensor,
    rows: usize,
    /// Numbers from a sequence's pages to the next one's.
    stride: usize,
    shape: PageShape,
    compiled: Shape,
    dtype: DType,
}

impl PageStep {
    /// Turns queries and keys by their positions, stores keys and values, and attends to each row's
    /// sequence up to the row itself.
    ///
    /// `qkv` `[n, heads + 2 kv_heads, head_dim]` are queries (scaled already), keys and values of
    /// the rows; the result is `[n, heads * head_dim]`.
    pub fn attend(&self, qkv: Tensor<3>, layer: usize) -> Tensor<2> {
        let PageShape { heads, kv_heads, head_dim, layers } = self.shape;
        assert_eq!(qkv.dims(), [self.rows, heads + 2 * kv_heads, head_dim], "rows of the step");
        assert!(layer < layers, "a layer of the cache");
        let qkv = activations(qkv);
        let CubeTensor { client, device, .. } = &self.memory;
        let out = empty(client, device, [self.rows, heads * head_dim]);
        if self.compiled.alone {
            self.launch_attend(&qkv, layer, &out);
        } else {
            let queries = empty(client, device, [self.rows, heads, head_dim]);
            self.launch_store(&qkv, layer, &queries);
            self.launch_attend(&queries, layer, &out);
        }
        from_cube(out)
    }

    fn launch_store(&self, qkv: &CubeTensor, layer: usize, queries: &CubeTensor) {
        let Shape { heads, kv_heads, lanes, .. } = self.compiled;
        let vectors = self.rows * (heads + 2 * kv_heads) * lanes;
        let (cubes, dim) = everywhere(vectors);
        let vector = self.shape.vector();
        let [qkv, cos, sin] = [qkv, &self.cos, &self.sin].map(|x| buffer(x, vector));
        let (queries, place) = (buffer(queries, vector), self.place(layer));
        let (client, tables, memory) =
            (&self.memory.client, self.tables(), buffer(&self.memory, vector));
        let shape = self.compiled;
        // SAFETY: rows, positions and pages are within the buffers, as `step` has checked.
        unsafe {
            match self.dtype {
                DType::BF16 => store::launch_unchecked::<bf16>(
                    client, cubes, dim, vector, qkv, cos, sin, tables, memory, queries, place,
                    shape,
                ),
                _ => store::launch_unchecked::<f32>(
                    client, cubes, dim, vector, qkv, cos, sin, tables, memory, queries, place,
                    shape,
                ),
            }
        }
    }

    fn launch_attend(&self, source: &CubeTensor, layer: usize, out: &CubeTensor) {
        let cubes = CubeCount::Static(self.compiled.kv_heads as u32, self.rows as u32, 1);
        let dim = CubeDim::new_1d(THREADS as u32);
        let vector = self.shape.vector();
        let [source, cos, sin] = [source, &self.cos, &self.sin].map(|x| buffer(x, vector));
        let (out, place) = (buffer(out, vector), self.place(layer));
        let (client, tables, memory) =
            (&self.memory.client, self.tables(), buffer(&self.memory, vector));
        let shape = self.compiled;
        // SAFETY: rows, positions and pages are within the buffers, as `step` has checked.
        unsafe {
            match self.dtype {
                DType::BF16 => attend::launch_unchecked::<bf16>(
                    client, cubes, dim, vector, source, cos, sin, tables, memory, out, place, shape,
                ),
                _ => attend::launch_unchecked::<f32>(
                    client, cubes, dim, vector, source, cos, sin, tables, memory, out, place, shape,
                ),
            }
        }
    }

    fn tables(&self) -> BufferArg {
        // SAFETY: so many numbers were uploaded.
        unsafe { BufferArg::from_raw_parts(self.tables.clone(), self.numbers) }
    }

    fn place(&self, layer: usize) -> PlaceLaunch {
        PlaceLaunch::new(self.rows as u32, self.stride as u32, layer as u32)
    }
}

/// Cubes whose threads together make so many elements, each one or more.
fn everywhere(elements: usize) -> (CubeCount, CubeDim) {
    let cubes = elements.div_ceil(THREADS).clamp(1, 1 << 15);
    (CubeCount::Static(cubes as u32, 1, 1), CubeDim::new_1d(THREADS as u32))
}

/// What changes from call to call.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Place {
    rows: u32,
    /// See [`PageStep::stride`].
    stride: u32,
    layer: u32,
}

#[cube(launch_unchecked)]
fn widen<W: Float, N: Size>(from: &[Vector<W, N>], to: &mut [Vector<W, N>], count: u32) {
    let mut i = ABSOLUTE_POS;
    while i < count as usize {
        to[i] = from[i];
        i += CUBE_COUNT * THREADS;
    }
}

#[cube(launch_unchecked)]
fn copy_page<W: Float, N: Size>(memory: &mut [Vector<W, N>], from: u32, to: u32, count: u32) {
    let mut i = ABSOLUTE_POS;
    while i < count as usize {
        let value = memory[(from * count) as usize + i];
        memory[(to * count) as usize + i] = value;
        i += CUBE_COUNT * THREADS;
    }
}

/// Vector `lane` of a head that begins at `start`, turned to the angles of a position, whose begin
/// at `angle`. The first half of the sines is negative.
#[cube]
fn turned<N: Size>(
    x: &[Vector<f32, N>],
    cos: &[Vector<f32, N>],
    sin: &[Vector<f32, N>],
    start: usize,
    angle: usize,
    lane: usize,
    #[comptime] lanes: usize,
) -> Vector<f32, N> {
    let other = (lane + comptime!(lanes / 2)) % lanes;
    x[start + lane] * cos[angle + lane] + x[start + other] * sin[angle + lane]
}

/// Where the keys of a head begin in a page; the values follow them.
#[cube]
fn head_start(page: u32, layer: u32, head: usize, #[comptime] shape: Shape) -> usize {
    page as usize * shape.page
        + (layer as usize * shape.kv_heads + head) * comptime!(2 * PAGE * shape.lanes)
}

/// Turned queries into `queries` `[rows, heads, head_dim]`; turned keys, and values, into the pages.
#[cube(launch_unchecked)]
fn store<W: Float, N: Size>(
    qkv: &[Vector<f32, N>],
    cos: &[Vector<f32, N>],
    sin: &[Vector<f32, N>],
    tables: &[u32],
    memory: &mut [Vector<W, N>],
    queries: &mut [Vector<f32, N>],
    place: Place,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.lanes);
    let heads = comptime!(shape.heads);
    let kv_heads = comptime!(shape.kv_heads);
    let all = comptime!(shape.heads + 2 * shape.kv_heads);
    let rows = place.rows as usize;
    let mut i = ABSOLUTE_POS;
    while i < rows * comptime!(all * lanes) {
        let lane = i % lanes;
        let head = (i / lanes) % all;
        let row = i / comptime!(all * lanes);
        let start = i - lane;
        let position = tables[2 * row + 1] as usize;
        let angle = position * lanes;
        if head < heads {
            queries[(row * heads + head) * lanes + lane] =
                turned::<N>(qkv, cos, sin, start, angle, lane, lanes);
        } else {
            let pages = 2 * rows + tables[2 * row] as usize * place.stride as usize;
            let page = tables[pages + position / PAGE];
            let slot = position % PAGE;
            if head < comptime!(heads + kv_heads) {
                let keys = head_start(page, place.layer, head - heads, shape);
                let key = turned::<N>(qkv, cos, sin, start, angle, lane, lanes);
                memory[keys + lane * PAGE + slot] = Vector::cast_from(key);
            } else {
                let keys = head_start(page, place.layer, head - comptime!(heads + kv_heads), shape);
                memory[keys + comptime!(PAGE * lanes) + slot * lanes + lane] =
                    Vector::cast_from(qkv[i]);
            }
        }
        i += CUBE_COUNT * THREADS;
    }
}

/// `source` is `queries` of [`store`], or where the rows are `alone` its `qkv`.
#[cube(launch_unchecked)]
fn attend<W: Float, N: Size>(
    source: &[Vector<f32, N>],
    cos: &[Vector<f32, N>],
    sin: &[Vector<f32, N>],
    tables: &[u32],
    memory: &mut [Vector<W, N>],
    out: &mut [Vector<f32, N>],
    place: Place,
    #[comptime] shape: Shape,
) {
    let lanes = comptime!(shape.lanes);
    let group = comptime!(shape.heads / shape.kv_heads);
    let team = comptime!(shape.team);
    // Threads that share a column of the output, each some positions of a block.
    let parts = comptime!(THREADS / shape.lanes);
    // Positions of a page that each of them takes.
    let reads = comptime!(PAGE.div_ceil(THREADS / shape.lanes));

    let thread = UNIT_POS as usize;
    let head = CUBE_POS_X as usize;
    let row = CUBE_POS_Y as usize;
    let position = tables[2 * row + 1] as usize;
    let pages = 2 * place.rows as usize + tables[2 * row] as usize * place.stride as usize;

    let mut queries = Shared::<[Vector<f32, N>]>::new_slice(comptime!(group * lanes));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(group * THREADS));
    let mut shares = Shared::<[f32]>::new_slice(comptime!(group * team));
    let mut scales = Shared::<[f32]>::new_slice(group);
    let mut sums = Shared::<[Vector<f32, N>]>::new_slice(comptime!(shape.exchanged * THREADS));
    // Of the row itself, where it is not in the pages yet: as they will be there.
    let mut own = Shared::<[Vector<f32, N>]>::new_slice(comptime!(2 * lanes));

    if comptime!(shape.alone) {
        let start = row * comptime!((shape.heads + 2 * shape.kv_heads) * lanes);
        let angle = position * lanes;
        let mut i = thread;
        while i < comptime!(group * lanes) {
            let lane = i % lanes;
            let query = start + head * comptime!(group * lanes) + i - lane;
            queries[i] = turned::<N>(source, cos, sin, query, angle, lane, lanes);
            i += THREADS;
        }
        if thread < lanes {
            let page = tables[pages + position / PAGE];
            let keys = head_start(page, place.layer, head, shape);
            let slot = position % PAGE;
            let key = start + comptime!(shape.heads * lanes) + head * lanes;
            let value = key + comptime!(shape.kv_heads * lanes);
            let key =
                Vector::<W, N>::cast_from(turned::<N>(source, cos, sin, key, angle, thread, lanes));
            let value = Vector::<W, N>::cast_from(source[value + thread]);
            memory[keys + thread * PAGE + slot] = key;
            memory[keys + comptime!(PAGE * lanes) + slot * lanes + thread] = value;
            own[thread] = Vector::cast_from(key);
            own[lanes + thread] = Vector::cast_from(value);
        }
    } else {
        let start = (row * comptime!(shape.heads) + head * group) * lanes;
        let mut i = thread;
        while i < comptime!(group * lanes) {
            queries[i] = source[start + i];
            i += THREADS;
        }
    }
    sync_cube();

    // Of the head whose softmax the thread shares.
    let softmax = thread / team;
    let member = thread % team;
    let mut most = f32::new(UNSEEN);
    let mut total = 0f32;

    // Of the columns whose sums the thread shares.
    let lane = thread % lanes;
    let part = thread / lanes;
    // As many as are exchanged in whole rounds.
    let rounds = comptime!(group.div_ceil(shape.exchanged));
    let padded = comptime!(rounds * shape.exchanged);
    let mut acc = Array::<Vector<f32, N>>::new(padded);
    #[unroll]
    for g in 0..padded {
        acc[g] = Vector::new(0f32);
    }

    let mut from = 0usize;
    while from <= position {
        let mine = from + thread;
        let mut products = Array::<Vector<f32, N>>::new(group);
        #[unroll]
        for g in 0..group {
            products[g] = Vector::new(0f32);
        }
        if mine <= position {
            let keys =
                head_start(tables[pages + mine / PAGE], place.layer, head, shape) + mine % PAGE;
            for k in 0..lanes {
                let mut key = own[k];
                if comptime!(!shape.alone) || mine != position {
                    key = Vector::cast_from(memory[keys + k * PAGE]);
                }
                #[unroll]
                for g in 0..group {
                    products[g] += key * queries[g * lanes + k];
                }
            }
        }
        #[unroll]
        for g in 0..group {
            let mut score = f32::new(UNSEEN);
            if mine <= position {
                score = products[g].vector_sum();
            }
            scores[g * THREADS + thread] = score;
        }
        sync_cube();

        if softmax < group {
            let mut largest = f32::new(UNSEEN);
            for i in 0..comptime!(THREADS / team) {
                largest = larger(largest, scores[softmax * THREADS + i * team + member]);
            }
            shares[softmax * team + member] = largest;
        }
        sync_cube();
        if softmax < group {
            let mut largest = most;
            for i in 0..team {
                largest = larger(largest, shares[softmax * team + i]);
            }
            let scale = (most - largest).exp();
            most = largest;
            total = total * scale;
            for i in 0..comptime!(THREADS / team) {
                let at = softmax * THREADS + i * team + member;
                let weight = (scores[at] - largest).exp();
                scores[at] = weight;
                total += weight;
            }
            if member == 0 {
                scales[softmax] = scale;
            }
        }
        sync_cube();

        if part < parts {
            #[unroll]
            for g in 0..group {
                acc[g] = acc[g] * Vector::new(scales[g]);
            }
            for i in 0..comptime!(THREADS / PAGE) {
                let first = from + i * PAGE;
                if first <= position {
                    let values = head_start(tables[pages + first / PAGE], place.layer, head, shape)
                        + comptime!(PAGE * lanes)
                        + lane;
                    // So many rounds whatever the length: a compiler can have all reads of a page
                    // under way at once.
                    for j in 0..reads {
                        let slot = j * parts + part;
                        let at = first + slot;
                        let mut value = Vector::new(0f32);
                        if slot < PAGE && at <= position {
                            value = own[lanes + lane];
                            if comptime!(!shape.alone) || at != position {
                                value = Vector::cast_from(memory[values + slot * lanes]);
                            }
                        }
                        let weight = i * PAGE + slot % PAGE;
                        #[unroll]
                        for g in 0..group {
                            acc[g] += value * Vector::new(scores[g * THREADS + weight]);
                        }
                    }
                }
            }
        }
        sync_cube();
        from += THREADS;
    }

    if softmax < group {
        shares[softmax * team + member] = total;
    }
    // The sums of the parts come together, some heads at a time.
    let exchanged = comptime!(shape.exchanged);
    #[unroll]
    for round in 0..rounds {
        #[unroll]
        for e in 0..exchanged {
            sums[e * THREADS + thread] = acc[round * exchanged + e];
        }
        sync_cube();
        let mut i = thread;
        while i < comptime!(exchanged * lanes) {
            let lane = i % lanes;
            let e = i / lanes;
            let g = round * exchanged + e;
            if g < group {
                let mut total = 0f32;
                for k in 0..team {
                    total += shares[g * team + k];
                }
                let mut sum = Vector::<f32, N>::new(0f32);
                for k in 0..parts {
                    sum += sums[e * THREADS + k * lanes + lane];
                }
                out[(row * comptime!(shape.heads) + head * group + g) * lanes + lane] =
                    sum / Vector::new(total);
            }
            i += THREADS;
        }
        sync_cube();
    }
}

#[cube]
fn larger(a: f32, b: f32) -> f32 {
    select(b > a, b, a)
}

#[cfg(test)]
mod on_a_gpu {
    use super::super::test_device;
    use super::*;
    use burn::tensor::TensorData;

    /// Numbers of either sign, about as large as activations.
    fn random(seed: &mut u64, n: usize) -> Vec<f32> {
        let mut next = || {
            *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (*seed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next() + next()).collect()
    }

    /// One layer of a decoder on the host, by the formula.
    struct Plain {
        shape: PageShape,
        cos: Vec<f32>,
        sin: Vec<f32>,
        keys: Vec<Vec<f32>>,
        values: Vec<Vec<f32>>,
    }

    const POSITIONS: usize = 1100;

    fn angles(dim: usize) -> (Vec<f32>, Vec<f32>) {
        let angle = |i: usize| {
            let (position, lane) = (i / dim, i % dim % (dim / 2));
            position as f32 * 0.7f32.powi(lane as i32)
        };
        let sign = |i: usize| if i % dim < dim / 2 { -1.0 } else { 1.0 };
        let all = 0..POSITIONS * dim;
        let cos = all.clone().map(|i| angle(i).cos()).collect();
        (cos, all.map(|i| sign(i) * angle(i).sin()).collect())
    }

    impl Plain {
        fn new(shape: PageShape) -> Self {
            let (cos, sin) = angles(shape.head_dim);
            Self { shape, cos, sin, keys: Vec::new(), values: Vec::new() }
        }

        fn turn(&self, x: &[f32], position: usize) -> Vec<f32> {
            let dim = self.shape.head_dim;
            let at = |i: usize| position * dim + i;
            let other = |i: usize| x[(i + dim / 2) % dim];
            (0..dim).map(|i| x[i] * self.cos[at(i)] + other(i) * self.sin[at(i)]).collect()
        }

        /// One more position; the row attends to all.
        fn push(&mut self, qkv: &[f32]) -> Vec<f32> {
            let PageShape { heads, kv_heads, head_dim: dim, .. } = self.shape;
            let position = self.keys.len();
            let head = |i: usize| &qkv[i * dim..][..dim];
            let keys = (0..kv_heads).flat_map(|i| self.turn(head(heads + i), position));
            self.keys.push(keys.collect());
            self.values.push(qkv[(heads + kv_heads) * dim..].to_vec());
            let mut out = Vec::new();
            for i in 0..heads {
                let query = self.turn(head(i), position);
                let place = i / (heads / kv_heads) * dim;
                let dot = |key: &Vec<f32>| -> f64 {
                    key[place..].iter().zip(&query).map(|(k, q)| f64::from(k * q)).sum()
                };
                let scores: Vec<f64> = self.keys.iter().map(dot).collect();
                let most = scores.iter().copied().fold(f64::MIN, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
                let total: f64 = weights.iter().sum();
                for c in 0..dim {
                    let value = |v: &Vec<f32>| f64::from(v[place + c]);
                    let sum: f64 =
                        self.values.iter().zip(&weights).map(|(v, w)| value(v) * w).sum();
                    out.push((sum / total) as f32);
                }
            }
            out
        }
    }

    struct Run {
        memory: PageMemory,
        cos: Tensor<2>,
        sin: Tensor<2>,
        device: Device,
    }

    impl Run {
        fn new(shape: PageShape, dtype: DType, pages: usize) -> Self {
            let device = test_device();
            let dim = shape.head_dim;
            let table =
                |v: Vec<f32>| Tensor::from_data(TensorData::new(v, [POSITIONS, dim]), &device);
            let (cos, sin) = angles(dim);
            let mut memory = PageMemory::new(&device, shape, dtype).unwrap();
            memory.grow(pages);
            Self { memory, cos: table(cos), sin: table(sin), device }
        }

        fn step(&self, sequences: &[PageRows]) -> PageStep {
            self.memory.step((&self.cos, &self.sin), sequences).unwrap()
        }

        fn attend(&self, step: &PageStep, qkv: Vec<f32>, layer: usize) -> Vec<f32> {
            let dim = self.memory.shape.head_dim;
            let all = qkv.len() / step.rows / dim;
            let qkv = TensorData::new(qkv, [step.rows, all, dim]);
            let out = step.attend(Tensor::from_data(qkv, &self.device), layer);
            out.into_data().iter::<f32>().collect()
        }
    }

    fn shape(heads: usize, kv_heads: usize, head_dim: usize) -> PageShape {
        PageShape { layers: 2, heads, kv_heads, head_dim }
    }

    fn assert_close(name: &str, got: &[f32], want: &[f32], tolerance: f32) {
        assert_eq!(got.len(), want.len(), "{name}");
        let error = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let size = want.iter().map(|b| b.abs()).fold(0.0, f32::max);
        assert!(error <= tolerance * size, "{name}: {error:e} of {size}");
        assert!(got.iter().all(|x| x.is_finite()), "{name}");
    }

    /// Pages of four sequences, mixed up.
    fn pages(sequence: usize, positions: usize) -> Vec<u32> {
        (0..positions.div_ceil(PAGE)).map(|i| (4 * i + (sequence + i) % 4) as u32).collect()
    }

    /// Protects the kernels' arithmetic and addresses: rows of several sequences in odd portions,
    /// then a row of each, over two layers, against the formula; sizes of all vector widths, shared
    /// and unshared heads, lengths at the edges of pages and blocks.
    #[test]
    fn equals_softmax_attention() {
        let mut seed = 5;
        for (shape, tolerance) in [
            (shape(14, 2, 64), 1e-5),
            (shape(4, 2, 16), 1e-5),
            (shape(3, 3, 6), 1e-5),
            (shape(6, 1, 20), 1e-5),
            (shape(2, 1, 128), 1e-5),
        ] {
            let all = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
            let run = Run::new(shape, DType::F32, 24);
            let mut plain: Vec<[Plain; 2]> =
                (0..4).map(|_| [Plain::new(shape), Plain::new(shape)]).collect();
            let portions: [&[(usize, usize)]; 6] = [
                &[(0, 1)],
                &[(1, 63), (0, 7), (3, 300)],
                &[(2, 1), (3, 1), (1, 1), (0, 1)],
                &[(1, 1), (2, 255)],
                &[(2, 1), (3, 1), (1, 1)],
                &[(2, 70)],
            ];
            for (i, portion) in portions.into_iter().enumerate() {
                let sequences: Vec<_> = portion
                    .iter()
                    .map(|(s, rows)| {
                        let len = plain[*s][0].keys.len();
                        PageRows { pages: pages(*s, len + rows), len, rows: *rows }
                    })
                    .collect();
                let step = run.step(&sequences);
                for layer in 0..2 {
                    let qkv = random(&mut seed, step.rows * all);
                    let mut want = Vec::new();
                    let mut rows = qkv.chunks(all);
                    for (s, count) in portion {
                        for row in rows.by_ref().take(*count) {
                            want.extend(plain[*s][layer].push(row));
                        }
                    }
                    let got = run.attend(&step, qkv, layer);
                    assert_close(&format!("{shape:?}, call {i}"), &got, &want, tolerance);
                }
            }
        }
    }

    /// Protects the promise that a row is the same to the last bit whoever is beside it and
    /// wherever its pages are, and that one launch and two do the same.
    #[test]
    fn a_row_depends_on_its_own_sequence_alone() {
        let mut seed = 9;
        let shape = shape(6, 2, 32);
        let all = 10 * 32;
        let run = Run::new(shape, DType::F32, 64);
        let past = random(&mut seed, 333 * all);
        let new = random(&mut seed, all);
        let mut one = |sequence: usize, portion: usize, company: bool| {
            let rows = |s: usize, len: usize, rows: usize| PageRows {
                pages: pages(s, len + rows),
                len,
                rows,
            };
            for (i, part) in past.chunks(portion * all).enumerate() {
                let n = part.len() / all;
                let step = run.step(&[rows(sequence, i * portion, n)]);
                run.attend(&step, part.to_vec(), 0);
            }
            let (sequences, at) = match company {
                true => (vec![rows(3, 0, 2), rows(sequence, 333, 1)], 2),
                false => (vec![rows(sequence, 333, 1)], 0),
            };
            let step = run.step(&sequences);
            let mut qkv = random(&mut seed, at * all);
            qkv.extend(&new);
            run.attend(&step, qkv, 0)[at * 6 * 32..].to_vec()
        };
        let want = one(0, 333, false);
        assert_eq!(one(1, 50, false), want, "other pages, other portions");
        assert_eq!(one(2, 7, true), want, "in company, and two launches");
    }

    /// Protects what grows and what is copied: the past is still there.
    #[test]
    fn pages_keep_their_contents() {
        let mut seed = 11;
        let shape = shape(2, 2, 8);
        let all = 6 * 8;
        let mut run = Run::new(shape, DType::F32, 2);
        let mut plain = Plain::new(shape);
        let qkv = random(&mut seed, 100 * all);
        qkv.chunks(all).for_each(|row| drop(plain.push(row)));
        let step = run.step(&[PageRows { pages: vec![1, 0], len: 0, rows: 100 }]);
        run.attend(&step, qkv, 1);
        run.memory.grow(1);
        run.memory.grow(7);
        assert_eq!(run.memory.pages(), 7);
        run.memory.copy(0, 5);
        run.memory.copy(7, 1);
        let row = random(&mut seed, all);
        let want = plain.push(&row);
        for pages in [vec![1, 5], vec![1, 0]] {
            let step = run.step(&[PageRows { pages, len: 100, rows: 1 }]);
            assert_close("after growth", &run.attend(&step, row.clone(), 1), &want, 1e-5);
        }
        let tables = (&run.cos, &run.sin);
        for (pages, len) in [(vec![1, 7], 100), (vec![1], 64), (vec![0; 30], POSITIONS)] {
            let rows = [PageRows { pages, len, rows: 1 }];
            assert!(run.memory.step(tables, &rows).is_none(), "{rows:?}");
        }
        assert!(run.memory.step(tables, &[]).is_none());
    }
}
