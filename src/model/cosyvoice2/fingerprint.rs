//! What tells one model directory from another.

use super::ModelError;
use crate::model::weights::WeightsError;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Files that a model is made of, where they exist.
const FILES: [&str; 15] = [
    "config.json",
    "cosyvoice2.yaml",
    "CosyVoice-BlankEN/config.json",
    "CosyVoice-BlankEN/vocab.json",
    "CosyVoice-BlankEN/merges.txt",
    "llm.pt",
    "llm.safetensors",
    "flow.pt",
    "flow.safetensors",
    "hift.pt",
    "hift.safetensors",
    "speech_tokenizer_v2.onnx",
    "speech_tokenizer_v2.safetensors",
    "campplus.onnx",
    "campplus.safetensors",
];
/// Bytes read from either end of a file.
const END: u64 = 1 << 20;

/// SHA-256 over the names and sizes of a model's files, and the first and the last MiB of each.
///
/// Reading all of the official weights would take longer than loading them. Their ends suffice:
/// a `.pt` file closes with a directory that has a checksum of every tensor, and training moves
/// every tensor of a `.safetensors` or `.onnx` file, those at its ends included. Smaller files are
/// read whole.
pub fn fingerprint(dir: &Path) -> Result<[u8; 32], ModelError> {
    let mut hash = Sha256::new();
    for name in FILES {
        let path = dir.join(name);
        if path.is_file() {
            let read = ends(&path).map_err(|source| WeightsError::Io { file: path, source })?;
            hash.update(name);
            // No name holds a zero, so that no other list of files reads the same.
            hash.update([0]);
            hash.update(read);
        }
    }
    Ok(hash.finalize().into())
}

/// SHA-256 over a file's size and its two ends, which meet in a short file.
fn ends(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut hash = Sha256::new();
    hash.update(size.to_le_bytes());
    let mut part = Vec::new();
    (&mut file).take(END).read_to_end(&mut part)?;
    file.seek(SeekFrom::Start(size.saturating_sub(END).max(END.min(size))))?;
    file.take(END).read_to_end(&mut part)?;
    hash.update(part);
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whichever end a change is at, another model is another model; other files do not matter.
    #[test]
    fn changes_show() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("llm.pt");
        let mut bytes = vec![0; 3 << 20];
        let mut seen = Vec::new();
        let mut note = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let print = fingerprint(dir.path()).unwrap();
            let new = !seen.contains(&print);
            seen.push(print);
            new
        };
        assert!(note(&bytes));
        assert!(!note(&bytes));
        bytes[7] = 1;
        assert!(note(&bytes));
        let last = bytes.len() - 1;
        bytes[last] = 1;
        assert!(note(&bytes));
        for size in [(2 << 20) - 1, (1 << 20) + 1, 100, 0] {
            assert!(note(&bytes[..size]), "{size}");
        }
        assert!(note(&[1]));
        std::fs::write(dir.path().join("README.md"), "x").unwrap();
        assert!(!note(&[1]));
    }
}
