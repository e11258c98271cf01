"""Small graphs of the form that the rules leave."""

from tests.pipeline.quantization.conftest import gpt_path, make_gpt_feeds, make_mel, vocos_path

__all__ = ["gpt_path", "make_gpt_feeds", "make_mel", "vocos_path"]
