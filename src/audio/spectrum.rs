//! Short-time spectra: what every feature shares before its filterbank.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

/// A sequence of feature vectors, frame after frame (`[frames, bins]`, the BTC layout).
#[derive(Debug, Clone, PartialEq)]
pub struct Frames {
    /// `data[t * bins + b]` is bin `b` of frame `t`.
    pub data: Vec<f32>,
    pub frames: usize,
    pub bins: usize,
}

impl Frames {
    pub(super) fn zeros(frames: usize, bins: usize) -> Self {
        Self { data: vec![0.0; frames * bins], frames, bins }
    }

    /// The same values as `[bins, frames]` (the BCT layout).
    pub fn channels_first(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.data.len()];
        for (t, row) in self.data.chunks_exact(self.bins.max(1)).enumerate() {
            for (b, value) in row.iter().enumerate() {
                out[b * self.frames + t] = *value;
            }
        }
        out
    }

    /// Subtracts from every bin its mean over time.
    pub fn subtract_mean(&mut self) {
        let mut mean = vec![0f64; self.bins];
        for row in self.data.chunks_exact(self.bins.max(1)) {
            for (sum, value) in mean.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        for row in self.data.chunks_exact_mut(self.bins.max(1)) {
            for (value, sum) in row.iter_mut().zip(&mean) {
                *value = (f64::from(*value) - sum / self.frames as f64) as f32;
            }
        }
    }
}

/// Where the frames of a signal lie.
pub(super) struct Framing {
    /// Samples per frame, before zero padding to the transform's length.
    pub window: usize,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// Samples mirrored at both ends before framing.
    pub reflect: usize,
    pub frames: usize,
}

/// Calls `visit` with each frame's number and its spectrum, bins `0..=n_fft / 2`.
///
/// Each frame passes through `shape` (window function and whatever precedes it) after it was cut
/// out, and is zero-padded to `n_fft`. In f64, so that what is left of the error against other
/// implementations is theirs alone.
pub(super) fn spectra(
    samples: &[f32],
    framing: &Framing,
    n_fft: usize,
    shape: impl Fn(&mut [f64]),
    mut visit: impl FnMut(usize, &[Complex<f64>]),
) {
    if samples.is_empty() {
        return;
    }
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(n_fft);
    let (mut input, mut output) = (fft.make_input_vec(), fft.make_output_vec());
    let mut scratch = fft.make_scratch_vec();
    let window = framing.window.min(n_fft);
    for t in 0..framing.frames {
        input.fill(0.0);
        let start = (t * framing.hop) as isize - framing.reflect as isize;
        for (i, value) in input.iter_mut().take(window).enumerate() {
            *value = f64::from(samples[mirror(start + i as isize, samples.len())]);
        }
        shape(&mut input[..window]);
        // Fails only on buffers of the wrong length, and these are the plan's own.
        if fft.process_with_scratch(&mut input, &mut output, &mut scratch).is_ok() {
            visit(t, &output);
        }
    }
}

/// The sample that stands at `index` when a signal of `len > 0` samples is continued by mirroring
/// at its first and last sample (which are not repeated), as often as needed.
fn mirror(index: isize, len: usize) -> usize {
    let period = 2 * (len as isize - 1);
    if period == 0 {
        return 0;
    }
    let i = index.rem_euclid(period);
    i.min(period - i) as usize
}

/// The Hann window with period `n` (one sample short of symmetric).
pub(super) fn hann(n: usize) -> Vec<f64> {
    (0..n).map(|i| 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / n as f64).cos()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features of very short clips need more mirrored samples than there are samples.
    #[test]
    fn mirroring_reaches_beyond_the_signal() {
        let at = |range: std::ops::Range<isize>, len| -> Vec<usize> {
            range.map(|i| mirror(i, len)).collect()
        };
        assert_eq!(at(-5..8, 4), [1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1][..]);
        assert_eq!(at(-2..2, 1), [0; 4]);
        assert_eq!(at(-2..3, 2), [0, 1, 0, 1, 0]);
    }

    #[test]
    fn channels_first_transposes() {
        let frames = Frames { data: vec![1., 2., 3., 4., 5., 6.], frames: 3, bins: 2 };
        assert_eq!(frames.channels_first(), [1., 3., 5., 2., 4., 6.]);
    }

    #[test]
    fn means_are_taken_over_time() {
        let mut frames = Frames { data: vec![1., 10., 3., 30.], frames: 2, bins: 2 };
        frames.subtract_mean();
        assert_eq!(frames.data, [-1., -10., 1., 10.]);
    }
}
