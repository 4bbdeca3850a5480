//! Log-mel spectrograms: one for the speech tokenizer (16 kHz), one for the vocoder (24 kHz).

use super::filterbank::Filterbank;
use super::spectrum::{Frames, Framing, hann, spectra};

/// Rate of the samples that [`whisper_log_mel`] takes.
pub const WHISPER_RATE: u32 = 16_000;
/// Rate of the samples that [`vocoder_mel`] takes.
pub const VOCODER_RATE: u32 = 24_000;

const WHISPER_N_FFT: usize = 400;
const WHISPER_HOP: usize = 160;
const VOCODER_N_FFT: usize = 1920;
const VOCODER_HOP: usize = 480;
/// Upper edge of the highest band of either.
const HIGH_HZ: f64 = 8000.0;

/// The filters of [`whisper_log_mel`].
pub fn whisper_filterbank(bins: usize) -> Filterbank {
    Filterbank::slaney(f64::from(WHISPER_RATE), WHISPER_N_FFT, bins, HIGH_HZ)
}

/// The filters of [`vocoder_mel`].
pub fn vocoder_filterbank(bins: usize) -> Filterbank {
    Filterbank::slaney(f64::from(VOCODER_RATE), VOCODER_N_FFT, bins, HIGH_HZ)
}

/// Whisper's log-mel spectrogram of 16 kHz samples: `n / 160` frames of `bins` values.
///
/// Power in each band as log10, nothing more than 8 below the loudest value of the whole clip,
/// then `(x + 4) / 4`. (Radford et al., "Robust Speech Recognition via Large-Scale Weak
/// Supervision", 2022.)
pub fn whisper_log_mel(samples: &[f32], bins: usize) -> Frames {
    let framing = Framing {
        window: WHISPER_N_FFT,
        hop: WHISPER_HOP,
        reflect: WHISPER_N_FFT / 2,
        frames: samples.len() / WHISPER_HOP,
    };
    let filters = whisper_filterbank(bins);
    let mut out = log_mel(samples, &framing, &filters, |power| power, |x| x.max(1e-10).log10());
    let floor = out.data.iter().copied().fold(f32::NEG_INFINITY, f32::max) - 8.0;
    for value in &mut out.data {
        *value = (value.max(floor) + 4.0) / 4.0;
    }
    out
}

/// The log-mel spectrogram that the vocoder speaks from, of 24 kHz samples: `n / 480` frames of
/// `bins` values, natural logarithm of the magnitude in each band.
pub fn vocoder_mel(samples: &[f32], bins: usize) -> Frames {
    let framing = Framing {
        window: VOCODER_N_FFT,
        hop: VOCODER_HOP,
        reflect: (VOCODER_N_FFT - VOCODER_HOP) / 2,
        frames: samples.len() / VOCODER_HOP,
    };
    let filters = vocoder_filterbank(bins);
    let magnitude = |power: f64| (power + 1e-9).sqrt();
    log_mel(samples, &framing, &filters, magnitude, |x| x.max(1e-5).ln())
}

fn log_mel(
    samples: &[f32],
    framing: &Framing,
    filters: &Filterbank,
    of_power: impl Fn(f64) -> f64,
    log: impl Fn(f64) -> f64,
) -> Frames {
    let window = hann(framing.window);
    let mut out = Frames::zeros(framing.frames, filters.len());
    let mut energies = Vec::new();
    let shape = |frame: &mut [f64]| frame.iter_mut().zip(&window).for_each(|(x, w)| *x *= w);
    spectra(samples, framing, framing.window, shape, |t, spectrum| {
        energies.clear();
        energies.extend(spectrum.iter().map(|c| of_power(c.norm_sqr())));
        let row = &mut out.data[t * filters.len()..];
        for (value, energy) in row.iter_mut().zip(filters.apply(&energies)) {
            *value = log(energy) as f32;
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prompt may end anywhere, and be shorter than a window.
    #[test]
    fn any_length_gives_whole_hops() {
        for n in [0, 1, 2, 159, 160, 161, 479, 480, 2000] {
            let samples = vec![0.1; n];
            assert_eq!(whisper_log_mel(&samples, 128).frames, n / 160);
            let mel = vocoder_mel(&samples, 80);
            assert_eq!((mel.frames, mel.data.len()), (n / 480, n / 480 * 80));
            assert!(mel.data.iter().all(|x| x.is_finite()));
        }
    }

    /// A tone lands in the band whose centre is nearest, in both scales' parts.
    #[test]
    fn a_tone_peaks_in_its_band() {
        for (hz, band) in [(400.0, 8..=12), (4000.0, 55..=62)] {
            let tone: Vec<f32> = (0..24_000)
                .map(|i| (std::f32::consts::TAU * hz * i as f32 / 24_000.0).sin())
                .collect();
            let mel = vocoder_mel(&tone, 80);
            let row = &mel.data[25 * 80..26 * 80];
            let peak = (0..80).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0);
            assert!(band.contains(&peak), "{hz} Hz in band {peak}");
        }
    }
}
