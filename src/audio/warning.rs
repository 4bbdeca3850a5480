//! What makes a recording a poor prompt, though one that can be used.

use std::fmt;

/// Why a voice may not be what its client hopes for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PromptWarning {
    /// The share of samples that are flattened at full scale.
    Clipped { share: f64 },
    /// How far the noise lies below the speech, in dB.
    Noisy { below: f64 },
    /// Level of the loud parts, in dB of full scale.
    Quiet { level: f64 },
    /// Seconds from the first sound to the last.
    Short { seconds: f64 },
    /// Nobody says so much in so many seconds.
    TextLong { seconds: f64 },
    /// Nobody takes so many seconds to say so little.
    TextShort { seconds: f64 },
}

impl PromptWarning {
    /// For programs, as answers carry it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Clipped { .. } => "PROMPT_CLIPPED",
            Self::Noisy { .. } => "PROMPT_NOISY",
            Self::Quiet { .. } => "PROMPT_QUIET",
            Self::Short { .. } => "PROMPT_SHORT",
            Self::TextLong { .. } => "PROMPT_TEXT_TOO_LONG",
            Self::TextShort { .. } => "PROMPT_TEXT_TOO_SHORT",
        }
    }
}

impl PromptWarning {
    /// Code and words, for a header or a log.
    pub fn line(&self) -> String {
        format!("{}: {self}", self.code())
    }
}

/// One line of ASCII without a semicolon, since headers carry several.
impl fmt::Display for PromptWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clipped { share } => write!(
                f,
                "{:.1} % of the prompt audio is clipped, which the voice will sound of: record it \
                 at a lower level",
                100.0 * share
            ),
            Self::Noisy { below } => write!(
                f,
                "the noise in the prompt audio is only about {:.0} dB below the speech: record it \
                 in a quieter place",
                below.max(0.0)
            ),
            Self::Quiet { level } => write!(
                f,
                "the prompt audio is very quiet ({level:.0} dB of full scale), and so the speech \
                 may be: record it at a higher level"
            ),
            Self::Short { seconds } => write!(
                f,
                "there are only {seconds:.1} s of sound in the prompt audio: with 3 s or more the \
                 voice is nearer to the speaker's"
            ),
            Self::TextLong { seconds } => write!(
                f,
                "the prompt text is too long for {seconds:.1} s of speech: it must be what is \
                 said in the prompt audio, no more"
            ),
            Self::TextShort { seconds } => write!(
                f,
                "the prompt text is too short for {seconds:.1} s of speech: it must be all that is \
                 said in the prompt audio"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They go into headers, joined.
    #[test]
    fn all_are_short_lines_of_ascii() {
        let all = [
            PromptWarning::Clipped { share: 1.0 },
            PromptWarning::Noisy { below: -300.0 },
            PromptWarning::Quiet { level: -100.0 },
            PromptWarning::Short { seconds: 30.0 },
            PromptWarning::TextLong { seconds: 30.0 },
            PromptWarning::TextShort { seconds: 30.0 },
        ];
        for warning in all {
            let words = warning.to_string();
            assert!(words.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b';'), "{words}");
            assert!(words.len() <= 140, "{words}");
        }
        assert!(PromptWarning::Noisy { below: -3.0 }.to_string().contains("about 0 dB"));
    }
}
