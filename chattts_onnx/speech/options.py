"""The options of speech, once: every front is made from what stands here.

``bundle.say``, the commands, the HTTP bodies, the client, Triton's tensors, the columns of tables
and the MLflow model read :data:`OPTIONS`, so an option more is an entry more in
:class:`SpeechOptions`, with its bounds and words.  Nothing heavy is imported: commands show their
help at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from types import NoneType
from typing import Annotated, Any, TypedDict, cast, get_args, get_type_hints

from ..choices import Code, EmojiRule, Erhua, Language, Markup, Numbers
from ..errors import InputError
from ..untrusted import brief

# What fits the integers of JSON's readers, of Triton and of tables alike.
LARGEST_SEED = 2**63 - 1
VOICE_HELP = "a seed, the name of a voice, a voice's text form, or a mix: joe(2)+ava(1)"
_WORDS = {"true": True, "1": True, "false": False, "0": False}
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class Option:
    """What is said and checked of an option wherever it is given.

    ``least`` and ``most`` bound a number (``most`` the characters of a text), ``above`` excludes
    its value.  ``group`` is its heading in a command's help.  ``name``, ``kind`` and ``choices``
    come from the annotation.
    """

    help: str
    least: float | None = None
    most: float | None = None
    above: float | None = None
    group: str = "style"
    name: str = ""
    kind: type = str
    choices: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The name outside Python, where ``break`` is a word like others."""
        return self.name.rstrip("_")

    @property
    def bounds(self) -> str:
        """The bounds of a number in words, or nothing."""
        if self.above is not None:
            return f"above {self.above} and at most {self.most}"
        if self.least is None:
            return ""
        if self.most is None or self.most == LARGEST_SEED:
            return f"at least {self.least}"
        return f"{self.least} to {self.most}"

    @property
    def words(self) -> str:
        """The help with the bounds."""
        return f"{self.help} ({self.bounds})" if self.bounds else self.help

    @property
    def expected(self) -> str:
        """What a value has to be."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is str:
            return f"text of at most {self.most} characters"
        between = "" if self.above is not None or not self.bounds else "of "
        return f"{_KINDS[self.kind]} {between}{self.bounds}".rstrip()

    def check(self, value: Any) -> None:
        """:class:`InputError` naming the option unless ``value`` is one of it."""
        if not self._fits(value):
            raise InputError(f"{self.shown} is {brief(value)}; expected {self.expected}.")

    def read(self, cell: Any) -> Any:
        """The value of a table's cell or of a JSON value, None where there is none.

        Numbers may be written as text, as CSV has them, and whole numbers as floats, as data
        frames with gaps do.  Raises :class:`InputError`.
        """
        if absent(cell):
            return None
        value = cell.strip() if isinstance(cell, str) else cell
        if self.kind is bool:
            value = _WORDS.get(str(value).lower(), value)
        elif self.kind is int:
            value = _whole(value)
        elif self.kind is float:
            value = _number(value)
        if not self._fits(value):
            raise InputError(f"{self.shown} is {brief(cell)}; expected {self.expected}.")
        return value

    def _fits(self, value: Any) -> bool:
        if self.choices:
            return isinstance(value, str) and value in self.choices
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        if self.kind is str:
            return isinstance(value, str) and (self.most is None or len(value) <= self.most)
        if isinstance(value, Integral):
            number: int | float = int(value)
        elif isinstance(value, Real) and self.kind is float:
            number = float(value)
        else:
            return False
        return (
            (self.above is None or number > self.above)
            and (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
        )


class SpeechOptions(TypedDict, total=False):
    """How a text is spoken; None and what is left out take the bundle's own or the usual."""

    speed: Annotated[int | None, Option("pace, from slow to fast; a hint to the model", 0, 9)]
    oral: Annotated[int | None, Option("how colloquial; switches refining on", 0, 9)]
    laugh: Annotated[int | None, Option("how much laughter; switches refining on", 0, 2)]
    break_: Annotated[int | None, Option("how many pauses; switches refining on", 0, 7)]
    refine: Annotated[bool | None, Option("let the model add pauses and laughs first")]
    refine_prompt: Annotated[
        str | None, Option("directs refining, such as [oral_2][laugh_0][break_6]", most=200)
    ]

    tempo: Annotated[
        float | None,
        Option("plays it faster (2) or slower (0.5), the pitch kept", 0.25, 4, group="sound"),
    ]
    pitch: Annotated[
        float | None, Option("moves the voice up or down, in semitones", -12, 12, group="sound")
    ]
    volume: Annotated[float | None, Option("louder or softer, in dB", -40, 40, group="sound")]
    loudness: Annotated[
        float | None,
        Option("evens pieces out to one loudness (EBU R128), in LUFS", -40, -8, group="sound"),
    ]

    seed: Annotated[
        int | None,
        Option(
            "repeats the random draws; piece i takes seed + i", 0, LARGEST_SEED, group="sampling"
        ),
    ]
    temperature: Annotated[
        float | None, Option("low is steady, high is lively", above=0, most=2, group="sampling")
    ]
    top_p: Annotated[
        float | None,
        Option("share of the probability that is drawn from", above=0, most=1, group="sampling"),
    ]
    top_k: Annotated[
        int | None, Option("how many codes are drawn from; 0: all", 0, 10_000, group="sampling")
    ]
    repetition_penalty: Annotated[
        float | None,
        Option("above 1 avoids what was just drawn; 1: off", above=0, most=10, group="sampling"),
    ]
    min_new_tokens: Annotated[
        int | None, Option("least length of a piece, in steps of 21.3 ms", 0, group="sampling")
    ]
    max_new_tokens: Annotated[
        int | None, Option("most length of a piece, in steps of 21.3 ms", 1, group="sampling")
    ]

    takes: Annotated[
        int | None,
        Option(
            "how often a piece may be drawn where a take goes wrong; 1: never again",
            1,
            10,
            group="sampling",
        ),
    ]

    normalize: Annotated[
        bool | None, Option("read numbers, dates and units as people do", group="reading")
    ]
    language: Annotated[Language | None, Option("of numbers and formulas", group="reading")]
    numbers: Annotated[Numbers | None, Option("how numbers are read", group="reading")]
    yao: Annotated[bool | None, Option("say 幺 for a 1 in Chinese phone numbers", group="reading")]
    erhua: Annotated[Erhua | None, Option("merge: 花儿 as 花", group="reading")]
    emoji: Annotated[EmojiRule | None, Option("drop them or speak their names", group="reading")]
    spell: Annotated[bool | None, Option("spell initialisms: SQL as S Q L", group="reading")]
    markup: Annotated[
        Markup | None, Option("what carries the text and is not spoken", group="reading")
    ]
    code: Annotated[Code | None, Option("whether blocks of code are read", group="reading")]
    piece_tokens: Annotated[
        int | None, Option("length at which a long text is cut", 4, group="reading")
    ]
    apart: Annotated[
        bool | None,
        Option("speak each sentence by itself, which makes its times exact", group="reading"),
    ]


