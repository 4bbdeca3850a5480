#!/usr/bin/env bash
# Runs a command whose Vulkan device is the processor, by Mesa's lavapipe (Debian:
# mesa-vulkan-drivers), repaired as shim.c says. Needs a C compiler.
#
#   benches/lavapipe/run.sh benches/gpu.sh --device vulkan --only kernels,parity
#   benches/lavapipe/run.sh target/release/mynah say --device vulkan "Good morning."
#
# Slow: every kernel is compiled for the processor when it is first used.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || { echo "run.sh: no command; see the head of $here/run.sh" >&2; exit 2; }
driver=$(find /usr/lib /usr/lib64 -name libvulkan_lvp.so 2> /dev/null | head -n 1)
[ -n "$driver" ] || { echo "run.sh: lavapipe is not installed (mesa-vulkan-drivers)" >&2; exit 1; }
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
cc -shared -fPIC -O1 -o "$made/driver.so" "$here/shim.c" -ldl
printf '{"file_format_version": "1.0.0", "ICD": {"api_version": "1.1.230", "library_path": "%s"}}' \
    "$made/driver.so" > "$made/driver.json"
export LAVAPIPE=$driver VK_ICD_FILENAMES=$made/driver.json VK_DRIVER_FILES=$made/driver.json
# Tests make kernels on threads with little room.
export RUST_MIN_STACK=${RUST_MIN_STACK:-67108864}
"$@"
