//! Repetition-aware sampling where the scores are, so that a step reads one id per row and not a
//! row of scores.
//!
//! It is the sampler of `cosyvoice2/sampling.rs` in f32: a nucleus draw and, if the pick was drawn
//! lately, one draw from everything else.

mod draw;
mod kernel;
mod nucleus;
#[cfg(test)]
mod on_a_gpu;

pub(crate) use draw::{Draw, Picked};

use super::{activations, buffer};
use burn::tensor::{DType, Int, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;
use kernel::sample_rows;

/// Threads of a cube.
const THREADS: usize = 256;
/// Most scores of a row: they are in shared memory.
const MOST: usize = 7000;
/// Most candidates of a nucleus.
const CANDIDATES: usize = 128;

/// Numbers that a row's parameters begin with; then come the masked ids and the latest ones.
const UNITS: usize = 0;
const SCALE: usize = 2;
const TOP_P: usize = 3;
const TOP_K: usize = 4;
const NEEDED: usize = 5;
const MASKED: usize = 6;
const RECENT: usize = 7;
const HEADER: usize = 8;

/// What is written where no id can be drawn.
const NOT_A_NUMBER: u32 = u32::MAX;
const NO_CANDIDATES: u32 = u32::MAX - 1;

/// An id for every row of `logits` `[rows, ids]`. None where they are not f32 on a device of ours,
/// there are too many ids, or more candidates are asked for than the kernel can hold.
pub(crate) fn sample(logits: &Tensor<2>, rows: &[Draw]) -> Option<Vec<Picked>> {
    let [count, ids] = logits.dims();
    let holds = rows.iter().all(|row| row.top_k <= CANDIDATES);
    if !super::is_cube(&logits.device())
        || logits.dtype() != DType::F32
        || count != rows.len()
        || !(1..=MOST).contains(&ids)
        || !holds
    {
        return None;
    }
    if count == 0 {
        return Some(Vec::new());
    }
    let lists = rows.iter().map(|row| row.masked.len() + row.recent.len()).max().unwrap_or(0);
    let stride = HEADER + lists;
    let mut parameters = vec![0u32; count * stride];
    for (row, parameters) in rows.iter().zip(parameters.chunks_mut(stride)) {
        parameters[UNITS] = row.units[0].to_bits();
        parameters[UNITS + 1] = row.units[1].to_bits();
        parameters[SCALE] = row.temperature.recip().to_bits();
        parameters[TOP_P] = row.top_p.to_bits();
        parameters[TOP_K] = row.top_k.max(1) as u32;
        parameters[NEEDED] = row.repetitions.to_bits();
        parameters[MASKED] = row.masked.len() as u32;
        parameters[RECENT] = row.recent.len() as u32;
        let lists = row.masked.iter().chain(row.recent);
        parameters[HEADER..].iter_mut().zip(lists).for_each(|(p, id)| *p = *id);
    }
    let x = activations(logits.clone());
    let bytes: Vec<u8> = parameters.iter().flat_map(|p| p.to_ne_bytes()).collect();
    let parameters_handle = x.client.create_from_slice(&bytes);
    let handle = x.client.empty(2 * count * size_of::<u32>());
    let out = CubeTensor::new_contiguous(
        x.client.clone(),
        x.device.clone(),
        [count, 2].into(),
        handle,
        DType::U32,
    );
    // SAFETY: lists are within their row, ids within the scores or not used, and the cube of a row
    // writes its own two numbers.
    unsafe {
        let parameters = BufferArg::from_raw_parts(parameters_handle, parameters.len());
        sample_rows::launch_unchecked(
            &x.client,
            CubeCount::Static(count as u32, 1, 1),
            CubeDim::new_1d(THREADS as u32),
            buffer(&x, 1),
            parameters,
            buffer(&out, 1),
            stride as u32,
            ids,
        );
    }
    let out = Tensor::<2, Int>::from_primitive::<CubeBackend>(out);
    let picked: Vec<u32> = out.into_data().iter().collect();
    let picked = picked.as_chunks::<2>().0.iter().map(|[id, draws]| match *id {
        NOT_A_NUMBER => Picked::NotANumber,
        NO_CANDIDATES => Picked::NoCandidates,
        id => Picked::Id(id, *draws as usize),
    });
    Some(picked.collect())
}
