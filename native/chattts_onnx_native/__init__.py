"""The compiled decoding step of chattts_onnx: a shared library that it binds by ctypes."""

from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = ("libchattts_step.so", "libchattts_step.dylib", "chattts_step.dll")


def library() -> Path | None:
    """The library beside this file, None where it was not built."""
    return next((FOLDER / name for name in NAMES if (FOLDER / name).is_file()), None)
