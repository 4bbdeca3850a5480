//! What the components demand of their sizes, so that none of them has to fear a division by zero,
//! an index out of bounds or an absurd allocation.
//!
//! Widths are further bound by the weights, which have to have exactly the shapes that follow.

use super::config::{
    CampplusConfig, FlowConfig, HiftConfig, LlmConfig, ModelConfig, SamplingConfig,
    SpeechTokenizerConfig,
};
use std::ops::RangeInclusive;

const WIDTH: RangeInclusive<usize> = 1..=65_536;
const HEADS: RangeInclusive<usize> = 1..=1024;
const LAYERS: RangeInclusive<usize> = 1..=1024;
const VOCABULARY: RangeInclusive<usize> = 1..=1 << 20;
/// Tokens or frames of a chunk, look-ahead or window.
const SPAN: RangeInclusive<usize> = 1..=10_000;
const KERNEL: RangeInclusive<usize> = 1..=1024;
/// Positions of the language model, for each of which there is a row of angles in memory.
const POSITIONS: RangeInclusive<usize> = 1..=1 << 17;

impl ModelConfig {
    /// Checks all values but those of the language model, which has a file of its own.
    ///
    /// # Errors
    /// The key and what was expected of it.
    pub(crate) fn validate(&self) -> Result<(), String> {
        within("sample_rate", self.sample_rate, 8_000..=192_000)?;
        within("token_frame_rate", self.token_frame_rate, 1..=1000)?;
        within("token_mel_ratio", self.token_mel_ratio, 1..=64)?;
        within("speech_token_size", self.speech_token_size, VOCABULARY)?;
        within("spk_embed_dim", self.spk_embed_dim, WIDTH)?;
        each("mix_ratio", &self.mix_ratio, 1..=1000)?;
        self.sampling.validate()?;
        self.flow.validate()?;
        self.hift.validate()?;
        self.speech_tokenizer.validate()?;
        self.campplus.validate()?;

        let (flow, hift) = (&self.flow, &self.hift);
        expect(
            flow.vocab_size >= self.speech_token_size,
            "flow.vocab_size",
            flow.vocab_size,
            format!("at least speech_token_size, {}", self.speech_token_size),
        )?;
        let chunk_frames = flow.encoder.static_chunk_size * self.token_mel_ratio;
        expect(
            flow.decoder.static_chunk_size == chunk_frames,
            "flow.decoder.static_chunk_size",
            flow.decoder.static_chunk_size,
            format!("the frames of the encoder's chunk, {chunk_frames}"),
        )?;
        expect(
            self.campplus.embedding_size == self.spk_embed_dim,
            "campplus.embedding_size",
            self.campplus.embedding_size,
            format!("spk_embed_dim, {}", self.spk_embed_dim),
        )?;
        expect(
            hift.sampling_rate == self.sample_rate,
            "hift.sampling_rate",
            hift.sampling_rate,
            format!("sample_rate, {}", self.sample_rate),
        )?;
        // All are bounded by now, so that the product stays far below 64 bits.
        let frame_rate = self.token_frame_rate * self.token_mel_ratio;
        let upsampling = hift.upsample_rates.iter().product::<usize>();
        let hop = upsampling * hift.istft_params.hop_len;
        expect(
            hop * frame_rate == self.sample_rate,
            "hift.upsample_rates",
            &hift.upsample_rates,
            format!(
                "factors that with hop_len {} make sample_rate {} of {frame_rate} frames per second",
                hift.istft_params.hop_len, self.sample_rate
            ),
        )
    }
}

impl SamplingConfig {
    fn validate(&self) -> Result<(), String> {
        real("sampling.top_p", self.top_p.into(), 1e-6..=1.0)?;
        within("sampling.top_k", self.top_k, VOCABULARY)?;
        within("sampling.win_size", self.win_size, SPAN)?;
        real("sampling.tau_r", self.tau_r.into(), 0.0..=1e6)
    }
}

