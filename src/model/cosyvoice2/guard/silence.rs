//! Silence in an utterance's mel.

use burn::tensor::Tensor;
use std::ops::Range;

/// Frames of silence that an utterance may have in one place: 2 s at 50 a second.
const LONGEST: usize = 100;
/// A frame is silent where its level is this much below the loud ones of the prompt (30 dB).
const QUIET: f32 = 0.03;

/// The level of the loud frames of a recording: the ninth decile of `mel`, logarithms of
/// magnitudes in rows of `bins`. 0 for no frames.
pub fn loudness(mel: &[f32], bins: usize) -> f32 {
    let mut levels: Vec<f32> = mel.chunks(bins.max(1)).map(level).collect();
    levels.sort_by(f32::total_cmp);
    levels.get(levels.len() * 9 / 10).copied().unwrap_or_default()
}

fn level(frame: &[f32]) -> f32 {
    frame.iter().map(|value| value.exp()).sum::<f32>() / frame.len().max(1) as f32
}

/// Follows the silence of one utterance through its mel.
#[derive(Debug, Clone, Copy)]
pub struct Silence {
    threshold: f32,
    /// Frames of the silence in progress.
    run: usize,
}

impl Silence {
    /// In a voice of which loud frames have this [`loudness`].
    pub fn new(loudness: f32) -> Self {
        Self { threshold: loudness * QUIET, run: 0 }
    }

    /// The next mel, `[1, bins, frames]`, without what is more than two seconds of silence; and
    /// whether there was such.
    pub fn shorten(&mut self, mel: Tensor<3>) -> (Tensor<3>, bool) {
        let [_, bins, frames] = mel.dims();
        let values: Vec<f32> = mel.clone().swap_dims(1, 2).into_data().iter().collect();
        let levels: Vec<f32> = values.chunks(bins.max(1)).map(level).collect();
        let kept = self.keep(&levels);
        if kept.iter().map(Range::len).sum::<usize>() == frames {
            return (mel, false);
        }
        let part = |range: &Range<usize>| mel.clone().narrow(2, range.start, range.len());
        let short = match &kept[..] {
            [] => Tensor::zeros([1, bins, 0], &mel.device()),
            [one] => part(one),
            more => Tensor::cat(more.iter().map(part).collect(), 2),
        };
        (short, true)
    }

    /// Ranges of the next frames that are not too much silence, in order.
    fn keep(&mut self, levels: &[f32]) -> Vec<Range<usize>> {
        let mut kept: Vec<Range<usize>> = Vec::new();
        for (i, level) in levels.iter().enumerate() {
            self.run = if *level < self.threshold { self.run + 1 } else { 0 };
            if self.run > LONGEST {
                continue;
            }
            match kept.last_mut() {
                Some(range) if range.end == i => range.end += 1,
                _ => kept.push(i..i + 1),
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn mel(levels: &[f32]) -> Tensor<3> {
        let values: Vec<f32> = levels.iter().chain(levels).map(|level| level.ln()).collect();
        Tensor::from_data(TensorData::new(values, [1, 2, levels.len()]), &Device::flex())
    }

    fn levels(parts: &[(usize, f32)]) -> Vec<f32> {
        parts.iter().flat_map(|(count, level)| vec![*level; *count]).collect()
    }

    #[test]
    fn loudness_is_that_of_the_loud_frames() {
        let values: Vec<f32> = (1..=10).flat_map(|i| [(i as f32).ln(); 4]).collect();
        assert!((loudness(&values, 4) - 10.0).abs() < 1e-4);
        assert_eq!(loudness(&[], 4), 0.0);
    }

    /// Pauses stay; of longer ones two seconds stay, however the mel is cut, and all of the speech.
    #[test]
    fn silence_is_shortened_to_two_seconds() {
        let sound = levels(&[(10, 1.0), (100, 0.01), (5, 0.5), (130, 0.001), (7, 1.0), (250, 0.0)]);
        for hop in [500, 50, 33, 1] {
            let mut silence = Silence::new(1.0);
            let mut frames = Vec::new();
            let mut found = 0;
            for part in sound.chunks(hop) {
                let (short, too_long) = silence.shorten(mel(part));
                found += usize::from(too_long);
                let row: Vec<f32> = short.narrow(1, 0, 1).into_data().iter().collect();
                frames.extend(row.into_iter().map(f32::exp));
            }
            assert_eq!(frames.len(), 10 + 100 + 5 + 100 + 7 + 100, "{hop}");
            assert_eq!(frames.iter().filter(|level| **level > 0.1).count(), 22);
            assert!(found > 0);
        }
        let mut silence = Silence::new(1.0);
        let (same, found) = silence.shorten(mel(&sound[..120]));
        assert_eq!((same.dims(), found), ([1, 2, 120], false));
    }
}
