//! What the model makes of a prompt, once for all sessions that speak in its voice.

use super::flow::{FlowPrompt, FlowState};
use super::model::MEL_BINS;
use super::{CosyVoice2, ModelError};
use crate::audio::{Clip, fbank, mel, resample};
use crate::text;

/// Sample rate that the prompt encoders hear.
const PROMPT_RATE: u32 = 16_000;
/// Filterbank channels that CAM++ hears.
const FBANK_BINS: usize = 80;

/// Everything that depends only on the prompt.
pub struct Voice {
    /// Text tokens of the transcript.
    pub(super) prompt_text: Vec<u32>,
    /// Speech tokens of the recording.
    pub(super) prompt_speech: Vec<u32>,
    /// What the flow is given of the whole prompt.
    pub(super) prompt: FlowPrompt,
    /// The flow after blocks of the prompt, for sessions whose first hop is `first_hop` or more.
    pub(super) flow: FlowState,
    pub(super) first_hop: usize,
}

impl CosyVoice2 {
    /// Speech tokens of a recording, 25 a second.
    pub fn speech_tokens(&self, audio: &Clip) -> Vec<u32> {
        self.tokenize_speech(&resample(&audio.samples, audio.rate, PROMPT_RATE))
    }

    /// Speech tokens of samples at [`PROMPT_RATE`].
    fn tokenize_speech(&self, samples: &[f32]) -> Vec<u32> {
        let frames = mel::whisper_log_mel(samples, self.speech_tokenizer.n_mels());
        self.speech_tokenizer.encode(self.features(frames).swap_dims(1, 2))
    }

    /// A voice from a recording that passed [`check_prompt`](crate::audio::check_prompt), and its
    /// transcript.
    ///
    /// Sessions cut the flow's copy of the prompt at its end so that `first_hop` more speech tokens
    /// complete a block of its mask. The language model sees the whole prompt.
    ///
    /// # Errors
    /// When the parts of the model do not fit together.
    pub fn voice(
        &self,
        audio: &Clip,
        transcript: &str,
        first_hop: usize,
    ) -> Result<Voice, ModelError> {
        let samples = resample(&audio.samples, audio.rate, PROMPT_RATE);
        let mut speech = self.tokenize_speech(&samples);
        let mut filterbank = fbank::fbank(&samples, FBANK_BINS);
        filterbank.subtract_mean();
        let embedding = self.campplus.embed(self.features(filterbank));
        let samples = resample(&audio.samples, audio.rate, self.config.sample_rate as u32);
        let mel = self.features(mel::vocoder_mel(&samples, MEL_BINS));

        let ratio = self.config.token_mel_ratio;
        speech.truncate(mel.dims()[1] / ratio);
        let prompt = FlowPrompt {
            mel: mel.narrow(1, 0, speech.len() * ratio),
            tokens: speech.clone(),
            embedding,
        };
        let mut flow = self.flow.start(&prompt)?;
        while flow.prompt_blocks(first_hop) > 0 {
            (flow, _) = self.flow.run_hop(flow)?;
        }
        flow.seal();
        Ok(Voice {
            prompt_text: self.tokenizer.encode(&text::normalize(transcript)),
            prompt,
            flow,
            first_hop,
            prompt_speech: speech,
        })
    }
}
