"""Attempts to break the server, each a function from counts to a row of the reliability page.

They run against ``chattts-onnx serve`` in a process of its own, on a bundle of a few kilobytes.
"""
