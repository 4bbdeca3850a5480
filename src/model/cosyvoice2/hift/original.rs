//! The original implementation's glue between the vocoder's calls, as the reference that
//! [`super::VocoderStream`] departs from.
//!
//! It pastes the previous call's source over the cached frames, so the harmonics' phase jumps
//! where the paste ends, and it cross-fades with a Hamming window, whose halves sum to 1.08 at the
//! rim.

use super::Hift;
use super::stream::OVERLAP;
use burn::tensor::Tensor;
use std::f64::consts::TAU;

/// One utterance, heard as the original makes it.
#[derive(Debug, Clone)]
pub struct OriginalStream {
    hift: Hift,
    cache: Option<Cache>,
}

#[derive(Debug, Clone)]
struct Cache {
    /// `[1, mels, up to OVERLAP]`
    mel: Tensor<3>,
    /// `[1, 1, samples of the cached frames]`
    source: Tensor<3>,
    /// Samples of the cached frames, not yet heard.
    tail: Vec<f32>,
}

impl OriginalStream {
    pub fn new(hift: &Hift) -> Self {
        Self { hift: hift.clone(), cache: None }
    }

    /// What the next call gives the vocoder for new mel `[1, mels, frames]`: the cached frames,
    /// then the new ones.
    pub fn input(&self, mel: Tensor<3>) -> Tensor<3> {
        match &self.cache {
            Some(cache) => Tensor::cat(vec![cache.mel.clone(), mel], 2),
            None => mel,
        }
    }

    /// New mel `[1, mels, n >= 1]` and noise `[samples of the input, harmonics]` to the samples
    /// heard next.
    pub fn push(&mut self, mel: Tensor<3>, noise: &[f32], last: bool) -> Vec<f32> {
        let input = self.input(mel);
        let cache = self.cache.take();
        let cache_source = cache.as_ref().map(|cache| cache.source.clone());
        let (wav, source) = self.hift.inference(input.clone(), noise, cache_source);
        let mut wav: Vec<f32> = wav.into_data().iter().collect();
        if let Some(cache) = cache {
            let window = fade_window(2 * cache.tail.len());
            cross_fade(&mut wav, &cache.tail, &window);
        }
        if !last {
            let [_, _, frames] = input.dims();
            let cached = frames.min(OVERLAP);
            let samples = cached * self.hift.frame();
            self.cache = Some(Cache {
                mel: input.narrow(2, frames - cached, cached),
                source: source.narrow(2, wav.len() - samples, samples),
                tail: wav.split_off(wav.len() - samples),
            });
        }
        wav
    }
}

/// Symmetric Hamming window of `length` points.
pub fn fade_window(length: usize) -> Vec<f32> {
    let last = length.saturating_sub(1).max(1) as f64;
    (0..length).map(|i| (0.54 - 0.46 * (TAU * i as f64 / last).cos()) as f32).collect()
}

/// Fades `tail` out and the start of `wav` in, by the falling and the rising half of `window`,
/// which has two points per sample of `tail`.
pub fn cross_fade(wav: &mut [f32], tail: &[f32], window: &[f32]) {
    let (rise, fall) = window.split_at(window.len() / 2);
    for ((new, old), (rise, fall)) in wav.iter_mut().zip(tail).zip(rise.iter().zip(fall)) {
        *new = *new * rise + old * fall;
    }
}
