//! HiFT vocoder: mel to 24 kHz speech, through a harmonic source and an inverse short-time Fourier
//! transform (HiFTNet, Li et al. 2023).
//!
//! [`Hift::inference`] is the original's call; [`VocoderStream`] makes one continuous signal out
//! of mel that comes in hops. Sizes come from the configuration and weights arrive with their
//! weight norm folded.

mod batch;
mod decoder;
mod excitation;
mod f0;
mod original;
mod resblock;
mod source;
mod stft;
mod stream;

pub use batch::VocoderPush;
pub use decoder::{Decoder, Stage};
pub use f0::F0Predictor;
pub use original::{OriginalStream, cross_fade, fade_window};
pub use resblock::ResBlock;
pub use source::HarmonicSource;
pub use stft::Stft;
pub use stream::VocoderStream;

use super::config::HiftConfig;
use crate::model::weights::{Scope, WeightsError};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// Magnitudes above this are cut, as in the original.
const MAX_MAGNITUDE: f32 = 100.0;

/// The vocoder. Clones share their weights.
#[derive(Debug, Clone)]
pub struct Hift {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    f0: F0Predictor,
    source: HarmonicSource,
    stft: Stft,
    decoder: Decoder,
    audio_limit: f32,
    frame: usize,
    device: Device,
}

