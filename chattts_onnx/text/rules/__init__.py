"""The rules that read numbers, in the order in which they are tried."""

from .arithmetic import POWERS, SUMS, comparison, equation
from .base import Rule
from .codes import CODES, standard
from .dates import DATES
from .measures import MEASURES, pressure
from .money import MONEY
from .names import NAMES
from .parts import PARTS, fraction
from .phones import PHONES
from .plain import PLAIN
from .ranges import MODELS, RANGES, score
from .shorthand import SHORTHAND
from .times import TIMES

RULES: tuple[Rule, ...] = (
    # A standard's number, a score and a pressure look like dates, ratios and ranges.
    *(standard, pressure, *MODELS, *NAMES, score),
    *(*DATES, *TIMES, *MONEY, *PHONES, *CODES),
    *(equation, *SHORTHAND, *PARTS, *MEASURES, *POWERS, *SUMS, fraction, *RANGES, comparison),
    *PLAIN,
)

__all__ = ["RULES", "Rule"]
