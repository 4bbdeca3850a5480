//! The attention of some new rows, for all layers: which rows of which sequences, and the launches.

use super::super::{activations, buffer, element, empty, from_cube, into_cube};
use super::attend::attend;
use super::store::{PlaceLaunch, store};
use super::{PAGE, PageMemory, PageRows, PageShape, Shape, THREADS, everywhere};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::server::Handle;
use burn_cubecl::tensor::CubeTensor;

/// Whether there are kernels for a decoder with such pages.
pub(crate) fn decodes(shape: PageShape) -> bool {
    shape.compiled().is_some()
}

impl PageMemory {
    /// Prepares the attention of new rows, which follow one another sequence by sequence.
    ///
    /// `cos` and `sin` `[positions, head_dim]` are the tables of [`Rotary`](crate::model::nn::Rotary).
    /// None where a sequence has not the pages for its rows, or a page is not in this memory, or
    /// [there are no kernels](decodes).
    pub fn step(
        &self,
        (cos, sin): (&Tensor<2>, &Tensor<2>),
        sequences: &[PageRows],
    ) -> Option<PageStep> {
        let compiled = self.shape.compiled()?;
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
            compiled: Shape { alone: sequences.iter().all(|s| s.rows == 1), ..compiled },
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
    pub(super) rows: usize,
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
        let PageShape { heads, kv_heads, head_dim, layers, .. } = self.shape;
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
        // SAFETY: rows, positions and pages are within the buffers, as `step` has checked.
        unsafe {
            store::launch_unchecked(
                client,
                cubes,
                dim,
                vector,
                qkv,
                cos,
                sin,
                tables,
                memory,
                queries,
                place,
                self.compiled,
                element(self.dtype),
            );
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
        // SAFETY: rows, positions and pages are within the buffers, as `step` has checked.
        unsafe {
            attend::launch_unchecked(
                client,
                cubes,
                dim,
                vector,
                source,
                cos,
                sin,
                tables,
                memory,
                out,
                place,
                self.compiled,
                element(self.dtype),
            );
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
