//! The body of `POST /inference_zero_shot`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mynah::server::fuzz_form(bytes);
});
