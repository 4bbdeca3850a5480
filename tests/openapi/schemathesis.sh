#!/usr/bin/env bash
# Runs schemathesis (https://pypi.org/project/schemathesis) over the description of all dialects, against
# a server with the silent engine. Installs it into a virtual environment below target/ first.
#
#   tests/openapi/schemathesis.sh [arguments of `schemathesis run`, such as --include-tag openai]
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=target/schemathesis
if [ ! -x "$venv/bin/schemathesis" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "schemathesis>=4.32,<5"
fi
SCHEMATHESIS="$PWD/$venv/bin/schemathesis" SCHEMATHESIS_ARGS="$*" \
    ${CARGO_TEST:-cargo test --release} --test openapi -- --ignored --nocapture schemathesis
