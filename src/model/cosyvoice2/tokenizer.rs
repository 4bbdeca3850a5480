//! Text tokenizer: Qwen2's byte-level BPE with the control tokens of CosyVoice2.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

/// Tokens after the base vocabulary, in the order of their ids: Qwen2's own three, then those
/// that CosyVoice2 was trained with.
const SPECIAL: [&str; 20] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|endofprompt|>",
    "[breath]",
    "<strong>",
    "</strong>",
    "[noise]",
    "[laughter]",
    "[cough]",
    "[clucking]",
    "[accent]",
    "[quick_breath]",
    "<laughter>",
    "</laughter>",
    "[hissing]",
    "[sigh]",
    "[vocalized-noise]",
    "[lipsmack]",
    "[mn]",
];

/// How Qwen2 cuts text before its merges: contractions, words with the space or mark before them,
/// single digits, runs of punctuation, line breaks, white space.
const WORDS: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// Why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    #[error("cannot read {}: {source}", file.display())]
    Io { file: PathBuf, source: std::io::Error },
    #[error("{}: {reason}", file.display())]
    Malformed { file: PathBuf, reason: String },
}

/// Text to ids. Cheap to share between threads.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
}

impl TextTokenizer {
    /// Reads `vocab.json` and `merges.txt` of a folder.
    ///
    /// # Errors
    /// [`TokenizerError`], naming the file at fault.
    pub fn open(dir: &Path) -> Result<Self, TokenizerError> {
        let (vocab_file, merges_file) = (dir.join("vocab.json"), dir.join("merges.txt"));
        let vocab = read_vocab(&vocab_file)?;
        let merges = read_merges(&merges_file)?;
        let malformed =
            |file: &Path, reason: String| TokenizerError::Malformed { file: file.into(), reason };
        let bpe = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .build()
            .map_err(|e| malformed(&merges_file, e.to_string()))?;
        let assemble = || -> tokenizers::Result<Tokenizer> {
            let pattern = SplitPattern::Regex(WORDS.into());
            let words = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?;
            let steps: Vec<PreTokenizerWrapper> =
                vec![words.into(), ByteLevel::new(false, false, false).into()];
            let mut tokenizer = Tokenizer::new(bpe);
            tokenizer.with_decoder(Some(ByteLevel::default()));
            tokenizer.with_normalizer(Some(NFC))?;
            tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
            tokenizer.add_special_tokens(SPECIAL.map(|token| AddedToken::from(token, true)))?;
            Ok(tokenizer)
        };
        let tokenizer = assemble().map_err(|e| malformed(&vocab_file, e.to_string()))?;
        Ok(Self { tokenizer })
    }

    /// Ids of a text, which may hold control tokens. Nothing is added at its ends.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match self.tokenizer.encode_fast(text, false) {
            Ok(encoding) => encoding.get_ids().to_vec(),
            Err(error) => {
                // Every byte has a token (checked at opening), so no text is without ids.
                tracing::error!(%error, "text cannot be tokenized");
                vec![]
            }
        }
    }

    /// The text of ids. What is no character of UTF-8 in it becomes U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, true).unwrap_or_else(|error| {
            tracing::error!(%error, "tokens have no text");
            String::new()
        })
    }

    /// The id of a token as it stands in the vocabulary, such as `<|endofprompt|>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }
}

fn read(file: &Path) -> Result<String, TokenizerError> {
    std::fs::read_to_string(file).map_err(|source| TokenizerError::Io { file: file.into(), source })
}

fn read_vocab(file: &Path) -> Result<Vocab, TokenizerError> {
    let malformed = |reason| TokenizerError::Malformed { file: file.into(), reason };
    let vocab: HashMap<String, u32> =
        serde_json::from_str(&read(file)?).map_err(|e| malformed(e.to_string()))?;
    // Text whose bytes have no token would vanish without a word.
    match ByteLevel::alphabet().iter().find(|byte| !vocab.contains_key(&byte.to_string())) {
        Some(byte) => Err(malformed(format!("no token for `{byte}`, one of the 256 bytes"))),
        None => Ok(vocab.into_iter().collect()),
    }
}

