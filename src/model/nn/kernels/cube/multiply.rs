//! The plain product of matrices in f32, for what is not hot. Burn's own rounds its inputs to 10
//! bits (TF32) where a GPU has units for that.

use super::{activations, buffer, empty, from_cube};
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Rows and columns of a cube's part of the result, and terms of its sums that are in shared memory
/// at a time.
const TILE: usize = 16;
/// Most batches of a launch, and most cubes of rows.
const MOST: usize = 65_535;

/// `a` `[.., m, k]` times `b` `[.., k, n]`. None where they are not f32 on a device of ours, or where
/// there are more than a launch can have.
pub(crate) fn multiply<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> Option<Tensor<D>> {
    let (left, right) = (a.dims(), b.dims());
    let [m, k, n] = [left[D - 2], left[D - 1], right[D - 1]];
    assert_eq!(right[D - 2], k, "terms of a sum");
    // Of both, as Burn has it.
    let batches = |i: usize| if left[i] == 1 { right[i] } else { left[i] };
    let shape: [usize; D] = std::array::from_fn(|i| match D - i {
        2 => m,
        1 => n,
        _ => batches(i),
    });
    let count: usize = shape[..D - 2].iter().product();
    let known = super::is_cube(&a.device())
        && [a.dtype(), b.dtype()] == [DType::F32; 2]
        && count <= MOST
        && m.div_ceil(TILE) <= MOST;
    if !known || k == 0 || shape.contains(&0) {
        return None;
    }
    let expand = |x: &Tensor<D>, rows: usize, columns: usize| {
        let mut to = shape;
        (to[D - 2], to[D - 1]) = (rows, columns);
        activations(if x.dims() == to { x.clone() } else { x.clone().expand(to) })
    };
    let (a, b) = (expand(a, m, k), expand(b, k, n));
    let out = empty(&a.client, &a.device, shape);
    // SAFETY: every index is checked against its matrix.
    unsafe {
        multiply_tiles::launch_unchecked(
            &a.client,
            CubeCount::Static(n.div_ceil(TILE) as u32, m.div_ceil(TILE) as u32, count as u32),
            CubeDim::new_2d(TILE as u32, TILE as u32),
            buffer(&a, 1),
            buffer(&b, 1),
            buffer(&out, 1),
            m as u32,
            k as u32,
            n as u32,
        );
    }
    Some(from_cube(out))
}

#[cube(launch_unchecked)]
fn multiply_tiles(a: &[f32], b: &[f32], out: &mut [f32], m: u32, k: u32, n: u32) {
    let (m, k, n) = (m as usize, k as usize, n as usize);
    let (x, y) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let row = CUBE_POS_Y as usize * TILE + y;
    let column = CUBE_POS_X as usize * TILE + x;
    let batch = CUBE_POS_Z as usize;
    let mut left = Shared::<[f32]>::new_slice(comptime!(TILE * TILE));
    let mut right = Shared::<[f32]>::new_slice(comptime!(TILE * TILE));
    let mut sum = 0f32;
    let mut from = 0usize;
    while from < k {
        let mut value = 0f32;
        if row < m && from + x < k {
            value = a[(batch * m + row) * k + from + x];
        }
        left[y * TILE + x] = value;
        let mut value = 0f32;
        if from + y < k && column < n {
            value = b[(batch * k + from + y) * n + column];
        }
        right[y * TILE + x] = value;
        sync_cube();
        #[unroll]
        for i in 0..TILE {
            sum += left[y * TILE + i] * right[i * TILE + x];
        }
        sync_cube();
        from += TILE;
    }
    if row < m && column < n {
        out[(batch * m + row) * n + column] = sum;
    }
}

#[cfg(test)]
mod on_a_gpu {
    use super::super::testing::{assert_close, random, there};
    use super::*;

    /// Protects sizes that no tile divides, batches, and a matrix that all batches share.
    #[test]
    fn equals_burns_product() {
        for (batches, shared, [m, k, n]) in
            [(1, false, [1, 1, 1]), (3, false, [17, 40, 33]), (4, true, [16, 100, 5])]
        {
            let a = random([2, batches, m, k]);
            let b = random([if shared { 1 } else { 2 }, if shared { 1 } else { batches }, k, n]);
            let got = multiply(&there(&a), &there(&b)).unwrap();
            assert_close(&format!("{m} x {k} x {n}"), got, a.matmul(b), 2e-6);
        }
        let a = random([5, 7, 9]);
        let b = random([5, 6, 9]).swap_dims(1, 2);
        let turned = there(&random([5, 6, 9]));
        let got = multiply(&there(&a), &turned.clone().swap_dims(1, 2)).unwrap();
        let on_cpu: Tensor<3> = Tensor::from_data(turned.into_data(), &b.device());
        assert_close("a view", got, a.matmul(on_cpu.swap_dims(1, 2)), 2e-6);
    }
}
