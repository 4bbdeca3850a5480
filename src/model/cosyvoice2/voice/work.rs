//! A voice being made, one bounded piece of work at a time.

use super::prefix::{Prefix, beginnings};
use super::{FBANK_BINS, PROMPT_RATE, Voice, VoiceTensors};
use crate::audio::{Clip, fbank, mel, resample};
use crate::model::cosyvoice2::flow::FlowPrompt;
use crate::model::cosyvoice2::model::MEL_BINS;
use crate::model::cosyvoice2::{CosyVoice2, ModelError};
use crate::text;
use burn::tensor::{Device, Tensor, TensorData};

/// Its owner calls [`Self::step`] until the voice is there.
pub struct VoiceWork {
    first_hop: usize,
    stage: Stage,
}

/// What comes next, with what was made so far.
enum Stage {
    /// The recording and its transcript are to be encoded.
    Encode(Encoding),
    /// The flow goes over the prompt.
    Flow(VoiceTensors),
    /// The language model fills the prefixes of `left`, the last first.
    Prefixes {
        voice: Box<Voice>,
        left: Vec<Prefix>,
    },
    Done,
}

impl VoiceWork {
    /// A voice of what its encoders made earlier: neither the recording nor the encoders are
    /// needed.
    ///
    /// # Errors
    /// When the tensors cannot be those of a voice of this model: numbers of values that do not
    /// fit together, ids outside their vocabularies, values that are no numbers.
    pub fn from_tensors(
        model: &CosyVoice2,
        tensors: VoiceTensors,
        first_hop: usize,
    ) -> Result<Self, ModelError> {
        check(model, &tensors).map_err(ModelError::Failed)?;
        Ok(Self { first_hop, stage: Stage::Flow(tensors) })
    }

    /// One encoder, the flow over the prompt, or some positions of the language model. The voice
    /// after the last of them.
    ///
    /// # Errors
    /// When the parts of the model do not fit together, and when called again after the end.
    pub fn step(&mut self, model: &CosyVoice2) -> Result<Option<Voice>, ModelError> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Encode(mut encoding) => match encoding.step(model)? {
                Some(tensors) => Stage::Flow(tensors),
                None => Stage::Encode(encoding),
            },
            Stage::Flow(tensors) => {
                let voice = voice(model, tensors, self.first_hop)?;
                let inputs = beginnings(&model.config, &voice.prompt_text, &voice.prompt_speech)?;
                let left = inputs.into_iter().map(|i| Prefix::new(&model.llm, i)).collect();
                Stage::Prefixes { voice: Box::new(voice), left }
            }
            Stage::Prefixes { mut voice, mut left } => match left.pop() {
                None => return Ok(Some(*voice)),
                Some(mut prefix) => {
                    match prefix.fill(&model.llm)? {
                        true => voice.prefixes.push(prefix),
                        false => left.push(prefix),
                    }
                    Stage::Prefixes { voice, left }
                }
            },
            Stage::Done => {
                return Err(ModelError::Failed("the voice is made, or failed, already".into()));
            }
        };
        Ok(None)
    }
}

impl CosyVoice2 {
    /// A voice from a recording that passed [`check_prompt`](crate::audio::check_prompt), and its
    /// transcript, to be made step by step.
    ///
    /// The flow's copy of the prompt is cut at its end so that `first_hop` more speech tokens
    /// complete a block of its mask: the first hop can then be that short and still be exact.
    /// The language model sees the whole prompt.
    ///
    /// # Errors
    /// None today; what is wrong with the parts of the model shows in the steps.
    pub fn begin_voice(
        &self,
        audio: &Clip,
        transcript: &str,
        first_hop: usize,
    ) -> Result<VoiceWork, ModelError> {
        Ok(VoiceWork { first_hop, stage: Stage::Encode(Encoding::new(audio, transcript)) })
    }

    /// What the encoders make of a prompt, all at once.
    ///
    /// # Errors
    /// When the parts of the model do not fit together.
    pub fn encode_prompt(
        &self,
        audio: &Clip,
        transcript: &str,
    ) -> Result<VoiceTensors, ModelError> {
        let mut encoding = Encoding::new(audio, transcript);
        loop {
            if let Some(tensors) = encoding.step(self)? {
                return Ok(tensors);
            }
        }
    }
}

