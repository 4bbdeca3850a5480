//! An ONNX file, with the values of its tensors.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    mynah::model::weights::fuzz_onnx(bytes);
});