impl Hift {
    /// Loads from the root of the vocoder's weights.
    ///
    /// # Errors
    /// A missing or misshaped tensor, or a configuration that describes no vocoder.
    pub fn load(scope: &Scope, config: &HiftConfig) -> Result<Self, WeightsError> {
        check(config).map_err(|reason| WeightsError::Malformed {
            file: scope.weights().path().into(),
            reason: format!("the configuration of its model cannot be used: {reason}"),
        })?;
        let frame = config.upsample_rates.iter().product::<usize>() * config.istft_params.hop_len;
        let f0 = scope.sub("f0_predictor");
        let parts = Parts {
            f0: F0Predictor::load(&f0, config.in_channels, config.f0_cond_channels)?,
            source: HarmonicSource::load(&scope.sub("m_source"), config, frame)?,
            stft: Stft::new(config.istft_params, scope.device()),
            decoder: Decoder::load(scope, config)?,
            audio_limit: config.audio_limit,
            frame,
            device: scope.device().clone(),
        };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// Samples per mel frame.
    pub fn frame(&self) -> usize {
        self.parts.frame
    }

    pub fn device(&self) -> &Device {
        &self.parts.device
    }

    pub fn source(&self) -> &HarmonicSource {
        &self.parts.source
    }

    pub fn stft(&self) -> &Stft {
        &self.parts.stft
    }

    pub fn decoder(&self) -> &Decoder {
        &self.parts.decoder
    }

    /// Mel `[batch, mels, T]` to the fundamental frequency in hertz `[batch, T]`.
    pub fn f0(&self, mel: Tensor<3>) -> Tensor<2> {
        self.parts.f0.forward(mel)
    }

    /// Mel `[batch, mels, T]` and source `[batch, 1, frame * T]` to samples `[batch, frame * T]`,
    /// T >= 1.
    pub fn decode(&self, mel: Tensor<3>, source: Tensor<3>) -> Tensor<2> {
        let Parts { stft, decoder, audio_limit, .. } = &*self.parts;
        let x = decoder.forward(mel, stft.forward(source));
        stft.inverse_polar(x, MAX_MAGNITUDE, *audio_limit)
    }

    /// The original's call: mel `[1, mels, T]` and standard normal noise `[frame * T, harmonics]`
    /// to samples `[1, frame * T]` and the source `[1, 1, frame * T]`, whose first samples are
    /// those of `cache_source` `[1, 1, c]` where it is given.
    pub fn inference(
        &self,
        mel: Tensor<3>,
        noise: &[f32],
        cache_source: Option<Tensor<3>>,
    ) -> (Tensor<2>, Tensor<3>) {
        let f0: Vec<f32> = self.f0(mel.clone()).into_data().iter().collect();
        let source = self.source_tensor(self.parts.source.signal(&f0, noise), 1);
        let samples = source.dims()[2];
        let source = match cache_source {
            Some(cache) => {
                let cached = cache.dims()[2].min(samples);
                let rest = source.narrow(2, cached, samples - cached);
                Tensor::cat(vec![cache.narrow(2, 0, cached), rest], 2)
            }
            None => source,
        };
        (self.decode(mel, source.clone()), source)
    }

    /// Samples on the host, stream after stream, to `[batch, 1, samples]` on the device.
    fn source_tensor(&self, samples: Vec<f32>, batch: usize) -> Tensor<3> {
        let shape = [batch, 1, samples.len() / batch.max(1)];
        Tensor::from_data(TensorData::new(samples, shape), &self.parts.device)
    }
}

/// Mel `[1, mels, T]` played `speed` times as fast: `[1, mels, floor(T / speed)]`, at least one
/// frame, linearly interpolated between frame centres.
pub fn speed_mel(mel: Tensor<3>, speed: f32) -> Tensor<3> {
    let [_, _, frames] = mel.dims();
    // A speed such as 0.8 lies beside its decimal value in f32; the nudge keeps whole results whole.
    let target = (frames as f64 / f64::from(speed) * (1.0 + 1e-7)) as usize;
    let target = target.clamp(1, frames.max(1) * 100);
    if frames == 0 || speed.is_nan() || target == frames {
        return mel;
    }
    let scale = frames as f32 / target as f32;
    let positions: Vec<f32> =
        (0..target).map(|i| (scale * (i as f32 + 0.5) - 0.5).max(0.0)).collect();
    let device = mel.device();
    let pick = |offset: usize| {
        let indices: Vec<i32> =
            positions.iter().map(|&p| (p as usize + offset).min(frames - 1) as i32).collect();
        mel.clone().select(2, Tensor::from_data(TensorData::new(indices, [target]), &device))
    };
    let weight: Vec<f32> = positions.iter().map(|p| p.fract()).collect();
    let weight = Tensor::<3>::from_data(TensorData::new(weight, [1, 1, target]), &device);
    pick(0) * (weight.clone().neg() + 1.0) + pick(1) * weight
}

/// What the rest of the module relies on.
fn check(config: &HiftConfig) -> Result<(), String> {
    let stages = config.upsample_rates.len();
    let istft = config.istft_params;
    let require = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_owned()) };
    require(stages > 0 && stages < 16, "`upsample_rates` must have 1 to 15 entries")?;
    require(
        config.upsample_rates.iter().all(|&rate| (1..=1024).contains(&rate)),
        "`upsample_rates` must be 1 to 1024",
    )?;
    require(
        config.upsample_kernel_sizes.len() == stages
            && config.source_resblock_kernel_sizes.len() == stages
            && config.source_resblock_dilation_sizes.len() == stages,
        "`upsample_kernel_sizes` and `source_resblock_*` need one entry per upsampling",
    )?;
    require(
        config
            .upsample_kernel_sizes
            .iter()
            .zip(&config.upsample_rates)
            .all(|(kernel, rate)| kernel >= rate && (kernel - rate) % 2 == 0),
        "an upsampling kernel must exceed its rate by an even number",
    )?;
    require(
        config.resblock_kernel_sizes.len() == config.resblock_dilation_sizes.len(),
        "`resblock_kernel_sizes` and `resblock_dilation_sizes` differ in length",
    )?;
    let mut kernels =
        config.resblock_kernel_sizes.iter().chain(&config.source_resblock_kernel_sizes);
    require(kernels.all(|k| k % 2 == 1), "residual kernels must be odd")?;
    require(config.base_channels >> stages > 0, "`base_channels` is too small")?;
    require(
        istft.hop_len > 0 && istft.n_fft >= 2 * istft.hop_len && istft.n_fft.is_multiple_of(2),
        "`istft_params` need an even `n_fft` of at least two hops",
    )?;
    let frame = config.upsample_rates.iter().product::<usize>() * istft.hop_len;
    require(2 * frame > istft.n_fft, "a frame is shorter than half of `n_fft`")?;
    require(config.sampling_rate > 0, "`sampling_rate` is 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole frame counts survive f32 speeds; absurd speeds stay within bounds.
    #[test]
    fn speed_sets_the_number_of_frames() {
        let frames = |frames: usize, speed: f32| {
            let mel = Tensor::<3>::ones([1, 80, frames], &Device::flex());
            speed_mel(mel, speed).dims()[2]
        };
        assert_eq!(frames(40, 0.8), 50);
        assert_eq!(frames(26, 1.3), 20);
        assert_eq!(frames(27, 2.0), 13);
        assert_eq!(frames(3, 100.0), 1);
        assert_eq!(frames(3, 1e-30), 300);
        assert_eq!(frames(3, f32::NAN), 3);
        assert_eq!(frames(3, 1.0), 3);
    }

    /// Protects the kernels of GPUs where they are used, of which each has tests of its own: the
    /// order and the shapes of what they add, the activations, batches.
    #[cfg(feature = "cube")]
    #[test]
    fn the_same_samples_on_a_gpu() {
        use crate::model::cosyvoice2::config::ModelConfig;
        use crate::model::nn::test_device;
        use crate::model::weights::Weights;
        use burn::tensor::Distribution;
        use std::path::Path;

        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_weights/mynah-mini");
        let config = std::fs::read(model.join("config.json")).unwrap();
        let config: ModelConfig = serde_json::from_slice(&config).unwrap();
        let weights = Weights::open(model.join("hift.pt")).unwrap();
        let gpu = test_device();
        let load = |device: &Device| Hift::load(&weights.scope(device), &config.hift).unwrap();
        let (here, there) = (load(&Device::flex()), load(&gpu));
        let random = |shape: [usize; 3], mean, deviation| -> Tensor<3> {
            Tensor::random(shape, Distribution::Normal(mean, deviation), &Device::flex())
        };
        let close = |name: &str, got: Tensor<2>, want: Tensor<2>, most: f32| {
            assert_eq!(got.dims(), want.dims(), "{name}");
            let got: Vec<f32> = got.into_data().iter().collect();
            let want: Vec<f32> = want.into_data().iter().collect();
            let pairs = got.iter().zip(&want);
            let worst = pairs.fold(0f32, |worst, (got, want)| worst.max((got - want).abs()));
            let size = want.iter().fold(0f32, |size, want| size.max(want.abs()));
            assert!(size > 0.01 && worst < most * size, "{name}: {worst} of {size}");
        };
        for frames in [1, 7] {
            let mel = random([2, 80, frames], -4.0, 2.0);
            let source = random([2, 1, frames * here.frame()], 0.0, 0.1);
            let (mel_there, source_there) =
                (mel.clone().to_device(&gpu), source.clone().to_device(&gpu));
            close("f0", there.f0(mel_there.clone()), here.f0(mel.clone()), 1e-4);
            let wav = there.decode(mel_there, source_there);
            close("samples", wav, here.decode(mel, source), 1e-3);
        }
    }
}
