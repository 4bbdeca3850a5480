//! The short-time Fourier transform of a vocoder's source and the inverse one of its output, each
//! in one launch with all that is about it.
//!
//! Transforms are short there, 16 samples, so the sums are written out.

mod kernel;
#[cfg(test)]
mod on_a_gpu;

use super::{activations, buffer, empty, from_cube};
use burn::tensor::Tensor;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// Threads of a cube; samples of a cube of the inverse.
const THREADS: usize = 256;
/// Most numbers in shared memory: 24 KiB.
const SHARED: usize = 6144;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    n_fft: usize,
    hop: usize,
}

impl Shape {
    /// Real and imaginary parts of a frame.
    const fn parts(self) -> usize {
        self.n_fft + 2
    }

    /// Most frames that reach the samples of a cube.
    const fn frames(self) -> usize {
        (THREADS + self.n_fft - 2) / self.hop + 1
    }
}

/// A transform whose frames are as long as its window, centred, on a device of ours.
#[derive(Debug, Clone)]
pub(crate) struct Spectrum {
    shape: Shape,
    /// By window x DFT and by inverse DFT x window, `[2 * bins, n_fft]` each.
    analysis: CubeTensor,
    synthesis: CubeTensor,
    /// `[n_fft]`
    window: CubeTensor,
}

impl Spectrum {
    /// From `analysis` and `synthesis` `[2 * bins, 1, n_fft]` and `window` `[n_fft]`. None where
    /// they are not on a device of ours or too long.
    pub fn new(
        analysis: &Tensor<3>,
        synthesis: &Tensor<3>,
        window: &Tensor<1>,
        hop: usize,
    ) -> Option<Self> {
        let [n_fft] = window.dims();
        let shape = Shape { n_fft, hop };
        let fits =
            analysis.dims() == [shape.parts(), 1, n_fft] && analysis.dims() == synthesis.dims();
        if !super::is_cube(&window.device())
            || !fits
            || hop == 0
            || shape.parts() * (n_fft + shape.frames()) + n_fft > SHARED
        {
            return None;
        }
        Some(Self {
            shape,
            analysis: activations(analysis.clone()),
            synthesis: activations(synthesis.clone()),
            window: activations(window.clone()),
        })
    }

    /// Samples `[batch, 1, n]`, reflected at both ends, to a spectrum
    /// `[batch, 2 * bins, n / hop + 1]`: the real parts of all bins, then the imaginary ones.
    /// `n` is more than `n_fft / 2`.
    pub fn forward(&self, samples: Tensor<3>) -> Tensor<3> {
        let [batch, channels, time] = samples.dims();
        assert!(channels == 1 && time > self.shape.n_fft / 2, "samples");
        let frames = time / self.shape.hop + 1;
        let shape = [batch, self.shape.parts(), frames];
        let cubes = CubeCount::Static(
            frames.div_ceil(THREADS) as u32,
            self.shape.parts() as u32,
            batch as u32,
        );
        transformed(samples, shape, |client, x, out| {
            let analysis = buffer(&self.analysis, 1);
            let (dim, time) = (CubeDim::new_1d(THREADS as u32), time as u32);
            // SAFETY: reflected places are within the samples, and each thread has its own result.
            unsafe {
                kernel::forward::launch_unchecked(
                    client,
                    cubes,
                    dim,
                    x,
                    analysis,
                    out,
                    time,
                    frames as u32,
                    self.shape,
                );
            }
        })
    }

    /// `[batch, 2 * bins, frames]`, the logarithms of magnitudes and then the arguments `p` of
    /// phases `sin p`, to samples `[batch, (frames - 1) * hop]`: overlap-add, divided by the summed
    /// squared window, half a window cut at both ends. Magnitudes above `most` are cut, and samples
    /// beyond `limit`.
    pub fn inverse_polar(&self, x: Tensor<3>, most: f32, limit: f32) -> Tensor<2> {
        let [batch, parts, frames] = x.dims();
        assert!(parts == self.shape.parts() && frames > 0, "spectrum");
        let samples = (frames - 1) * self.shape.hop;
        let cubes = CubeCount::Static(samples.div_ceil(THREADS) as u32, batch as u32, 1);
        transformed(x, [batch, samples], |client, x, out| {
            let (synthesis, window) = (buffer(&self.synthesis, 1), buffer(&self.window, 1));
            let (dim, frames) = (CubeDim::new_1d(THREADS as u32), frames as u32);
            // SAFETY: only frames below the count are read, and each thread has its own sample.
            unsafe {
                kernel::inverse_polar::launch_unchecked(
                    client, cubes, dim, x, synthesis, window, out, frames, most, limit, self.shape,
                );
            }
        })
    }
}

/// What `launch` makes of `x` in a tensor of `shape`, the last of its arguments. It is not called
/// for nothing.
fn transformed<const D: usize, const R: usize>(
    x: Tensor<D>,
    shape: [usize; R],
    launch: impl FnOnce(&Client, BufferArg, BufferArg),
) -> Tensor<R> {
    let x = activations(x);
    let out = empty(&x.client, &x.device, shape);
    if !shape.contains(&0) {
        launch(&x.client, buffer(&x, 1), buffer(&out, 1));
    }
    from_cube(out)
}
