"""Small graphs, as the tests of quantization have them."""

from tests.pipeline.quantization.conftest import vocos_path

__all__ = ["vocos_path"]
