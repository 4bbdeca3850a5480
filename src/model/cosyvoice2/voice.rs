//! What the model makes of a prompt, once for all sessions that speak in its voice.

mod prefix;
mod tensors;
mod work;

pub use tensors::VoiceTensors;
pub use work::VoiceWork;

use super::flow::{FlowPrompt, FlowState};
use super::llm::LlmInput;
use super::{CosyVoice2, ModelError};
use crate::audio::{Clip, mel, resample};
use crate::model::nn::KvCache;
use burn::tensor::Tensor;
use prefix::Prefix;

/// Sample rate that the prompt encoders hear.
const PROMPT_RATE: u32 = 16_000;
/// Filterbank channels that CAM++ hears.
const FBANK_BINS: usize = 80;

/// Everything that depends only on the prompt.
pub struct Voice {
    /// Text tokens of the transcript.
    pub(super) prompt_text: Vec<u32>,
    /// Speech tokens of the recording, as the language model is given them: none where the
    /// transcript is not known.
    pub(super) prompt_speech: Vec<u32>,
    /// What the flow is given of the whole prompt.
    pub(super) prompt: FlowPrompt,
    /// The flow after blocks of the prompt, for sessions whose first hop is as long as the voice was
    /// made for, or longer.
    pub(super) flow: FlowState,
    /// Level of the recording's loud frames, see [`loudness`](super::guard::loudness).
    pub(super) loudness: f32,
    /// What the language model's sequences begin with, and its keys and values there.
    prefixes: Vec<Prefix>,
}

impl Voice {
    /// The keys and values of the longest run of positions that `inputs` begins with, and its
    /// length; always shorter than `inputs`, since the last position's hidden state is not kept.
    ///
    /// The cache may be longer than the run: a fork of it, cut to that length, goes on with the
    /// rest of `inputs`. A position's keys and values depend only on the positions before it, so
    /// this gives what a forward of all `inputs` would.
    pub fn prefix_of(&self, inputs: &[LlmInput]) -> Option<(&KvCache, usize)> {
        prefix::longest(&self.prefixes, inputs)
    }

    /// Text tokens of the transcript, none where it is not known, and the number of speech tokens
    /// that speak it.
    pub fn prompt_text(&self) -> (&[u32], usize) {
        (&self.prompt_text, self.prompt_speech.len())
    }

    /// Memory in bytes, what sessions share of it counted once.
    pub fn bytes(&self) -> usize {
        let ids = self.prompt_text.len() + self.prompt_speech.len() + self.prompt.tokens.len();
        let prefixes: usize = self.prefixes.iter().map(Prefix::bytes).sum();
        size_of::<Self>()
            + ids * size_of::<u32>()
            + bytes(&self.prompt.mel)
            + bytes(&self.prompt.embedding)
            + self.flow.bytes()
            + prefixes
    }

    /// What [`VoiceWork::from_tensors`] makes the same voice of.
    pub fn tensors(&self) -> VoiceTensors {
        VoiceTensors {
            text: self.prompt_text.clone(),
            speech: self.prompt.tokens.clone(),
            mel: self.prompt.mel.to_data().iter::<f32>().collect(),
            embedding: self.prompt.embedding.to_data().iter::<f32>().collect(),
        }
    }
}

fn bytes<const D: usize>(tensor: &Tensor<D>) -> usize {
    tensor.dims().iter().product::<usize>() * tensor.dtype().size()
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
    /// transcript: all of [`Self::begin_voice`] at once.
    ///
    /// # Errors
    /// When the parts of the model do not fit together.
    pub fn voice(
        &self,
        audio: &Clip,
        transcript: &str,
        first_hop: usize,
    ) -> Result<Voice, ModelError> {
        let mut work = self.begin_voice(audio, transcript, first_hop)?;
        loop {
            if let Some(voice) = work.step(self)? {
                return Ok(voice);
            }
        }
    }
}

#[cfg(test)]
mod tests;
