//! The pickle in a `.pt` file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mynah::model::weights::fuzz_pickle(bytes);
});
