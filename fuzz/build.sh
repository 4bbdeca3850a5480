#!/usr/bin/env bash
# Builds the fuzz targets with coverage and AddressSanitizer, as cargo-fuzz does.
set -euo pipefail
cd "$(dirname "$0")"
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
# The versions that are shipped.
cp ../Cargo.lock Cargo.lock
target=$(rustc +nightly -vV | sed -n 's/^host: //p')
# Named, so that build scripts are built without these flags.
cargo +nightly build --release --target "$target" "$@"
ls "target/$target/release/"{prompt,form,frames,pickle,archive,onnx,config,text}
