//! The upsampling stack: mel and source spectrum to the output spectrum's parameters.

use super::resblock::ResBlock;
use crate::model::cosyvoice2::config::HiftConfig;
use crate::model::nn::{Conv1d, ConvOptions, ConvTranspose1d};
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::Tensor;
use burn::tensor::ops::PadMode;

const KERNEL: usize = 7;
/// Slope of the last leaky ReLU: the original leaves it at PyTorch's default.
const FINAL_SLOPE: f64 = 0.01;

/// Keys `conv_pre`, `ups`, `source_downs`, `source_resblocks`, `resblocks`, `conv_post`.
#[derive(Debug, Clone)]
pub struct Decoder {
    conv_pre: Conv1d,
    stages: Vec<Stage>,
    conv_post: Conv1d,
}

impl Decoder {
    pub fn load(scope: &Scope, config: &HiftConfig) -> Result<Self, WeightsError> {
        let padding = (KERNEL / 2, KERNEL / 2);
        let options = ConvOptions { padding, ..Default::default() };
        let (mels, base) = (config.in_channels, config.base_channels);
        let spectrum = config.istft_params.n_fft + 2;
        let stages = config.upsample_rates.len();
        Ok(Self {
            conv_pre: Conv1d::load(&scope.sub("conv_pre"), mels, base, KERNEL, options)?,
            stages: (0..stages).map(|i| Stage::load(scope, config, i)).collect::<Result<_, _>>()?,
            conv_post: {
                let scope = scope.sub("conv_post");
                Conv1d::load(&scope, base >> stages, spectrum, KERNEL, options)?
            },
        })
    }

    /// Mel `[batch, mels, T]` to `[batch, base, T]`.
    pub fn pre(&self, mel: Tensor<3>) -> Tensor<3> {
        self.conv_pre.forward(mel)
    }

    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Last stage's output to `[batch, 2 * bins, frames]`: logarithms of magnitudes, then sines'
    /// arguments of phases.
    pub fn post(&self, x: Tensor<3>) -> Tensor<3> {
        self.conv_post.forward_leaky(x, FINAL_SLOPE)
    }

    /// Mel `[batch, mels, T]` and source spectrum `[batch, 2 * bins, frames]` to [`Self::post`]'s
    /// output.
    pub fn forward(&self, mel: Tensor<3>, source: Tensor<3>) -> Tensor<3> {
        let stages = self.stages.iter();
        let x = stages.fold(self.pre(mel), |x, stage| stage.forward(x, source.clone()));
        self.post(x)
    }
}

/// One upsampling step, its share of the source, and its residual blocks.
#[derive(Debug, Clone)]
pub struct Stage {
    slope: f64,
    up: ConvTranspose1d,
    /// The last stage gets one more frame, reflected, to match the frames of a centred transform.
    extend: bool,
    source_down: Conv1d,
    source_resblock: ResBlock,
    resblocks: Vec<ResBlock>,
}

impl Stage {
    fn load(scope: &Scope, config: &HiftConfig, i: usize) -> Result<Self, WeightsError> {
        let channels = config.base_channels >> (i + 1);
        let (rate, kernel) = (config.upsample_rates[i], config.upsample_kernel_sizes[i]);
        let ups = scope.sub("ups").sub(i);
        // The source comes at the rate of the last stage; this one's is slower by the rates after.
        let down: usize = config.upsample_rates[i + 1..].iter().product();
        let (down_kernel, down_padding) = if down == 1 { (1, 0) } else { (2 * down, down / 2) };
        let down_options = ConvOptions {
            stride: down,
            padding: (down_padding, down_padding),
            ..Default::default()
        };
        let spectrum = config.istft_params.n_fft + 2;
        let blocks = config.resblock_kernel_sizes.len();
        let sizes = config.resblock_kernel_sizes.iter().zip(&config.resblock_dilation_sizes);
        Ok(Self {
            slope: config.lrelu_slope,
            up: {
                let weight = ups.tensor("weight", [2 * channels, channels, kernel])?;
                let bias = ups.tensor("bias", [channels])?;
                ConvTranspose1d::new(weight, Some(bias), rate, (kernel - rate) / 2)
            },
            extend: i + 1 == config.upsample_rates.len(),
            source_down: {
                let scope = scope.sub("source_downs").sub(i);
                Conv1d::load(&scope, spectrum, channels, down_kernel, down_options)?
            },
            source_resblock: ResBlock::load(
                &scope.sub("source_resblocks").sub(i),
                channels,
                config.source_resblock_kernel_sizes[i],
                &config.source_resblock_dilation_sizes[i],
            )?,
            resblocks: sizes
                .enumerate()
                .map(|(j, (kernel, dilations))| {
                    let scope = scope.sub("resblocks").sub(i * blocks + j);
                    ResBlock::load(&scope, channels, *kernel, dilations)
                })
                .collect::<Result<_, _>>()?,
        })
    }

    /// `[batch, 2c, n]` to `[batch, c, n * rate]`, one frame more in the last stage.
    pub fn upsample(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.up.forward_leaky(x, self.slope);
        if self.extend { x.pad([(1, 0)], PadMode::Reflect) } else { x }
    }

    /// Source spectrum `[batch, 2 * bins, frames]` at this stage's rate, `[batch, c, n * rate]`.
    pub fn source_down(&self, spectrum: Tensor<3>) -> Tensor<3> {
        self.source_down.forward(spectrum)
    }

    pub fn source_resblock(&self) -> &ResBlock {
        &self.source_resblock
    }

    pub fn resblocks(&self) -> &[ResBlock] {
        &self.resblocks
    }

    /// `[batch, 2c, n]` and the source spectrum to `[batch, c, n * rate]`: the mean of the residual
    /// blocks over the upsampled input plus the source.
    pub fn forward(&self, x: Tensor<3>, spectrum: Tensor<3>) -> Tensor<3> {
        let source = self.source_resblock.forward(self.source_down(spectrum));
        let x = self.up.add_leaky(source, x, self.slope, self.extend);
        let Some((first, blocks)) = self.resblocks.split_first() else { return x };
        let count = self.resblocks.len();
        let sum = first.forward(x.clone());
        if blocks.is_empty() {
            return sum;
        }
        blocks.iter().enumerate().fold(sum, |sum, (i, block)| {
            let divisor = (i + 2 == count).then_some(count as f64);
            block.add_to(sum, x.clone(), divisor)
        })
    }
}
