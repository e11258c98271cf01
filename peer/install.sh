#!/usr/bin/env bash
# Builds .venv-peer, the environment of the official package (see README.md).
#   peer/install.sh [FOLDER]      FOLDER defaults to .venv-peer beside this repository's files
#   PYTHON=python3.12 peer/install.sh
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu peer/install.sh     without CUDA's libraries
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="${1:-$(dirname "$here")/.venv-peer}"
python="$target/bin/python"

if [[ ! -x "$python" ]]; then
    "${PYTHON:-python3}" -m venv "$target"
fi
"$python" -m pip install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch==2.13.0"
"$python" -m pip install --quiet --require-hashes --no-deps -r "$here/requirements.txt"

# torchaudio's extensions need CUDA libraries and another torch; what is used of it, the mel
# transform, is plain PyTorch and works once they are gone.
packages="$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"
rm -f "$packages"/torchaudio/lib/*.so

cd "$(dirname "$here")"
"$python" -c 'import peer.official; print("official package", peer.official.VERSION, "is ready")'
