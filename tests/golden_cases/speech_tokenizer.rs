//! Speech tokenizer v2, from the state dict and from the ONNX file.

use crate::support::{Golden, assert_close, cases};
use mynah::model::cosyvoice2::config::SpeechTokenizerConfig;
use mynah::model::cosyvoice2::speech_tokenizer::{SpeechTokenizer, codes, open_weights};

const TOLERANCE: f32 = 1e-4;

fn check(file: &str) {
    let device = crate::support::device();
    for case in cases("speech_tokenizer") {
        let golden = Golden::open(&case);
        let config: SpeechTokenizerConfig =
            serde_json::from_value(golden.config.clone()).expect("sizes in config.json");
        let weights = open_weights(&case.join(file)).expect(file);
        let inferred = SpeechTokenizerConfig::from_weights(&weights).expect("sizes of the weights");
        assert_eq!(inferred, config, "sizes inferred from {file}");
        let model = SpeechTokenizer::load(&weights.scope(&device), &config).expect(file);
        assert_eq!(weights.unused(), Vec::<String>::new(), "unused tensors of {file}");

        let lengths = |name: &str| -> Vec<usize> {
            golden.ints(name).into_iter().map(|n| usize::try_from(n).expect("length")).collect()
        };
        let mel = golden.tensor::<3>("mel", &device);
        let stem = model.stem(mel.clone(), &lengths("mel_len"));
        assert_eq!(stem.lengths, lengths("code_len"));
        golden.check("stem_out", stem.x.clone(), TOLERANCE);
        golden.check("block0_out", model.blocks(stem.clone(), 1).x, TOLERANCE);
        let encoded = model.encoder(stem);
        golden.check("encoder_out", encoded.x.clone(), TOLERANCE);
        let projected = model.project(encoded.x);
        golden.check("fsq_pre_round", projected.clone(), TOLERANCE);
        let ids = golden.ids("codes");
        assert_eq!(codes(projected, &encoded.lengths), std::slice::from_ref(&ids));
        assert_eq!(model.encode(mel), ids);

        let mel = golden.tensor::<3>("batch_mel", &device);
        let mel_lengths = lengths("batch_mel_len");
        let encoded = model.encoder(model.stem(mel.clone(), &mel_lengths));
        assert_eq!(encoded.lengths, lengths("batch_code_len"));
        let all_ids = golden.ids("batch_codes");
        let longest = golden.shape("batch_codes")[1];
        let ids: Vec<Vec<u32>> = all_ids
            .chunks(longest)
            .zip(&encoded.lengths)
            .map(|(row, length)| row[..*length].to_vec())
            .collect();
        assert_eq!(model.forward(mel, &mel_lengths), ids);
        let state = golden.shape("batch_encoder_out")[2];
        let got: Vec<f32> = encoded.x.into_data().iter::<f32>().collect();
        let want = golden.f32("batch_encoder_out");
        for (row, length) in encoded.lengths.iter().enumerate() {
            let valid = row * longest * state..(row * longest + length) * state;
            let name = format!("{}: batch_encoder_out[{row}]", case.display());
            assert_close(&name, &got[valid.clone()], &want[valid], TOLERANCE);
        }
    }
}

#[test]
fn golden_speech_tokenizer() {
    check("weights.safetensors");
}

#[test]
fn golden_speech_tokenizer_onnx() {
    check("speech_tokenizer.onnx");
}