/// A prompt on its way through the encoders.
struct Encoding {
    audio: Clip,
    transcript: String,
    /// The recording at [`PROMPT_RATE`].
    samples: Option<Vec<f32>>,
    speech: Option<Vec<u32>>,
    embedding: Option<Vec<f32>>,
}

impl Encoding {
    fn new(audio: &Clip, transcript: &str) -> Self {
        Self {
            audio: audio.clone(),
            transcript: transcript.into(),
            samples: None,
            speech: None,
            embedding: None,
        }
    }

    /// The next of: resampling, speech tokens, speaker, mel.
    fn step(&mut self, model: &CosyVoice2) -> Result<Option<VoiceTensors>, ModelError> {
        let audio = &self.audio;
        let Some(samples) = &self.samples else {
            self.samples = Some(resample(&audio.samples, audio.rate, PROMPT_RATE));
            return Ok(None);
        };
        if self.speech.is_none() {
            self.speech = Some(model.tokenize_speech(samples));
            return Ok(None);
        }
        if self.embedding.is_none() {
            let mut filterbank = fbank::fbank(samples, FBANK_BINS);
            filterbank.subtract_mean();
            let embedding = model.campplus.embed(model.features(filterbank));
            self.embedding = Some(embedding.into_data().iter::<f32>().collect());
            return Ok(None);
        }
        let samples = resample(&audio.samples, audio.rate, model.config.sample_rate as u32);
        let mut mel = mel::vocoder_mel(&samples, MEL_BINS);
        let mut speech = self.speech.take().unwrap_or_default();
        let ratio = model.config.token_mel_ratio;
        speech.truncate(mel.frames / ratio);
        mel.data.truncate(speech.len() * ratio * mel.bins);
        Ok(Some(VoiceTensors {
            text: model.tokenizer.encode(&text::normalize(&self.transcript)),
            speech,
            mel: mel.data,
            embedding: self.embedding.take().unwrap_or_default(),
        }))
    }
}

/// The voice without its prefixes.
fn voice(model: &CosyVoice2, tensors: VoiceTensors, first_hop: usize) -> Result<Voice, ModelError> {
    let VoiceTensors { text, speech, mel, embedding } = tensors;
    let ratio = model.config.token_mel_ratio;
    let mel: Tensor<3> = on(&model.device, mel, [1, speech.len() * ratio, MEL_BINS]);
    let width = embedding.len();
    let embedding: Tensor<2> = on(&model.device, embedding, [1, width]);
    let prompt = |tokens: usize| FlowPrompt {
        tokens: speech[..tokens].to_vec(),
        mel: mel.clone().narrow(1, 0, tokens * ratio),
        embedding: embedding.clone(),
    };
    let block = model.config.flow.encoder.static_chunk_size;
    let kept = aligned(speech.len(), block, first_hop);
    Ok(Voice {
        prompt_text: text,
        prompt: prompt(speech.len()),
        flow: model.flow.start(&prompt(kept))?,
        prompt_speech: speech,
        prefixes: Vec::new(),
    })
}

fn on<const D: usize>(device: &Device, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Whether these can be the tensors of a voice of `model`.
fn check(model: &CosyVoice2, tensors: &VoiceTensors) -> Result<(), String> {
    let config = &model.config;
    let VoiceTensors { text, speech, mel, embedding } = tensors;
    let count = |what: &str, found: usize, expected: usize| match found == expected {
        true => Ok(()),
        false => Err(format!("{found} values of {what}, expected {expected}")),
    };
    // `speech` was read from a file, which bounds its length far below an overflow.
    count("mel", mel.len(), speech.len() * config.token_mel_ratio * MEL_BINS)?;
    count("the speaker embedding", embedding.len(), config.spk_embed_dim)?;
    let within =
        |what: &str, ids: &[u32], size: usize| match ids.iter().find(|id| **id as usize >= size) {
            Some(id) => Err(format!("{what} token {id} is not in the vocabulary of {size}")),
            None => Ok(()),
        };
    within("text", text, config.llm.vocab_size)?;
    within("speech", speech, config.speech_token_size)?;
    if mel.iter().chain(embedding).any(|value| !value.is_finite()) {
        return Err("a value is not a number".into());
    }
    Ok(())
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
    use super::*;

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
