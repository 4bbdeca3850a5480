//! The heart of matrix products with few rows: some rows by four vectors of sums in registers.
//!
//! Each sum is one chain of fused multiply-adds in the order of its terms, so that it does not
//! depend on the size of the tile or its place in it. (Where there are no vector instructions, the
//! portable twin rounds twice, and keeps the order too.)

use half::f16;

/// Sums of the largest tile of any kernel.
pub(super) const TILE: usize = 6 * 64;

/// Rows in memory: row `r` begins at `r * stride`.
#[derive(Debug)]
pub(super) struct Strided<'a, T> {
    pub values: &'a [T],
    pub stride: usize,
}

impl<T> Clone for Strided<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Strided<'_, T> {}

impl<T> Strided<'_, T> {
    /// Panics unless there are `rows` rows of `length` values.
    fn check(&self, rows: usize, length: usize) {
        let end = rows.checked_sub(1).map_or(0, |last| last * self.stride + length);
        assert!(end <= self.values.len(), "{rows} rows of {length} in {}", self.values.len());
    }
}

/// Vector instructions that a kernel is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    /// The best of this processor.
    pub fn detect() -> Self {
        Self::all().next().unwrap_or(Self::Portable)
    }

    /// Those of this processor, the best first.
    pub fn all() -> impl Iterator<Item = Self> {
        let all = [
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, is_x86_feature_detected!("avx512f")),
            #[cfg(target_arch = "x86_64")]
            (
                Self::Avx2,
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c"),
            ),
            (Self::Portable, true),
        ];
        all.into_iter().filter(|(_, available)| *available).map(|(isa, _)| isa)
    }

    /// Columns of a tile: four vectors.
    pub fn columns(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 64,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 32,
            Self::Portable => 32,
        }
    }

    /// Most rows of a tile: their sums, four vectors of weights and an input fit the registers.
    pub fn rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 6,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 3,
            Self::Portable => 4,
        }
    }

    /// Adds to `sums` `[rows, columns]` the product of `x` `[rows, depth]` and `weights`
    /// `[depth, columns]`. There are at most [`Self::rows`] and exactly [`Self::columns`].
    pub fn tile(self, weights: Strided<f32>, x: Strided<f32>, depth: usize, sums: &mut [f32]) {
        match self {
            // SAFETY: this is only made where the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { avx512::tile(weights, x, depth, sums) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2::tile(weights, x, depth, sums) },
            Self::Portable => portable(weights, x, depth, sums),
        }
    }

    /// [`Self::tile`] with weights in f16; the sums are in f32 all the same.
    pub fn tile_f16(self, weights: Strided<f16>, x: Strided<f32>, depth: usize, sums: &mut [f32]) {
        match self {
            // SAFETY: this is only made where the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { avx512_f16::tile(weights, x, depth, sums) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2_f16::tile(weights, x, depth, sums) },
            Self::Portable => portable(weights, x, depth, sums),
        }
    }
}

fn portable<W: Copy + Into<f32>>(
    weights: Strided<W>,
    x: Strided<f32>,
    depth: usize,
    sums: &mut [f32],
) {
    let (sums, _) = sums.as_chunks_mut::<32>();
    for k in 0..depth {
        let Some(weights) = weights.values[k * weights.stride..].first_chunk::<32>() else {
            unreachable!("weights of a tile")
        };
        let weights = weights.map(Into::into);
        for (row, sums) in sums.iter_mut().enumerate() {
            let x = x.values[row * x.stride + k];
            sums.iter_mut().zip(&weights).for_each(|(sum, weight)| *sum += x * weight);
        }
    }
}

/// A kernel for the named vector instructions and type of weights. `$rows` are the heights of its
/// tiles.
#[cfg(target_arch = "x86_64")]
macro_rules! kernel {
    (
        $name:ident, $features:literal, $weight:ty, $lanes:literal, [$($rows:literal)*],
        $splat:ident, $load:ident, $store:ident, $fma:ident, |$from:ident| $widen:expr
    ) => {
        mod $name {
            use super::Strided;
            use std::arch::x86_64::*;

            const VECTORS: usize = 4;
            const COLUMNS: usize = VECTORS * $lanes;

            #[target_feature(enable = $features)]
            pub(super) fn tile(
                weights: Strided<$weight>,
                x: Strided<f32>,
                depth: usize,
                sums: &mut [f32],
            ) {
                let (sums, _) = sums.as_chunks_mut::<COLUMNS>();
                match sums.len() {
                    $($rows => height::<$rows>(weights, x, depth, sums),)*
                    height => unreachable!("a tile of {height} rows"),
                }
            }

            #[target_feature(enable = $features)]
            fn height<const HEIGHT: usize>(
                weights: Strided<$weight>,
                x: Strided<f32>,
                depth: usize,
                sums: &mut [[f32; COLUMNS]],
            ) {
                weights.check(depth, COLUMNS);
                x.check(HEIGHT, depth);
                // Loops of known length only, or the sums would live in memory.
                let Some(sums) = sums.first_chunk_mut::<HEIGHT>() else { return };
                let mut vectors = [[$splat(0.0); VECTORS]; HEIGHT];
                for (vectors, sums) in vectors.iter_mut().zip(sums.iter()) {
                    for (vector, sums) in vectors.iter_mut().zip(sums.as_chunks::<$lanes>().0) {
                        // SAFETY: `sums` has the length of a vector.
                        *vector = unsafe { $load(sums.as_ptr()) };
                    }
                }
                for k in 0..depth {
                    let mut parts = [$splat(0.0); VECTORS];
                    for (i, part) in parts.iter_mut().enumerate() {
                        // SAFETY: that the weights reach this far is checked above.
                        *part = unsafe {
                            let $from = weights.values.as_ptr().add(k * weights.stride + i * $lanes);
                            $widen
                        };
                    }
                    for (row, vectors) in vectors.iter_mut().enumerate() {
                        // SAFETY: that the inputs reach this far is checked above.
                        let x = $splat(unsafe { *x.values.get_unchecked(row * x.stride + k) });
                        for (vector, part) in vectors.iter_mut().zip(&parts) {
                            *vector = $fma(x, *part, *vector);
                        }
                    }
                }
                for (vectors, sums) in vectors.iter().zip(sums) {
                    for (vector, sums) in vectors.iter().zip(sums.as_chunks_mut::<$lanes>().0) {
                        // SAFETY: `sums` has the length of a vector.
                        unsafe { $store(sums.as_mut_ptr(), *vector) };
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernel!(
    avx512, "avx512f", f32, 16, [1 2 3 4 5 6],
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps,
    |from| _mm512_loadu_ps(from)
);
#[cfg(target_arch = "x86_64")]
kernel!(
    avx512_f16, "avx512f", half::f16, 16, [1 2 3 4 5 6],
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps,
    |from| _mm512_cvtph_ps(_mm256_loadu_si256(from.cast()))
);
#[cfg(target_arch = "x86_64")]
kernel!(
    avx2, "avx2,fma", f32, 8, [1 2 3],
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps,
    |from| _mm256_loadu_ps(from)
);
#[cfg(target_arch = "x86_64")]
kernel!(
    avx2_f16, "avx2,fma,f16c", half::f16, 8, [1 2 3],
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps,
    |from| _mm256_cvtph_ps(_mm_loadu_si128(from.cast()))
);
