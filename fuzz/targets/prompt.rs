//! A recording, as clients upload it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mynah::audio::{check_prompt, decode};

fuzz_target!(|bytes: &[u8]| {
    // A second is enough to reach every decoder, and quick.
    if let Ok(clip) = decode(bytes, 1.0) {
        assert!(clip.samples.len() <= clip.rate as usize);
        assert!(clip.samples.iter().all(|sample| (-1.0..=1.0).contains(sample)));
        let _ = check_prompt(&clip);
    }
});
