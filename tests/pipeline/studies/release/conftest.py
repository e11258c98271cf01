"""The workspace that the tests of releases have."""

from tests.pipeline.release.conftest import tiny, workspace

__all__ = ["tiny", "workspace"]
