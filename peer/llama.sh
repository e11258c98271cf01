#!/usr/bin/env bash
# Builds .venv-llama, the environment of peer/llama_step.py: llama.cpp, compiled here for this
# machine's instructions (a C++ compiler and some minutes), with its Python bindings.
#   peer/llama.sh [FOLDER]      FOLDER defaults to .venv-llama beside this repository's files
#   PYTHON=python3.12 peer/llama.sh
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="${1:-$(dirname "$here")/.venv-llama}"
python="$target/bin/python"

if [[ ! -x "$python" ]]; then
    "${PYTHON:-python3}" -m venv "$target"
fi
# without what reads pictures and sound
CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=ON ${CMAKE_ARGS:-}" \
    "$python" -m pip install --quiet --require-hashes --no-deps -r "$here/llama.txt"
cd "$(dirname "$here")"
"$python" -c 'import peer.llama_step'
echo "llama.cpp is ready"
