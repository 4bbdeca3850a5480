//! Every size and constant of a CosyVoice2 model, as its directory states them.
//!
//! Defaults are those of the official 0.5B release, so that a file may leave out what it does not
//! change. Sizes come from here, never from constants in the components.

use serde::Deserialize;

/// Rates, vocabulary and the sections of the components.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct ModelConfig {
    /// Samples per second of the vocoder's output.
    pub sample_rate: usize,
    /// Speech tokens per second.
    pub token_frame_rate: usize,
    /// Mel frames per speech token.
    pub token_mel_ratio: usize,
    /// Size of the speech codebook. EOS is this id, FILL is this id + 2.
    pub speech_token_size: usize,
    /// Width of the CAM++ speaker embedding.
    pub spk_embed_dim: usize,
    /// Text tokens and speech tokens per block of the interleaved (bistream) layout.
    pub mix_ratio: [usize; 2],
    pub sampling: SamplingConfig,
    pub flow: FlowConfig,
    pub hift: HiftConfig,
    pub speech_tokenizer: SpeechTokenizerConfig,
    pub campplus: CampplusConfig,
    /// The language model: `CosyVoice-BlankEN/config.json`.
    #[serde(skip)]
    pub llm: LlmConfig,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            sample_rate: 24_000,
            token_frame_rate: 25,
            token_mel_ratio: 2,
            speech_token_size: 6561,
            spk_embed_dim: 192,
            mix_ratio: [5, 15],
            sampling: SamplingConfig::default(),
            flow: FlowConfig::default(),
            hift: HiftConfig::default(),
            speech_tokenizer: SpeechTokenizerConfig::default(),
            campplus: CampplusConfig::default(),
            llm: LlmConfig::default(),
        }
    }
}

/// Repetition-aware sampling (RAS).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default)]
pub struct SamplingConfig {
    /// Nucleus mass; the candidate that crosses it is kept.
    pub top_p: f32,
    /// At most this many candidates.
    pub top_k: usize,
    /// Length of the window of past ids that is searched for repetitions.
    pub win_size: usize,
    /// A pick that fills at least this share of the window is drawn again.
    pub tau_r: f32,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self { top_p: 0.8, top_k: 25, win_size: 10, tau_r: 0.1 }
    }
}

/// Qwen2 decoder, in the field names of its Hugging Face `config.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct LlmConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    pub rope_theta: f64,
    pub rms_norm_eps: f64,
}

impl Default for LlmConfig {
    fn default() -> Self {
        Self {
            vocab_size: 151_936,
            hidden_size: 896,
            intermediate_size: 4864,
            num_hidden_layers: 24,
            num_attention_heads: 14,
            num_key_value_heads: 2,
            max_position_embeddings: 32_768,
            rope_theta: 1e6,
            rms_norm_eps: 1e-6,
        }
    }
}

/// Flow matching: speech tokens to mel.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct FlowConfig {
    pub vocab_size: usize,
    /// Look-ahead tokens of the encoder.
    pub pre_lookahead_len: usize,
    pub encoder: FlowEncoderConfig,
    pub decoder: FlowDecoderConfig,
    /// Strength of classifier-free guidance.
    pub inference_cfg_rate: f32,
    /// Euler steps.
    pub n_timesteps: usize,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            vocab_size: 6561,
            pre_lookahead_len: 3,
            encoder: FlowEncoderConfig::default(),
            decoder: FlowDecoderConfig::default(),
            inference_cfg_rate: 0.7,
            n_timesteps: 10,
        }
    }
}

/// Upsampling conformer encoder.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct FlowEncoderConfig {
    pub output_size: usize,
    pub attention_heads: usize,
    pub linear_units: usize,
    /// Layers before the upsampling.
    pub num_blocks: usize,
    /// Layers after the upsampling.
    pub num_up_blocks: usize,
    /// Tokens per block of the streaming mask (doubled after the upsampling).
    pub static_chunk_size: usize,
}