/// One pair a line, first those that were merged first.
fn read_merges(file: &Path) -> Result<Vec<(String, String)>, TokenizerError> {
    let text = read(file)?;
    let header = |(i, line): &(usize, &str)| *i == 0 && line.starts_with("#version");
    text.lines()
        .enumerate()
        .filter(|line| !header(line) && !line.1.is_empty())
        .map(|(i, line)| {
            let pair = line.split_once(' ').filter(|(_, right)| !right.contains(' '));
            let (left, right) = pair.ok_or_else(|| TokenizerError::Malformed {
                file: file.into(),
                reason: format!("line {} is not a pair of tokens", i + 1),
            })?;
            Ok((left.into(), right.into()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::TextStream;

    const BUNDLED: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/model_weights/mynah-mini/CosyVoice-BlankEN");

    fn bundled() -> TextTokenizer {
        TextTokenizer::open(Path::new(BUNDLED)).expect("bundled tokenizer")
    }

    /// The pieces that a stream releases give the ids of the whole text, however it was cut.
    #[test]
    fn streamed_text_has_the_ids_of_the_whole() {
        let tokenizer = bundled();
        for text in [
            "Streaming works, doesn't it? I'd say: yes (mostly)!",
            "Wait...  what?\n\nNew   lines \n and\ttabs; 3 and 1,000.5 too.",
            "So-called \"smart\" quotes \u{201c}here\u{201d} \u{2014} caf\u{e9}, na\u{ef}ve. [laughter] Ok",
        ] {
            let whole = tokenizer.encode(&crate::text::original_rules(text));
            let chars: Vec<String> = text.chars().map(String::from).collect();
            for size in [1, 2, 3, 5, 8, 13, text.len()] {
                let mut stream = TextStream::new();
                let mut ids = Vec::new();
                for piece in chars.chunks(size) {
                    ids.extend(tokenizer.encode(&stream.push(&piece.concat())));
                }
                ids.extend(tokenizer.encode(&stream.flush()));
                assert_eq!(ids, whole, "{text:?} by {size}");
            }
        }
    }

    /// A long run of anything must be tokenised in full, and before the client gives up.
    #[test]
    fn hostile_text_is_tokenized() {
        let tokenizer = bundled();
        let started = std::time::Instant::now();
        for c in [" ", "\n", "a", "!", "中", "\u{301}", "\0", "<|", "😀", " \n", "\u{a0}"] {
            let text = c.repeat(20_000 / c.len());
            assert!(!tokenizer.encode(&text).is_empty(), "{c:?}");
        }
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    #[test]
    fn threads_share_one() {
        let tokenizer = bundled();
        let want = tokenizer.encode("the same for all");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(tokenizer.encode("the same for all"), want));
            }
        });
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().expect("folder");
        let open = || TextTokenizer::open(dir.path()).err().map(|e| e.to_string());
        let says = |error: Option<String>, file: &str, why: &str| {
            let error = error.expect("an error");
            assert!(error.contains(file) && error.contains(why), "{error}");
        };
        let write =
            |file: &str, text: &str| std::fs::write(dir.path().join(file), text).expect(file);
        let copy = |file: &str| write(file, &read(&Path::new(BUNDLED).join(file)).expect(file));

        says(open(), "vocab.json", "cannot read");
        write("vocab.json", "{\"a\": -1}");
        says(open(), "vocab.json", "invalid");
        write("vocab.json", "{\"a\": 0}");
        says(open(), "vocab.json", "256 bytes");
        copy("vocab.json");
        says(open(), "merges.txt", "cannot read");
        write("merges.txt", "#version: 0.2\na b\nc\n");
        says(open(), "merges.txt", "line 3");
        write("merges.txt", "#version: 0.2\nno such_token\n");
        says(open(), "merges.txt", "no");
        copy("merges.txt");
        assert_eq!(open(), None);
    }
}
