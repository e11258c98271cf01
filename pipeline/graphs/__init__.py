"""ONNX graphs: read, written, looked into, their layers."""
