//! What is done to a prompt before a voice is made of it, and what its client should know of it.

use super::levels::Levels;
use super::prompt::MIN_SECONDS;
use super::{Clip, PromptWarning};
use std::ops::{Range, RangeInclusive};

/// Silence at an end that is left as it is, in seconds. Most recordings have less.
const TOLERATED: f64 = 0.5;
/// Silence that is kept where there was more: the breath before a word, the echo after it.
const KEPT: f64 = 0.2;

/// Height past which a sample may be one that was cut off.
const FULL_SCALE: f32 = 0.99;
/// How much samples differ at most that were cut off at one height: lossy formats blur it a little.
const FLAT: f32 = 1e-4;
/// Samples in a row that are cut off. Two may be the top of a wave.
const CUT_OFF: usize = 3;
/// Share of samples past which clipping is heard.
const CLIPPED: f64 = 1e-3;

/// Distance of the noise below which it is heard in the voice, in dB.
const NOISY: f64 = 15.0;
/// Level of loud parts, in dB of full scale. They are at -10 to -20 where somebody took care.
const QUIET: f64 = -35.0;
/// Seconds of sound.
const SHORT: f64 = 2.0;

/// Syllables per second. People read 4 to 7, and at their fastest 8 or 9, in Mandarin as in
/// English; with their pauses left out, slow ones still say 2.
const FASTEST: f64 = 9.0;
const SLOWEST: f64 = 1.0;

/// Peak that a louder prompt may reach, 1 dB below full scale.
const CEILING: f32 = 0.891;
/// Most that a prompt is made louder, in dB: what is quieter is mostly noise.
const MOST_GAIN: f64 = 30.0;

/// What to do to prompts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PromptCare {
    /// Whether long silences at the ends are cut off.
    pub trim: bool,
    /// Loudness that prompts are given: the mean power of what sounds, in dB of full scale. None:
    /// they keep their own.
    pub loudness: Option<f64>,
}

/// A prompt as the encoders get it.
#[derive(Debug)]
pub struct Prepared {
    pub clip: Clip,
    pub warnings: Vec<PromptWarning>,
}

/// Prepares a recording that [`check_prompt`](super::check_prompt) accepts. `syllables` are what
/// its transcript may have, where there is one.
///
/// What needs nothing done to it keeps its samples, to the last bit.
pub fn prepare(
    mut clip: Clip,
    syllables: Option<RangeInclusive<f64>>,
    care: PromptCare,
) -> Prepared {
    let levels = Levels::of(&clip.samples, clip.rate);
    let sound = levels.sound();
    let seconds = sound.len() as f64 / f64::from(clip.rate.max(1));
    let kept = trimmed(sound, &clip);
    let heard = &clip.samples[kept.clone()];
    let levels =
        if heard.len() < clip.samples.len() { Levels::of(heard, clip.rate) } else { levels };

    let mut warnings = Vec::new();
    let share = clipped(heard);
    if share > CLIPPED {
        warnings.push(PromptWarning::Clipped { share });
    }
    let below = levels.signal_to_noise();
    if below < NOISY {
        warnings.push(PromptWarning::Noisy { below });
    }
    let level = levels.loud();
    if level < QUIET {
        warnings.push(PromptWarning::Quiet { level });
    }
    if seconds < SHORT {
        warnings.push(PromptWarning::Short { seconds });
    }
    if let Some(syllables) = syllables {
        let sounding = levels.seconds_of_sound();
        if *syllables.start() > FASTEST * seconds {
            warnings.push(PromptWarning::TextLong { seconds });
        } else if *syllables.end() < SLOWEST * sounding {
            warnings.push(PromptWarning::TextShort { seconds });
        }
    }

    if care.trim {
        clip.samples.truncate(kept.end);
        clip.samples.drain(..kept.start);
    }
    if let Some(target) = care.loudness {
        amplify(&mut clip.samples, target - levels.loudness());
    }
    Prepared { clip, warnings }
}

