"""From a ChatTTS checkpoint to checked bundles."""

import getpass
import os
import sys
from pathlib import Path

import chattts_onnx  # noqa: F401  first, since it keeps ONNX Runtime off the network

# The same for the other tools: they report home only where the user says so.
os.environ.setdefault("DVC_NO_ANALYTICS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# MLflow can't be imported without a home, DVC not run without a name, and a container's user may
# have neither.  The home is the one that Docker gives such a user.
try:
    Path.home()
except RuntimeError:
    os.environ["HOME"] = "/"
try:
    getpass.getuser()
except (KeyError, OSError):
    os.environ["USER"] = str(os.getuid())

if sys.argv[:1] == ["-m"]:  # a command of this package is being started
    from chattts_onnx.console import make_printable

    make_printable()
