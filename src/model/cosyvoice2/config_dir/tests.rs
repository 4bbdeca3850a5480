use super::MAX_FILE;
use crate::model::cosyvoice2::config::ModelConfig;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// A model directory with these files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(dir.path().join("CosyVoice-BlankEN")).expect("mkdir");
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).expect("write");
    }
    dir
}

const LLM: (&str, &str) = ("CosyVoice-BlankEN/config.json", "{}");
const YAML: (&str, &str) = ("cosyvoice2.yaml", include_str!("../yaml/cosyvoice2.yaml"));

fn refused(dir: &TempDir) -> String {
    ModelConfig::from_dir(dir.path()).expect_err("should be refused").to_string()
}

#[test]
fn reads_the_bundled_model() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
    let config = ModelConfig::from_dir(&dir).expect("sound files");
    assert_eq!((config.llm.hidden_size, config.llm.num_hidden_layers), (256, 6));
    assert_eq!((config.sampling.top_k, config.sampling.tau_r), (5, 0.6));
    assert_eq!((config.flow.encoder.attention_heads, config.hift.nb_harmonics), (3, 24));
    assert_eq!(config.speech_tokenizer.n_audio_state, 192);
}

#[test]
fn what_files_leave_out_is_as_in_the_official_release() {
    let dir = directory(&[("config.json", "{}"), LLM]);
    let config = ModelConfig::from_dir(dir.path()).expect("all defaults");
    assert_eq!((config.llm.hidden_size, config.flow.decoder.num_mid_blocks), (896, 12));
    let partial = r#"{"hift": {"istft_params": {"hop_len": 4}, "base_channels": 256}}"#;
    let dir = directory(&[("config.json", partial), LLM]);
    let config = ModelConfig::from_dir(dir.path()).expect("mostly defaults");
    assert_eq!((config.hift.base_channels, config.hift.istft_params.n_fft), (256, 16));
}