/// The part of a clip without the silences around `sound` that are too long.
fn trimmed(sound: Range<usize>, clip: &Clip) -> Range<usize> {
    let samples = |seconds: f64| (seconds * f64::from(clip.rate)).ceil() as usize;
    let (len, margin) = (clip.samples.len(), samples(KEPT));
    let (mut start, mut end) = (0, len);
    if sound.start > samples(TOLERATED) {
        start = sound.start - margin;
    }
    if len.saturating_sub(sound.end) > samples(TOLERATED) {
        end = sound.end + margin;
    }
    // No shorter than a prompt may be.
    let missing = samples(MIN_SECONDS).saturating_sub(end - start);
    start = start.saturating_sub(missing);
    end = (end + missing).min(len);
    start..end
}

/// The share of samples that are cut off at full scale.
fn clipped(samples: &[f32]) -> f64 {
    let runs = samples.chunk_by(|a, b| a.abs() >= FULL_SCALE && (a - b).abs() <= FLAT);
    let cut_off: usize = runs.map(<[f32]>::len).filter(|len| *len >= CUT_OFF).sum();
    cut_off as f64 / samples.len().max(1) as f64
}

/// Makes samples louder by so many dB, as far as their peak allows, or quieter.
fn amplify(samples: &mut [f32], decibels: f64) {
    let peak = samples.iter().fold(0f32, |peak, x| peak.max(x.abs()));
    let wanted = 10f64.powf(decibels.min(MOST_GAIN) / 20.0) as f32;
    let gain = wanted.min((CEILING / peak.max(f32::MIN_POSITIVE)).max(1.0));
    samples.iter_mut().for_each(|x| *x *= gain);
}

#[cfg(test)]
mod tests {
    use super::super::levels::tests::{RATE, clip, levels, noise, speech, surrounded};
    use super::*;
    use crate::audio::check_prompt;

    const TRIM: PromptCare = PromptCare { trim: true, loudness: None };

