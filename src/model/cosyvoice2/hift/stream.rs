//! One continuous signal from mel that comes in hops.

use super::Hift;
use super::excitation::Excitation;
use super::f0::F0_CONTEXT;
use burn::tensor::Tensor;
use std::f32::consts::PI;

/// Frames whose samples are held back until the next hop, which decodes them with their right
/// neighbours known.
pub(super) const OVERLAP: usize = 8;

/// Frames over which a hop fades in, from the first of the overlap. The previous hop's version gets
/// worse towards its end, so the fade leaves the rest of the overlap to the new one: on the bundled
/// voice the worst seam differs from a single call's samples by -50 dB, by -32 dB with a fade over
/// the whole overlap, and by -44 dB over only one frame.
const FADE: usize = 4;

/// Frames before the new ones that a call decodes again. With no more than the overlap, the fade
/// would begin where the decoder sees zeros on its left: -30 dB at the worst seam with 8 frames,
/// -44 with 10, -50 with 12, -52 with 16.
const CONTEXT: usize = 12;

// What is held is decoded again, and the phase moves on only by frames whose f0 no later frame can
// change.
const _: () = assert!(CONTEXT >= OVERLAP && CONTEXT >= F0_CONTEXT && FADE <= OVERLAP);

/// The vocoder's state over one utterance.
///
/// A call decodes the new frames behind some that were decoded before, and its first samples that
/// were not heard fade in over the previous call's last ones. The halves of the fade sum to one and
/// both sides hear the same harmonics at the same phase in the same noise, so nothing of the level
/// is lost. They differ by what the networks see of the neighbourhood: the previous call knew no
/// frames to the right of its end, this one knows few to the left.
///
/// Samples of at most 8 frames are held.
#[derive(Debug, Clone)]
pub struct VocoderStream {
    hift: Hift,
    /// Where the first of the frames that are decoded again begins.
    excitation: Excitation,
    /// The frames that are decoded again, and before them those only the F0 predictor looks at,
    /// `[1, mels, frames]`. None before the first call.
    mel: Option<Tensor<3>>,
    /// Frames of `mel` that only the F0 predictor looks at.
    f0_only: usize,
    /// Samples decoded but not heard.
    held: Vec<f32>,
}

impl VocoderStream {
    /// At the start of an utterance. Equal seeds give equal audio.
    pub fn new(hift: &Hift, seed: u64) -> Self {
        Self {
            hift: hift.clone(),
            excitation: Excitation::new(hift.source(), seed),
            mel: None,
            f0_only: 0,
            held: Vec::new(),
        }
    }

    /// New mel `[1, mels, n]`, n >= 0, to the samples that are ready; with `last` to all that
    /// remain, after which nothing should follow. An utterance has exactly [`Hift::frame`] samples
    /// per frame.
    ///
    /// A single call with `last` is [`Hift::inference`] with this stream's noise, but for the
    /// phases, which that call sums in f32.
    pub fn push(&mut self, mel: Tensor<3>, last: bool) -> Vec<f32> {
        let new = mel.dims()[2] * self.hift.frame();
        if new == 0 {
            return if last { std::mem::take(&mut self.held) } else { Vec::new() };
        }
        let mel = match self.mel.take() {
            Some(cached) => Tensor::cat(vec![cached, mel], 2),
            None => mel,
        };
        let [_, _, frames] = mel.dims();
        let decoded = frames - self.f0_only;
        let f0: Vec<f32> = self.hift.f0(mel.clone()).into_data().iter().collect();
        let f0 = &f0[self.f0_only..];
        let source = self.excitation.signal(self.hift.source(), f0, last);
        let source = self.hift.source_tensor(source);
        let wav = self.hift.decode(mel.clone().narrow(2, self.f0_only, decoded), source);
        let wav: Vec<f32> = wav.into_data().iter().collect();

        let mut wav = wav[wav.len() - new - self.held.len()..].to_vec();
        let keep = if last { 0 } else { wav.len().min(OVERLAP * self.hift.frame()) };
        let ready = wav.len() - keep;
        let fade = ready.min(FADE * self.hift.frame()).min(self.held.len());
        fade_in(&mut wav[..fade], &self.held[..fade]);
        self.held = wav.split_off(ready);

        let again = decoded.min(CONTEXT);
        self.excitation.advance(self.hift.source(), &f0[..decoded - again]);
        self.f0_only = (frames - again).min(F0_CONTEXT);
        let cached = self.f0_only + again;
        self.mel = Some(mel.narrow(2, frames - cached, cached));
        wav
    }
}

/// Fades `new` in and `old` out, both of one length, by a raised cosine.
fn fade_in(new: &mut [f32], old: &[f32]) {
    let length = new.len() as f32;
    for (i, (new, old)) in new.iter_mut().zip(old).enumerate() {
        let weight = 0.5 - 0.5 * (PI * (i as f32 + 0.5) / length).cos();
        *new = old + weight * (*new - old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where both versions agree the fade changes nothing, and it has no step at its ends.
    #[test]
    fn fade_keeps_what_agrees() {
        let signal: Vec<f32> = (0..960).map(|i| (i as f32 * 0.1).sin()).collect();
        let mut new = signal.clone();
        fade_in(&mut new, &signal);
        assert_eq!(new, signal);
        let mut new = vec![1.0; 960];
        fade_in(&mut new, &[0.0; 960]);
        assert!(new[0] < 1e-5 && new[959] > 1.0 - 1e-5);
        for (rising, falling) in new.iter().zip(new.iter().rev()) {
            assert!((rising + falling - 1.0).abs() < 1e-6);
        }
    }
}
