#!/usr/bin/env bash
# On a machine with a GPU: first whether what comes out is right, then how fast it is.
#
#   benches/gpu.sh                                   everything below, on the first GPU
#   benches/gpu.sh --only parity,utterances          the parts that are named
#   benches/gpu.sh --device cpu --quick              that the script itself works, on any machine
#   benches/lavapipe/run.sh benches/gpu.sh --device vulkan --only kernels,parity
#       the kernels on a machine without a GPU; programs built with --features vulkan
#   benches/gpu.sh --upstream /path/to/CosyVoice     with the original runtime beside it
#
# Parts, in this order; after a failure of one of the first three nothing is measured:
#   kernels     every kernel on the device against plain operations on the CPU
#   parity      every component on the device against tensors of the original (tests/golden)
#   utterances  twenty sentences of the bundled voice, device against CPU: greedy and sampled tokens,
#               relative errors of mel and wave
#   bench       `mynah bench` of the bundled voice and of the official size with random weights
#   profile     time by kernel: the backend's own table, and nsys' where it is installed
#   upstream    benches/vs_upstream.py, where --upstream names a checkout
#
# Options: --device cuda|vulkan|cpu (cuda), --sessions N,… (1,2,4,8,16,32,64), -n N utterances per client (5),
# --models bundled,full (which are measured), --bin FILE, --golden FILE, --unit FILE, --out DIR (gpu-results),
# --upstream DIR, --model DIR (weights for it), --python FILE, --quick (two sessions, short texts).
#
# It needs no cargo. Make the three programs where there is one:
#   cargo build --release --features cuda
#   cargo test --release --features cuda --lib --test golden --no-run    (prints where they are)
#   mkdir -p .gpu
#   strip -o .gpu/mynah target/release/mynah
#   strip -o .gpu/golden target/release/deps/golden-…
#   strip -o .gpu/unit target/release/deps/mynah-…
#   xz -T0 .gpu/mynah .gpu/golden .gpu/unit     (only where what can be carried is bounded)
# and carry .gpu (unpacked here where it is packed), this file, and, by part:
#   parity      tests/golden
#   utterances  tests/golden/mini and model_weights
#   bench       model_weights; of the official size only CosyVoice-BlankEN, config.json and prompts
#   profile     the same
# tests/golden has 27 MiB and model_weights 47 MiB: where both are too much, take the parts one by one.
# The machine needs the driver, libnvrtc and the headers of CUDA (README.md, "NVIDIA GPUs").
#
# Exit codes: 0 all parts that were asked for ran, 1 one failed, 2 wrong usage.

set -euo pipefail
cd "$(dirname "$0")/.."

device=cuda
only=kernels,parity,utterances,bench,profile,upstream
sessions=1,2,4,8,16,32,64
models=bundled,full
count=5
out=gpu-results
binary=
golden=
unit=
upstream=
model=
python=python3
quick=

usage() {
    echo "gpu.sh: $1; see the head of benches/gpu.sh" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --quick) quick=yes; shift; continue ;;
        -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    esac
    [ $# -ge 2 ] || usage "$1 is unknown or lacks its value"
    case $1 in
        --device) device=$2 ;;
        --only) only=$2 ;;
        --sessions) sessions=$2 ;;
        --models) models=$2 ;;
        -n) count=$2 ;;
        --out) out=$2 ;;
        --bin) binary=$2 ;;
        --golden) golden=$2 ;;
        --unit) unit=$2 ;;
        --upstream) upstream=$2 ;;
        --model) model=$2 ;;
        --python) python=$2 ;;
        *) usage "$1 is unknown" ;;
    esac
    shift 2
done
case $device in cuda | vulkan | cpu) ;; *) usage "--device is cuda, vulkan or cpu" ;; esac
for part in ${only//,/ }; do
    case $part in
        kernels | parity | utterances | bench | profile | upstream) ;;
        *) usage "there is no part $part" ;;
    esac
done
for kind in ${models//,/ }; do
    case $kind in bundled | full | mini) ;; *) usage "--models are bundled, full and mini" ;; esac
done
wants() { [[ ",$only," == *",$1,"* ]]; }

text=()
if [ -n "$quick" ]; then
    sessions=1,2
    count=1
    text=(--text "Good morning.")
fi
mkdir -p "$out"

# The first of these files that is there, unpacked if it is packed.
program() {
    local name=$1 file
    shift
    for file in "$@"; do
        if [ -f "$file" ] && [ -x "$file" ]; then
            echo "$file"
            return
        fi
        if [ -f "$file.xz" ]; then
            xz --decompress --stdout "$file.xz" > "$out/$name"
            chmod +x "$out/$name"
            echo "$out/$name"
            return
        fi
    done
    echo "gpu.sh: there is no program $name; the head of benches/gpu.sh says how to make it" >&2
    return 1
}