    fn codes(clip: Clip, syllables: Option<RangeInclusive<f64>>) -> Vec<&'static str> {
        let warnings = prepare(clip, syllables, TRIM).warnings;
        warnings.iter().map(PromptWarning::code).collect()
    }

    #[test]
    fn long_silences_are_cut_off_and_a_little_is_kept() {
        for (before, after) in [(3.0, 0.0), (0.0, 3.0), (2.0, 1.0)] {
            let whole = surrounded(before, 3.0, after);
            let kept = prepare(whole.clone(), None, TRIM).clip;
            let expected = 3.0 + [before, after].map(|s: f64| s.min(KEPT)).iter().sum::<f64>();
            assert!((kept.seconds() - expected).abs() < 0.12, "{}", kept.seconds());
            // It is a part of what was there.
            let start = ((before - KEPT).max(0.0) * f64::from(RATE)) as usize;
            let near = start.saturating_sub(1000)..start + 1000;
            let found = near.into_iter().any(|at| whole.samples[at..].starts_with(&kept.samples));
            assert!(found);
        }
    }

    /// What somebody recorded with care is theirs: the voice is made of the very samples.
    #[test]
    fn short_silences_are_left() {
        let whole = surrounded(0.45, 3.0, 0.4);
        assert_eq!(prepare(whole.clone(), None, TRIM).clip, whole);
        let whole = surrounded(3.0, 3.0, 3.0);
        assert_eq!(prepare(whole.clone(), None, PromptCare::default()).clip, whole);
    }

    /// A word alone stays a prompt, in silence as long as needed.
    #[test]
    fn what_is_left_is_long_enough() {
        for (before, after) in [(2.0, 2.0), (0.0, 2.0), (2.0, 0.0), (0.3, 0.6)] {
            let kept = prepare(surrounded(before, 0.2, after), None, TRIM).clip;
            assert_eq!(check_prompt(&kept), Ok(()), "{before} {after}");
            assert!(kept.seconds() < 1.0);
        }
    }

    #[test]
    fn good_recordings_have_no_warnings() {
        assert_eq!(codes(surrounded(0.2, 3.0, 0.2), Some(12.0..=14.0)), [""; 0]);
        assert_eq!(codes(surrounded(3.0, 3.0, 3.0), None), [""; 0]);
    }

    #[test]
    fn clipping() {
        let louder = |gain: f32| {
            let cut = |x: &f32| (x * gain).clamp(-1.0, 1.0);
            clip(speech(3.0, 0.01).iter().map(cut).collect())
        };
        // Up to full scale, and not past it.
        assert_eq!(codes(louder(3.33), None), [""; 0]);
        assert_eq!(codes(louder(5.0), None), ["PROMPT_CLIPPED"]);
        let PromptWarning::Clipped { share } = prepare(louder(20.0), None, TRIM).warnings[0] else {
            panic!("no clipping");
        };
        assert!((0.5..0.9).contains(&share), "{share}");
        // Once, for a moment: nobody hears it.
        let mut once = speech(3.0, 0.01);
        once[RATE as usize..][..40].fill(1.0);
        assert_eq!(codes(clip(once), None), [""; 0]);
    }

    #[test]
    fn noise_and_quietness() {
        let with_noise = |level| {
            let samples = speech(3.0, 0.01);
            let noise = noise(samples.len(), level);
            clip(samples.iter().zip(noise).map(|(x, n)| x + n).collect())
        };
        assert_eq!(codes(with_noise(-45.0), None), [""; 0]);
        assert_eq!(codes(with_noise(-24.0), None), ["PROMPT_NOISY"]);
        // Silence around it hides the noise of neither.
        let mut padded = with_noise(-24.0);
        padded.samples.splice(..0, vec![0.0; 3 * RATE as usize]);
        assert_eq!(codes(padded, None), ["PROMPT_NOISY"]);
        let quieter = |gain: f32| clip(speech(3.0, 0.01).iter().map(|x| x * gain).collect());
        assert_eq!(codes(quieter(0.2), None), [""; 0]);
        assert_eq!(codes(quieter(0.02), None), ["PROMPT_QUIET"]);
    }

    /// However long the file.
    #[test]
    fn shortness_is_that_of_the_sound() {
        assert_eq!(codes(surrounded(5.0, 1.0, 5.0), None), ["PROMPT_SHORT"]);
        assert_eq!(codes(surrounded(5.0, 2.5, 5.0), None), [""; 0]);
    }

    #[test]
    fn transcripts_that_do_not_fit() {
        for (syllables, expected) in [
            (26.0..=30.0, vec![]),
            (28.0..=30.0, vec!["PROMPT_TEXT_TOO_LONG"]),
            (1.0..=1.5, vec!["PROMPT_TEXT_TOO_SHORT"]),
            // Numbers can be read in many ways.
            (1.0..=30.0, vec![]),
            (0.0..=0.0, vec!["PROMPT_TEXT_TOO_SHORT"]),
        ] {
            let found = codes(surrounded(3.0, 3.0, 3.0), Some(syllables.clone()));
            assert_eq!(found, expected, "{syllables:?}");
        }
    }

    #[test]
    fn loudness_is_given() {
        let given = |gain: f32, target| {
            let whole = clip(speech(3.0, 0.01).iter().map(|x| x * gain).collect());
            let care = PromptCare { trim: true, loudness: Some(target) };
            prepare(whole, None, care).clip
        };
        for (gain, target) in [(1.0, -23.0), (0.05, -23.0), (0.2, -18.0), (3.0, -30.0)] {
            let found = levels(&given(gain, target)).loudness();
            assert!((found - target).abs() < 0.1, "{found}, not {target}");
        }
        // The peak is the limit; and what is at it already is not made quieter.
        let peak = |clip: &Clip| clip.samples.iter().fold(0f32, |peak, x| peak.max(x.abs()));
        assert!((peak(&given(0.5, -4.0)) - CEILING).abs() < 1e-3);
        let clipped = surrounded(0.0, 3.0, 0.0).samples.iter().map(|x| x / 0.3).collect();
        let care = PromptCare { trim: true, loudness: Some(-2.0) };
        assert!((peak(&prepare(clip(clipped), None, care).clip) - 1.0).abs() < 1e-3);
        // Not without bound.
        assert!(levels(&given(0.002, -10.0)).loudness() < -30.0);
    }
}
