//! What a recording must be to serve as a voice prompt.

use super::{Clip, DecodeError, decode};

/// Shortest prompt, in seconds.
pub const MIN_SECONDS: f64 = 0.5;
/// Longest prompt, in seconds: the speech tokenizer was trained on no more.
pub const MAX_SECONDS: f64 = 30.0;
/// Peak below which a recording is silence: -60 dB of full scale.
const SILENCE: f32 = 1e-3;

/// Why a clip cannot be a prompt.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PromptError {
    #[error("the prompt audio holds no samples")]
    NoSamples,
    #[error("the prompt audio is {seconds:.2} s long; at least {MIN_SECONDS} s are needed")]
    TooShort { seconds: f64 },
    #[error("the prompt audio is {seconds:.1} s long; at most {MAX_SECONDS} s can be used")]
    TooLong { seconds: f64 },
    #[error("the prompt audio is silent")]
    Silent,
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Decodes a recording that is to serve as a prompt.
///
/// # Errors
/// [`PromptError`]: it cannot be decoded, or breaks a rule of [`check_prompt`].
pub fn decode_prompt(bytes: &[u8]) -> Result<Clip, PromptError> {
    // A little more than the limit, so that a recording just over it can be told its length.
    let clip = decode(bytes, 10.0 * MAX_SECONDS)?;
    check_prompt(&clip)?;
    Ok(clip)
}

/// Whether a voice can be taken from the clip.
///
/// # Errors
/// [`PromptError`], the first rule that the clip breaks.
pub fn check_prompt(clip: &Clip) -> Result<(), PromptError> {
    if clip.samples.is_empty() || clip.rate == 0 {
        return Err(PromptError::NoSamples);
    }
    let seconds = clip.seconds();
    if seconds < MIN_SECONDS {
        return Err(PromptError::TooShort { seconds });
    }
    if seconds > MAX_SECONDS {
        return Err(PromptError::TooLong { seconds });
    }
    // A constant is as silent as zero: some recorders add one.
    let mean = clip.samples.iter().map(|x| f64::from(*x)).sum::<f64>() / clip.samples.len() as f64;
    let audible = clip.samples.iter().any(|x| (x - mean as f32).abs() >= SILENCE);
    if audible { Ok(()) } else { Err(PromptError::Silent) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(seconds: f64, level: impl Fn(usize) -> f32) -> Clip {
        Clip { samples: (0..(seconds * 8000.0) as usize).map(level).collect(), rate: 8000 }
    }

    fn square(height: f32) -> impl Fn(usize) -> f32 {
        move |i| if i / 20 % 2 == 0 { height } else { -height }
    }

    #[test]
    fn lengths_at_the_limits() {
        assert_eq!(check_prompt(&clip(0.5, square(0.1))), Ok(()));
        assert_eq!(check_prompt(&clip(30.0, square(0.1))), Ok(()));
        let check = |seconds| check_prompt(&clip(seconds, square(0.1)));
        assert!(matches!(check(0.49), Err(PromptError::TooShort { .. })));
        assert!(matches!(check(30.01), Err(PromptError::TooLong { .. })));
        assert_eq!(check(0.0), Err(PromptError::NoSamples));
    }

    #[test]
    fn silence_is_refused_also_with_an_offset() {
        for level in [0.0, 0.5] {
            assert_eq!(check_prompt(&clip(1.0, |_| level)), Err(PromptError::Silent));
        }
        assert_eq!(check_prompt(&clip(1.0, square(0.0005))), Err(PromptError::Silent));
        assert_eq!(check_prompt(&clip(1.0, square(0.01))), Ok(()));
    }
}