#[test]
fn prefers_json_unless_it_is_of_another_program() {
    let ours = r#"{"sampling": {"top_k": 3}}"#;
    let top_k = |files: &[(&str, &str)]| {
        let config = ModelConfig::from_dir(directory(files).path()).expect("sound files");
        config.sampling.top_k
    };
    assert_eq!(top_k(&[("config.json", ours), YAML, LLM]), 3);
    assert_eq!(top_k(&[("config.json", r#"{"framework": "Pytorch"}"#), YAML, LLM]), 20);
    assert_eq!(top_k(&[YAML, LLM]), 20);
}

#[test]
fn missing_and_unreadable_files_are_named() {
    let error = refused(&directory(&[LLM]));
    assert!(error.contains("config.json") && error.contains("cosyvoice2.yaml"), "{error}");
    let nowhere = ModelConfig::from_dir(&directory(&[]).path().join("x")).err();
    assert!(nowhere.is_some_and(|e| e.to_string().contains("not a directory")));
    let error = refused(&directory(&[("config.json", "{}")]));
    assert!(error.contains("CosyVoice-BlankEN/config.json"), "{error}");
    for text in ["", "{", "[", "[]", "null", "\"", "7", "{\"flow\": 1, \"vocab_size\": []}"] {
        let error = refused(&directory(&[("config.json", text), LLM]));
        assert!(error.contains("/config.json") && !error.contains("BlankEN"), "{error}");
        let error = refused(&directory(&[YAML, (LLM.0, text)]));
        assert!(error.contains("CosyVoice-BlankEN/config.json"), "{error}");
    }
    assert!(refused(&directory(&[("cosyvoice2.yaml", "a: ["), LLM])).contains("cosyvoice2.yaml"));
    let long = " ".repeat(MAX_FILE as usize) + "{}";
    assert!(refused(&directory(&[("config.json", &long), LLM])).contains("longer than"));
    let deep = "[".repeat(100_000);
    assert!(refused(&directory(&[("config.json", &deep), LLM])).contains("not valid JSON"));
}

/// Each value alone makes the official sizes unusable.
#[test]
fn unusable_values_are_refused_by_key() {
    for (key, value) in [
        ("sample_rate", json!(0)),
        ("sample_rate", json!(-24000)),
        ("sample_rate", json!(1e30)),
        ("sample_rate", json!("24000")),
        ("sample_rate", json!(48_000)),
        ("token_frame_rate", json!(0)),
        ("token_mel_ratio", json!(u64::MAX)),
        ("token_mel_ratio", json!(0)),
        ("speech_token_size", json!(6562)),
        ("speech_token_size", json!(1_u64 << 40)),
        ("spk_embed_dim", json!(256)),
        ("mix_ratio", json!([5, 0])),
        ("mix_ratio", json!([5])),
        ("sampling.top_p", json!(0)),
        ("sampling.top_p", json!(1e39)),
        ("sampling.top_k", json!(0)),
        ("sampling.win_size", json!(0)),
        ("sampling.tau_r", json!(-0.1)),
        ("flow.vocab_size", json!(6560)),
        ("flow.pre_lookahead_len", json!(0)),
        ("flow.n_timesteps", json!(0)),
        ("flow.n_timesteps", json!(1_000_000)),
        ("flow.inference_cfg_rate", json!(null)),
        ("flow.encoder.attention_heads", json!(0)),
        ("flow.encoder.attention_heads", json!(3)),
        ("flow.encoder.attention_heads", json!(512)),
        ("flow.encoder.num_blocks", json!(0)),
        ("flow.encoder.num_up_blocks", json!(1_u64 << 33)),
        ("flow.encoder.static_chunk_size", json!(0)),
        ("flow.encoder.linear_units", json!(0)),
        ("flow.decoder.channels", json!([])),
        ("flow.decoder.channels", json!([256, 256])),
        ("flow.decoder.channels", json!([0])),
        ("flow.decoder.attention_head_dim", json!(0)),
        ("flow.decoder.n_blocks", json!(0)),
        ("flow.decoder.num_heads", json!(0)),
        ("flow.decoder.static_chunk_size", json!(49)),
        ("hift.base_channels", json!(500)),
        ("hift.nb_harmonics", json!(1_u64 << 32)),
        ("hift.upsample_rates", json!([8, 5])),
        ("hift.upsample_rates", json!([])),
        ("hift.upsample_rates", json!([8, 5, 0])),
        ("hift.upsample_rates", json!([8, 5, 5])),
        ("hift.upsample_kernel_sizes", json!([16, 11])),
        ("hift.upsample_kernel_sizes", json!([4, 11, 7])),
        ("hift.upsample_kernel_sizes", json!([17, 11, 7])),
        ("hift.istft_params.n_fft", json!(0)),
        ("hift.istft_params.n_fft", json!(17)),
        ("hift.istft_params.hop_len", json!(0)),
        ("hift.istft_params.hop_len", json!(9)),
        ("hift.resblock_kernel_sizes", json!([])),
        ("hift.resblock_kernel_sizes", json!([3, 7, 10])),
        ("hift.resblock_dilation_sizes", json!([[1], [1]])),
        ("hift.resblock_dilation_sizes", json!([[1], [], [1]])),
        ("hift.resblock_dilation_sizes", json!([[1], [0], [1]])),
        ("hift.source_resblock_kernel_sizes", json!([7, 7])),
        ("hift.source_resblock_dilation_sizes", json!([[1], [1]])),
        ("hift.sampling_rate", json!(16_000)),
        ("hift.audio_limit", json!(0)),
        ("hift.lrelu_slope", json!(2)),
        ("hift.f0_cond_channels", json!(0)),
        ("speech_tokenizer.n_mels", json!(0)),
        ("speech_tokenizer.n_audio_head", json!(0)),
        ("speech_tokenizer.n_audio_head", json!(19)),
        ("speech_tokenizer.n_audio_layer", json!(0)),
        ("campplus.growth_rate", json!(0)),
        ("campplus.embedding_size", json!(191)),
    ] {
        let mut config = Value::Object(serde_json::Map::new());
        *key.split('.').fold(&mut config, |object, key| &mut object[key]) = value.clone();
        let error = refused(&directory(&[("config.json", &config.to_string()), LLM]));
        let name = key.rsplit('.').next().expect("a name");
        assert!(error.contains(name) && error.contains("expected"), "{key} {value}: {error}");
        assert!(error.contains("config.json"), "{error}");
    }
}

#[test]
fn unusable_values_of_the_language_model_are_refused_by_key() {
    for (key, value) in [
        ("vocab_size", json!(0)),
        ("hidden_size", json!(0)),
        ("hidden_size", json!(897)),
        ("intermediate_size", json!(0)),
        ("num_hidden_layers", json!(1 << 20)),
        ("num_attention_heads", json!(0)),
        ("num_attention_heads", json!(896)),
        ("num_key_value_heads", json!(0)),
        ("num_key_value_heads", json!(3)),
        ("max_position_embeddings", json!(0)),
        ("max_position_embeddings", json!(1_000_000_000)),
        ("rope_theta", json!(0)),
        ("rms_norm_eps", json!(-1)),
        ("rms_norm_eps", json!("1e-6")),
    ] {
        let config = json!({ key: value }).to_string();
        let error = refused(&directory(&[("config.json", "{}"), (LLM.0, &config)]));
        assert!(error.contains("CosyVoice-BlankEN/config.json"), "{error}");
        assert!(error.contains("expected"), "{key} {value}: {error}");
        assert!(error.contains(key) || key == "hidden_size", "{key} {value}: {error}");
    }
}
