"""What this machine offers and what would go wrong, found before it does."""

from .diagnosis import Finding, Level, diagnose
from .facts import Facts, gather
from .selftest import SelfTest, self_test

__all__ = ["Facts", "Finding", "Level", "SelfTest", "diagnose", "gather", "self_test"]
