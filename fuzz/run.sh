#!/usr/bin/env bash
# Runs fuzz targets that ./build.sh has built, each for so many seconds: ./run.sh 600 [TARGET ...]
# Inputs that are found go to target/corpus, those that crash to target/artifacts.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?how many seconds each}
shift
[ $# -gt 0 ] || set -- prompt form frames pickle archive onnx config text
binaries=target/$(rustc +nightly -vV | sed -n 's/^host: //p')/release
for name; do
  mkdir -p "target/corpus/$name" target/artifacts
  echo "== $name"
  "$binaries/$name" "target/corpus/$name" "seeds/$name" -max_total_time="$seconds" \
    -rss_limit_mb=2048 -timeout=25 -print_final_stats=1 -artifact_prefix="target/artifacts/$name-"
done
