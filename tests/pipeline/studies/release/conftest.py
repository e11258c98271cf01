"""The workspace that the tests of releases have."""

from tests.pipeline.release.conftest import workspace

__all__ = ["workspace"]
