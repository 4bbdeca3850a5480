//! The vocoder: every stage from given inputs, and whole calls.

use crate::support::{Golden, cases};
use burn::tensor::{Device, Tensor};
use mynah::model::cosyvoice2::config::HiftConfig;
use mynah::model::cosyvoice2::hift::{Hift, cross_fade, fade_window, speed_mel};
use mynah::model::weights::Weights;

const F0: f32 = 1e-3;
/// Phases of up to 1e4 rad in f32.
const SOURCE: f32 = 3e-4;
const DECODE: f32 = 1e-5;
/// Activations inside the decoder, which reach tens where samples stay below one.
const STAGE: f32 = 1e-4;
/// A whole call, which inherits the source's error.
const WAV: f32 = 3e-3;

/// Every case with the weights in both formats; each proves that all weights were asked for.
fn each_case(test: impl Fn(&Golden, &Hift, &Device)) {
    let device = crate::support::device();
    for dir in cases("hift") {
        let golden = Golden::open(&dir);
        let config: HiftConfig = serde_json::from_value(golden.config.clone()).expect("config");
        for name in ["weights.safetensors", "weights.pt"] {
            println!("{name}");
            let weights = Weights::open(dir.join(name)).expect("weights");
            let hift = Hift::load(&weights.scope(&device), &config).expect("hift");
            assert_eq!(weights.unused(), Vec::<String>::new());
            test(&golden, &hift, &device);
        }
    }
}

#[test]
fn golden_hift_source() {
    each_case(|golden, hift, device| {
        let mel = golden.tensor::<3>("mel", device);
        golden.check("f0", hift.f0(mel), F0);
        let (f0, source) = (golden.f32("f0"), hift.source());
        let sines = source.sines(&f0);
        golden.check_values("sines_unit", &sines[..golden.f32("sines_unit").len()], SOURCE);
        let voiced = |f0: &f32| if source.is_voiced(*f0) { 1.0 } else { 0.0 };
        let uv: Vec<f32> = f0.iter().flat_map(|f0| vec![voiced(f0); hift.frame()]).collect();
        golden.check_values("uv", &uv, 0.0);
        golden.check_values("source", &source.signal(&f0, &golden.f32("sine_noise")), SOURCE);
        // The original draws `rand_ini` and `inf_a_rand_ini` to no effect; this source has none.
        golden.check_values("source_other_phase_maxdiff", &[0.0], 0.0);
        assert_eq!(golden.shape("rand_ini"), [1, source.harmonics()]);
        assert_eq!(golden.shape("inf_a_rand_ini"), [1, source.harmonics()]);
    });
}

#[test]
fn golden_hift_decoder() {
    each_case(|golden, hift, device| {
        let tensor = |name: &str| golden.tensor::<3>(name, device);
        let (mel, source) = (tensor("mel"), tensor("source"));
        let (stft, decoder) = (hift.stft(), hift.decoder());
        let spectrum = stft.forward(source.clone());
        let bins = stft.bins();
        golden.check("source_stft_real", spectrum.clone().narrow(1, 0, bins), DECODE);
        golden.check("source_stft_imag", spectrum.clone().narrow(1, bins, bins), DECODE);

        let x = decoder.pre(mel.clone());
        golden.check("conv_pre_out", x.clone(), STAGE);
        let stage = &decoder.stages()[0];
        let up = stage.upsample(x.clone());
        golden.check("up0_out", up.clone(), STAGE);
        let down = stage.source_down(spectrum.clone());
        golden.check("source_down0_out", down.clone(), STAGE);
        let down = stage.source_resblock().forward(down);
        golden.check("source_res0_out", down.clone(), STAGE);
        // The original adds the other blocks' outputs to the first one's in place, so what was
        // recorded is the sum of all of them.
        let input = up + down;
        let outputs = stage.resblocks().iter().map(|block| block.forward(input.clone()));
        let sum = outputs.reduce(|sum, y| sum + y).expect("a residual block");
        golden.check("resblock0_out", sum.clone(), STAGE);
        let mean = sum / stage.resblocks().len() as f64;
        let difference = mean - stage.forward(x, spectrum.clone());
        assert!(difference.abs().max().into_scalar::<f32>() <= STAGE);
        golden.check("conv_post_out", decoder.forward(mel.clone(), spectrum), STAGE);
        golden.check("wav_decode", hift.decode(mel, source), DECODE);
    });
}

/// Two calls with the cached source between them, and the fade of their seam.
#[test]
fn golden_hift_inference() {
    each_case(|golden, hift, device| {
        let tensor = |name: &str| golden.tensor::<3>(name, device);
        let (wav, source) = hift.inference(tensor("inf_a_mel"), &golden.f32("inf_a_noise"), None);
        golden.check("inf_a_wav", wav.clone(), WAV);
        golden.check("inf_a_source", source.clone(), SOURCE);

        let samples = source.dims()[2];
        let cached = golden.shape("inf_b_cache_source")[2];
        let cache = source.narrow(2, samples - cached, cached);
        golden.check("inf_b_cache_source", cache.clone(), SOURCE);
        let (mel, noise) = (tensor("inf_b_mel"), golden.f32("inf_b_noise"));
        let (b_wav, source) = hift.inference(mel, &noise, Some(cache));
        golden.check("inf_b_wav", b_wav.clone(), WAV);
        golden.check("inf_b_source", source, SOURCE);

        let window = fade_window(golden.f32("fade_window").len());
        golden.check_values("fade_window", &window, 1e-6);
        let host = |wav: Tensor<2>| wav.into_data().iter::<f32>().collect::<Vec<_>>();
        let (mut faded, a) = (host(b_wav), host(wav));
        cross_fade(&mut faded, &a[a.len() - cached..], &window);
        golden.check_values("fade_out", &faded, WAV);
    });
}

#[test]
fn golden_hift_speed() {
    for dir in cases("hift") {
        let golden = Golden::open(&dir);
        let mel = golden.tensor::<3>("mel", &crate::support::device());
        golden.check("speed0_8_mel", speed_mel(mel.clone(), 0.8), DECODE);
        golden.check("speed1_3_mel", speed_mel(mel, 1.3), DECODE);
    }
}
