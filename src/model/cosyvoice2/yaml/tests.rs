use super::sizes;
use crate::model::cosyvoice2::config::ModelConfig;
use serde_json::json;
use std::time::{Duration, Instant};

const OFFICIAL_FORM: &str = include_str!("cosyvoice2.yaml");

#[test]
fn reads_the_form_of_the_official_file() {
    let config: ModelConfig =
        serde_json::from_value(sizes(OFFICIAL_FORM).expect("sizes")).expect("config");
    config.validate().expect("sound sizes");
    let (flow, hift) = (&config.flow, &config.hift);
    assert_eq!((config.sample_rate, config.token_frame_rate), (24_000, 25));
    assert_eq!((config.token_mel_ratio, config.speech_token_size), (2, 6561));
    assert_eq!((config.spk_embed_dim, config.campplus.embedding_size), (96, 96));
    assert_eq!(config.mix_ratio, [4, 12]);
    let sampling = config.sampling;
    assert_eq!((sampling.top_p, sampling.top_k), (0.75, 20));
    assert_eq!((sampling.win_size, sampling.tau_r), (8, 0.25));
    assert_eq!((flow.vocab_size, flow.pre_lookahead_len), (6600, 2));
    assert_eq!((flow.encoder.output_size, flow.encoder.attention_heads), (64, 4));
    assert_eq!((flow.encoder.linear_units, flow.encoder.num_blocks), (160, 2));
    assert_eq!(flow.encoder.static_chunk_size, 20);
    assert_eq!(flow.inference_cfg_rate, 0.5);
    assert_eq!(flow.decoder.channels, [48]);
    assert_eq!((flow.decoder.attention_head_dim, flow.decoder.n_blocks), (12, 3));
    assert_eq!((flow.decoder.num_mid_blocks, flow.decoder.num_heads), (5, 6));
    assert_eq!(flow.decoder.static_chunk_size, 40);
    assert_eq!((hift.in_channels, hift.base_channels, hift.nb_harmonics), (80, 64, 6));
    assert_eq!((hift.sampling_rate, hift.f0_cond_channels), (24_000, 72));
    assert_eq!((hift.nsf_alpha, hift.nsf_sigma, hift.nsf_voiced_threshold), (0.2, 0.004, 11.0));
    assert_eq!((hift.lrelu_slope, hift.audio_limit), (0.2, 0.98));
    assert_eq!((hift.istft_params.n_fft, hift.istft_params.hop_len), (16, 4));
    assert_eq!(hift.upsample_rates, [5, 8, 3]);
    assert_eq!(hift.upsample_kernel_sizes, [11, 16, 7]);
    assert_eq!(hift.resblock_kernel_sizes, [3, 5]);
    assert_eq!(hift.resblock_dilation_sizes, [[1, 3], [1, 5]]);
    assert_eq!(hift.source_resblock_kernel_sizes, [7, 7, 9]);
    assert_eq!(hift.source_resblock_dilation_sizes, [[1, 2, 4], [1, 2, 4], [1, 2, 4]]);
    // What the file does not state is as in the official release.
    assert_eq!((flow.encoder.num_up_blocks, flow.n_timesteps), (4, 10));
}

#[test]
fn evaluates_references() {
    let value = |expression: &str| {
        let text = format!(
            "two: 2\nfour: !ref <two> * <two>\nlist: [1, !ref <two>]\nhalf: 0.5\nsample_rate: {expression}"
        );
        sizes(&text).map(|sizes| sizes["sample_rate"].clone())
    };
    for (expression, expected) in [
        ("!ref <four>", json!(4)),
        ("!ref < four >", json!(4)),
        ("!ref <list>", json!([1, 2])),
        ("!ref <two> + <four> * 3 - 1", json!(13)),
        ("!ref 10*<four>//<two> / 8", json!(2.5)),
        ("!ref <half> * 4", json!(2)),
        ("!!int 7", json!(7)),
        ("1e-06", json!(1e-6)),
        ("'7'", json!("7")),
        ("-.5", json!(-0.5)),
        ("infinity", json!("infinity")),
    ] {
        assert_eq!(value(expression), Ok(expected), "{expression}");
    }
    for (expression, reason) in [
        ("!ref <nothing>", "`sample_rate`: no key `nothing`"),
        ("!ref <sample_rate>", "too many other values"),
        ("!ref <two> * <list>", "expected a number"),
        ("!ref <two> <four>", "cannot evaluate"),
        ("!ref <two> / 0", "cannot evaluate"),
        ("!ref", "expected a number"),
        ("!ref <two", "expected a number"),
        ("!apply:os.system x", "not `!apply:os.system`"),
        ("{a: 1}", "not a mapping"),
        ("&a 1\nb: *c", "not valid YAML"),
    ] {
        let error = value(expression).expect_err(expression);
        assert!(error.contains(reason), "{expression}: {error}");
    }
}

/// References that multiply, or nest, or never end.
#[test]
fn bombs_stay_small() {
    let start = Instant::now();
    let list = |name: &str| format!("[{}]", vec![format!("!ref <{name}>"); 10].join(", "));
    let mut text = String::from("x0: 1\n");
    for level in 1..20 {
        text += &format!("x{level}: {}\n", list(&format!("x{}", level - 1)));
    }
    let error = sizes(&(text + "sample_rate: !ref <x19>")).expect_err("too many values");
    assert!(error.contains("too many"), "{error}");
    for repeated in
        ["[", "{a: ", "- ", "? ", "a:\n ", "!", "&a ", "\n", "a ", "'", "- &a 1\n", "k: 1\n"]
    {
        let _ = sizes(&format!("sample_rate: 1\nb: {}", repeated.repeat(200_000)));
        let _ = sizes(&repeated.repeat(200_000));
    }
    let indented: String = (0..500).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    assert!(sizes(&indented).expect_err("too deep").contains("levels"));
    let sum = format!("sample_rate: !ref 1{}", " + 1".repeat(100_000));
    assert_eq!(sizes(&sum).expect("a long sum")["sample_rate"], 100_001);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn damaged_files_never_panic() {
    for at in (0..OFFICIAL_FORM.len()).filter(|at| OFFICIAL_FORM.is_char_boundary(*at)) {
        let (head, tail) = OFFICIAL_FORM.split_at(at);
        let _ = sizes(head);
        for inserted in ["[", "}", ":", "\t", "\n", "!", "&", "*", "'", "\"", "<", "|", "\u{0}"] {
            if at % 7 == 0 {
                let _ = sizes(&format!("{head}{inserted}{tail}"));
            }
        }
    }
}
