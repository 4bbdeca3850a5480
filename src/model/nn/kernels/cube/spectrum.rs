//! The short-time Fourier transform of a vocoder's source and the inverse one of its output, each
//! in one launch with all that is about it.
//!
//! Transforms are short there, 16 samples, so the sums are written out. What gives a sample adds up
//! the frames that reach it: nothing is written twice.

use super::{activations, buffer, empty, from_cube};
use burn::tensor::Tensor;
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

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
        let x = activations(samples);
        let frames = time / self.shape.hop + 1;
        let out = empty(&x.client, &x.device, [batch, self.shape.parts(), frames]);
        if batch == 0 {
            return from_cube(out);
        }
        let cubes = CubeCount::Static(
            frames.div_ceil(THREADS) as u32,
            self.shape.parts() as u32,
            batch as u32,
        );
        // SAFETY: reflected places are within the samples, and each thread has its own result.
        unsafe {
            forward::launch_unchecked(
                &out.client,
                cubes,
                CubeDim::new_1d(THREADS as u32),
                buffer(&x, 1),
                buffer(&self.analysis, 1),
                buffer(&out, 1),
                time as u32,
                frames as u32,
                self.shape,
            );
        }
        from_cube(out)
    }

    /// `[batch, 2 * bins, frames]`, the logarithms of magnitudes and then the arguments `p` of
    /// phases `sin p`, to samples `[batch, (frames - 1) * hop]`: overlap-add, divided by the summed
    /// squared window, half a window cut at both ends. Magnitudes above `most` are cut, and samples
    /// beyond `limit`.
    pub fn inverse_polar(&self, x: Tensor<3>, most: f32, limit: f32) -> Tensor<2> {
        let [batch, parts, frames] = x.dims();
        assert!(parts == self.shape.parts() && frames > 0, "spectrum");
        let samples = (frames - 1) * self.shape.hop;
        let x = activations(x);
        let out = empty(&x.client, &x.device, [batch, samples]);
        if batch * samples == 0 {
            return from_cube(out);
        }
        let cubes = CubeCount::Static(samples.div_ceil(THREADS) as u32, batch as u32, 1);
        // SAFETY: only frames below the count are read, and each thread has its own sample.
        unsafe {
            inverse_polar::launch_unchecked(
                &out.client,
                cubes,
                CubeDim::new_1d(THREADS as u32),
                buffer(&x, 1),
                buffer(&self.synthesis, 1),
                buffer(&self.window, 1),
                buffer(&out, 1),
                frames as u32,
                most,
                limit,
                self.shape,
            );
        }
        from_cube(out)
    }
}

#[cube(launch_unchecked)]
fn forward(
    x: &[f32],
    basis: &[f32],
    out: &mut [f32],
    time: u32,
    frames: u32,
    #[comptime] shape: Shape,
) {
    let n_fft = comptime!(shape.n_fft);
    let frame = CUBE_POS_X as usize * THREADS + UNIT_POS as usize;
    let part = CUBE_POS_Y as usize;
    let sample = CUBE_POS_Z as usize;
    let time = time as usize;
    let frames = frames as usize;
    if frame < frames {
        let start = frame * comptime!(shape.hop);
        let mut sum = 0f32;
        for n in 0..n_fft {
            // Counted from half a window before the first sample.
            let place = start + n;
            let mut at = comptime!(shape.n_fft / 2) - place;
            if place >= comptime!(shape.n_fft / 2) {
                at = place - comptime!(shape.n_fft / 2);
            }
            if at >= time {
                at = 2 * (time - 1) - at;
            }
            sum += x[sample * time + at] * basis[part * n_fft + n];
        }
        out[(sample * comptime!(shape.parts()) + part) * frames + frame] = sum;
    }
}

