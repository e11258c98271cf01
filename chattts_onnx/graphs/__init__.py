"""ONNX Runtime sessions and the memory of their weights."""
