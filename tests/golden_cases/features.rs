//! Resampling and spectral features.

use crate::support::{Golden, cases};
use mynah::audio::{fbank, mel, resample};

/// Rates and bands come from the tensors' names and shapes and the case's config.
fn each_case(run: impl Fn(&Golden)) {
    cases("features").iter().for_each(|dir| run(&Golden::open(dir)));
}

#[test]
fn golden_features_resample() {
    each_case(|golden| {
        let rate = golden.config["source_rate"].as_u64().and_then(|rate| u32::try_from(rate).ok());
        let rate = rate.expect("source_rate");
        let source = golden.f32("wav_src");
        golden.check_values("wav_16k", &resample(&source, rate, 16_000), 1e-5);
        golden.check_values("wav_24k", &resample(&source, rate, 24_000), 1e-5);
        for (name, from, to) in [
            ("wav_22050_to_24000", 22_050, 24_000),
            ("wav_44100_to_16000", 44_100, 16_000),
            ("wav_48k_to_24k_check", 48_000, 24_000),
        ] {
            let source = golden.f32(&format!("{name}_src"));
            golden.check_values(&format!("{name}_out"), &resample(&source, from, to), 1e-5);
        }
    });
}

#[test]
fn golden_features_fbank() {
    each_case(|golden| {
        let bins = golden.shape("fbank80_raw")[1];
        golden.check_values("kaldi_povey_window", &fbank::povey_window(), 1e-6);
        golden.check_values("kaldi_filterbank", &fbank::filterbank(bins).dense(), 1e-4);
        let mut features = fbank::fbank(&golden.f32("wav_16k"), bins);
        assert_eq!(vec![features.frames, features.bins], golden.shape("fbank80_raw"));
        golden.check_values("fbank80_raw", &features.data, 2e-3);
        features.subtract_mean();
        golden.check_values("fbank80", &features.data, 2e-3);
    });
}

#[test]
fn golden_features_whisper_mel() {
    each_case(|golden| {
        let bins = golden.shape("whisper_mel128")[1];
        golden.check_values("whisper_filterbank", &mel::whisper_filterbank(bins).dense(), 1e-6);
        let features = mel::whisper_log_mel(&golden.f32("wav_16k"), bins);
        let got = features.channels_first();
        // In a band that is 1e-5 of its frame, the reference's own f32 transform is off by 1.5e-5
        // (ours is f64); over all values the error must be far below that.
        golden.check_values("whisper_mel128", &got, 1e-4);
        let want = golden.f32("whisper_mel128");
        let squares: f64 = got.iter().zip(&want).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let rms = (squares / want.len() as f64).sqrt();
        println!("whisper_mel128: rms error {rms:.1e}");
        assert!(rms < 1e-5, "rms error {rms:e}");
    });
}

#[test]
fn golden_features_vocoder_mel() {
    each_case(|golden| {
        let bins = golden.shape("mel24k_bct")[1];
        golden.check_values("mel24k_filterbank", &mel::vocoder_filterbank(bins).dense(), 1e-6);
        let features = mel::vocoder_mel(&golden.f32("wav_24k"), bins);
        golden.check_values("mel24k_bct", &features.channels_first(), 1e-4);
    });
}
