//! The zip archive that a `.pt` file is.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mynah::model::weights::fuzz_archive(bytes);
});
