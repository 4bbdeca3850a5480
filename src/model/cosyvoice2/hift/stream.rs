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
        if mel.dims()[2] == 0 {
            return self.push_none(last);
        }
        // Kernels that begin on one of the pool's threads need not wake it for each operation.
        rayon::scope(|_| self.push_some(mel, last))
    }

    fn push_some(&mut self, mel: Tensor<3>, last: bool) -> Vec<f32> {
        let mel = self.with_past(mel);
        let f0: Vec<f32> = self.hift.f0(mel.clone()).into_data().iter().collect();
        let source = self.hift.source_tensor(self.source(&f0, last), 1);
        let [_, _, frames] = mel.dims();
        let decoded = mel.clone().narrow(2, self.f0_only, frames - self.f0_only);
        let wav: Vec<f32> = self.hift.decode(decoded, source).into_data().iter().collect();
        self.take(mel, &f0, &wav, last)
    }

    /// Bytes that it holds, the weights aside.
    pub fn bytes(&self) -> usize {
        let mel = self.mel.as_ref().map_or(0, |mel| mel.shape().num_elements());
        (mel + self.held.capacity()) * size_of::<f32>() + self.excitation.bytes()
    }

    pub(super) fn hift(&self) -> &Hift {
        &self.hift
    }

    /// [`Self::push`] without new frames.
    pub(super) fn push_none(&mut self, last: bool) -> Vec<f32> {
        if last { std::mem::take(&mut self.held) } else { Vec::new() }
    }

    /// What a call looks at: the past that it needs, then the new frames.
    pub(super) fn with_past(&self, mel: Tensor<3>) -> Tensor<3> {
        match &self.mel {
            Some(past) => Tensor::cat(vec![past.clone(), mel], 2),
            None => mel,
        }
    }

    /// Frames at the start of [`Self::with_past`] that only the F0 predictor looks at.
    pub(super) fn f0_only(&self) -> usize {
        self.f0_only
    }

    /// The source of the frames that are decoded, from the f0 of all of [`Self::with_past`].
    pub(super) fn source(&self, f0: &[f32], last: bool) -> Vec<f32> {
        self.excitation.signal(self.hift.source(), &f0[self.f0_only..], last)
    }

    /// Ends a call: from what it looked at and what the decoder made of it to the samples that
    /// are ready.
    pub(super) fn take(&mut self, mel: Tensor<3>, f0: &[f32], wav: &[f32], last: bool) -> Vec<f32> {
        let (frame, [_, _, frames]) = (self.hift.frame(), mel.dims());
        let decoded = frames - self.f0_only;
        let known = self.mel.as_ref().map_or(0, |past| past.dims()[2]);
        let new = (frames - known) * frame;

        let mut wav = wav[wav.len() - new - self.held.len()..].to_vec();
        let keep = if last { 0 } else { wav.len().min(OVERLAP * frame) };
        let ready = wav.len() - keep;
        let fade = ready.min(FADE * frame).min(self.held.len());
        fade_in(&mut wav[..fade], &self.held[..fade]);
        self.held = wav.split_off(ready);

        let again = decoded.min(CONTEXT);
        let passed = &f0[self.f0_only..frames - again];
        self.excitation.advance(self.hift.source(), passed);
        self.f0_only = (frames - again).min(F0_CONTEXT);
        let cached = self.f0_only + again;
        // A copy of its own, or the view would keep all frames alive.
        self.mel = Some(mel.narrow(2, frames - cached, cached).add_scalar(0.0));
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
