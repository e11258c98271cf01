"""Training recipe of the small checkpoint that speaks; see README.md."""

import chattts_onnx  # noqa: F401  first, since it keeps ONNX Runtime off the network
