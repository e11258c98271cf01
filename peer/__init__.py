"""The official ChatTTS package as a peer: a speed comparison and a source of expected outputs.

Everything here runs in an environment of its own (see README.md) and only calls the official
package's classes. Nothing in `pipeline` or `chattts_onnx` imports it.
"""
