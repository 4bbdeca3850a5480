//! A recording, as clients upload it, and what is done to it before a voice is made of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mynah::audio::{PromptCare, check_prompt, decode, prepare};

fuzz_target!(|bytes: &[u8]| {
    // A second is enough to reach every decoder, and quick.
    if let Ok(clip) = decode(bytes, 1.0) {
        assert!(clip.samples.len() <= clip.rate as usize);
        let sound = |samples: &[f32]| samples.iter().all(|x| (-1.0..=1.0).contains(x));
        assert!(sound(&clip.samples));
        if check_prompt(&clip).is_ok() {
            let care = PromptCare { trim: true, loudness: Some(-23.0) };
            let prepared = prepare(clip, Some(5.0..=9.0), care);
            assert!(sound(&prepared.clip.samples));
            assert!(prepared.clip.seconds() >= 0.5);
        }
    }
});
