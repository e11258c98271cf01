"""The rules that read numbers, in the order in which they are tried."""

from .base import Rule
from .codes import CODES, standard
from .dates import DATES
from .money import MONEY
from .phones import PHONES
from .plain import PLAIN
from .quantities import QUANTITIES
from .times import TIMES

# A standard's number looks like a ratio or a range, so it comes before them.
RULES: tuple[Rule, ...] = (standard, *DATES, *TIMES, *MONEY, *PHONES, *CODES, *QUANTITIES, *PLAIN)

__all__ = ["RULES", "Rule"]