impl Default for FlowEncoderConfig {
    fn default() -> Self {
        Self {
            output_size: 512,
            attention_heads: 8,
            linear_units: 2048,
            num_blocks: 6,
            num_up_blocks: 4,
            static_chunk_size: 25,
        }
    }
}

/// Causal conditional estimator of the flow's velocity.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct FlowDecoderConfig {
    pub channels: Vec<usize>,
    pub attention_head_dim: usize,
    /// Transformer blocks per stage.
    pub n_blocks: usize,
    pub num_mid_blocks: usize,
    pub num_heads: usize,
    /// Mel frames per block of the streaming mask.
    pub static_chunk_size: usize,
}

impl Default for FlowDecoderConfig {
    fn default() -> Self {
        Self {
            channels: vec![256],
            attention_head_dim: 64,
            n_blocks: 4,
            num_mid_blocks: 12,
            num_heads: 8,
            static_chunk_size: 50,
        }
    }
}

/// HiFT vocoder: mel to waveform.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct HiftConfig {
    pub base_channels: usize,
    /// Harmonics above the fundamental.
    pub nb_harmonics: usize,
    pub upsample_rates: Vec<usize>,
    pub upsample_kernel_sizes: Vec<usize>,
    pub istft_params: IstftConfig,
    pub resblock_kernel_sizes: Vec<usize>,
    pub resblock_dilation_sizes: Vec<Vec<usize>>,
    pub source_resblock_kernel_sizes: Vec<usize>,
    pub source_resblock_dilation_sizes: Vec<Vec<usize>>,
    /// Width of the F0 predictor.
    pub f0_cond_channels: usize,
    pub in_channels: usize,
    pub sampling_rate: usize,
    pub nsf_alpha: f32,
    pub nsf_sigma: f32,
    pub nsf_voiced_threshold: f32,
    pub lrelu_slope: f64,
    pub audio_limit: f32,
}

impl Default for HiftConfig {
    fn default() -> Self {
        let dilations = vec![vec![1, 3, 5]; 3];
        Self {
            base_channels: 512,
            nb_harmonics: 8,
            upsample_rates: vec![8, 5, 3],
            upsample_kernel_sizes: vec![16, 11, 7],
            istft_params: IstftConfig::default(),
            resblock_kernel_sizes: vec![3, 7, 11],
            resblock_dilation_sizes: dilations.clone(),
            source_resblock_kernel_sizes: vec![7, 7, 11],
            source_resblock_dilation_sizes: dilations,
            f0_cond_channels: 512,
            in_channels: 80,
            sampling_rate: 24_000,
            nsf_alpha: 0.1,
            nsf_sigma: 0.003,
            nsf_voiced_threshold: 10.0,
            lrelu_slope: 0.1,
            audio_limit: 0.99,
        }
    }
}

/// The vocoder's short-time Fourier transform.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default)]
pub struct IstftConfig {
    pub n_fft: usize,
    pub hop_len: usize,
}

impl Default for IstftConfig {
    fn default() -> Self {
        Self { n_fft: 16, hop_len: 4 }
    }
}

/// S3 speech tokenizer v2.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct SpeechTokenizerConfig {
    pub n_mels: usize,
    pub n_audio_state: usize,
    pub n_audio_head: usize,
    pub n_audio_layer: usize,
}

impl Default for SpeechTokenizerConfig {
    fn default() -> Self {
        Self { n_mels: 128, n_audio_state: 1280, n_audio_head: 20, n_audio_layer: 6 }
    }
}

/// CAM++ speaker encoder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct CampplusConfig {
    pub growth_rate: usize,
    pub bn_size: usize,
    pub init_channels: usize,
    pub embedding_size: usize,
}

impl Default for CampplusConfig {
    fn default() -> Self {
        Self { growth_rate: 32, bn_size: 4, init_channels: 128, embedding_size: 192 }
    }
}
