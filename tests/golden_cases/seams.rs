//! The bundled voice's vocoder hop by hop: as good as in one call, and without clicks.

use crate::support::{Golden, cases};
use burn::tensor::Tensor;
use mynah::model::cosyvoice2::config::ModelConfig;
use mynah::model::cosyvoice2::hift::{Hift, VocoderStream};
use mynah::model::weights::Weights;

const SEED: u64 = 7;

/// The vocoder, and the prompt's mel followed by the generated one, `[1, mels, frames]`.
fn each_case(test: impl Fn(&Hift, Tensor<3>)) {
    for dir in cases("mini") {
        let golden = Golden::open(&dir);
        let model = crate::support::root().join("model_weights/mynah-mini");
        let config = std::fs::read(model.join("config.json")).expect("config.json");
        let config: ModelConfig = serde_json::from_slice(&config).expect("config.json");
        let device = crate::support::device();
        let weights = Weights::open(model.join("hift.pt")).expect("weights");
        let hift = Hift::load(&weights.scope(&device), &config.hift).expect("hift");
        let prompt = golden.tensor::<3>("prompt_feat", &device).swap_dims(1, 2);
        test(&hift, Tensor::cat(vec![prompt, golden.tensor("mel", &device)], 2));
    }
}

/// The samples of every call for hops of the given lengths, the last one repeated.
fn calls(mut stream: VocoderStream, mel: &Tensor<3>, hops: &[usize]) -> Vec<Vec<f32>> {
    let (mut start, frames) = (0, mel.dims()[2]);
    let mut heard = Vec::new();
    let mut hops = hops.iter().chain(std::iter::repeat(hops.last().expect("a hop")));
    while start < frames {
        let hop = (*hops.next().expect("a hop")).min(frames - start);
        let mel = mel.clone().narrow(2, start, hop);
        start += hop;
        heard.push(stream.push(mel, start == frames));
    }
    heard
}

fn decibels(error: &[f32], signal: &[f32]) -> f64 {
    let power = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    10.0 * (power(error) / power(signal)).log10()
}

/// Samples of the edges of a call within the whole: where it is first heard, where its fade is
/// over, and where its new frames begin.
fn edges(heard: &[Vec<f32>], frame: usize) -> Vec<usize> {
    let mut end = 0;
    let starts = heard.iter().map(|call| {
        end += call.len();
        end
    });
    let starts: Vec<usize> = starts.collect();
    let inner = &starts[..starts.len() - 1];
    inner.iter().flat_map(|start| [*start, start + 4 * frame, start + 8 * frame]).collect()
}

/// The stream may differ from one call only by what the networks cannot see at a hop's edge.
#[test]
fn golden_mini_hops_against_one_call() {
    each_case(|hift, mel| {
        let frame = hift.frame();
        let whole = VocoderStream::new(hift, SEED).push(mel.clone(), true);
        assert_eq!(whole.len(), mel.dims()[2] * frame);
        for hops in [[20, 50], [50, 50], [25, 25], [3, 33]] {
            let heard = calls(VocoderStream::new(hift, SEED), &mel, &hops).concat();
            assert_eq!(heard.len(), whole.len());
            let error: Vec<f32> = heard.iter().zip(&whole).map(|(a, b)| a - b).collect();
            let seams = (hops[0]..mel.dims()[2] - 8).step_by(hops[1]).filter(|edge| *edge > 8);
            let seams = seams.map(|edge| {
                let range = (edge - 8) * frame..(edge + 8) * frame;
                decibels(&error[range.clone()], &whole[range])
            });
            let seam = seams.fold(f64::MIN, f64::max);
            let all = decibels(&error, &whole);
            println!("hops {hops:?}: {all:.1} dB, worst seam {seam:.1} dB");
            assert!(all < -55.0, "hops {hops:?} differ from one call by {all} dB");
            assert!(seam < -45.0, "a seam of {hops:?} differs from one call by {seam} dB");
        }
    });
}

