//! A voice being made, one bounded piece of work at a time.

use super::prefix::{Prefix, beginnings};
use super::{FBANK_BINS, PROMPT_RATE, Voice, VoiceTensors};
use crate::audio::{Clip, fbank, mel, resample};
use crate::model::cosyvoice2::flow::{FlowPrompt, FlowState, Hop};
use crate::model::cosyvoice2::guard::loudness;
use crate::model::cosyvoice2::model::MEL_BINS;
use crate::model::cosyvoice2::{CosyVoice2, ModelError, campplus, speech_tokenizer};
use crate::text;
use burn::tensor::{Device, Tensor, TensorData};

/// Its owner calls [`Self::step`] until the voice is there.
pub struct VoiceWork {
    first_hop: usize,
    stage: Stage,
}

/// What is known of a voice while the flow is at work.
struct Parts {
    text: Vec<u32>,
    prompt: FlowPrompt,
    loudness: f32,
}

/// What comes next, with what was made so far.
enum Stage {
    /// The recording and its transcript are to be encoded.
    Encode(Encoding),
    /// The flow's state is to be begun.
    Prompt(VoiceTensors),
    /// The flow goes over the prompt, block by block.
    Flow(Parts, Box<Hop>),
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
        Ok(Self { first_hop, stage: Stage::Prompt(tensors) })
    }

    /// One encoder, a solver step of the flow over a block of the prompt, or some positions of the
    /// language model. The voice
    /// after the last of them.
    ///
    /// # Errors
    /// When the parts of the model do not fit together, and when called again after the end.
    pub fn step(&mut self, model: &CosyVoice2) -> Result<Option<Voice>, ModelError> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Encode(mut encoding) => match encoding.step(model)? {
                Some(tensors) => Stage::Prompt(tensors),
                None => Stage::Encode(encoding),
            },
            Stage::Prompt(tensors) => {
                let parts = Parts::new(model, tensors);
                let state = model.flow.start(&parts.prompt)?;
                self.after_block(model, parts, state)?
            }
            Stage::Flow(parts, mut hop) => {
                model.flow.advance(&mut [&mut *hop]);
                if hop.is_done() {
                    let (state, _) = hop.finish()?;
                    self.after_block(model, parts, state)?
                } else {
                    Stage::Flow(parts, hop)
                }
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

    /// The prompt's next block, or what comes after the last one that all sessions share.
    fn after_block(
        &self,
        model: &CosyVoice2,
        Parts { text, prompt, loudness }: Parts,
        mut state: FlowState,
    ) -> Result<Stage, ModelError> {
        if state.prompt_blocks(self.first_hop) > 0 {
            let hop = Box::new(model.flow.begin_hop(state));
            return Ok(Stage::Flow(Parts { text, prompt, loudness }, hop));
        }
        state.seal();
        // Without its transcript the language model would take the prompt's speech for that of the
        // text. What the original implementation calls cross-lingual: only the flow hears it.
        let prompt_speech = if text.is_empty() { Vec::new() } else { prompt.tokens.clone() };
        let inputs = beginnings(&model.config, &text, &prompt_speech)?;
        let left = inputs.into_iter().map(|i| Prefix::new(&model.llm, i)).collect();
        let voice = Box::new(Voice {
            prompt_text: text,
            prompt_speech,
            prompt,
            loudness,
            flow: state,
            prefixes: Vec::new(),
        });
        Ok(Stage::Prefixes { voice, left })
    }
}

impl Parts {
    fn new(model: &CosyVoice2, tensors: VoiceTensors) -> Self {
        let VoiceTensors { text, speech, mel, embedding } = tensors;
        let frames = speech.len() * model.config.token_mel_ratio;
        let width = embedding.len();
        let loudness = loudness(&mel, MEL_BINS);
        let prompt = FlowPrompt {
            tokens: speech,
            mel: on(&model.device, mel, [1, frames, MEL_BINS]),
            embedding: on(&model.device, embedding, [1, width]),
        };
        Self { text, prompt, loudness }
    }
}

impl CosyVoice2 {
    /// A voice from a recording that passed [`check_prompt`](crate::audio::check_prompt), and its
    /// transcript, to be made step by step. With an empty transcript the language model is not
    /// prompted: the voice is then the recording's, but not its way of speaking.
    ///
    /// Sessions cut the flow's copy of the prompt at its end so that their first hop, of `first_hop`
    /// tokens or more, ends with a block of its mask. The language model sees the whole prompt.
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
    stage: EncodingStage,
}

/// What comes next, with what was made so far.
enum EncodingStage {
    /// The recording is to be resampled to [`PROMPT_RATE`].
    Resample,
    /// Speech tokens. The samples are for the speaker.
    Speech {
        samples: Vec<f32>,
        encoding: speech_tokenizer::Encoding,
    },
    Speaker {
        speech: Vec<u32>,
        embedding: campplus::Embedding,
    },
    Mel {
        speech: Vec<u32>,
        embedding: Vec<f32>,
    },
    Done,
}

impl Encoding {
    fn new(audio: &Clip, transcript: &str) -> Self {
        let stage = EncodingStage::Resample;
        Self { audio: audio.clone(), transcript: transcript.into(), stage }
    }

    /// A layer or a block of layers of an encoder, or the features for one.
    fn step(&mut self, model: &CosyVoice2) -> Result<Option<VoiceTensors>, ModelError> {
        let audio = &self.audio;
        self.stage = match std::mem::replace(&mut self.stage, EncodingStage::Done) {
            EncodingStage::Resample => {
                let samples = resample(&audio.samples, audio.rate, PROMPT_RATE);
                let mel = mel::whisper_log_mel(&samples, model.speech_tokenizer.n_mels());
                let mel = model.features(mel).swap_dims(1, 2);
                EncodingStage::Speech { encoding: model.speech_tokenizer.begin(mel), samples }
            }
            EncodingStage::Speech { samples, mut encoding } => {
                match model.speech_tokenizer.advance(&mut encoding) {
                    None => EncodingStage::Speech { samples, encoding },
                    Some(speech) => {
                        let mut filterbank = fbank::fbank(&samples, FBANK_BINS);
                        filterbank.subtract_mean();
                        let embedding = model.campplus.begin(model.features(filterbank));
                        EncodingStage::Speaker { speech, embedding }
                    }
                }
            }
            EncodingStage::Speaker { speech, mut embedding } => {
                match model.campplus.advance(&mut embedding) {
                    None => EncodingStage::Speaker { speech, embedding },
                    Some(embedding) => {
                        let embedding = embedding.into_data().iter::<f32>().collect();
                        EncodingStage::Mel { speech, embedding }
                    }
                }
            }
            EncodingStage::Mel { mut speech, embedding } => {
                let samples = resample(&audio.samples, audio.rate, model.config.sample_rate as u32);
                let mut mel = mel::vocoder_mel(&samples, MEL_BINS);
                let ratio = model.config.token_mel_ratio;
                speech.truncate(mel.frames / ratio);
                mel.data.truncate(speech.len() * ratio * mel.bins);
                let spoken = text::Normalizer::default().normalize(&self.transcript);
                let text = model.tokenizer.encode(&text::original_rules(&spoken));
                return Ok(Some(VoiceTensors { text, speech, mel: mel.data, embedding }));
            }
            EncodingStage::Done => {
                return Err(ModelError::Failed("the prompt is encoded already".into()));
            }
        };
        Ok(None)
    }
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
