"""Training recipe of the small checkpoint that speaks; see README.md."""

import sys

import chattts_onnx  # noqa: F401  first, since it keeps ONNX Runtime off the network

if sys.argv[:1] == ["-m"]:  # a command of this package is being started
    from chattts_onnx.console import make_printable

    make_printable()
