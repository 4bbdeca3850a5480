//! Recordings as clients send them, made of nothing.
#![allow(dead_code, reason = "every test program needs some of them")]

use mynah::audio::wav;

pub const RATE: u32 = 16_000;

/// Something like speech, loud and quiet four times a second.
fn speech(seconds: f32, height: f32) -> Vec<f32> {
    let syllable = RATE as usize / 4;
    (0..(seconds * RATE as f32) as usize)
        .map(|i| {
            let phase = (i % syllable) as f32 / syllable as f32;
            let envelope = (phase * 3.9).sin().max(0.01);
            (height * envelope * (i as f32 * 0.09).sin()).clamp(-1.0, 1.0)
        })
        .collect()
}

/// A WAV file that has nothing against it, with a transcript of 12 to 18 syllables.
pub fn good() -> Vec<u8> {
    wav::encode(&speech(4.0, 0.5), RATE)
}

/// A second of clipped sound between silences of two seconds, as a WAV file.
pub fn poor() -> Vec<u8> {
    let silence = vec![0.0; 2 * RATE as usize];
    wav::encode(&[&silence[..], &speech(1.0, 4.0), &silence].concat(), RATE)
}

/// What nobody says in a second.
pub const TOO_LONG: &str = "This is a good deal more than anybody can say in a second.";

/// What [`poor`] with the transcript [`TOO_LONG`] has against it.
pub const CODES: [&str; 3] = ["PROMPT_CLIPPED", "PROMPT_SHORT", "PROMPT_TEXT_TOO_LONG"];
