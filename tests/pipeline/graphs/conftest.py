"""Small graphs, as the tests of quantization have them."""

from tests.pipeline.quantization.conftest import gpt_path, make_gpt_feeds, vocos_path

__all__ = ["gpt_path", "make_gpt_feeds", "vocos_path"]