impl LlmConfig {
    /// Checks the language model's sizes.
    ///
    /// # Errors
    /// The key and what was expected of it.
    pub(crate) fn validate(&self) -> Result<(), String> {
        within("vocab_size", self.vocab_size, VOCABULARY)?;
        within("hidden_size", self.hidden_size, WIDTH)?;
        within("intermediate_size", self.intermediate_size, 1..=1 << 20)?;
        within("num_hidden_layers", self.num_hidden_layers, LAYERS)?;
        heads("num_attention_heads", self.num_attention_heads, "hidden_size", self.hidden_size)?;
        within("num_key_value_heads", self.num_key_value_heads, HEADS)?;
        expect(
            self.num_attention_heads.is_multiple_of(self.num_key_value_heads),
            "num_key_value_heads",
            self.num_key_value_heads,
            format!("a divisor of num_attention_heads, {}", self.num_attention_heads),
        )?;
        within("max_position_embeddings", self.max_position_embeddings, POSITIONS)?;
        real("rope_theta", self.rope_theta, 1.0..=1e12)?;
        real("rms_norm_eps", self.rms_norm_eps, 0.0..=1.0)
    }
}

impl FlowConfig {
    fn validate(&self) -> Result<(), String> {
        within("flow.vocab_size", self.vocab_size, VOCABULARY)?;
        within("flow.pre_lookahead_len", self.pre_lookahead_len, 1..=1000)?;
        real("flow.inference_cfg_rate", self.inference_cfg_rate.into(), 0.0..=100.0)?;
        within("flow.n_timesteps", self.n_timesteps, 1..=1000)?;

        let encoder = &self.encoder;
        within("flow.encoder.output_size", encoder.output_size, WIDTH)?;
        let (key, of) = ("flow.encoder.attention_heads", "output_size");
        heads(key, encoder.attention_heads, of, encoder.output_size)?;
        within("flow.encoder.linear_units", encoder.linear_units, WIDTH)?;
        within("flow.encoder.num_blocks", encoder.num_blocks, LAYERS)?;
        within("flow.encoder.num_up_blocks", encoder.num_up_blocks, LAYERS)?;
        within("flow.encoder.static_chunk_size", encoder.static_chunk_size, SPAN)?;

        let decoder = &self.decoder;
        expect(
            decoder.channels.len() == 1,
            "flow.decoder.channels",
            &decoder.channels,
            "one width: the estimator works at one resolution",
        )?;
        each("flow.decoder.channels", &decoder.channels, WIDTH)?;
        within("flow.decoder.attention_head_dim", decoder.attention_head_dim, 1..=4096)?;
        within("flow.decoder.n_blocks", decoder.n_blocks, LAYERS)?;
        within("flow.decoder.num_mid_blocks", decoder.num_mid_blocks, LAYERS)?;
        within("flow.decoder.num_heads", decoder.num_heads, HEADS)?;
        within("flow.decoder.static_chunk_size", decoder.static_chunk_size, 1..=1 << 20)
    }
}

impl HiftConfig {
    fn validate(&self) -> Result<(), String> {
        within("hift.in_channels", self.in_channels, WIDTH)?;
        within("hift.base_channels", self.base_channels, WIDTH)?;
        within("hift.nb_harmonics", self.nb_harmonics, 0..=256)?;
        within("hift.f0_cond_channels", self.f0_cond_channels, WIDTH)?;
        real("hift.nsf_alpha", self.nsf_alpha.into(), 0.0..=1e3)?;
        real("hift.nsf_sigma", self.nsf_sigma.into(), 0.0..=1e3)?;
        real("hift.nsf_voiced_threshold", self.nsf_voiced_threshold.into(), 0.0..=1e5)?;
        real("hift.lrelu_slope", self.lrelu_slope, 0.0..=1.0)?;
        real("hift.audio_limit", self.audio_limit.into(), 1e-3..=1.0)?;

        let (fft, hop) = (self.istft_params.n_fft, self.istft_params.hop_len);
        within("hift.istft_params.n_fft", fft, 2..=4096)?;
        expect(fft.is_multiple_of(2), "hift.istft_params.n_fft", fft, "an even number")?;
        within("hift.istft_params.hop_len", hop, 1..=4096)?;
        // Else some samples lie where no window reaches, or only its zero.
        let least = "at most half of n_fft";
        expect(hop <= fft / 2, "hift.istft_params.hop_len", hop, least)?;

        let stages = self.upsample_rates.len();
        expect((1..=4).contains(&stages), "hift.upsample_rates", stages, "1 to 4 stages")?;
        each("hift.upsample_rates", &self.upsample_rates, 1..=64)?;
        let key = "hift.upsample_kernel_sizes";
        listed(key, self.upsample_kernel_sizes.len(), "upsample_rates", stages)?;
        each(key, &self.upsample_kernel_sizes, KERNEL)?;
        for (kernel, rate) in self.upsample_kernel_sizes.iter().zip(&self.upsample_rates) {
            let fits = kernel.checked_sub(*rate).is_some_and(|rest| rest.is_multiple_of(2));
            expect(fits, key, kernel, format!("the rate {rate} and an even rest"))?;
        }
        let divisor = 1 << stages;
        expect(
            self.base_channels.is_multiple_of(divisor),
            "hift.base_channels",
            self.base_channels,
            format!("a multiple of {divisor}, as each stage halves it"),
        )?;

        let kernels = &self.resblock_kernel_sizes;
        let count = kernels.len();
        expect((1..=16).contains(&count), "hift.resblock_kernel_sizes", count, "1 to 16 blocks")?;
        resblocks("hift.resblock", kernels, &self.resblock_dilation_sizes)?;
        let kernels = &self.source_resblock_kernel_sizes;
        listed("hift.source_resblock_kernel_sizes", kernels.len(), "upsample_rates", stages)?;
        resblocks("hift.source_resblock", kernels, &self.source_resblock_dilation_sizes)
    }
}