#[cube(launch_unchecked)]
fn inverse_polar(
    x: &[f32],
    basis: &[f32],
    window: &[f32],
    out: &mut [f32],
    frames: u32,
    most: f32,
    limit: f32,
    #[comptime] shape: Shape,
) {
    let n_fft = comptime!(shape.n_fft);
    let hop = comptime!(shape.hop);
    let bins = comptime!(shape.parts() / 2);
    let reach = comptime!(shape.frames());
    let thread = UNIT_POS as usize;
    let frames = frames as usize;
    let sample = CUBE_POS_Y as usize;

    let mut spectra = Shared::<[f32]>::new_slice(comptime!(shape.parts() * shape.frames()));
    let mut kernel = Shared::<[f32]>::new_slice(comptime!(shape.parts() * shape.n_fft));
    let mut weights = Shared::<[f32]>::new_slice(n_fft);

    // Places are counted from half a window before the first sample: frame `f` is at `f * hop`.
    let place = CUBE_POS_X as usize * THREADS + comptime!(shape.n_fft / 2);
    let mut first = 0usize;
    if place >= n_fft {
        first = (place - n_fft) / hop + 1;
    }
    let mut i = thread;
    while i < comptime!(shape.parts() * shape.n_fft) {
        kernel[i] = basis[i];
        i += THREADS;
    }
    let mut i = thread;
    while i < n_fft {
        weights[i] = window[i] * window[i];
        i += THREADS;
    }
    let mut i = thread;
    while i < comptime!(shape.parts() / 2 * shape.frames()) {
        let bin = i / reach;
        let frame = first + i % reach;
        let mut real = 0f32;
        let mut imaginary = 0f32;
        if frame < frames {
            let at = (sample * comptime!(shape.parts()) + bin) * frames + frame;
            let magnitude = x[at].exp();
            let magnitude = select(magnitude > most, most, magnitude);
            let phase = x[at + bins * frames].sin();
            real = magnitude * phase.cos();
            imaginary = magnitude * phase.sin();
        }
        spectra[i] = real;
        spectra[i + bins * reach] = imaginary;
        i += THREADS;
    }
    sync_cube();

    let at = CUBE_POS_X as usize * THREADS + thread;
    let samples = (frames - 1) * hop;
    if at < samples {
        let place = place + thread;
        let mut frame = 0usize;
        if place >= n_fft {
            frame = (place - n_fft) / hop + 1;
        }
        let mut sum = 0f32;
        let mut weight = 0f32;
        while frame * hop <= place && frame < frames {
            let n = place - frame * hop;
            weight += weights[n];
            for part in 0..comptime!(shape.parts()) {
                sum += spectra[part * reach + frame - first] * kernel[part * n_fft + n];
            }
            frame += 1;
        }
        let y = sum / weight;
        let y = select(y > limit, limit, y);
        out[sample * samples + at] = select(y < -limit, -limit, y);
    }
}

#[cfg(test)]
mod on_a_gpu {
    use super::super::test_device;
    use super::*;
    use burn::tensor::{Device, Distribution, TensorData};
    use std::f64::consts::TAU;

    /// Tables as the vocoder makes them.
    struct Tables {
        n_fft: usize,
        window: Vec<f64>,
        analysis: Vec<f64>,
        synthesis: Vec<f64>,
    }

    impl Tables {
        fn new(n_fft: usize) -> Self {
            let window: Vec<f64> =
                (0..n_fft).map(|n| 0.5 - 0.5 * (TAU * n as f64 / n_fft as f64).cos()).collect();
            let bins = n_fft / 2 + 1;
            let (mut analysis, mut synthesis) = (Vec::new(), Vec::new());
            for part in 0..2 * bins {
                let k = part % bins;
                let weight = if k == 0 || 2 * k == n_fft { 1.0 } else { 2.0 } / n_fft as f64;
                for (n, window) in window.iter().enumerate() {
                    let angle = TAU * ((k * n) % n_fft) as f64 / n_fft as f64;
                    let basis = if part < bins { angle.cos() } else { -angle.sin() } * window;
                    analysis.push(basis);
                    synthesis.push(weight * basis);
                }
            }
            Self { n_fft, window, analysis, synthesis }
        }

        fn spectrum(&self, hop: usize) -> Spectrum {
            let gpu = test_device();
            let data = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
            let table = |values: &[f64]| {
                let shape = [self.n_fft + 2, 1, self.n_fft];
                Tensor::from_data(TensorData::new(data(values), shape), &gpu)
            };
            let window = Tensor::from_data(TensorData::new(data(&self.window), [self.n_fft]), &gpu);
            Spectrum::new(&table(&self.analysis), &table(&self.synthesis), &window, hop).unwrap()
        }
    }

