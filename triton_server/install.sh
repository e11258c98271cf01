#!/usr/bin/env bash
# Builds .venv-triton: a tritonserver with the Python backend, without Docker (see docs/how-to/triton.md).
#   triton_server/install.sh [FOLDER]      FOLDER defaults to .venv-triton beside this repository's files
#   PYTHON=python3.12 triton_server/install.sh
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="${1:-$(dirname "$here")/.venv-triton}"
python="$target/bin/python"

if [[ ! -x "$python" ]]; then
    "${PYTHON:-python3}" -m venv "$target"
fi
pip=("$python" -m pip --quiet --disable-pip-version-check)
"${pip[@]}" install --require-hashes --no-deps -r "$here/requirements.txt" -r "$here/server.txt"

# The backend's stub embeds the interpreter, so it needs the shared library of this very version.
read -r packages version libraries library < <("$python" -c '
import sys, sysconfig
version = f"{sys.version_info.major}.{sys.version_info.minor}"
names = (sysconfig.get_paths()["purelib"], version)
print(*names, *(sysconfig.get_config_var(name) for name in ("LIBDIR", "INSTSONAME")))')
if [[ ! -e "$libraries/$library" ]]; then
    echo "$libraries/$library is not there: this Python was built without its shared library." >&2
    echo "Install it (Debian: libpython$version) or name another Python: PYTHON=... $0" >&2
    exit 1
fi
server="$packages/pytriton/tritonserver"
stub="$server/python_backend_stubs/$version/triton_python_backend_stub"
if [[ ! -e "$stub" ]]; then
    echo "nvidia-pytriton has no stub for Python $version; it has $(ls "$server/python_backend_stubs")" >&2
    exit 1
fi

backends="$target/tritonserver/backends"
rm -rf "$target/tritonserver"
mkdir -p "$backends"
cp -r "$server/backends/python" "$backends/python"
cp "$stub" "$backends/python/"
chmod +x "$backends/python/triton_python_backend_stub" "$server/bin/tritonserver"

# One command that starts it with all of this: .venv-triton/bin/tritonserver --model-repository=...
cat > "$target/bin/tritonserver" <<WRAPPER
#!/usr/bin/env bash
export LD_LIBRARY_PATH="$packages/nvidia_pytriton.libs:$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export PATH="$target/bin:\$PATH"
exec "$server/bin/tritonserver" --backend-directory="$backends" "\$@"
WRAPPER
chmod +x "$target/bin/tritonserver"
# It starts, libraries and all; asked for help it prints its options and exits with 1.
usage="$("$target/bin/tritonserver" --help 2>&1 || true)"
if [[ "$usage" != Usage:* ]]; then
    echo "tritonserver does not start: $usage" >&2
    exit 1
fi
echo "tritonserver is ready: $target/bin/tritonserver"
