"""What this machine offers and what would go wrong, found before it does."""

from .diagnosis import Finding, Level, compare_tools, diagnose
from .facts import Facts, gather
from .selftest import SelfTest, self_test

__all__ = ["Facts", "Finding", "Level", "SelfTest", "compare_tools", "diagnose", "gather"]
__all__ += ["self_test"]
