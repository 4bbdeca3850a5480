//! Hops of several streams at once.
//!
//! On the CPU the kernels are at their best with a stream to each thread: every stream is a task of
//! its own, and its samples are those it gets alone, bit for bit. Elsewhere streams of equal shape
//! become one batch.

use super::{Hift, VocoderStream};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One stream's part of [`VocoderStream::push_batch`].
#[derive(Debug)]
pub struct VocoderPush<'a> {
    pub stream: &'a mut VocoderStream,
    /// New frames, `[1, mels, n]`, n >= 0.
    pub mel: Tensor<3>,
    /// No frames follow.
    pub last: bool,
}

impl VocoderPush<'_> {
    fn run(self) -> Vec<f32> {
        self.stream.push(self.mel, self.last)
    }
}

impl VocoderStream {
    /// [`VocoderStream::push`] on several streams of one vocoder, in their order.
    ///
    /// # Errors
    /// The message of a panic, for the stream where it happened; outside the CPU, for all streams
    /// of its shape. Such a stream must not be used again; the others are not harmed.
    pub fn push_batch(pushes: Vec<VocoderPush>) -> Vec<Result<Vec<f32>, String>> {
        match pushes.first() {
            Some(first) if *first.stream.hift().device() != Device::flex() => stacked(pushes),
            _ => side_by_side(pushes),
        }
    }
}

fn side_by_side(pushes: Vec<VocoderPush>) -> Vec<Result<Vec<f32>, String>> {
    pushes.into_par_iter().map(|push| caught(|| push.run())).collect()
}

/// What tells which streams can share a batch: frames that are looked at, and those of them that
/// only the F0 predictor sees.
type Shape = (usize, usize);

fn stacked(pushes: Vec<VocoderPush>) -> Vec<Result<Vec<f32>, String>> {
    let mut results: Vec<Option<Result<Vec<f32>, String>>> = Vec::new();
    let mut groups: Vec<(Shape, Vec<(usize, VocoderPush)>)> = Vec::new();
    for (i, mut push) in pushes.into_iter().enumerate() {
        results.push(None);
        if push.mel.dims()[2] == 0 {
            results[i] = Some(Ok(push.stream.push_none(push.last)));
            continue;
        }
        push.mel = push.stream.with_past(push.mel);
        let shape = (push.mel.dims()[2], push.stream.f0_only());
        match groups.iter_mut().find(|(other, _)| *other == shape) {
            Some((_, group)) => group.push((i, push)),
            None => groups.push((shape, vec![(i, push)])),
        }
    }
    for (shape, group) in groups {
        let (places, group): (Vec<usize>, Vec<VocoderPush>) = group.into_iter().unzip();
        let group = caught(|| stack(shape, group));
        for (i, place) in places.into_iter().enumerate() {
            results[place] = Some(match &group {
                Ok(wavs) => Ok(wavs[i].clone()),
                Err(message) => Err(message.clone()),
            });
        }
    }
    results.into_iter().flatten().collect()
}

/// One forward for streams of one shape, whose `mel` has its past in front.
fn stack((frames, f0_only): Shape, group: Vec<VocoderPush>) -> Vec<Vec<f32>> {
    let Some(hift) = group.first().map(|push| push.stream.hift().clone()) else {
        return Vec::new();
    };
    let hift: &Hift = &hift;
    let mel = Tensor::cat(group.iter().map(|push| push.mel.clone()).collect(), 0);
    let f0: Vec<f32> = hift.f0(mel.clone()).into_data().iter().collect();
    let rows = || group.iter().zip(f0.chunks(frames));
    let source: Vec<f32> =
        rows().flat_map(|(push, f0)| push.stream.source(f0, push.last)).collect();
    let source = hift.source_tensor(source, group.len());
    let decoded = mel.narrow(2, f0_only, frames - f0_only);
    let wav: Vec<f32> = hift.decode(decoded, source).into_data().iter().collect();
    let samples = wav.len() / group.len();
    group
        .into_iter()
        .zip(f0.chunks(frames))
        .zip(wav.chunks(samples))
        .map(|((push, f0), wav)| push.stream.take(push.mel, f0, wav, push.last))
        .collect()
}

fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(message)
}

fn message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().map_or("a panic", |text| *text).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cosyvoice2::config::ModelConfig;
    use crate::model::weights::Weights;
    use burn::tensor::Distribution;
    use std::path::Path;

    fn hift() -> Hift {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
        let config = std::fs::read(model.join("config.json")).unwrap();
        let config: ModelConfig = serde_json::from_slice(&config).unwrap();
        let weights = Weights::open(model.join("hift.pt")).unwrap();
        Hift::load(&weights.scope(&Device::flex()), &config.hift).unwrap()
    }

    fn mel(frames: usize) -> Tensor<3> {
        Tensor::random([1, 80, frames], Distribution::Normal(-4.0, 2.0), &Device::flex())
    }

    type Batch = fn(Vec<VocoderPush>) -> Vec<Result<Vec<f32>, String>>;

    /// Two hops of five streams, alone and by `batch`; the worst difference of a sample.
    fn difference(hift: &Hift, batch: Batch) -> f32 {
        let seeds = 0..5u64;
        let mut alone: Vec<_> = seeds.clone().map(|i| VocoderStream::new(hift, i)).collect();
        let mut together = alone.clone();
        let mut worst = 0f32;
        for (hop, frames) in [[3, 10, 10, 0, 7], [10, 10, 10, 10, 0]].into_iter().enumerate() {
            let mels: Vec<_> = frames.into_iter().map(mel).collect();
            let last = |i: usize| hop == 1 && i.is_multiple_of(2);
            let streams = together.iter_mut().zip(mels.clone()).enumerate();
            let pushes =
                streams.map(|(i, (stream, mel))| VocoderPush { stream, mel, last: last(i) });
            let got = batch(pushes.collect());
            assert_eq!(got.len(), 5);
            for (i, ((stream, mel), got)) in alone.iter_mut().zip(mels).zip(got).enumerate() {
                let (got, want) = (got.unwrap(), stream.push(mel, last(i)));
                assert_eq!(got.len(), want.len());
                worst = got.iter().zip(&want).fold(worst, |worst, (a, b)| worst.max((a - b).abs()));
            }
        }
        worst
    }

    #[test]
    fn a_stream_on_the_cpu_sounds_the_same_in_company() {
        assert_eq!(difference(&hift(), VocoderStream::push_batch), 0.0);
    }

    /// Protects the order of rows: streams of different shape, with and without a past, and streams
    /// without new frames.
    #[test]
    fn stacked_streams_are_their_own() {
        let worst = difference(&hift(), stacked);
        assert!(worst < 1e-4, "{worst}");
    }

    #[test]
    fn a_stream_that_panics_fails_alone() {
        let hift = hift();
        let mut streams: Vec<_> = (0..3).map(|i| VocoderStream::new(&hift, i)).collect();
        let odd = Tensor::zeros([1, 79, 12], &Device::flex());
        let mels = [mel(12), odd, mel(12)];
        let pushes = streams.iter_mut().zip(mels);
        let pushes = pushes.map(|(stream, mel)| VocoderPush { stream, mel, last: true }).collect();
        let got = VocoderStream::push_batch(pushes);
        let samples: Vec<_> = got.iter().map(|got| got.as_ref().map_or(0, Vec::len)).collect();
        assert_eq!(samples, [12 * hift.frame(), 0, 12 * hift.frame()]);
        assert!(got[1].as_ref().is_err_and(|message| message.contains("channels")), "{:?}", got[1]);
    }
}