def _table() -> dict[str, Option]:
    made = {}
    for name, hint in get_type_hints(SpeechOptions, include_extras=True).items():
        union, option = get_args(hint)
        kind = next(part for part in get_args(union) if part is not NoneType)
        choices = get_args(kind)
        kind = str if choices else kind
        made[name] = replace(option, name=name, kind=kind, choices=choices)
    return made


OPTIONS: Mapping[str, Option] = _table()


def check_options(options: Mapping[str, Any], known: Collection[str] = OPTIONS) -> None:
    """:class:`InputError` naming what is none of the ``known`` options, or out of its bounds."""
    if unknown := set(options) - set(known):
        raise InputError(f"unknown options {sorted(unknown)}; known: {sorted(known)}.")
    for name, value in options.items():
        if value is not None and name in OPTIONS:
            OPTIONS[name].check(value)


def read_options(cells: Mapping[str, Any]) -> SpeechOptions:
    """The options that a table's row or a JSON object gives, under the names shown outside Python.

    Raises :class:`InputError`.
    """
    found = {name: option.read(cells.get(option.shown)) for name, option in OPTIONS.items()}
    given = {name: value for name, value in found.items() if value is not None}
    return cast("SpeechOptions", given)


def shown_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, under the names shown outside Python."""
    return {OPTIONS[name].shown: value for name, value in options.items() if value is not None}


def absent(cell: Any) -> bool:
    """Whether a table's cell holds nothing: None, blanks, or the NaN of a data frame."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        digits = value.removesuffix(".0")
        return int(digits) if digits.isdecimal() and len(digits) < 20 else value
    return value


def _number(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
