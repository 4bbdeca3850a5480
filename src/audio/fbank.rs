//! Kaldi's filterbank features: what the speaker encoder hears.

use super::filterbank::{Filterbank, triangle};
use super::spectrum::{Frames, Framing, spectra};

/// Rate of the samples that [`fbank`] takes.
pub const RATE: u32 = 16_000;

const WINDOW: usize = 400;
const HOP: usize = 160;
const N_FFT: usize = 512;
const PRE_EMPHASIS: f64 = 0.97;

/// Log energies of 16 kHz samples in `bins` mel bands: `1 + (n - 400) / 160` frames (none of
/// fewer than 400 samples).
///
/// As `compute-fbank-feats` of Kaldi with samples left in `[-1, 1]`, no dither and no energy
/// column. The speaker encoder takes them after [`Frames::subtract_mean`].
pub fn fbank(samples: &[f32], bins: usize) -> Frames {
    let frames = samples.len().checked_sub(WINDOW).map_or(0, |rest| 1 + rest / HOP);
    let framing = Framing { window: WINDOW, hop: HOP, reflect: 0, frames };
    let filters = filterbank(bins);
    let window = window_f64();
    let mut out = Frames::zeros(frames, bins);
    let mut power = Vec::new();
    let shape = |frame: &mut [f64]| {
        let mean = frame.iter().sum::<f64>() / frame.len() as f64;
        frame.iter_mut().for_each(|x| *x -= mean);
        for i in (1..frame.len()).rev() {
            frame[i] -= PRE_EMPHASIS * frame[i - 1];
        }
        frame[0] *= 1.0 - PRE_EMPHASIS;
        frame.iter_mut().zip(&window).for_each(|(x, w)| *x *= w);
    };
    spectra(samples, &framing, N_FFT, shape, |t, spectrum| {
        power.clear();
        power.extend(spectrum.iter().map(|c| c.norm_sqr()));
        for (value, energy) in out.data[t * bins..].iter_mut().zip(filters.apply(&power)) {
            *value = energy.max(f64::from(f32::EPSILON)).ln() as f32;
        }
    });
    out
}

/// The Povey window: a symmetric Hann window to the power of 0.85.
pub fn povey_window() -> Vec<f32> {
    window_f64().into_iter().map(|w| w as f32).collect()
}

fn window_f64() -> Vec<f64> {
    let step = std::f64::consts::TAU / (WINDOW - 1) as f64;
    (0..WINDOW).map(|i| (0.5 - 0.5 * (step * i as f64).cos()).powf(0.85)).collect()
}

/// `bins` triangles that are linear in `1127 ln(1 + f / 700)` from 20 to 8000 Hz, over the bins
/// below the Nyquist frequency.
pub fn filterbank(bins: usize) -> Filterbank {
    let mel = |hz: f64| 1127.0 * (1.0 + hz / 700.0).ln();
    let (low, high) = (mel(20.0), mel(f64::from(RATE) / 2.0));
    let edge = |i: usize| low + (high - low) * i as f64 / (bins + 1) as f64;
    Filterbank::new(bins, N_FFT / 2, |i, k| {
        let x = mel(k as f64 * f64::from(RATE) / N_FFT as f64);
        triangle(x, edge(i), edge(i + 1), edge(i + 2))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Silence is the logarithm's floor, not minus infinity; too short is no frame, not a panic.
    #[test]
    fn silence_and_short_clips() {
        for (n, frames) in [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2)] {
            let features = fbank(&vec![0.0; n], 80);
            assert_eq!((features.frames, features.data.len()), (frames, frames * 80));
            assert!(features.data.iter().all(|x| (x - f32::EPSILON.ln()).abs() < 1e-5));
        }
    }
}
