//! The kernels against the transforms by their formulas, on the host.

use super::super::testing::{self, test_device, there, values};
use super::*;
use burn::tensor::TensorData;
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

/// Normal numbers, times `spread`, here and on the device.
fn random(shape: [usize; 3], spread: f64) -> (Vec<f32>, Tensor<3>) {
    let x = testing::random(shape) * spread;
    (values(x.clone()), there(&x))
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
        let got = values(got);
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
        let got = values(got);
        for row in 0..batch {
            let mut sums = vec![0f64; samples + n_fft];
            let mut weights = sums.clone();
            for frame in 0..frames {
                for n in 0..n_fft {
                    weights[frame * hop + n] += tables.window[n].powi(2);
                    for bin in 0..bins {
                        let at =
                            |part: usize| f64::from(x[(row * (n_fft + 2) + part) * frames + frame]);
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
