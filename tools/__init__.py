"""Tools for developers."""

import sys

if sys.argv[:1] == ["-m"]:  # a command of this package is being started
    from chattts_onnx.console import make_printable

    make_printable()