failed=()
skipped=()
# Runs the rest as the step that the first argument names, and keeps what it prints.
step() {
    local name=$1 began=$SECONDS
    shift
    echo
    echo "== $name"
    if "$@" 2>&1 | tee "$out/$name.log"; then
        echo "-- $name: $((SECONDS - began)) s"
    else
        echo "-- $name: FAILED after $((SECONDS - began)) s"
        failed+=("$name")
    fi
}
skip() {
    echo
    echo "== $1: skipped, $2"
    skipped+=("$1")
}
finish() {
    echo
    echo "results are in $out; skipped: ${skipped[*]:-nothing}; failed: ${failed[*]:-nothing}"
    [ ${#failed[@]} -eq 0 ]
    exit
}

binary=${binary:-$(program mynah .gpu/mynah target/release/mynah)}
{
    date -u +%Y-%m-%dT%H:%M:%SZ
    git log -1 --format='commit %H' 2> /dev/null || echo "commit unknown: not a checkout"
    "$binary" --version
    uname -srm
    if [ "$device" = cuda ]; then
        nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv || true
    fi
} | tee "$out/machine.log"

# Libtest's own filters.
# shellcheck disable=SC2329 # by `step`
tests() {
    RUST_MIN_STACK=67108864 MYNAH_DEVICE=$device MYNAH_ROOT=$PWD "$golden" --nocapture --test-threads 1 "$@"
}
# The newest program of the tests of that name.
newest() {
    find target/release/deps -maxdepth 1 -name "$1-*" -type f -perm -u+x -printf '%T@ %p\n' \
        2> /dev/null | sort -rn | head -n 1 | cut -d ' ' -f 2-
}
if wants kernels; then
    if [ "$device" = cpu ]; then
        skip kernels "the CPU's are tested everywhere"
    else
        if [ -z "$unit" ]; then
            built=$(newest mynah)
            unit=$(program unit .gpu/unit ${built:+"$built"})
        fi
        # Those for numbers in bf16 are ignored unless asked for, as a software driver lacks the type.
        all=()
        [ "$device" != cuda ] || all=(--include-ignored)
        step kernels env MYNAH_DEVICE="$device" RUST_MIN_STACK=67108864 \
            "$unit" --nocapture --test-threads 1 "${all[@]}" on_a_gpu
        [ ${#failed[@]} -eq 0 ] || finish
    fi
fi
if wants parity || wants utterances; then
    if [ -z "$golden" ]; then
        built=$(newest golden)
        golden=$(program golden .gpu/golden ${built:+"$built"})
    fi
    weights=model_weights/mynah-mini/llm.pt
    if wants parity; then
        # What is compared with the weights of the bundled voice only where they are there.
        if [ ! -d tests/golden/flow ]; then
            skip parity "tests/golden is not here"
        elif [ -f $weights ]; then
            step parity tests golden_ --skip golden_device_agrees_with_the_cpu
        else
            step parity tests golden_ --skip golden_device_agrees_with_the_cpu --skip mini
        fi
    fi
    if wants utterances; then
        if [ -f $weights ] && [ -d tests/golden/mini ]; then
            step utterances tests golden_device_agrees_with_the_cpu
        else
            skip utterances "it needs model_weights and tests/golden/mini"
        fi
    fi
    # What is wrong is not worth measuring.
    [ ${#failed[@]} -eq 0 ] || finish
fi

# What `mynah bench` is told of a model.
of() {
    case $1 in
        bundled) echo "--device $device" ;;
        *) echo "--device $device --random-weights $1" ;;
    esac
}
# Room for so many sessions: the flow looks back at four blocks, so that a session of the official
# size keeps about 2 GiB; the GPU's free memory less weights and work is theirs.
room() {
    export MYNAH_FLOW__LEFT_BLOCKS=4 MYNAH_ENGINE__MAX_LOAD=100
    if [ "$device" = cuda ] && command -v nvidia-smi > /dev/null; then
        local free
        free=$(nvidia-smi --query-gpu=memory.free --format=csv,noheader,nounits | head -n 1)
        if [ "$free" -gt 16384 ]; then
            export MYNAH_ENGINE__CACHE_MIB=$((free - 8192))
        fi
    fi
}

if wants bench; then
    room
    for kind in ${models//,/ }; do
        if [ "$kind" = bundled ] && [ ! -f model_weights/mynah-mini/llm.pt ]; then
            skip "bench-$kind" "model_weights is not here"
            continue
        fi
        # shellcheck disable=SC2046 # words, on purpose
        step "bench-$kind" "$binary" bench $(of "$kind") --sessions "$sessions" -n "$count" "${text[@]}"
    done
fi

# The last table of a log in which the backend prints one after another.
# shellcheck disable=SC2329 # by `profile`
last_table() {
    awk '/^\| Name / { table = "" } /^\|/ { table = table $0 "\n" } END { printf "%s", table }' "$1"
}
# shellcheck disable=SC2329 # by `step`
profile() {
    local kind=$1 log=$out/kernels-$1.log
    rm -f "$log"
    # shellcheck disable=SC2046 # words, on purpose
    CUBECL_DEBUG_LOG=$log CUBECL_DEBUG_OPTION=profile-medium \
        "$binary" bench $(of "$kind") --sessions 1 -n 1 "${text[@]}" > "$out/profiled-$kind.log"
    [ -s "$log" ] || { echo "the backend wrote no profile to $log"; return 1; }
    last_table "$log" | cut -c 1-200 | head -n 60
}
if wants profile; then
    room
    for kind in ${models//,/ }; do
        if [ "$device" = cpu ]; then
            skip "profile-$kind" "the CPU has no kernels to be listed"
            continue
        elif [ "$kind" = bundled ] && [ ! -f model_weights/mynah-mini/llm.pt ]; then
            skip "profile-$kind" "model_weights is not here"
            continue
        fi
        step "profile-$kind" profile "$kind"
        if command -v nsys > /dev/null; then
            # shellcheck disable=SC2046 # words, on purpose
            step "nsys-$kind" nsys profile --stats=true --force-overwrite=true \
                --output="$out/nsys-$kind" "$binary" bench $(of "$kind") --sessions 1 -n 1 "${text[@]}"
        fi
    done
fi

if wants upstream; then
    if [ -n "$upstream" ]; then
        step upstream "$python" benches/vs_upstream.py \
            --upstream "$upstream" --mynah "$binary" --device "$device" ${model:+--model "$model"}
    else
        skip upstream "--upstream names no checkout"
    fi
fi
finish
