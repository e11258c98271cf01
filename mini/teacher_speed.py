"""What ``[speed_n]`` means: the teacher's tempo."""

from __future__ import annotations

# from one level to the next; [speed_5] is the teacher's own tempo
SPEED_STEP = 1.06
SPEED_LEVELS, PLAIN_SPEED = 10, 5


def speed_factor(level: int) -> float:
    """Return the tempo of ``[speed_level]``: 0.75 to 1.26."""
    return float(SPEED_STEP ** (level - PLAIN_SPEED))
