"""The small bundles that the tests of the benchmark have."""

from tests.pipeline.benchmark.conftest import bundle_folder

__all__ = ["bundle_folder"]
