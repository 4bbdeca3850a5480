//! The bundled voice's vocoder hop by hop: as good as in one call, and without clicks.

use crate::support::{Golden, cases};
use burn::tensor::{Device, Tensor};
use mynah::model::cosyvoice2::config::ModelConfig;
use mynah::model::cosyvoice2::hift::{Hift, VocoderStream};
use mynah::model::weights::Weights;
use std::path::Path;

const SEED: u64 = 7;

/// The vocoder, and the prompt's mel followed by the generated one, `[1, mels, frames]`.
fn each_case(test: impl Fn(&Hift, Tensor<3>)) {
    for dir in cases("mini") {
        let golden = Golden::open(&dir);
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
        let config = std::fs::read(model.join("config.json")).expect("config.json");
        let config: ModelConfig = serde_json::from_slice(&config).expect("config.json");
        let device = Device::flex();
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

/// What the hops cost against a single call, for several widths of the context.
#[test]
fn golden_mini_hops_against_one_call() {
    each_case(|hift, mel| {
        let whole = VocoderStream::new(hift, SEED).push(mel.clone(), true);
        assert_eq!(whole.len(), mel.dims()[2] * hift.frame());
        for context in [8, 10, 12, 16, 20, 24] {
            for hops in [[20, 50], [50, 50], [25, 25]] {
                let stream = VocoderStream::with_context(hift, SEED, context);
                let heard = calls(stream, &mel, &hops).concat();
                assert_eq!(heard.len(), whole.len());
                let error: Vec<f32> = heard.iter().zip(&whole).map(|(a, b)| a - b).collect();
                // Around the seams only.
                let frame = hift.frame();
                let mut seam = (hops[0], f64::MIN);
                let mut at = hops[0];
                while at + 8 < mel.dims()[2] {
                    let range = (at - 8) * frame..(at + 8) * frame;
                    let db = decibels(&error[range.clone()], &whole[range]);
                    if db > seam.1 {
                        seam = (at, db);
                    }
                    at += hops[1];
                }
                let worst = error.iter().fold(0f32, |m, e| m.max(e.abs()));
                println!(
                    "context {context}, hops {hops:?}: {:.1} dB, worst seam {:.1} dB at {}, max {worst:.4}",
                    decibels(&error, &whole),
                    seam.1,
                    seam.0
                );
            }
        }
    });
}
