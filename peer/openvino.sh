#!/usr/bin/env bash
# Builds .venv-openvino, the environment of peer/openvino_step.py: OpenVINO and numpy.
#   peer/openvino.sh [FOLDER]      FOLDER defaults to .venv-openvino beside this repository's files
#   PYTHON=python3.12 peer/openvino.sh
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="${1:-$(dirname "$here")/.venv-openvino}"
python="$target/bin/python"

if [[ ! -x "$python" ]]; then
    "${PYTHON:-python3}" -m venv "$target"
fi
"$python" -m pip install --quiet --require-hashes --no-deps -r "$here/openvino.txt"
cd "$(dirname "$here")"
"$python" -c 'import peer.openvino_step'
echo "OpenVINO is ready"
