//! What the encoders make of a prompt, as it is kept on disk.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;

/// Results of the prompt encoders, on the host. With them a voice is made without the recording.
#[derive(Debug, Clone, PartialEq)]
pub struct VoiceTensors {
    /// Text tokens of the transcript.
    pub text: Vec<u32>,
    /// Speech tokens of the recording, 25 a second.
    pub speech: Vec<u32>,
    /// Log mel `[frames, bins]`, with as many frames as the speech tokens cover.
    pub mel: Vec<f32>,
    /// Speaker embedding, not normalised.
    pub embedding: Vec<f32>,
}

impl VoiceTensors {
    /// A `.safetensors` file with `metadata` in its header.
    ///
    /// # Errors
    /// A message, when the format cannot hold this.
    pub fn to_safetensors(&self, metadata: HashMap<String, String>) -> Result<Vec<u8>, String> {
        let ids = |ids: &[u32]| -> Vec<u8> { ids.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let floats = |v: &[f32]| -> Vec<u8> { v.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let tensors = [
            (TEXT, Dtype::U32, ids(&self.text)),
            (SPEECH, Dtype::U32, ids(&self.speech)),
            (MEL, Dtype::F32, floats(&self.mel)),
            (EMBEDDING, Dtype::F32, floats(&self.embedding)),
        ];
        let views = tensors
            .iter()
            .map(|(name, dtype, bytes)| {
                Ok((*name, TensorView::new(*dtype, vec![bytes.len() / 4], bytes)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        views
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(|e| e.to_string())
    }

    /// Reads what [`Self::to_safetensors`] wrote, and its metadata. Sizes and ids are checked by
    /// [`VoiceWork::from_tensors`](super::VoiceWork::from_tensors), which knows the model.
    ///
    /// # Errors
    /// A message that says what is wrong. Memory stays in proportion to `file`.
    pub fn from_safetensors(file: &[u8]) -> Result<(Self, HashMap<String, String>), String> {
        let (_, header) = SafeTensors::read_metadata(file).map_err(|e| e.to_string())?;
        let tensors = SafeTensors::deserialize(file).map_err(|e| e.to_string())?;
        let words = |name: &str, dtype: Dtype| {
            let tensor = tensors.tensor(name).map_err(|e| e.to_string())?;
            if tensor.dtype() != dtype {
                return Err(format!("tensor `{name}` is {:?}, not {dtype:?}", tensor.dtype()));
            }
            // The format was checked: the bytes of a tensor are those of its shape and type.
            Ok(tensor.data().as_chunks::<4>().0.to_vec())
        };
        let ids = |name| -> Result<Vec<u32>, String> {
            Ok(words(name, Dtype::U32)?.into_iter().map(u32::from_le_bytes).collect())
        };
        let floats = |name| -> Result<Vec<f32>, String> {
            Ok(words(name, Dtype::F32)?.into_iter().map(f32::from_le_bytes).collect())
        };
        let read = Self {
            text: ids(TEXT)?,
            speech: ids(SPEECH)?,
            mel: floats(MEL)?,
            embedding: floats(EMBEDDING)?,
        };
        Ok((read, header.metadata().clone().unwrap_or_default()))
    }
}

const TEXT: &str = "text_tokens";
const SPEECH: &str = "speech_tokens";
const MEL: &str = "mel";
const EMBEDDING: &str = "speaker_embedding";

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> VoiceTensors {
        VoiceTensors {
            text: vec![1, u32::MAX],
            speech: vec![3],
            mel: vec![0.5, f32::MIN_POSITIVE, -7.25],
            embedding: vec![],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let metadata = HashMap::from([("format".to_owned(), "1".to_owned())]);
        let file = tensors().to_safetensors(metadata.clone()).unwrap();
        assert_eq!(VoiceTensors::from_safetensors(&file), Ok((tensors(), metadata)));
    }

    /// Every cut and every flipped byte is an error or some other tensors, never a panic.
    #[test]
    fn damaged_files_are_survived() {
        let file = tensors().to_safetensors(HashMap::new()).unwrap();
        for length in 0..file.len() {
            assert!(VoiceTensors::from_safetensors(&file[..length]).is_err(), "{length}");
        }
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                let _ = VoiceTensors::from_safetensors(&damaged);
            }
        }
    }
}