impl SpeechTokenizerConfig {
    fn validate(&self) -> Result<(), String> {
        within("speech_tokenizer.n_mels", self.n_mels, 1..=1024)?;
        within("speech_tokenizer.n_audio_state", self.n_audio_state, WIDTH)?;
        let (key, of) = ("speech_tokenizer.n_audio_head", "n_audio_state");
        heads(key, self.n_audio_head, of, self.n_audio_state)?;
        within("speech_tokenizer.n_audio_layer", self.n_audio_layer, LAYERS)
    }
}

impl CampplusConfig {
    fn validate(&self) -> Result<(), String> {
        within("campplus.growth_rate", self.growth_rate, 1..=4096)?;
        within("campplus.bn_size", self.bn_size, 1..=64)?;
        within("campplus.init_channels", self.init_channels, WIDTH)?;
        within("campplus.embedding_size", self.embedding_size, WIDTH)
    }
}

fn expect(
    ok: bool,
    key: &str,
    value: impl std::fmt::Debug,
    expected: impl std::fmt::Display,
) -> Result<(), String> {
    if ok { Ok(()) } else { Err(format!("`{key}` is {value:?}, expected {expected}")) }
}

fn within(key: &str, value: usize, range: RangeInclusive<usize>) -> Result<(), String> {
    expect(range.contains(&value), key, value, format!("{} to {}", range.start(), range.end()))
}

fn each(key: &str, values: &[usize], range: RangeInclusive<usize>) -> Result<(), String> {
    values.iter().try_for_each(|value| within(key, *value, range.clone()))
}

/// Not a number lies in no range.
fn real(key: &str, value: f64, range: RangeInclusive<f64>) -> Result<(), String> {
    expect(range.contains(&value), key, value, format!("{:e} to {:e}", range.start(), range.end()))
}

/// Heads that divide `width` into an even number of channels each, as position encodings take
/// channels in pairs.
fn heads(key: &str, heads: usize, of: &str, width: usize) -> Result<(), String> {
    within(key, heads, HEADS)?;
    let even = width.is_multiple_of(2 * heads);
    expect(even, key, heads, format!("heads of an even share of {of}, {width}"))
}

/// A list with one entry for each of another list's.
fn listed(key: &str, len: usize, of: &str, expected: usize) -> Result<(), String> {
    expect(
        len == expected,
        key,
        format_args!("of {len} entries"),
        format!("{expected}, as in {of}"),
    )
}

/// Kernels of odd length, which "same" padding centres, and for each its list of dilations.
fn resblocks(prefix: &str, kernels: &[usize], dilations: &[Vec<usize>]) -> Result<(), String> {
    let (key, dilation_key) =
        (format!("{prefix}_kernel_sizes"), format!("{prefix}_dilation_sizes"));
    each(&key, kernels, KERNEL)?;
    for kernel in kernels {
        expect(kernel % 2 == 1, &key, kernel, "odd kernels")?;
    }
    listed(&dilation_key, dilations.len(), &key, kernels.len())?;
    for list in dilations {
        expect((1..=16).contains(&list.len()), &dilation_key, list, "1 to 16 dilations each")?;
        each(&dilation_key, list, 1..=1024)?;
    }
    Ok(())
}
