//! What a client says on `/inference_zero_shot_bistream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mynah::server::fuzz_frames(bytes);
});
