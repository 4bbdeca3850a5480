#!/usr/bin/env bash
# Every HTTP endpoint of the light dialect, with curl.
#
#   examples/curl.sh [http://localhost:8080 [PROMPT.wav "what is said in it"]]
#
# Writes whole.wav, stream.pcm and prompt.wav into the working directory. Needs a running server:
# mynah serve
set -euo pipefail

base=${1:-http://localhost:8080}
prompts=$(cd "$(dirname "$0")/.." && pwd)/model_weights/mynah-mini/prompts
prompt_wav=${2:-$prompts/rms.wav}
prompt_text=${3:-$(cat "$prompts/rms.txt")}

show() {
  echo
  echo "# $*"
}

for path in healthz health liveness readiness query_tts_model; do
  show "GET /$path"
  curl -sS --fail-with-body "$base/$path"
done
show "POST /query_tts_model"
curl -sS --fail-with-body -X POST "$base/query_tts_model"

show "POST /inference_zero_shot, a registered voice: whole.wav"
curl -sS --fail-with-body "$base/inference_zero_shot" \
  -F "tts_text=The bus was late because of the heavy rain." \
  -F "voice=default" \
  -o whole.wav -w "%{http_code}, %{size_download} bytes, %{time_total} s\n"

show "POST /inference_zero_shot, the voice of a recording: prompt.wav"
curl -sS --fail-with-body "$base/inference_zero_shot" \
  -F "tts_text=Good morning and welcome to the show." \
  -F "prompt_text=$prompt_text" \
  -F "prompt_wav=@$prompt_wav" \
  -F "tts_model_name=default" \
  -F "speed=1.0" \
  -F "seed=7" \
  -o prompt.wav -w "%{http_code}, %{size_download} bytes, %{time_total} s\n"

# Raw 16-bit mono samples as they are made. To hear them at once:
#   curl -sN … | ffplay -f s16le -ar 24000 -ch_layout mono -nodisp -autoexit -
show "POST /inference_zero_shot, streamed: stream.pcm"
curl -sSN --fail-with-body "$base/inference_zero_shot" \
  -F "tts_text=Good morning and welcome to the show." \
  -F "voice=default" \
  -F "stream=true" \
  -o stream.pcm -w "%{http_code}, %{size_download} bytes, %{time_total} s\n"

show "What is refused says why"
curl -sS "$base/inference_zero_shot" -F "tts_text=Hello." -F "voice=nobody"

show "GET /metrics (the first lines of lightllm_*)"
curl -sS --fail-with-body "$base/metrics" | grep '^lightllm_' | head -5 || true
echo
echo "Text and sound at the same time need a WebSocket: see bistream.py and bistream.mjs."