    fn random(shape: [usize; 3], spread: f64) -> (Vec<f32>, Tensor<3>) {
        let x: Tensor<3> =
            Tensor::random(shape, Distribution::Normal(0.0, spread), &Device::flex());
        let gpu = test_device();
        (x.to_data().iter().collect(), x.to_device(&gpu))
    }

    /// Protects the reflection at both ends, also where one frame reaches both, and the way from a
    /// frame to its place in batches.
    #[test]
    fn forward_is_the_transform() {
        for (batch, n_fft, hop, time) in
            [(1, 16, 4, 9), (2, 16, 4, 1440), (1, 20, 5, 1301), (1, 32, 8, 17)]
        {
            let tables = Tables::new(n_fft);
            let (x, there) = random([batch, 1, time], 1.0);
            let got = tables.spectrum(hop).forward(there);
            let frames = time / hop + 1;
            assert_eq!(got.dims(), [batch, n_fft + 2, frames]);
            let got: Vec<f32> = got.into_data().iter().collect();
            for (i, got) in got.into_iter().enumerate() {
                let (frame, part, row) =
                    (i % frames, i / frames % (n_fft + 2), i / frames / (n_fft + 2));
                let want: f64 = (0..n_fft)
                    .map(|n| {
                        let at = (frame * hop + n) as isize - (n_fft / 2) as isize;
                        let last = time as isize - 1;
                        let at = if at.abs() > last { 2 * last - at } else { at.abs() };
                        f64::from(x[row * time + at as usize]) * tables.analysis[part * n_fft + n]
                    })
                    .sum();
                assert!((f64::from(got) - want).abs() < 1e-5, "{n_fft}, {i}: {got}, not {want}");
            }
        }
    }

    /// Protects samples at both ends and at the edges of cubes, frame counts so small that every
    /// sample is an end, hops that do not divide the cube, both cuts, and batches.
    #[test]
    fn inverse_is_overlap_add() {
        for (batch, n_fft, hop, frames) in [
            (1, 16, 4, 2),
            (1, 16, 4, 3),
            (2, 16, 4, 1000),
            (1, 20, 5, 131),
            (1, 32, 8, 97),
            (1, 16, 4, 65),
        ] {
            let (tables, bins) = (Tables::new(n_fft), n_fft / 2 + 1);
            let (x, there) = random([batch, n_fft + 2, frames], 1.5);
            let (most, limit) = (20.0, 0.9);
            let got = tables.spectrum(hop).inverse_polar(there, most, limit);
            let samples = (frames - 1) * hop;
            assert_eq!(got.dims(), [batch, samples]);
            let got: Vec<f32> = got.into_data().iter().collect();
            for row in 0..batch {
                let mut sums = vec![0f64; samples + n_fft];
                let mut weights = sums.clone();
                for frame in 0..frames {
                    for n in 0..n_fft {
                        weights[frame * hop + n] += tables.window[n].powi(2);
                        for bin in 0..bins {
                            let at = |part: usize| {
                                f64::from(x[(row * (n_fft + 2) + part) * frames + frame])
                            };
                            let magnitude = at(bin).exp().min(f64::from(most));
                            let phase = at(bin + bins).sin();
                            sums[frame * hop + n] += magnitude
                                * (phase.cos() * tables.synthesis[bin * n_fft + n]
                                    + phase.sin() * tables.synthesis[(bin + bins) * n_fft + n]);
                        }
                    }
                }
                for i in 0..samples {
                    let want = sums[i + n_fft / 2] / weights[i + n_fft / 2];
                    let want = want.clamp(-f64::from(limit), f64::from(limit));
                    let got = f64::from(got[row * samples + i]);
                    assert!(
                        (got - want).abs() < 2e-5,
                        "{n_fft}, {frames} frames, {i}: {got}, not {want}"
                    );
                }
            }
        }
    }
}
