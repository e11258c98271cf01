"""``python -m chattts_onnx``: the same as the command ``chattts-onnx``."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
