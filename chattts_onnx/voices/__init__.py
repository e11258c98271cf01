"""Speaker vectors: drawn by seed, read from what people share, collected by name."""

from .._moved import attributes

__getattr__ = attributes(__name__, f"{__name__}.vectors")
