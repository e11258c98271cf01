"""How the names and signs of formulas are said, in Chinese and English."""

from __future__ import annotations

from ..core.tables import symbols

# Commands of layout, which nobody reads.
_WORDS_OF_SILENT = (
    "quad qquad , ; : ! \\, \\; \\: \\! displaystyle textstyle limits nolimits nonumber "
    "notag label tag hline mathstrut hfill vspace hspace ~ & scriptstyle rm bf it"
)
SILENT = frozenset(_WORDS_OF_SILENT.split()) - {",", ";", ":", "!"}
# Commands whose argument is words or upright letters.
_WORDS_OF_PLAIN = (
    "text mathrm textbf mathbf mathit textit operatorname mbox boldsymbol mathcal mathbb boxed ce"
)
PLAIN = frozenset(_WORDS_OF_PLAIN.split())


OPERATORS = symbols("operator")
NAMES = symbols("name")
NAMES |= {name.capitalize(): words for name, words in NAMES.items() if name not in ("Re", "Im")}
# Those under and over which a range stands, and others.
BOUNDED = symbols("bounded")
FUNCTIONS = BOUNDED | symbols("function")
# What stands over or under a letter.
ACCENTS = symbols("accent") | {"underline": ("", "")}
