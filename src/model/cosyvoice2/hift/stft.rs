//! Short-time Fourier transform and its inverse as convolutions with fixed kernels, so that one
//! code runs on every backend in a single operation each; on GPUs, as kernels of their own.

use crate::model::cosyvoice2::config::IstftConfig;
use crate::model::nn::{Conv1d, ConvOptions, ConvTranspose1d, Spectrum, polar};
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Tensor, TensorData};
use std::f64::consts::TAU;

/// Transform with a periodic Hann window as long as the transform, centred.
///
/// A spectrum is `[batch, 2 * bins, frames]`: the real parts of all bins, then the imaginary ones;
/// `bins = n_fft / 2 + 1`, `frames = samples / hop + 1`.
#[derive(Debug, Clone)]
pub struct Stft {
    n_fft: usize,
    hop: usize,
    window: Vec<f64>,
    /// By window x DFT, `[2 * bins, 1, n_fft]`.
    analysis: Conv1d,
    /// By inverse DFT x window, `[2 * bins, 1, n_fft]`.
    synthesis: ConvTranspose1d,
    gpu: Option<Spectrum>,
}

impl Stft {
    pub fn new(config: IstftConfig, device: &Device) -> Self {
        let IstftConfig { n_fft, hop_len } = config;
        let bins = n_fft / 2 + 1;
        let turn = |k: usize, n: usize| TAU * ((k * n) % n_fft) as f64 / n_fft as f64;
        let window: Vec<f64> =
            (0..n_fft).map(|n| 0.5 - 0.5 * (TAU * n as f64 / n_fft as f64).cos()).collect();
        // A real signal's inverse counts every bin twice, but for the first and the last.
        let weight = |k: usize| if k == 0 || 2 * k == n_fft { 1.0 } else { 2.0 } / n_fft as f64;
        let kernel = |value: &dyn Fn(bool, usize, usize) -> f64| {
            let values: Vec<f32> = [false, true]
                .into_iter()
                .flat_map(|imaginary| (0..bins).map(move |k| (imaginary, k)))
                .flat_map(|(imaginary, k)| (0..n_fft).map(move |n| (imaginary, k, n)))
                .map(|(imaginary, k, n)| (value(imaginary, k, n) * window[n]) as f32)
                .collect();
            Tensor::from_data(TensorData::new(values, [2 * bins, 1, n_fft]), device)
        };
        let basis = |imaginary: bool, k, n| {
            if imaginary { -turn(k, n).sin() } else { turn(k, n).cos() }
        };
        let analysis = kernel(&basis);
        let synthesis = kernel(&|imaginary, k, n| weight(k) * basis(imaginary, k, n));
        let options = ConvOptions { stride: hop_len, bias: false, ..Default::default() };
        let values: Vec<f32> = window.iter().map(|w| *w as f32).collect();
        let values = Tensor::from_floats(values.as_slice(), device);
        let gpu = Spectrum::new(&analysis, &synthesis, &values, hop_len);
        Self {
            n_fft,
            hop: hop_len,
            window,
            analysis: Conv1d::new(analysis, None, options),
            synthesis: ConvTranspose1d::new(synthesis, None, hop_len, n_fft / 2),
            gpu,
        }
    }

    pub fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    /// Samples `[batch, 1, n]` to a spectrum; `n` must be more than `n_fft / 2`, for the reflection
    /// at the ends.
    pub fn forward(&self, samples: Tensor<3>) -> Tensor<3> {
        if let Some(gpu) = &self.gpu {
            return gpu.forward(samples);
        }
        let half = self.n_fft / 2;
        let padded = samples.pad([(half, half)], PadMode::Reflect);
        self.analysis.forward(padded)
    }

    /// A spectrum of `frames` to samples `[batch, (frames - 1) * hop]`: overlap-add, divided by the
    /// summed squared window, half a window cut at both ends.
    pub fn inverse(&self, spectrum: Tensor<3>) -> Tensor<2> {
        let [_, _, frames] = spectrum.dims();
        let sum = self.synthesis.forward(spectrum);
        let scale = self.scale(frames);
        let scale = Tensor::from_data(TensorData::new(scale, [1, 1, sum.dims()[2]]), &sum.device());
        (sum * scale).squeeze_dim::<2>(1)
    }

    /// [`Self::inverse`] of `[batch, 2 * bins, frames]`, the logarithms of magnitudes and then the
    /// arguments `p` of phases `sin p`. Magnitudes above `most` are cut, and samples beyond `limit`.
    pub fn inverse_polar(&self, x: Tensor<3>, most: f32, limit: f32) -> Tensor<2> {
        match &self.gpu {
            Some(gpu) => gpu.inverse_polar(x, most, limit),
            None => self.inverse(polar(x, most)).clamp(-limit, limit),
        }
    }

    /// One over the summed squared window, at every sample that [`Self::inverse`] keeps.
    fn scale(&self, frames: usize) -> Vec<f32> {
        let (n_fft, hop) = (self.n_fft, self.hop);
        let at = |sample: usize| {
            let last = (sample / hop).min(frames.saturating_sub(1));
            let first = (sample + 1).saturating_sub(n_fft).div_ceil(hop);
            let sum: f64 = (first..=last).map(|f| self.window[sample - f * hop].powi(2)).sum();
            (1.0 / sum) as f32
        };
        // Away from the ends the sum repeats with the hop.
        let (total, half) = (frames.saturating_sub(1) * hop, n_fft / 2);
        let period: Vec<f32> = (0..hop).map(|i| at(n_fft.next_multiple_of(hop) + i)).collect();
        (half..half + total)
            .map(|s| if s < n_fft || s + n_fft > total { at(s) } else { period[s % hop] })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inverse undoes the transform, at the ends too, for frame counts so small that every
    /// sample is an end.
    #[test]
    fn inverse_restores_the_signal() {
        let device = Device::flex();
        for (n_fft, hop, frames) in [(16, 4, 3), (16, 4, 8), (16, 4, 200), (32, 8, 7), (20, 5, 40)]
        {
            let stft = Stft::new(IstftConfig { n_fft, hop_len: hop }, &device);
            let n = (frames - 1) * hop;
            if n <= n_fft / 2 {
                continue;
            }
            let signal: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin() + 0.1).collect();
            let x = Tensor::from_data(TensorData::new(signal.clone(), [1, 1, n]), &device);
            let spectrum = stft.forward(x);
            assert_eq!(spectrum.dims(), [1, 2 * stft.bins(), frames]);
            let y: Vec<f32> = stft.inverse(spectrum).into_data().iter().collect();
            assert_eq!(y.len(), n);
            for (a, b) in signal.iter().zip(&y) {
                assert!((a - b).abs() < 1e-5, "n_fft {n_fft}, {frames} frames: {a} {b}");
            }
        }
    }
}
