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
    /// The flow after the complete blocks of the prompt, cut to leave the first hop to the grid.
    pub(super) flow: FlowState,
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
    /// The flow's copy of the prompt is cut at its end so that `first_hop` more speech tokens
    /// complete a block of its mask: the first hop can then be that short and still be exact.
    /// The language model sees the whole prompt.
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
        let block = self.config.flow.encoder.static_chunk_size;
        let kept = aligned(speech.len(), block, first_hop);
        let prompt = |tokens: usize| FlowPrompt {
            tokens: speech[..tokens].to_vec(),
            mel: mel.clone().narrow(1, 0, tokens * ratio),
            embedding: embedding.clone(),
        };
        Ok(Voice {
            prompt_text: self.tokenizer.encode(&text::normalize(transcript)),
            prompt: prompt(speech.len()),
            flow: self.flow.start(&prompt(kept))?,
            prompt_speech: speech,
        })
    }
}

/// The longest prompt of at most `tokens` after which `first_hop` tokens end a block of `block`.
/// The whole prompt where it is too short for that.
fn aligned(tokens: usize, block: usize, first_hop: usize) -> usize {
    let rest = (block - first_hop % block) % block;
    match tokens.checked_sub(rest) {
        Some(over) => over / block * block + rest,
        None => tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::aligned;

    /// The first packet needs `first_hop` tokens whatever the prompt's length.
    #[test]
    fn a_prompt_is_cut_to_leave_the_first_hop_to_the_grid() {
        for first_hop in 1..=25 {
            for tokens in 25..200 {
                let kept = aligned(tokens, 25, first_hop);
                assert!(kept <= tokens && tokens - kept < 25);
                assert_eq!((kept + first_hop) % 25, 0);
            }
        }
        assert_eq!(aligned(12, 25, 10), 12, "too short to cut");
    }
}