/// Hops shorter than what is held back, hops without frames, and an end without frames lose and
/// add nothing.
#[test]
fn golden_mini_short_hops() {
    each_case(|hift, mel| {
        let mel = mel.narrow(2, 20, 40);
        let whole = VocoderStream::new(hift, SEED).push(mel.clone(), true);
        for hop in [1, 3, 7] {
            let heard = calls(VocoderStream::new(hift, SEED), &mel, &[hop]).concat();
            assert_eq!(heard.len(), whole.len());
            let error: Vec<f32> = heard.iter().zip(&whole).map(|(a, b)| a - b).collect();
            let db = decibels(&error, &whole);
            println!("hops of {hop}: {db:.1} dB");
            assert!(db < -40.0, "hops of {hop} differ from one call by {db} dB");
        }
        let none = Tensor::<3>::zeros([1, mel.dims()[1], 0], &mel.device());
        let mut stream = VocoderStream::new(hift, SEED);
        assert!(stream.push(none.clone(), false).is_empty());
        let first = stream.push(mel.clone(), false);
        assert!(stream.push(none.clone(), false).is_empty());
        let rest = stream.push(none.clone(), true);
        assert_eq!(first.len() + rest.len(), whole.len());
        assert!(stream.push(none.clone(), true).is_empty());
        assert!(VocoderStream::new(hift, SEED).push(none, true).is_empty());
    });
}

/// Equal seeds give equal samples, others another noise.
#[test]
fn golden_mini_vocoder_seed() {
    each_case(|hift, mel| {
        let mel = mel.narrow(2, 20, 30);
        let run = |seed| calls(VocoderStream::new(hift, seed), &mel, &[10]).concat();
        assert_eq!(run(SEED), run(SEED));
        assert_ne!(run(SEED), run(SEED + 1));
    });
}

/// Largest second difference in the 10 ms on either side of `edge`, itself excluded.
fn surroundings(samples: &[f32], edge: usize) -> f32 {
    let around = (edge - 240..edge - 4).chain(edge + 5..edge + 240);
    around.map(|n| curvature(samples, n)).fold(1e-6, f32::max)
}

fn curvature(samples: &[f32], n: usize) -> f32 {
    (samples[n - 1] - 2.0 * samples[n] + samples[n + 1]).abs()
}

/// Whether the signal bends at `edge` as it bends nowhere else near it.
fn clicks(samples: &[f32], edge: usize) -> bool {
    let here = (edge - 2..=edge + 2).map(|n| curvature(samples, n)).fold(0f32, f32::max);
    here > 0.8 * surroundings(samples, edge)
}

/// No edge of a call can be found in the signal, by a detector that finds a step of one sample
/// where one is planted: a small one wherever the voice does not bend as much by itself, a large
/// one everywhere.
#[test]
fn golden_mini_no_click_at_hop_edges() {
    each_case(|hift, mel| {
        let (mut all, mut quiet) = (0, 0);
        for hops in [[20, 50], [50, 50], [25, 25], [33, 33]] {
            let heard = calls(VocoderStream::new(hift, SEED), &mel, &hops);
            let edges = edges(&heard, hift.frame());
            let heard = heard.concat();
            for edge in edges.into_iter().filter(|edge| edge + 240 < heard.len()) {
                assert!(!clicks(&heard, edge), "hops {hops:?} click at {edge}");
                let finds = |step: f32| {
                    let mut planted = heard.clone();
                    planted[edge..].iter_mut().for_each(|x| *x += step);
                    clicks(&planted, edge)
                };
                assert!(finds(0.25), "a step of 0.25 at {edge} goes unseen");
                all += 1;
                if surroundings(&heard, edge) < 0.04 {
                    assert!(finds(0.05), "a step of 0.05 at {edge} goes unseen");
                    quiet += 1;
                }
            }
        }
        println!("{all} edges without a click, a step of 0.05 found at {quiet}");
        assert!(3 * quiet > all, "only {quiet} of {all} edges are quiet enough for a small step");
    });
}
